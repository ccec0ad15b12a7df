"""A loaded model and how it decodes: ``load``, and what it gives from then on.

Knows how a model is named and opened, and which fields of a decoding a call may replace. Does not know how a
recording is cut or heard.
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

    from asr_adapt.models import Recogniser
    from asr_adapt.transcription import HearingProgress, Segment, Transcript
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
        :func:`~asr_adapt.transcribe`.
        """
        from asr_adapt.transcription.api import transcribe_all

        wanted = decoding_of(self.decoding, language, word_timestamps)
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

        wanted = decoding_of(self.decoding, language, word_timestamps)
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

        wanted = decoding_of(self.decoding, language)
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


def decoding_of(
    decoding: Decoding | None,
    language: str | None = None,
    word_timestamps: bool | None = None,
    hotwords: Hotwords | None = None,
    prompt: str | None = None,
) -> Decoding:
    """``decoding`` with the fields that are given in place of its own."""
    given = {
        "language": language,
        "word_timestamps": word_timestamps,
        "hotwords": hotwords,
        "prompt": prompt,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    base = decoding or Decoding()
    return base.but(**changes) if changes else base


def opened(
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
