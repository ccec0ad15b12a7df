"""What is done about a row whose decoder loops: end it, search it again by beam, cut it where that loops too.

Knows attempts and which rows are tried again. Does not know how a token follows another, nor what made a row
doubtful besides loops: a family may add reasons, for which rows are tried at rising temperatures as OpenAI's
Whisper does (arXiv 2212.04356, section 4.5). Why a beam and not those temperatures: `docs/design.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from asr_adapt.models.beam_search import search as beam_search
from asr_adapt.models.contract import Search
from asr_adapt.models.generation import Heard, Network, Rules, Spoken, speak
from asr_adapt.models.repetition import Repeats, compression

#: What counts as a loop.
REPEATS = Repeats()
#: The same for the second attempt on a row that looped, which is believed less.
STRICTER = Repeats(times=3, span=8)
#: Width of the beam of that attempt.
RETRY_BEAMS = 5
#: Tokens that a row may say for each second of sound, and besides. English has at most 7 a second; a script
#: that the tokeniser spells in bytes has three for each of ten characters.
TOKENS_A_SECOND = 40
TOKENS_BESIDES = 20

#: (row, what it said) → whether it should be tried at another temperature.
Doubt = Callable[[int, Spoken], bool]


def most_tokens(seconds: Sequence[float]) -> tuple[int, ...]:
    """The tokens that rows of ``seconds`` may say at most; generous, so that only babble meets it."""
    return tuple(TOKENS_BESIDES + round(TOKENS_A_SECOND * own) for own in seconds)


def improbable(said: Spoken, text: str, search: Search) -> bool:
    """Whether OpenAI's Whisper would try another temperature: unlikely tokens, or text that repeats."""
    return said.mean_score < search.mean_score or compression(text) > search.compression


def transcribed(
    network: Network, heard: Heard, rules: Rules, search: Search, doubted: Doubt | None = None
) -> list[Spoken]:
    """What is said in each row, as ``search`` says; unguarded, rows that loop are marked and left.

    A row that loops is searched again by beam, and cut behind its first repetition where every hypothesis
    loops. Then rows that are ``doubted`` are tried at one temperature after the other until they are not;
    where they always are, the last attempt that did not loop stands.
    """
    if not search.guard:
        plain = replace(heard, most=None), replace(rules, repeats=None)
        found = attempt(network, *plain, search, search.temperatures[0])
        return [replace(said, looped=REPEATS.first_end(said.ids) is not None) for said in found]
    rules = replace(rules, repeats=REPEATS)
    found = attempt(network, heard, rules, search, search.temperatures[0])
    looped = [row for row, said in enumerate(found) if said.looped]
    if looped:
        again = _without_loops(network, heard.rows(looped), rules, [found[row] for row in looped], search)
        for row, said in zip(looped, again, strict=True):
            found[row] = said
    return found if doubted is None else _fallback(network, heard, rules, search, found, doubted)


def _without_loops(
    network: Network, heard: Heard, rules: Rules, first: list[Spoken], search: Search
) -> list[Spoken]:
    """The second attempt on rows of which all looped, or what the first said up to its loop."""
    beams = max(RETRY_BEAMS, search.beams)
    again = attempt(network, heard, replace(rules, repeats=STRICTER), replace(search, beams=beams))
    return [
        cut(before) if said.looped else replace(said, looped=True)
        for before, said in zip(first, again, strict=True)
    ]


def _fallback(
    network: Network, heard: Heard, rules: Rules, search: Search, found: list[Spoken], doubted: Doubt
) -> list[Spoken]:
    """The same with doubted rows tried at the temperatures behind the first."""
    found = list(found)
    rows = [row for row, said in enumerate(found) if doubted(row, said)]
    for temperature in search.temperatures[1:]:
        if not rows:
            break
        tried = dict(zip(rows, attempt(network, heard.rows(rows), rules, search, temperature), strict=True))
        for row, said in tried.items():
            if not said.looped:
                found[row] = replace(said, looped=found[row].looped)
        rows = [row for row, said in tried.items() if said.looped or doubted(row, said)]
    return found


def attempt(
    network: Network, heard: Heard, rules: Rules, search: Search, temperature: float = 0.0
) -> list[Spoken]:
    """Every row once: by beam, greedily, or the best of several drawn at ``temperature``."""
    if search.beams > 1 and temperature == 0:
        patience, penalty = search.patience, search.length_penalty
        return beam_search(network, heard, rules, search.beams, patience=patience, length_penalty=penalty)
    count = search.best_of if temperature > 0 else 1
    if count == 1:
        return speak(network, heard, rules, temperature)
    draws = [speak(network, heard, rules, temperature, draw) for draw in range(count)]
    return [max(row, key=lambda said: (not said.looped, said.mean_score)) for row in zip(*draws, strict=True)]


def cut(said: Spoken) -> Spoken:
    """A loop said once."""
    end = REPEATS.first_end(said.ids)
    return said if end is None else replace(said, ids=said.ids[:end], scores=said.scores[:end])
