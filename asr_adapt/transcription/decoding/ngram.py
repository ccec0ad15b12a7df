"""A word n-gram language model: reading ARPA files and scoring words.

Knows back-off (Katz 1987) and the ARPA format, which SRILM, KenLM and ``ngram_build`` write. Does not know
how a model is estimated, nor beam search.
Scores are natural logarithms.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

from asr_adapt.errors import DataError, MissingExtraError

LN10 = math.log(10.0)
START, END, UNKNOWN = "<s>", "</s>", "<unk>"
State = tuple[str, ...]
#: Log-probability of a word that even ``<unk>`` has no entry for.
NEVER = -100.0 * LN10


class LanguageModel(Protocol):
    """What the decoder asks of a language model; ``State`` is opaque to it."""

    order: int
    words: frozenset[str]

    def start(self) -> State:
        """The state at the start of a sentence."""
        ...

    def score(self, state: State, word: str) -> tuple[float, State]:
        """Natural log-probability of ``word`` after ``state``, and the state behind it."""
        ...

    def end(self, state: State) -> float:
        """Natural log-probability of the end of the sentence."""
        ...


class NgramModel:
    """N-grams in memory: (log-probability, back-off weight) of each, in natural logarithms."""

    def __init__(self, grams: dict[tuple[str, ...], tuple[float, float]], order: int) -> None:
        self.order = order
        self._grams = grams
        self.words = frozenset(gram[0] for gram in grams if len(gram) == 1) - {START, END, UNKNOWN}
        upper = sum(word.isupper() for word in self.words)
        self._upper = upper > len(self.words) / 2

    def start(self) -> State:
        """The state at the start of a sentence."""
        return (START,)[: self.order - 1]

    def score(self, state: State, word: str) -> tuple[float, State]:
        """Log-probability of a word in any letter case; unknown words score as ``<unk>``."""
        word = word.upper() if self._upper else word.lower()
        if word not in self.words:
            word = UNKNOWN
        return self._probability((*state, word)), (*state, word)[1 - self.order :] if self.order > 1 else ()

    def end(self, state: State) -> float:
        """Log-probability of the end of the sentence."""
        return self._probability((*state, END))

    def _probability(self, gram: tuple[str, ...]) -> float:
        backoff = 0.0
        while True:
            found = self._grams.get(gram)
            if found is not None:
                return backoff + found[0]
            if len(gram) == 1:
                return backoff + NEVER
            context = self._grams.get(gram[:-1])
            backoff += context[1] if context is not None else 0.0
            gram = gram[1:]


def load_language_model(path: str | Path) -> LanguageModel:
    """An ARPA file (``.arpa``, ``.arpa.gz``, ``.lm``), or with the kenlm package a KenLM binary.

    Raises DataError for a file that is neither, MissingExtraError for a binary without kenlm.
    """
    path = Path(path)
    try:
        with path.open("rb") as handle:
            magic = handle.read(16)
    except OSError as error:
        raise DataError(
            f"the language model cannot be opened ({error.strerror}); correct the path.", path=path
        ) from error
    if magic.startswith(b"mmap lm http://k"):
        return _KenLm(path)
    opener = gzip.open if magic[:2] == b"\x1f\x8b" else open
    try:
        with opener(path, "rt", encoding="utf-8") as handle:
            return read_arpa(handle, path)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise DataError(
            f"is not an ARPA language model ({error}); build one with asr-adapt lm.", path=path
        ) from error


def read_arpa(lines: Iterable[str] | IO[str], path: str | Path) -> NgramModel:
    """Parse ARPA text; raises DataError with the line of what is not ARPA."""
    grams: dict[tuple[str, ...], tuple[float, float]] = {}
    order = current = 0
    numbered: Iterator[tuple[int, str]] = ((n, line.strip()) for n, line in enumerate(lines, 1))
    for number, line in numbered:
        if line == "\\end\\":
            break
        if line.endswith("-grams:") and line.startswith("\\"):
            current = int(line[1:].split("-")[0])
            order = max(order, current)
        elif line and current:
            grams.update([_entry(line, current, path, number)])
    if not grams:
        raise DataError("is not an ARPA language model: it has no \\1-grams: section.", path=path)
    return NgramModel(grams, order)


def _entry(
    line: str, length: int, path: str | Path, number: int
) -> tuple[tuple[str, ...], tuple[float, float]]:
    parts = line.split()
    try:
        backoff = float(parts[length + 1]) if len(parts) > length + 1 else 0.0
        entry = tuple(parts[1 : length + 1]), (float(parts[0]) * LN10, backoff * LN10)
        if len(entry[0]) != length or len(parts) > length + 2:
            raise ValueError(f"{len(parts)} columns")
    except (ValueError, IndexError) as error:
        raise DataError(
            f"is not a log-probability, {length} words and a back-off weight ({error}).",
            path=path,
            line=number,
        ) from error
    return entry


class _KenLm:
    """A KenLM binary through its own Python package."""

    def __init__(self, path: Path) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise MissingExtraError(f"{path}: a KenLM binary", "lm") from error
        self._kenlm = kenlm
        self._model = kenlm.Model(str(path))
        self.order = int(self._model.order)
        self.words: frozenset[str] = frozenset()  # a binary does not list its words

    def start(self) -> State:
        state = self._kenlm.State()
        self._model.BeginSentenceWrite(state)
        return (state,)

    def score(self, state: State, word: str) -> tuple[float, State]:
        after = self._kenlm.State()
        return self._model.BaseScore(state[0], word.lower(), after) * LN10, (after,)

    def end(self, state: State) -> float:
        after = self._kenlm.State()
        return float(self._model.BaseScore(state[0], END, after) * LN10)
