"""What people mend on the page: clips with their right text, as a manifest that ``train`` and ``adapt`` take.

Knows the folder of corrections and its rows. Does not know HTTP, nor how anything was transcribed.

A correction that is mended again replaces its row in the manifest, so that no clip is learnt with two texts;
the row and the clip from before are kept (``replaced.jsonl``). Nothing else is ever changed.
"""

from __future__ import annotations

import json
import math
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import soundfile

from asr_adapt.audio import probe, read_audio
from asr_adapt.destinations import Name, mark_folder, require_folder
from asr_adapt.errors import shown
from asr_adapt.files import atomic_write
from asr_adapt.locks import in_turn
from asr_adapt.transcription.serve.refused import Refused

#: Rate of the clips, that of every recogniser.
RATE = 16_000
MANIFEST, REPLACED, CLIPS = "corrections.jsonl", "replaced.jsonl", "clips"
#: Seconds of one correction: what a recogniser hears at once, and what a word needs.
MOST_SECONDS, LEAST_SECONDS = 30.0, 0.1
#: Characters of its text, more than anybody says in that time.
MOST_CHARACTERS = 1000
#: Rows that one folder takes; a page left open to the world fills no disk.
MOST_ROWS = 10_000
#: Characters of names and languages that a request may give.
MOST_NAME = 200
#: A recording's end may lie so many seconds before the end that a browser knows.
_TOLERANCE = 0.5


@dataclass(frozen=True)
class Correction:
    """What is right from second ``start`` to ``end`` of a recording, and what ``model`` wrote there.

    ``recording`` is the name that its sender gave it; ``replaces`` the id of a correction that was wrong.
    Raises :class:`Refused` for what cannot be a row of a manifest.
    """

    start: float
    end: float
    text: str
    original: str = ""
    model: str = ""
    language: str = ""
    recording: str = ""
    replaces: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start >= 0):
            raise _bad("start and end are seconds of the recording, from 0 on.")
        if not LEAST_SECONDS <= self.end - self.start <= MOST_SECONDS:
            raise _bad(
                f"A correction has {LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds between start and end."
            )
        object.__setattr__(self, "text", _line("text", self.text, MOST_CHARACTERS))
        object.__setattr__(self, "original", _line("original", self.original, MOST_CHARACTERS))
        if not self.text:
            raise _bad("text is empty: write what is said.")
        for name in ("model", "language", "recording", "replaces"):
            object.__setattr__(self, name, _line(name, getattr(self, name), MOST_NAME))

    def row(self, own: str, duration: float) -> dict[str, Any]:
        """The row of a manifest whose clip is named ``own``."""
        given = {"lang": self.language} if self.language else {}
        return {
            "audio_filepath": f"{CLIPS}/{own}.flac",
            "duration": round(duration, 3),
            "text": self.text,
            "id": own,
            **given,
            "original_text": self.original,
            "model": self.model,
            "recording": self.recording,
            "recording_start": round(self.start, 3),
            "recording_end": round(self.end, 3),
            "corrected_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }


class Corrections:
    """The folder in which corrections are kept; several servers may share it.

    Raises UsageError for a folder that holds anything else, or one of ``inputs``.
    """

    def __init__(self, folder: Path, inputs: tuple[Name, ...] = ()) -> None:
        self.folder = folder
        require_folder(folder, "serve", inputs, again=True, option="--corrections")
        mark_folder(folder, "serve", (MANIFEST, REPLACED, CLIPS))

    @property
    def manifest(self) -> Path:
        """The manifest, which is there from the first correction on."""
        return self.folder / MANIFEST

    def add(self, recording: Path, correction: Correction) -> dict[str, Any]:
        """Cut the clip out of ``recording`` and add its row, which is given back.

        Raises :class:`Refused` where the row cannot be, and AsrAdaptError where the sound cannot be read.
        """
        if correction.start >= (length := probe(recording).duration) or correction.end > length + _TOLERANCE:
            raise _bad(f"The recording ends at {length:.2f} s, before the correction does.")
        duration = correction.end - correction.start
        samples = read_audio(recording, sample_rate=RATE, offset=correction.start, duration=duration)
        own = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        row = correction.row(own, len(samples) / RATE)
        with in_turn(self.folder / ".lock"):
            rows = self._rows()
            earlier = [line for line in rows if json.loads(line).get("id") == correction.replaces]
            if correction.replaces and not earlier:
                raise _bad(f"There is no correction {correction.replaces!r} to replace.")
            if len(rows) >= MOST_ROWS:
                raise Refused(
                    HTTPStatus.INSUFFICIENT_STORAGE,
                    f"The folder holds {MOST_ROWS} corrections: start the server with another --corrections.",
                )
            self._write_clip(own, samples)
            self._write_rows(
                [*(line for line in rows if line not in earlier), json.dumps(row, ensure_ascii=False)]
            )
            if earlier:
                _append(self.folder / REPLACED, earlier[0])
        return row

    def _rows(self) -> list[str]:
        if not self.manifest.is_file():
            return []
        return [line for line in self.manifest.read_text(encoding="utf-8").splitlines() if line.strip()]

    def _write_clip(self, own: str, samples: Any) -> None:
        clips = self.folder / CLIPS
        clips.mkdir(exist_ok=True)
        with atomic_write(clips / f"{own}.flac", "wb") as handle:
            soundfile.write(handle, samples, RATE, format="FLAC", subtype="PCM_16")

    def _write_rows(self, lines: list[str]) -> None:
        with atomic_write(self.manifest) as handle:
            handle.writelines(f"{line}\n" for line in lines)


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")


def _line(name: str, text: str, most: int) -> str:
    """A text on one line; raises :class:`Refused` for one too long, or with control characters."""
    text = " ".join(text.split())
    if len(text) > most:
        raise _bad(f"{name} has {len(text)} characters; {most} are the most.")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise _bad(f"{name} holds control characters: {shown(text)[:40]}")
    return text


def _bad(sentence: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, sentence)
