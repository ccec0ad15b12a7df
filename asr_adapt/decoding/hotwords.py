"""Lists of words to favour, as they are given: on a command line, in a file, from Python.

Knows how a list is written and what a word of it adds by default. Does not know how a decoder is biased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asr_adapt.errors import DataError, UsageError

#: What a word adds to the score of a CTC transcript, in nats.
WORD_BOOST = 6.0
#: What each token of a word adds to the score of an encoder–decoder model, in nats.
TOKEN_BOOST = 1.0
#: Width of an encoder–decoder model's beam where hot words are given and no width is: it finds more of them
#: than greedy search. Both are measured by benchmarks/bench_hotwords.py.
BEAMS = 5

#: Word or phrase → its own boost; None: the boost of the list.
Listed = Mapping[str, float | None]


def parse_hotwords(items: Sequence[str] | Listed) -> dict[str, float | None]:
    """``["Leith,Portobello", "Arthur's Seat:8", "names.txt"]`` as words with their own boosts.

    An item that is a file has one word or phrase a line. Raises UsageError for a boost that is no number, and
    DataError with file and line.
    """
    if isinstance(items, Mapping):
        return dict(items)
    boosts: dict[str, float | None] = {}
    for item in [items] if isinstance(items, str) else items:
        boosts.update(_from_file(Path(item)) if _is_file(item) else words_in(item))
    return boosts


def with_boosts(hotwords: Listed, weight: float | None, default: float) -> dict[str, float]:
    """Every word with its boost: its own, else ``weight``, else ``default``."""
    usual = default if weight is None else weight
    return {word: usual if own is None else own for word, own in hotwords.items()}


def _is_file(item: str) -> bool:
    try:
        return Path(item).is_file()
    except (OSError, ValueError):  # too long for a name, or holding a NUL
        return False


def words_in(item: str) -> Iterable[tuple[str, float | None]]:
    """Words with commas between; raises UsageError."""
    for part in item.split(","):
        try:
            yield _parsed(part)
        except ValueError as error:
            raise UsageError(f"--hotwords {item!r}: {error}") from error


def _from_file(path: Path) -> Iterable[tuple[str, float | None]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8: write one word or phrase a line.", path=path) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _parsed(line)
        except ValueError as error:
            raise DataError(str(error), path=path, line=number) from error


def _parsed(text: str) -> tuple[str, float | None]:
    """A word and its own boost; raises ValueError with a sentence."""
    word, colon, number = text.rpartition(":")
    word = (word if colon else text).strip()
    if not word:
        raise ValueError("a word is empty: write WORD or WORD:BOOST, such as Leith:8.")
    try:
        return word, float(number) if colon else None
    except ValueError as error:
        raise ValueError(f"{text.strip()!r}: write WORD or WORD:BOOST, such as Leith:8.") from error
