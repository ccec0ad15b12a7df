"""Pieces of like length into batches.

Knows lengths and the bound on padded audio. Does not know what the pieces hold. Sorted by length, padding is
about 3 % of a batch of speech; in arrival order it is more than half.
"""

from __future__ import annotations

from collections.abc import Sequence


def batches(lengths: Sequence[int], *, budget: int, rows: int | None = None) -> list[list[int]]:
    """Indices of ``lengths`` in batches, longest first, each of padded size at most ``budget``.

    A batch holds at least one row, and at most ``rows`` where given. ``lengths`` and ``budget`` share a unit.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    made: list[list[int]] = []
    for index in order:
        batch = made[-1] if made else None
        if batch is None or len(batch) == rows or lengths[batch[0]] * (len(batch) + 1) > budget:
            made.append([index])
        else:
            batch.append(index)
    return made
