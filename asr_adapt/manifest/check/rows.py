"""Checking a range of rows: what one worker does.

Knows every finding that a row shows on its own, and collects the numbers from which findings across rows are
made. Does not know processes or other ranges.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asr_adapt.audio.containers import audio_exists
from asr_adapt.audio.health import AudioHealth, measure_health
from asr_adapt.errors import DataError
from asr_adapt.manifest.check.audio import audio_findings
from asr_adapt.manifest.check.cache import Entry, HealthCache, entry, file_key
from asr_adapt.manifest.check.columns import Columns
from asr_adapt.manifest.check.findings import Finding, Findings
from asr_adapt.manifest.check.limits import LabelRules
from asr_adapt.manifest.check.text import text_findings
from asr_adapt.manifest.fingerprints import digest
from asr_adapt.manifest.manifest import Manifest
from asr_adapt.manifest.utterance import Utterance
from asr_adapt.text import Writing, writing_of


@dataclass(frozen=True, slots=True)
class RowSettings:
    """What a worker needs to know; can be pickled."""

    audio: bool
    rules: LabelRules | None = None
    cache: Path | None = None


@dataclass(slots=True)
class RangeResult:
    """Findings of the rows from ``start`` on, their numbers, and what was newly measured."""

    start: int
    columns: Columns
    findings: Findings = field(default_factory=Findings)
    measured: list[Entry] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    writing: Writing = field(default_factory=Writing)


class RangeChecker:
    """Checks ranges of one manifest with one set of settings."""

    def __init__(self, manifest: Manifest, settings: RowSettings) -> None:
        self.manifest, self.settings = manifest, settings
        self._cache = HealthCache(settings.cache) if settings.cache is not None and settings.audio else None

    def close(self) -> None:
        """Let go of the cache."""
        if self._cache is not None:
            self._cache.close()

    def __call__(self, start: int, stop: int) -> RangeResult:
        """Check rows ``start`` to ``stop``."""
        result = RangeResult(start, Columns.blank(stop - start))
        for position, row in enumerate(self.manifest.scan(start, stop)):
            if isinstance(row, DataError):
                finding = Finding("bad-row", start + position, _sentence(row), row.path, row.line)
                result.findings.add(finding)
            else:
                self._check(row, position, result)
        return result

    def _check(self, row: Utterance, position: int, result: RangeResult) -> None:
        add = _Adder(row, result.start + position, result.findings)
        result.columns.ids[position] = digest(row.id)
        path = str(row.root) + "\0" + row.audio_filepath
        result.columns.files[position] = digest(path)
        result.columns.places[position] = digest(
            f"{path}\0{row.offset}\0{row.duration}\0{row.get('channel')}"
        )
        if row.duration is None:
            add("missing-duration", "the row has no duration; rebuild the manifest or use --fix.")
        elif row.duration == 0:
            add("duration-mismatch", "the duration is 0 s.")
        else:
            result.columns.durations[position] = row.duration
        self._check_text(row, position, result, add)
        if self.settings.audio:
            self._check_audio(row, position, result, add)

    def _check_text(self, row: Utterance, position: int, result: RangeResult, add: _Adder) -> None:
        if row.text is None:
            return
        result.columns.has_text[position] = True
        if not row.text.strip():
            add("empty-text", "the transcript is blank; drop the row or write what was said.")
            return
        for code, message in text_findings(row.text):
            add(code, message)
        if row.duration:
            result.columns.rates[position] = sum(map(len, row.text.split())) / row.duration
        self._check_labels(row, position, result, add)

    def _check_labels(self, row: Utterance, position: int, result: RangeResult, add: _Adder) -> None:
        rules = self.settings.rules
        if rules is None or row.text is None:
            return
        if rules.cased:
            result.writing += writing_of([row.text])
        prepared = rules.prepare(row.text)
        if not prepared.strip():
            add("empty-after-normalisation", f"nothing of {row.text[:40]!r} is left after normalisation.")
            return
        unknown = rules.unknown(prepared)
        digits = [c for c in unknown if c.isdigit()]
        letters = [c for c in unknown if not c.isdigit()]
        if digits:
            add("digits", f"holds {''.join(digits)!r}; write numbers as words.")
        if letters:
            add(
                "unknown-characters",
                f"holds {', '.join(map(repr, letters[:8]))}; normalise the text or extend.",
            )
        result.unknown.update(unknown)
        for character in unknown:
            result.examples.setdefault(character, row.text[:60])
        result.columns.needed[position] = rules.frames(prepared)

    def _check_audio(self, row: Utterance, position: int, result: RangeResult, add: _Adder) -> None:
        if not audio_exists(row.audio_path):
            add(
                "missing-audio",
                f"{row.audio_filepath} is not there; correct the path or rebuild with --root.",
            )
            return
        try:
            health = self._health(row, result)
        except DataError as error:
            past_end = "segment starts" in error.message
            add(
                "segment-past-end" if past_end else "unreadable-audio",
                f"{error.field or row.audio_filepath} {error.message}",
            )
            return
        for code, message in audio_findings(row, health):
            add(code, message)
        result.columns.sounds[position] = int(health.digest, 16) or 1
        if math.isnan(result.columns.durations[position]):
            result.columns.durations[position] = health.duration

    def _health(self, row: Utterance, result: RangeResult) -> AudioHealth:
        key = file_key(row) if self._cache is not None else None
        if self._cache is not None and key is not None and (kept := self._cache.get(key)) is not None:
            return kept
        health = measure_health(
            row.audio_path, offset=row.offset, duration=row.duration or None, channel=row.channel
        )
        if key is not None:
            result.measured.append(entry(key, health))
        return health


class _Adder:
    """Adds findings of one row."""

    __slots__ = ("findings", "number", "row")

    def __init__(self, row: Utterance, number: int, findings: Findings) -> None:
        self.row, self.number, self.findings = row, number, findings

    def __call__(self, code: str, message: str) -> None:
        row = self.row
        self.findings.add(Finding(code, self.number, message, row.source, row.line, row.id))


def _sentence(error: DataError) -> str:
    return f"{error.field}: {error.message}" if error.field else error.message
