"""One number per row: what findings across rows are made from.

Knows arrays; a million rows take 46 MB. Does not know what a duplicate or an outlier is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Digests = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Columns:
    """``ids``, ``places`` (file and segment), ``files`` and ``sounds`` are 64-bit digests, 0 where unknown.

    ``rates`` are characters a second and ``durations`` seconds (NaN where unknown); ``needed`` counts CTC
    frames (−1: no text to judge); ``has_text`` is whether the row has a ``text`` field.
    """

    ids: Digests
    places: Digests
    files: Digests
    sounds: Digests
    rates: NDArray[np.float32]
    durations: NDArray[np.float32]
    needed: NDArray[np.int32]
    has_text: NDArray[np.bool_]

    @classmethod
    def blank(cls, rows: int) -> Columns:
        """All unknown."""
        return cls(
            ids=np.zeros(rows, dtype=np.uint64),
            places=np.zeros(rows, dtype=np.uint64),
            files=np.zeros(rows, dtype=np.uint64),
            sounds=np.zeros(rows, dtype=np.uint64),
            rates=np.full(rows, np.nan, dtype=np.float32),
            durations=np.full(rows, np.nan, dtype=np.float32),
            needed=np.full(rows, -1, dtype=np.int32),
            has_text=np.zeros(rows, dtype=np.bool_),
        )

    def put(self, start: int, part: Columns) -> None:
        """Copy the numbers of a range of rows into their place."""
        for field in fields(self):
            values = getattr(part, field.name)
            getattr(self, field.name)[start : start + len(values)] = values
