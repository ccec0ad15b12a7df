"""What one request asks for, and what it is answered: OpenAI's fields and formats.

Knows the fields of OpenAI's speech-to-text interface and the forms of a transcript. Does not know HTTP
frameworks, threads or models' insides. Source: the reference of ``POST /v1/audio/transcriptions``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from transformers.models.whisper.tokenization_whisper import LANGUAGES

from asr_adapt.decoding import Decoding, Listed
from asr_adapt.errors import AsrAdaptError
from asr_adapt.models import Recogniser
from asr_adapt.transcription.decoding.fusion import with_decoding
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.serve.refused import Refused
from asr_adapt.transcription.serve.settings import ServerSettings
from asr_adapt.transcription.serve.work import POOL_SECONDS
from asr_adapt.transcription.writing.writers import needs_words, render

#: Format of an answer → its media type.
FORMATS = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
GRANULARITIES = ("segment", "word")
#: The name that clients of OpenAI send where theirs cannot be changed; it means the first model.
OPENAI_NAME = "whisper-1"
#: OpenAI's bound on ``temperature``.
MOST_TEMPERATURE = 1.0


@dataclass(frozen=True)
class Asked:
    """The fields of a request; ``task`` is ``transcribe`` or ``translate``."""

    model: str = ""
    language: str | None = None
    prompt: str = ""
    format: str = "json"
    temperature: float = 0.0
    granularities: Sequence[str] = ()
    hotwords: Listed = field(default_factory=dict)
    task: str = "transcribe"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise _bad(f"response_format is one of {', '.join(FORMATS)}, not {self.format[:40]!r}.")
        if not 0 <= self.temperature <= MOST_TEMPERATURE:
            raise _bad(f"temperature lies between 0 and {MOST_TEMPERATURE:g}.")
        for name in self.granularities:
            if name not in GRANULARITIES:
                raise _bad(f"timestamp_granularities[] is {' or '.join(GRANULARITIES)}, not {name[:40]!r}.")
        if "word" in self.granularities and self.format != "verbose_json":
            raise _bad("timestamp_granularities[]=word needs response_format=verbose_json.")

    @property
    def words(self) -> bool:
        """Whether the answer needs word times."""
        return "word" in self.granularities or needs_words(self.format)

    def name(self, settings: ServerSettings) -> str:
        """The model's name; raises :class:`Refused` for one that the server has not."""
        first = next(iter(settings.models))
        name = self.model if self.model not in ("", OPENAI_NAME) else first
        if self.model in settings.models:
            name = self.model
        if name not in settings.models:
            known = ", ".join(settings.models)
            raise Refused(HTTPStatus.NOT_FOUND, f"There is no model {name[:80]!r}; there are {known}.")
        return name

    def recogniser(self, settings: ServerSettings) -> Recogniser:
        """The model as this request wants it to decode; raises :class:`Refused` for what it cannot."""
        changes: dict[str, Any] = {"prompt": self.prompt, "hotwords": self.hotwords}
        if self.task != "transcribe":
            changes["task"] = self.task
        model = settings.models[self.name(settings)]
        if self.temperature > 0:
            changes["temperatures"] = _heated(settings.decoding, self.temperature)
        try:
            asked = settings.decoding.but(**{name: value for name, value in changes.items() if value})
            recogniser = with_decoding(model, asked)
            if self.language:
                recogniser.require_language(self.language)
            return recogniser
        except AsrAdaptError as error:
            raise _bad(str(error)) from error

    def options(self, settings: ServerSettings) -> Decoding:
        """How it is heard."""
        return Decoding(
            language=self.language or None,
            word_timestamps=self.words,
            workers=1,
            pool_seconds=POOL_SECONDS,
            calibration=settings.calibrations.get(self.name(settings)),
        )

    def answer(self, found: Transcript) -> str | dict[str, Any]:
        """The transcript in the format that was asked for: a text, or what becomes JSON."""
        if self.format == "json":
            usage = {"type": "duration", "seconds": math.ceil(found.duration)}
            return {"text": found.text, "usage": usage}
        if self.format == "verbose_json":
            return self._verbose(found)
        if self.format == "text":  # in one line, as OpenAI's
            return f"{found.text}\n"
        return render(found, self.format)

    def _verbose(self, found: Transcript) -> dict[str, Any]:
        value = found.to_json()
        code = found.language
        value |= {"task": self.task, "language": LANGUAGES.get(code or "", code)}
        words = [word for segment in value["segments"] for word in segment.pop("words", ())]
        if "word" in self.granularities:
            value["words"] = words
            if "segment" not in self.granularities:
                del value["segments"]
        return value


def _heated(decoding: Decoding, temperature: float) -> tuple[float, ...]:
    """Temperatures with another first one, from which the search rises in doubt."""
    return (temperature, *(t for t in decoding.temperatures if t > temperature))


def _bad(message: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, message)
