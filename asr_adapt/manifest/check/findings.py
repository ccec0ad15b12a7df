"""What a check can find: every code with its weight, its meaning and what ``--fix`` does about it.

Knows words, not how anything is detected.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning"]
Repair = Literal["drop", "measure", "rename", "normalise", "split", "none"]

#: Findings of one code that keep their sentence; all of them keep their row number.
LISTED = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of findings: what it means for whoever trains or scores on the row, and its repair."""

    severity: Severity
    meaning: str
    repair: Repair = "none"


KINDS: Mapping[str, Kind] = {
    "bad-row": Kind("error", "the line cannot be read as a row", "drop"),
    "missing-audio": Kind("error", "the audio file is not there", "drop"),
    "unreadable-audio": Kind("error", "the audio cannot be decoded", "drop"),
    "truncated-audio": Kind("error", "the file ends before its header says; words are missing", "drop"),
    "segment-past-end": Kind("error", "the segment reaches beyond the end of its file", "drop"),
    "invalid-samples": Kind("error", "NaN or infinite samples turn the loss into NaN", "drop"),
    "silent": Kind("error", "nothing is audible, but the row has a transcript", "drop"),
    "missing-duration": Kind("error", "batching needs durations", "measure"),
    "duration-mismatch": Kind("error", "batches and hours are computed from a wrong length", "measure"),
    "duplicate-id": Kind("error", "scores and caches are kept by id", "rename"),
    "duplicate-row": Kind("error", "the same segment of the same file counts twice", "drop"),
    "missing-text": Kind("error", "there is nothing to learn or to score", "drop"),
    "empty-text": Kind("error", "the transcript is blank", "drop"),
    "empty-after-normalisation": Kind("error", "no label is left to learn", "drop"),
    "ctc-infeasible": Kind(
        "error", "fewer frames than labels: CTC has no path and the loss is infinite", "drop"
    ),
    "too-long": Kind("error", "the model cuts the audio while the text stays", "split"),
    "too-many-labels": Kind("error", "the decoder cuts the transcript", "split"),
    "unknown-characters": Kind("error", "the model has no label for them and never writes them", "none"),
    "digits": Kind("error", "the vocabulary has no digits; numbers must be written as words", "none"),
    "narrow-band": Kind("warning", "8 kHz speech was upsampled; a wide-band model expects more", "none"),
    "clipped": Kind("warning", "flattened peaks distort the spectrum", "none"),
    "dc-offset": Kind("warning", "the recording has a constant offset", "none"),
    "different-channels": Kind("warning", "averaging mixes two signals; choose one channel", "none"),
    "opposite-channels": Kind(
        "warning", "averaging would cancel the signal, so the first channel is used; name one", "none"
    ),
    "duplicate-audio": Kind("warning", "the same sound occurs twice; it leaks if split apart", "none"),
    "conflicting-audio": Kind("error", "the same sound has two transcripts; one is wrong", "drop"),
    "speaking-rate": Kind(
        "warning", "speaking rate far from that of other rows: possibly the wrong text", "none"
    ),
    "markup": Kind("warning", "tags and entities are learnt as if spoken", "none"),
    "invisible-characters": Kind("warning", "control or zero-width characters become labels", "normalise"),
    "decomposed-text": Kind("warning", "NFD beside NFC gives one letter two spellings", "normalise"),
    "mixed-scripts": Kind("warning", "a look-alike letter from another script hides in a word", "normalise"),
    "suspect-transcript": Kind("warning", "the transcript does not match the audio well", "none"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding on one row (``row`` counts from 0); ``line`` is the manifest's, from 1."""

    code: str
    row: int
    message: str
    path: str | None = None
    line: int | None = None
    id: str | None = None

    @property
    def severity(self) -> Severity:
        """``error`` or ``warning``."""
        return KINDS[self.code].severity

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "severity": self.severity,
            "code": self.code,
            "path": self.path,
            "line": self.line,
            "id": self.id,
            "message": self.message,
        }

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.path and self.line else f"row {self.row + 1}"
        return f"{place}: {self.code}: {self.message}"


@dataclass(slots=True)
class Findings:
    """All findings of a check: row numbers of every one, sentences of the first ``LISTED`` of each code."""

    rows: dict[str, array[int]] = field(default_factory=dict)
    listed: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Record one finding."""
        self.note(finding.code, finding.row)
        shown = self.listed.setdefault(finding.code, [])
        if len(shown) < LISTED:
            shown.append(finding)

    def note(self, code: str, row: int) -> None:
        """Record a row number without a sentence."""
        self.rows.setdefault(code, array("q")).append(row)

    def room(self, code: str) -> bool:
        """Whether another sentence of this code would be listed."""
        return len(self.listed.get(code, ())) < LISTED

    def extend(self, other: Findings) -> None:
        """Add another part's findings."""
        for code, rows in other.rows.items():
            self.rows.setdefault(code, array("q")).extend(rows)
        for code, found in other.listed.items():
            shown = self.listed.setdefault(code, [])
            shown.extend(found[: max(0, LISTED - len(shown))])

    def keep_only(self, code: str, rows: Iterable[int]) -> None:
        """Take back the findings of one code on other rows than these."""
        kept = set(rows)
        self.rows[code] = array("q", sorted(kept))
        self.listed[code] = [finding for finding in self.listed.get(code, ()) if finding.row in kept]
        if not kept:
            del self.rows[code], self.listed[code]

    def count(self, severity: Severity) -> int:
        """Findings of one severity."""
        return sum(len(rows) for code, rows in self.rows.items() if KINDS[code].severity == severity)

    def __iter__(self) -> Iterator[Finding]:
        """Listed findings: errors first, then by place."""
        for severity in ("error", "warning"):
            for code in KINDS:
                if KINDS[code].severity == severity:
                    yield from sorted(self.listed.get(code, ()), key=lambda finding: finding.row)
