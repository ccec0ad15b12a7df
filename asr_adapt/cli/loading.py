"""The rows that ``evaluate`` and ``calibrate`` work on.

Knows what a manifest must have to be scored. Does not decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest


def scorable(manifest: str) -> Manifest:
    """The manifest; raises DataError for the first row without text, before any work is done."""
    from asr_adapt.manifest import Manifest, require_rows

    rows = require_rows(Manifest.open(manifest))
    for row in rows:
        if row.text is None:
            raise row.error('missing: add the reference transcript ("" for silence).', "text")
    return rows


def seconds_of(rows: Manifest) -> float:
    """Seconds of audio in all; 0 when any duration is unknown."""
    total = float(rows.durations.sum())
    return total if total == total else 0.0
