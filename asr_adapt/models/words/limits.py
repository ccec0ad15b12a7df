"""How long a word can be: what alignment stretches over a pause is cut back.

Knows words with times and the phrases they stand in. Does not know attention, audio or tokens. Alignment
gives every frame to some token, so that the word before or behind a pause gets the pause too. What is cut,
and the bounds, are those of OpenAI's whisper/timing.py (``add_word_timestamps``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from asr_adapt.models.hypothesis import Phrase, Word

#: No usual word is longer than this, in seconds; one that is twice as long as usual may hold a pause.
USUAL, LONG = 0.7, 2.0
#: A phrase's own time is believed rather than its outer word's where they differ by so many seconds.
TOLERANCE = 0.5
#: What the last word of a sentence ends with.
SENTENCE_ENDS = tuple(".。!！?？")


def limited(phrases: Sequence[Phrase], until: float) -> tuple[Phrase, ...]:
    """The phrases of a window with words of believable length, in order and up to second ``until``.

    A word that is too long is cut in front where it begins a phrase or sentence, behind where it ends one.
    Words lie in their phrase, whose own times become those of its words; no word overlaps the one before.
    """
    seconds = [word.end - word.start for phrase in phrases for word in phrase.words if word.end > word.start]
    usual = min(USUAL, median(seconds)) if seconds else USUAL
    found, clear = [], 0.0
    for phrase in phrases:
        words = _ordered(_within(phrase, _cut(phrase.words, usual), usual), clear, until)
        clear = words[-1].end if words else clear
        found.append(_around(replace(phrase, words=words)))
    return tuple(found)


def _cut(words: Sequence[Word], usual: float) -> list[Word]:
    """Words at the edges of a phrase or sentence at most ``LONG`` times as long as ``usual`` seconds.

    Where the pause went to the word beside the outer one, that word is cut and the outer one follows it.
    """
    found: list[Word] = []
    last, most = len(words) - 1, LONG * usual
    for place, word in enumerate(words):
        begins = place == 0 or words[place - 1].text.endswith(SENTENCE_ENDS)
        ends = place == last or word.text.endswith(SENTENCE_ENDS)
        if begins:
            if place + 1 < last and words[place + 1].end - words[place + 1].start > most:
                word = replace(word, end=max(word.end, words[place + 1].end - most))
            word = replace(word, start=max(word.start, word.end - most))
        elif ends:
            before = found[-1]
            if before.end - before.start > most:
                found[-1] = before = replace(before, end=before.start + usual)
                word = replace(word, start=before.end)
            word = replace(word, end=min(word.end, word.start + most))
        found.append(word)
    return found


def _within(phrase: Phrase, words: list[Word], usual: float) -> list[Word]:
    """Outer words that reach far beyond the phrase end there, and have a usual word's length at least."""
    if not words:
        return words
    first = words[0]
    if phrase.start < first.end and first.start < phrase.start - TOLERANCE:
        words[0] = replace(first, start=max(first.start, min(first.end - usual, phrase.start)))
    last = words[-1]
    if phrase.end > last.start and last.end > phrase.end + TOLERANCE:
        words[-1] = replace(last, end=min(last.end, max(last.start + usual, phrase.end)))
    return words


def _ordered(words: Sequence[Word], clear: float, until: float) -> tuple[Word, ...]:
    """The words between ``clear`` and ``until``, none beginning before the one before it ended."""
    found: list[Word] = []
    for word in words:
        start = min(max(word.start, clear), until)
        clear = max(start, min(word.end, until))
        found.append(replace(word, start=start, end=clear))
    return tuple(found)


def _around(phrase: Phrase) -> Phrase:
    """The phrase with the times of its words, where it has any."""
    if not phrase.words:
        return phrase
    return replace(phrase, start=phrase.words[0].start, end=phrase.words[-1].end)
