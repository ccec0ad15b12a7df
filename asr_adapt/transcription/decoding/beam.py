"""CTC prefix beam search with a word language model and hotwords.

Knows log-probabilities of characters by frame, a language model, and words to favour. Does not know audio or
networks. The search is the one of Hannun et al. 2014 (arXiv 1408.2873): a prefix keeps apart the probability
of ending in blank and in its last character. Words are scored when they are complete; a partial word that no
known word begins with is held back at once, so that the beam is not filled with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asr_adapt.transcription.decoding.ngram import LanguageModel, State

MINUS_INFINITY = float("-inf")


@dataclass(frozen=True)
class BeamOptions:
    """Width of the beam, and what a language model and words weigh (natural logarithms).

    ``weight`` multiplies the language model's log-probability, ``bonus`` is added for every word,
    ``unknown`` for a word that the model does not list. Tokens below ``token_floor`` and prefixes ``gap``
    below the best are dropped.
    """

    width: int = 32
    weight: float = 0.8
    bonus: float = 2.5
    unknown: float = -8.0
    token_floor: float = -6.0
    gap: float = 14.0


@dataclass(frozen=True)
class Candidate:
    """One transcript of the beam: its acoustic log-probability, and what is added to it.

    ``language`` is the language model's own log-probability, unweighted; ``words`` and ``unknown`` count.
    """

    text: str
    acoustic: float
    language: float = 0.0
    words: int = 0
    unknown: int = 0
    hotwords: float = 0.0

    def total(self, options: BeamOptions) -> float:
        """The score that the search maximises."""
        return (
            self.acoustic
            + options.weight * self.language
            + options.bonus * self.words
            + options.unknown * self.unknown
            + self.hotwords
        )


class Hotwords:
    """Words and phrases with a boost for each of their words, in natural logarithms; case does not matter."""

    def __init__(self, boosts: Mapping[str, float]) -> None:
        self._phrases = {tuple(phrase.lower().split()): boost for phrase, boost in boosts.items()}
        self._longest = max(map(len, self._phrases), default=0)
        self.words = frozenset(word for phrase in self._phrases for word in phrase)
        self._begun: dict[str, float] = {}
        for phrase, boost in self._phrases.items():
            text = " ".join(phrase)
            for length in range(1, len(text) + 1):
                promise = boost * len(phrase) * length / len(text)
                self._begun[text[:length]] = max(promise, self._begun.get(text[:length], 0.0))

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def complete(self, words: Sequence[str]) -> float:
        """Boost of the phrases that end with the last of ``words``."""
        lower = tuple(word.lower() for word in words[-self._longest :])
        return sum(
            boost * len(phrase) for phrase, boost in self._phrases.items() if lower[-len(phrase) :] == phrase
        )

    def promised(self, words: Sequence[str], part: str) -> float:
        """Boost lent to the phrase that has been begun; it is taken back if another word follows."""
        best = 0.0
        for before in range(min(len(words), self._longest - 1) + 1):
            if before or part:
                begun = " ".join((*words[len(words) - before :], part)).lower()
                best = max(best, self._begun.get(begun, 0.0))
        return best


@dataclass(eq=False, slots=True)
class _Prefix:
    """A transcript so far, as a node of the trie of transcripts; scores that do not change are kept in it."""

    token: int
    words: tuple[str, ...] = ()
    part: str = ""
    state: State = ()
    language: float = 0.0
    unknown: int = 0
    hotwords: float = 0.0
    fixed: float = 0.0  # what is added to the acoustic score, the outlook of a partial word included
    children: dict[int, _Prefix] = field(default_factory=dict)


class BeamSearch:
    """A decoder for one alphabet: token id → character, the blank, and the word delimiter."""

    def __init__(
        self,
        characters: Mapping[int, str],
        blank: int,
        delimiter: int,
        *,
        language_model: LanguageModel | None = None,
        hotwords: Mapping[str, float] | None = None,
    ) -> None:
        self._characters = characters
        self._blank = blank
        self._delimiter = delimiter
        self._model = language_model
        self._hotwords = Hotwords(hotwords or {})
        self._known = _prefixes(language_model.words if language_model is not None else ())

    def search(self, frames: np.ndarray, options: BeamOptions | None = None) -> list[Candidate]:
        """Transcripts of log-probabilities ``(frames, tokens)``, the best first; never empty."""
        options = options or BeamOptions()
        root = _Prefix(self._delimiter, state=self._model.start() if self._model else ())
        beam: dict[_Prefix, tuple[float, float]] = {root: (0.0, MINUS_INFINITY)}
        for row in frames:
            beam = self._step(beam, row, options)
        found: dict[str, Candidate] = {}
        for prefix, (blank, other) in beam.items():
            candidate = self._finish(prefix, _add(blank, other), options)
            kept = found.get(candidate.text)
            if kept is None or kept.total(options) < candidate.total(options):
                found[candidate.text] = candidate
        return sorted(found.values(), key=lambda candidate: -candidate.total(options))

    def _step(
        self, beam: dict[_Prefix, tuple[float, float]], row: np.ndarray, options: BeamOptions
    ) -> dict[_Prefix, tuple[float, float]]:
        tokens = self._likely(row, options.token_floor)
        blank_score = float(row[self._blank])
        grown: dict[_Prefix, list[float]] = {}
        for prefix, (blank, other) in beam.items():
            both = _add(blank, other)
            own = grown.setdefault(prefix, [MINUS_INFINITY, MINUS_INFINITY])
            own[0] = _add(own[0], both + blank_score)
            if other > MINUS_INFINITY:
                own[1] = _add(own[1], other + float(row[prefix.token]))
            for token, score in tokens:
                from_here = blank if token == prefix.token else both
                if from_here > MINUS_INFINITY:
                    child = prefix.children.get(token) or self._child(prefix, token, options)
                    entry = grown.setdefault(child, [MINUS_INFINITY, MINUS_INFINITY])
                    entry[1] = _add(entry[1], from_here + score)
        return _pruned(grown, options)

    def _likely(self, row: np.ndarray, floor: float) -> list[tuple[int, float]]:
        """Tokens worth extending with; the best one always."""
        chosen = np.flatnonzero(row > floor).tolist() or [int(row.argmax())]
        return [(t, float(row[t])) for t in chosen if t != self._blank and t in self._characters]

    def _child(self, prefix: _Prefix, token: int, options: BeamOptions) -> _Prefix:
        """The prefix one character longer; a delimiter completes a word, and behind one changes nothing."""
        if token == self._delimiter:
            child = self._with_word(prefix) if prefix.part else prefix
        else:
            part = prefix.part + self._characters[token]
            child = _Prefix(
                token, prefix.words, part, prefix.state, prefix.language, prefix.unknown, prefix.hotwords
            )
        if child is not prefix:
            child.fixed = self._added(child, options)
        prefix.children[token] = child
        return child

    def _with_word(self, prefix: _Prefix) -> _Prefix:
        word = prefix.part
        child = _Prefix(
            self._delimiter, (*prefix.words, word), "", prefix.state, prefix.language, prefix.unknown
        )
        child.hotwords = prefix.hotwords
        if self._hotwords:
            child.hotwords += self._hotwords.complete(child.words)
        if self._model is not None:
            score, child.state = self._model.score(prefix.state, word)
            child.language += score
            child.unknown += bool(self._model.words) and not self._whole(word)
        return child

    def _whole(self, word: str) -> bool:
        """Whether a word is listed: by the language model, or as a hotword, which is no misheard word."""
        assert self._model is not None
        if word.lower() in self._hotwords.words:
            return True
        return word.lower() in self._model.words or word.upper() in self._model.words

    def _added(self, prefix: _Prefix, options: BeamOptions) -> float:
        """What the search adds to a prefix's acoustic score, with the outlook of its partial word."""
        outlook = self._hotwords.promised(prefix.words, prefix.part) if self._hotwords else 0.0
        if prefix.part and self._known and not outlook and prefix.part.lower() not in self._known:
            outlook = options.unknown
        return (
            options.weight * prefix.language
            + options.bonus * len(prefix.words)
            + options.unknown * prefix.unknown
            + prefix.hotwords
            + outlook
        )

    def _finish(self, prefix: _Prefix, acoustic: float, options: BeamOptions) -> Candidate:
        """The transcript of a prefix at the end of the audio: its last word and the sentence are complete."""
        if prefix.part:
            prefix = self._with_word(prefix)
        language = prefix.language
        if self._model is not None and prefix.words:
            language += self._model.end(prefix.state)
        text = " ".join(prefix.words)
        return Candidate(text, acoustic, language, len(prefix.words), prefix.unknown, prefix.hotwords)


def _pruned(grown: dict[_Prefix, list[float]], options: BeamOptions) -> dict[_Prefix, tuple[float, float]]:
    scored = [(_add(b, o) + prefix.fixed, prefix, b, o) for prefix, (b, o) in grown.items()]
    scored.sort(key=lambda item: -item[0])
    floor = scored[0][0] - options.gap
    return {prefix: (b, o) for score, prefix, b, o in scored[: options.width] if score >= floor}


def _add(a: float, b: float) -> float:
    """log(exp a + exp b)."""
    if a < b:
        a, b = b, a
    return a if b == MINUS_INFINITY else a + math.log1p(math.exp(b - a))


def _prefixes(words: Iterable[str]) -> frozenset[str]:
    """Every beginning of every word, in lower case."""
    return frozenset(word[:length].lower() for word in words for length in range(1, len(word) + 1))
