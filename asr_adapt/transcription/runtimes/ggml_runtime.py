"""A ggml file heard by whisper.cpp itself, to be compared with the model that it was made of.

Knows whisper.cpp's calls through ``pywhispercpp`` and how it is told to hear as torch does. Does not know
the file's bytes (``ggml_export``) nor what is compared.

whisper.cpp searches by itself, greedily and with its own fallback. A clip of one window is heard without
timestamps, as torch hears a manifest's rows; a longer one in whisper.cpp's own windows.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.files import temporary_folder
from asr_adapt.models import Capabilities, Hypothesis, WhisperRecogniser
from asr_adapt.transcription.runtimes.skeleton import skeleton_in, write_settings

#: The level of a line of whisper.cpp's log that tells an error.
_ERROR = 4
#: It leaves the last second of a clip unheard, so that a shorter one would have no text.
_SHORTEST_SECONDS = 1.5
#: A row of a day: whole ones are asked for.
_LONGEST_SECONDS = 86_400.0


class GgmlRecogniser(WhisperRecogniser):
    """Transcribes rows of any length; it tells no times and cannot be trained."""

    def __init__(self, file: Path, source: WhisperRecogniser) -> None:
        """The ``file`` that was made of ``source``; raises ModelError where whisper.cpp cannot load it."""
        with temporary_folder() as settings:
            write_settings(source, settings)
            super().__init__(*skeleton_in(settings, str(file)), str(file))
        super().use_context("full")
        self.settings = replace(self.settings, language=source.settings.language, task=source.settings.task)
        self._one_window = round(self.window_seconds * self.sample_rate)
        self.window_seconds = _LONGEST_SECONDS  # it cuts long rows itself
        self._file, self._cpp = file, _loaded(file)
        weakref.finalize(self, _bindings().whisper_free, self._cpp)

    @property
    def capabilities(self) -> Capabilities:
        """Languages and tasks, and nothing that says when or how surely."""
        able = super().capabilities
        return Capabilities(
            languages=able.languages,
            spoken_languages=able.spoken_languages,
            word_times=False,
            confidence=False,
        )

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

    @property
    def runtime(self) -> str:
        """whisper.cpp, and the file that says how its weights are stored."""
        return f"whisper.cpp {self._file.name}"

    @property
    def description(self) -> str:
        """How this decodes, and with what: transcripts of another runtime are not taken for these."""
        return f"greedy {self.runtime}"

    def encode(self, *_: Any, **__: Any) -> NoReturn:
        """Raises ModelError: whisper.cpp gives transcripts only."""
        raise ModelError("gives transcripts only and cannot be trained: use torch.", path=self.name)

    def transcribe_hidden(self, *_: Any, **__: Any) -> NoReturn:
        """Raises ModelError, as :meth:`encode` does."""
        raise ModelError("works on audio only: give waveforms.", path=self.name)

    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """One row after the other, in ``language``, the one saved with the model, or that which is heard."""
        if words:
            raise ModelError("tells no word times: use torch.", path=self.name)
        return [Hypothesis(self._text(clip, language)) for clip in waveforms]

    def _text(self, clip: np.ndarray, language: str | None) -> str:
        """Raises ModelError where whisper.cpp gives up."""
        shortest = round(_SHORTEST_SECONDS * self.sample_rate)
        samples = np.pad(clip, (0, max(0, shortest - len(clip)))).astype(np.float32)
        cpp, settings = _bindings(), self._told(language, whole=len(samples) <= self._one_window)
        with _log() as errors:
            if cpp.whisper_full(self._cpp, settings, samples, len(samples)) != 0:
                raise ModelError(f"whisper.cpp gave up ({'; '.join(errors)}).", path=self._file)
        parts = range(cpp.whisper_full_n_segments(self._cpp))
        said = b"".join(cpp.whisper_full_get_segment_text(self._cpp, part) for part in parts)
        return said.decode("utf-8", errors="replace").strip()

    def _told(self, language: str | None, *, whole: bool) -> Any:
        """What whisper.cpp is told: its own thresholds, torch's language, task and tokens never said."""
        cpp = _bindings()
        told = cpp.whisper_full_default_params(cpp.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        told.print_progress = told.print_timestamps = False
        told.no_timestamps = told.single_segment = whole
        told.n_threads = torch.get_num_threads()
        told.suppress_nst = bool(self.model.generation_config.suppress_tokens)
        told.language = self._code(language or self.settings.language)
        told.translate = self.settings.task == "translate"
        return told

    def _code(self, language: str | None) -> str:
        """A language as whisper.cpp names it; raises ModelError for one that it does not list."""
        if language == "auto" or (language is None and self.tokens.saved_language is None):
            return "auto" if self.tokens.multilingual else "en"
        code = self.tokens.language_code(language or self.tokens.default_language)
        with _log():
            known = _bindings().whisper_lang_id(code) >= 0
        if not known:
            raise ModelError(f"whisper.cpp does not know the language {code!r}.", path=self._file)
        return code


def open_ggml(file: Path, source: WhisperRecogniser) -> GgmlRecogniser:
    """The ``file`` made of ``source``, heard by whisper.cpp on the CPU.

    Raises MissingExtraError without ``pywhispercpp``, ModelError for a file that whisper.cpp refuses.
    """
    require_whispercpp("Hearing a ggml file")
    return GgmlRecogniser(file, source)


def require_whispercpp(what: str) -> None:
    """Raise MissingExtraError, which names ``what``, where ``pywhispercpp`` is not installed."""
    if find_spec("_pywhispercpp") is None:
        raise MissingExtraError(what, "ggml")


def _bindings() -> Any:
    """whisper.cpp's own functions, as ``pywhispercpp`` documents them."""
    import _pywhispercpp

    return _pywhispercpp


@contextmanager
def _log() -> Iterator[list[str]]:
    """Within, whisper.cpp's log is not printed; the errors in it are what this gives."""
    errors: list[str] = []

    def note(level: int, text: str) -> None:
        if level == _ERROR:
            errors.append(text.strip())

    cpp = _bindings()
    cpp.whisper_log_set(note)
    try:
        yield errors
    finally:
        cpp.whisper_log_set(None)  # a function of Python's must not outlive the interpreter


def _loaded(file: Path) -> Any:
    """whisper.cpp's context; raises ModelError, since its bindings give one for a broken file as well."""
    cpp = _bindings()
    settings = cpp.whisper_context_default_params()
    settings.use_gpu = False
    with _log() as errors:
        context = cpp.whisper_init_from_file_with_params(str(file), settings)
    if errors:
        raise ModelError(f"whisper.cpp cannot load it ({'; '.join(errors)}).", path=file)
    return context
