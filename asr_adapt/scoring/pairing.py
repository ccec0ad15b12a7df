"""Ids of one test set as two machines write them.

Knows Unicode's forms and absolute paths. Does not know rows or scores.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

#: Ids looked at to find where two machines keep the same files.
_SAMPLE = 1_000


def composed(text: str) -> str:
    """Text in Unicode's composed form: macOS takes the accents of a file's name apart, Linux does not."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def paired_ids(one: Sequence[str], other: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both lists of ids in one spelling: composed, and without the folders above where these differ.

    An id that a row gets from an absolute path names the machine too: ``/home/ann/corpus/a/1`` and
    ``/data/corpus/a/1`` are one recording. Folders are cut only where no id of one list is in the other.
    """
    first, second = list(map(composed, one)), list(map(composed, other))
    absolute = any(name.startswith("/") for name in (*first, *second))
    if not absolute or not set(first).isdisjoint(second):
        return first, second
    roots = _roots(first, second)
    if roots is None:
        return first, second
    return [_below(name, roots[0]) for name in first], [_below(name, roots[1]) for name in second]


def _roots(first: Sequence[str], second: Sequence[str]) -> tuple[str, str] | None:
    """The pair of folders below which most ids agree; None where none do."""
    places: dict[str, list[str]] = {}
    for name in second:
        places.setdefault(name.rpartition("/")[2], []).append(name)
    votes = Counter[tuple[str, str]]()
    for name in first[:_SAMPLE]:
        pairs = [_parted(name, like) for like in places.get(name.rpartition("/")[2], [])[:_SAMPLE]]
        if pairs:
            votes[min(pairs, key=lambda pair: len(pair[0]))] += 1
    return votes.most_common(1)[0][0] if votes else None


def _parted(one: str, other: str) -> tuple[str, str]:
    """What stands before the longest common end of two paths, by whole folders."""
    left, right = one.split("/"), other.split("/")
    while left and right and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return "/".join(left), "/".join(right)


def _below(name: str, root: str) -> str:
    return name.removeprefix(f"{root}/") if root else name
