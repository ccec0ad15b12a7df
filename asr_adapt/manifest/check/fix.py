"""A repaired copy of a manifest: rows dropped, measured, renamed, normalised or split, each with its reason.

Knows which finding leads to which repair. Changes nothing in place and leaves alone what only a person can
decide (clipping, digits, unknown characters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from asr_adapt.audio import AudioError, probe
from asr_adapt.errors import DataError
from asr_adapt.manifest.check.findings import KINDS, Findings, Repair
from asr_adapt.manifest.check.text import repair_text
from asr_adapt.manifest.manifest import Manifest
from asr_adapt.manifest.utterance import Utterance

#: Cuts a row that is too long into shorter ones; an empty result means that it cannot.
Splitter = Callable[[Utterance], Sequence[Utterance]]


@dataclass(frozen=True, slots=True)
class Action:
    """What was done to one row and which findings asked for it."""

    row: int
    line: int | None
    id: str
    repair: Repair
    reason: str

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else f"row {self.row + 1}"
        return f"{place}: {self.repair}: {self.reason} ({self.id})"


@dataclass(slots=True)
class Repairer:
    """Iterate :meth:`rows`; ``actions`` then lists what was done."""

    manifest: Manifest
    findings: Findings
    splitter: Splitter | None = None
    actions: list[Action] = field(default_factory=list)

    def rows(self) -> Iterator[Utterance]:
        """The rows that stay, repaired."""
        wanted = _repairs_by_row(self.findings)
        taken: set[str] = set()
        for number, row in enumerate(self.manifest.scan()):
            codes = wanted.get(number, [])
            if isinstance(row, DataError):
                self._note(number, row.line, "?", "drop", row.message)
                continue
            for kept in self._repaired(number, row, codes) if codes else (row,):
                kept = self._renamed(number, kept, taken) if "duplicate-id" in codes else kept
                taken.add(kept.id)
                yield kept

    def _repaired(self, number: int, row: Utterance, codes: list[str]) -> Iterable[Utterance]:
        repairs = {KINDS[code].repair: code for code in reversed(codes)}
        if "drop" in repairs:
            self._note(number, row.line, row.id, "drop", KINDS[repairs["drop"]].meaning)
            return ()
        if "normalise" in repairs and row.text is not None:
            repaired = repair_text(row.text)
            if repaired != row.text:
                self._note(
                    number, row.line, row.id, "normalise", f"{row.text[:40]!r} became {repaired[:40]!r}"
                )
                row = row.replace(text=repaired)
        if "measure" in repairs:
            measured = self._measured(number, row)
            if measured is None:
                return ()
            row = measured
        return self._split(number, row) if "split" in repairs else (row,)

    def _measured(self, number: int, row: Utterance) -> Utterance | None:
        try:
            seconds = round(probe(row.audio_path).duration - row.offset, 6)
        except AudioError as error:
            self._note(number, row.line, row.id, "drop", error.message)
            return None
        if seconds <= 0:
            self._note(number, row.line, row.id, "drop", KINDS["segment-past-end"].meaning)
            return None
        self._note(number, row.line, row.id, "measure", f"duration {row.duration} became {seconds} s")
        return row.replace(duration=seconds)

    def _split(self, number: int, row: Utterance) -> Sequence[Utterance]:
        parts = self.splitter(row) if self.splitter is not None else ()
        if not parts:
            reason = f"{KINDS['too-long'].meaning}; splitting needs --model and --align"
            if self.splitter is not None:
                reason = f"{KINDS['too-long'].meaning}; no pause to split at"
            self._note(number, row.line, row.id, "drop", reason)
            return ()
        self._note(number, row.line, row.id, "split", f"into {len(parts)} rows at pauses")
        return parts

    def _renamed(self, number: int, row: Utterance, taken: set[str]) -> Utterance:
        if row.id not in taken:
            return row
        suffix = 2
        while f"{row.id}-{suffix}" in taken:
            suffix += 1
        self._note(number, row.line, row.id, "rename", f"the id became {row.id}-{suffix}")
        return row.replace(id=f"{row.id}-{suffix}")

    def _note(self, number: int, line: int | None, name: str, repair: Repair, reason: str) -> None:
        self.actions.append(Action(number, line, name, repair, reason))


def _repairs_by_row(findings: Findings) -> dict[int, list[str]]:
    """Codes with a repair, by row."""
    wanted: dict[int, list[str]] = {}
    for code, rows in findings.rows.items():
        if KINDS[code].repair != "none":
            for row in rows:
                wanted.setdefault(row, []).append(code)
    return wanted
