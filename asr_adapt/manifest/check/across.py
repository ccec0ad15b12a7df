"""Findings that no single row shows: duplicates, outliers among peers, and what one model cannot take.

Knows all rows as numbers, and fetches a row only for its sentence. Does not know processes or audio.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from asr_adapt.manifest.check.columns import Columns, Digests
from asr_adapt.manifest.check.findings import Finding, Findings
from asr_adapt.manifest.check.limits import limit_findings
from asr_adapt.manifest.limits import ModelLimits
from asr_adapt.manifest.manifest import Manifest
from asr_adapt.text import normalise

#: Characters a second are judged against peers only when there are this many.
_PEERS = 20
#: Robust standard deviations of the logarithm of characters a second that are still ordinary.
_RATE_BOUND = 5.0


class AcrossRows:
    """Findings that no single row shows."""

    def __init__(self, manifest: Manifest, columns: Columns, findings: Findings) -> None:
        self.manifest, self.columns, self.findings = manifest, columns, findings

    def find(self, limits: ModelLimits | None, profile: str = "basic") -> None:
        """Add them all; ``profile`` normalises the texts whose labels are counted."""
        self._texts()
        self._duplicates("duplicate-id", self.columns.ids, "same id as {other}; ids must be unique.")
        repeated = self._duplicates(
            "duplicate-row", self.columns.places, "the same segment of the same file as {other}."
        )
        self._same_sounds(repeated)
        self._segment_starts()
        self._speaking_rates()
        if limits is not None:
            self._limits(limits, profile)

    def _add(self, code: str, row: int, message: str) -> None:
        if self.findings.room(code):
            utterance = self.manifest[row]
            self.findings.add(Finding(code, row, message, utterance.source, utterance.line, utterance.id))
        else:
            self.findings.note(code, row)

    def _texts(self) -> None:
        """A manifest without any text is meant for transcription; a row without text among others is not."""
        present = self.columns.has_text
        if present.any():
            bad = set(self.findings.rows.get("bad-row", ()))
            for row in np.flatnonzero(~present).tolist():
                if row not in bad:
                    self._add("missing-text", row, "the row has no text, though others have.")

    def _place(self, row: int) -> str:
        utterance = self.manifest[row]
        return f"{utterance.source}:{utterance.line}" if utterance.line else f"row {row + 1}"

    def _duplicates(self, code: str, digests: Digests, message: str) -> set[int]:
        later: set[int] = set()
        for first, row in _repeats(digests):
            later.add(row)
            self._add(code, row, message.format(other=self._place(first)) if self.findings.room(code) else "")
        return later

    def _same_sounds(self, repeated: set[int]) -> None:
        for first, row in _repeats(self.columns.sounds):
            if row in repeated:
                continue
            one, other = self.manifest[first], self.manifest[row]
            if one.text is not None and other.text is not None and one.text.split() != other.text.split():
                text = f"sounds exactly like {self._place(first)}, whose text is {one.text[:40]!r}."
                self._add("conflicting-audio", row, text)
            else:
                self._add("duplicate-audio", row, f"sounds exactly like {self._place(first)}.")

    def _segment_starts(self) -> None:
        """A row that covers the start of a file of many rows is a segment, not a wrong duration."""
        wrong = self.findings.rows.get("duration-mismatch")
        if not wrong:
            return
        counts = Counter(self.columns.files[np.array(wrong)].tolist())
        shared = {digest for digest in counts if np.count_nonzero(self.columns.files == digest) > 1}
        if not shared:
            return
        keep = [row for row in wrong if int(self.columns.files[row]) not in shared]
        self.findings.keep_only("duration-mismatch", keep)

    def _speaking_rates(self) -> None:
        """Outliers of log(characters a second) by median and MAD, within absolute bounds of human speech."""
        rates = self.columns.rates
        known = rates[~np.isnan(rates)]
        if len(known) < _PEERS:
            return
        logs = np.log(np.maximum(known, 1e-3))
        middle = float(np.median(logs))
        spread = max(1.4826 * float(np.median(np.abs(logs - middle))), 0.15)
        low, high = math.exp(middle - _RATE_BOUND * spread), math.exp(middle + _RATE_BOUND * spread)
        outside = np.flatnonzero((rates < low) | (rates > min(high, 60.0)))
        for row in outside.tolist():
            text = f"{rates[row]:.1f} characters per second; the others have {low:.1f} to {high:.1f}."
            self._add("speaking-rate", row, text)

    def _limits(self, limits: ModelLimits, profile: str) -> None:
        ceiling = limits.max_labels
        for row, (duration, needed) in enumerate(
            zip(self.columns.durations.tolist(), self.columns.needed.tolist(), strict=True)
        ):
            if needed < 0 and not (limits.max_seconds and duration > limits.max_seconds):
                continue
            # A label is at least one UTF-8 byte, so only long transcripts can have too many.
            counted = limits.count_frames is not None or (ceiling is not None and 4 * needed > ceiling)
            text = normalise(self.manifest[row].text or "", profile) if counted else None
            if text is not None and limits.count_frames is not None:
                needed = limits.count_frames(text)
            for code, message in limit_findings(limits, duration, max(needed, 0), text):
                self._add(code, row, message)


def _repeats(digests: Digests) -> Iterator[tuple[int, int]]:
    """``(first, later)`` row numbers of equal digests other than 0, in order of the later row."""
    order = np.argsort(digests, kind="stable")
    ranked = digests[order]
    same = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] != 0)) + 1
    if not len(same):
        return
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    firsts = starts[np.searchsorted(starts, same, side="right") - 1]
    pairs = sorted(zip(order[same].tolist(), order[firsts].tolist(), strict=True))
    for later, first in pairs:
        yield first, later
