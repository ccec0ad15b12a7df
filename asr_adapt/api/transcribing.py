"""Speech to text from Python in one call: ``transcribe``, ``stream`` and ``evaluate``.

Knows what a caller may pass and gets back, and that all of it is checked before a model is loaded. Does not
know how a recording is cut, heard or scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from asr_adapt.api.opening import RuntimeName
from asr_adapt.api.transcriber import Hotwords, Transcriber, decoding_of, opened
from asr_adapt.decoding import Decoding
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.api.transcriber import Input, OnProgress
    from asr_adapt.manifest import Manifest, Utterance
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription import EvaluatedRows, Segment, Transcript


@overload
def transcribe(  # type: ignore[overload-overlap]
    source: Input,
    *,
    model: str | Path | Transcriber | Recogniser = ...,
    decoding: Decoding | None = ...,
    language: str | None = ...,
    word_timestamps: bool | None = ...,
    hotwords: Hotwords | None = ...,
    prompt: str | None = ...,
    sample_rate: int | None = ...,
    runtime: RuntimeName = ...,
    device: str = ...,
    compute_type: str = ...,
    on_progress: OnProgress | None = ...,
) -> Transcript: ...
@overload
def transcribe(
    source: Sequence[Input],
    *,
    model: str | Path | Transcriber | Recogniser = ...,
    decoding: Decoding | None = ...,
    language: str | None = ...,
    word_timestamps: bool | None = ...,
    hotwords: Hotwords | None = ...,
    prompt: str | None = ...,
    sample_rate: int | None = ...,
    runtime: RuntimeName = ...,
    device: str = ...,
    compute_type: str = ...,
    on_progress: OnProgress | None = ...,
) -> list[Transcript]: ...
def transcribe(
    source: Input | Sequence[Input],
    *,
    model: str | Path | Transcriber | Recogniser = DEFAULT_MODEL,
    decoding: Decoding | None = None,
    language: str | None = None,
    word_timestamps: bool | None = None,
    hotwords: Hotwords | None = None,
    prompt: str | None = None,
    sample_rate: int | None = None,
    runtime: RuntimeName = "torch",
    device: str = "auto",
    compute_type: str = "fast",
    on_progress: OnProgress | None = None,
) -> Transcript | list[Transcript]:
    """Transcribe a file, an array, or a list of them; a list gives a list in its order.

    An array is a float waveform ``(samples,)`` between -1 and 1 at ``sample_rate`` Hz (default: the model's).
    In a list, a name may also be a folder, a glob or a manifest and gives as many transcripts as it holds.
    ``decoding`` says how; ``language``, ``word_timestamps``, ``hotwords`` and ``prompt`` are its most used
    fields and replace those of it. ``on_progress`` gets a :class:`HearingProgress` after each batch, and what
    it raises ends the work. To transcribe more than once, :func:`~asr_adapt.load` the model first.

    Raises AsrAdaptError when any input cannot be read; for a run that goes on past bad inputs, see
    :class:`~asr_adapt.transcription.Engine`.
    """
    wanted = decoding_of(decoding, language, word_timestamps, hotwords, prompt)
    one = opened(model, wanted, runtime, device, compute_type)
    return one.transcribe(source, sample_rate=sample_rate, on_progress=on_progress)


def stream(
    source: Input,
    *,
    model: str | Path | Transcriber | Recogniser = DEFAULT_MODEL,
    decoding: Decoding | None = None,
    language: str | None = None,
    hotwords: Hotwords | None = None,
    prompt: str | None = None,
    sample_rate: int | None = None,
    runtime: RuntimeName = "torch",
    device: str = "auto",
    compute_type: str = "fast",
) -> Iterator[Segment]:
    """Segments of one file or array as soon as each is certain, with word times; memory is bounded.

    Arguments and errors as in :func:`transcribe`. What of the sound could not be heard is logged at the end.
    """
    wanted = decoding_of(decoding, language, None, hotwords, prompt)
    return opened(model, wanted, runtime, device, compute_type).stream(source, sample_rate=sample_rate)


def evaluate(
    manifest: str | Path | Manifest | Iterable[Utterance],
    *,
    model: str | Path | Transcriber | Recogniser = DEFAULT_MODEL,
    output: str | Path | None = None,
    decoding: Decoding | None = None,
    normalise: str = "basic",
    runtime: RuntimeName = "torch",
    device: str = "auto",
    compute_type: str = "auto",
    on_progress: OnProgress | None = None,
) -> EvaluatedRows:
    """Transcribe every row of a manifest; its ``score()`` is the WER with intervals.

    Rows are read and batched by length, results keep the manifest's order. ``output`` names a predictions
    file to write, in which a killed run goes on where it was; ``normalise`` is the text profile of the score.
    A row whose audio cannot be read becomes a failure, the others are done. Raises DataError for a manifest
    without rows and ModelError for a model that cannot be loaded.
    """
    from asr_adapt.text import profile
    from asr_adapt.transcription import evaluate_rows

    profile(normalise)  # an unknown one is refused before the work
    one = opened(model, decoding or Decoding(), runtime, device, compute_type)
    return evaluate_rows(
        manifest, one.recogniser, one.decoding, output=output, normalise=normalise, on_progress=on_progress
    )
