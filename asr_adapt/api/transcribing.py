"""Speech to text from Python: ``load``, ``transcribe``, ``stream`` and ``evaluate``.

Knows what a caller may pass and gets back, and that all of it is checked before a model is loaded. Does not
know how a recording is cut, heard or scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from asr_adapt.api.adapters import adapters_from
from asr_adapt.api.opening import ChosenModel, Runtime, RuntimeName
from asr_adapt.decoding import Decoding
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np

    from asr_adapt.manifest import Manifest, Utterance
    from asr_adapt.models import Recogniser
    from asr_adapt.transcription import EvaluatedRows, HearingProgress, Segment, Transcript
    from asr_adapt.transcription.live import LiveUpdate

    #: A file, folder, glob, manifest or URL by name, or a float waveform (samples,) between -1 and 1.
    Input = str | Path | np.ndarray
    OnProgress = Callable[[HearingProgress], None]

Hotwords = Mapping[str, float | None] | Sequence[str]


class Transcriber:
    """A loaded model and how it decodes; see :func:`load`.

    ``recogniser`` is the network behind the library's contract, for those who train or take it apart.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        decoding: Decoding | None = None,
        choosing: Callable[[Recogniser, Recogniser], Recogniser] | None = None,
    ) -> None:
        from asr_adapt.transcription.calibration import with_map
        from asr_adapt.transcription.decoding.fusion import with_decoding

        self.decoding = with_map(decoding or Decoding())
        self._plain = recogniser
        self._choosing = choosing
        decoding_one = with_decoding(recogniser, self.decoding)
        self.recogniser = decoding_one if choosing is None else choosing(recogniser, decoding_one)

    @property
    def name(self) -> str:
        """The model's name or folder."""
        return self.recogniser.name

    def __repr__(self) -> str:
        one = self.recogniser
        return f"<Transcriber {one.name}: {one.family}, {one.runtime} on {one.device}>"

    def decoding_with(self, **changes: Any) -> Transcriber:
        """The same weights under a decoding with other fields; this object stays as it is."""
        return Transcriber(self._plain, self.decoding.but(**changes), self._choosing)

    @overload
    def transcribe(  # type: ignore[overload-overlap]  # a name is a sequence of letters too
        self,
        source: Input,
        *,
        language: str | None = ...,
        word_timestamps: bool | None = ...,
        sample_rate: int | None = ...,
        on_progress: OnProgress | None = ...,
    ) -> Transcript: ...
    @overload
    def transcribe(
        self,
        source: Sequence[Input],
        *,
        language: str | None = ...,
        word_timestamps: bool | None = ...,
        sample_rate: int | None = ...,
        on_progress: OnProgress | None = ...,
    ) -> list[Transcript]: ...
    def transcribe(
        self,
        source: Input | Sequence[Input],
        *,
        language: str | None = None,
        word_timestamps: bool | None = None,
        sample_rate: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transcript | list[Transcript]:
        """Transcribe a file, an array, or a list of them; a list gives a list in its order.

        ``language`` and ``word_timestamps``, where given, replace those of the decoding; the rest is as in
        :func:`transcribe`.
        """
        from asr_adapt.transcription.api import transcribe_all

        wanted = _with(self.decoding, language, word_timestamps)
        return transcribe_all(
            source, self.recogniser, wanted, sample_rate=sample_rate, on_progress=on_progress
        )

    def stream(
        self,
        source: Input,
        *,
        language: str | None = None,
        word_timestamps: bool | None = None,
        sample_rate: int | None = None,
    ) -> Iterator[Segment]:
        """Segments of one file or array as soon as each is certain; memory is bounded."""
        from asr_adapt.transcription.api import stream_segments

        wanted = _with(self.decoding, language, word_timestamps)
        return stream_segments(source, self.recogniser, wanted, sample_rate=sample_rate)

    def live(
        self,
        blocks: Iterable[np.ndarray],
        *,
        step: float = 1.0,
        language: str | None = None,
        sample_rate: int | None = None,
    ) -> Iterator[LiveUpdate]:
        """Words of sound that has not ended, as they become certain.

        ``blocks`` are float waveforms (samples,) of any length at ``sample_rate`` Hz (default: the model's),
        taken one by one as the caller has them; they are heard anew every ``step`` seconds. An update's words
        are committed and never change, its ``tentative`` ones may; once ``blocks`` end, all are committed.
        Models with a decoder commit what two hypotheses agree on (LocalAgreement-2, arXiv 2307.14743), others
        what has a second of sound behind it. Raises UsageError for options that need the whole recording.
        """
        from asr_adapt.transcription.api import live_updates

        wanted = _with(self.decoding, language)
        return live_updates(blocks, self.recogniser, wanted, step=step, sample_rate=sample_rate)

    def save(self, folder: str | Path) -> None:
        """Write a plain transformers directory: weights and processor."""
        self._plain.save(folder)


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    decoding: Decoding | None = None,
    adapter: str | Path | Sequence[str | Path] = (),
    runtime: RuntimeName = "torch",
    device: str = "auto",
    compute_type: str = "fast",
) -> Transcriber:
    """Load a model by name, directory, file of another runtime, or hub id, as ``asr-adapt transcribe`` does.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; ``compute_type`` is ``auto``, ``fast``,
    ``float32``, ``bfloat16``, ``float16`` or, for CTranslate2, ``int8``. ``adapter`` is the folder of a LoRA
    adapter to put on the model; several with ``auto`` among them: the surest, clip by clip. A model's own map
    of word confidence is taken where it decodes plainly. Raises :class:`~asr_adapt.errors.UsageError` for an
    option that cannot be before anything is loaded, and :class:`~asr_adapt.errors.ModelError` for a model
    that cannot.
    """
    given = [adapter] if isinstance(adapter, (str, Path)) else adapter
    adapters = adapters_from([str(one) for one in given])
    wanted = decoding or Decoding()
    chosen = ChosenModel(str(model), wanted, Runtime.named(runtime), device, compute_type, adapters)
    listening = chosen.listening()
    return Transcriber(chosen.load_plain(), listening, chosen.adapters.choosing)


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
    it raises ends the work. To transcribe more than once, :func:`load` the model first.

    Raises AsrAdaptError when any input cannot be read; for a run that goes on past bad inputs, see
    :class:`~asr_adapt.transcription.Engine`.
    """
    wanted = _with(decoding, language, word_timestamps, hotwords, prompt)
    one = _opened(model, wanted, runtime, device, compute_type)
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
    wanted = _with(decoding, language, None, hotwords, prompt)
    return _opened(model, wanted, runtime, device, compute_type).stream(source, sample_rate=sample_rate)


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
    one = _opened(model, decoding or Decoding(), runtime, device, compute_type)
    return evaluate_rows(
        manifest, one.recogniser, one.decoding, output=output, normalise=normalise, on_progress=on_progress
    )


def _with(
    decoding: Decoding | None,
    language: str | None = None,
    word_timestamps: bool | None = None,
    hotwords: Hotwords | None = None,
    prompt: str | None = None,
) -> Decoding:
    given = {
        "language": language,
        "word_timestamps": word_timestamps,
        "hotwords": hotwords,
        "prompt": prompt,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    base = decoding or Decoding()
    return base.but(**changes) if changes else base


def _opened(
    model: str | Path | Transcriber | Recogniser,
    decoding: Decoding,
    runtime: RuntimeName,
    device: str,
    compute_type: str,
) -> Transcriber:
    """The model, loaded or as it is, decoding as asked; what is left at its default stays the model's."""
    if isinstance(model, (str, Path)):
        return load(model, decoding=decoding, runtime=runtime, device=device, compute_type=compute_type)
    if not isinstance(model, Transcriber):
        return Transcriber(model, decoding)
    told = {**decoding.told("search"), **decoding.told("hearing"), **decoding.told("speed")}
    return model.decoding_with(**told) if told else model
