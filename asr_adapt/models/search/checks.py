"""What is done about a row whose decoder loops: end it, search it again by beam, cut it where that loops too.

Knows attempts and which rows are tried again. Does not know how a token follows another, nor what made a row
doubtful besides loops: a family may add reasons, for which rows are tried at rising temperatures as OpenAI's
Whisper does (arXiv 2212.04356, section 4.5). Why a beam and not those temperatures: `docs/design.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import IntEnum

from asr_adapt.models.contract import Search
from asr_adapt.models.search.beam_search import search as beam_search
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken, StepNetwork, speak
from asr_adapt.models.search.repetition import Repeats, compression

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
#: Tokens a second that English does not reach, timestamps included.
ENGLISH_TOKENS_A_SECOND = 8


class Doubt(IntEnum):
    """Why a transcript is not believed; repetition is worse than improbable words."""

    none = 0
    improbable = 1
    repetitive = 2


#: (row, what it said) → how doubtful that is.
Doubted = Callable[[int, Spoken], Doubt]
#: What a decoder says about what was heard, under rules and a search, at a temperature; a row each.
Attempt = Callable[[EncoderOutput, Rules, Search, float], list[Spoken]]


def most_tokens(seconds: Sequence[float]) -> tuple[int, ...]:
    """The tokens that rows of ``seconds`` may say at most; generous, so that only babble meets it."""
    return tuple(TOKENS_BESIDES + round(TOKENS_A_SECOND * own) for own in seconds)


def usual_tokens(most: int) -> int:
    """Enough tokens for English where sound of the same length may say ``most`` of :func:`most_tokens`."""
    return TOKENS_BESIDES + (most - TOKENS_BESIDES) * ENGLISH_TOKENS_A_SECOND // TOKENS_A_SECOND


def doubt(said: Spoken, text: str, search: Search) -> Doubt:
    """Why OpenAI's Whisper would try another temperature: text that repeats, or unlikely tokens, what listed
    words add counted.
    """
    if compression(text) > search.compression:
        return Doubt.repetitive
    return Doubt.improbable if said.mean_favoured < search.mean_score else Doubt.none


def transcribed(
    attempt: Attempt, heard: EncoderOutput, rules: Rules, search: Search, doubted: Doubted | None = None
) -> list[Spoken]:
    """What is said in each row, as ``search`` says; without its checks, rows that loop are marked and left.

    A row that loops is searched again by beam, and cut behind its first repetition where every hypothesis
    loops. Then rows that are ``doubted`` are tried at one temperature after the other until they are not;
    where they always are, the most probable attempt that does not repeat itself stands (faster-whisper's
    choice; OpenAI's takes the last).
    """
    if not search.hallucination_checks:
        plain = replace(heard, most=None), replace(rules, repeats=None)
        found = attempt(*plain, search, search.temperatures[0])
        return [replace(said, looped=REPEATS.first_end(said.ids) is not None) for said in found]
    rules = replace(rules, repeats=REPEATS)
    found = attempt(heard, rules, search, search.temperatures[0])
    looped = [row for row, said in enumerate(found) if said.looped]
    if looped:
        again = _without_loops(attempt, heard.rows(looped), rules, [found[row] for row in looped], search)
        for row, said in zip(looped, again, strict=True):
            found[row] = said
    return found if doubted is None else _fallback(attempt, heard, rules, search, found, doubted)


def _without_loops(
    attempt: Attempt, heard: EncoderOutput, rules: Rules, first: list[Spoken], search: Search
) -> list[Spoken]:
    """The second attempt on rows of which all looped, or what the first said up to its loop."""
    beams = max(RETRY_BEAMS, search.beams)
    again = attempt(heard, replace(rules, repeats=STRICTER), replace(search, beams=beams), 0.0)
    return [
        cut(before) if said.looped else replace(said, looped=True)
        for before, said in zip(first, again, strict=True)
    ]


def _fallback(
    attempt: Attempt,
    heard: EncoderOutput,
    rules: Rules,
    search: Search,
    found: list[Spoken],
    doubted: Doubted,
) -> list[Spoken]:
    """The same with doubted rows tried at the temperatures behind the first."""
    tried = {row: [said] for row, said in enumerate(found)}
    rows = [row for row, said in enumerate(found) if doubted(row, said)]
    for temperature in search.temperatures[1:]:
        if not rows:
            break
        again = attempt(heard.rows(rows), rules, search, temperature)
        for row, said in zip(rows, again, strict=True):
            tried[row].append(said)
        rows = [row for row in rows if tried[row][-1].looped or doubted(row, tried[row][-1])]
    return [
        said if len(tried[row]) == 1 else _best(row, tried[row], doubted, believed=row not in rows)
        for row, said in enumerate(found)
    ]


def _best(row: int, tried: Sequence[Spoken], doubted: Doubted, *, believed: bool) -> Spoken:
    """The last attempt where it is ``believed``, else the most probable of the least repetitive ones.

    A first attempt that looped was cut: its place is behind those that did not. One without words stands only
    where all are.
    """
    looped = tried[0].looped
    if believed:
        return replace(tried[-1], looped=looped)

    def rank(said: Spoken) -> tuple[bool, bool, bool, float]:
        repetitive = doubted(row, said) is Doubt.repetitive
        return bool(said.ids), not said.looped, not repetitive, said.mean_favoured

    return replace(max(tried, key=rank), looped=looped)


def attempt_with(
    network: StepNetwork, heard: EncoderOutput, rules: Rules, search: Search, temperature: float
) -> list[Spoken]:
    """Every row once, token by token: by beam, greedily, or the best of several drawn at ``temperature``."""
    if temperature == 0 and (search.beams > 1 or rules.bias is not None):
        patience, penalty = search.patience, search.length_penalty
        return beam_search(network, heard, rules, search.beams, patience=patience, length_penalty=penalty)
    count = search.best_of if temperature > 0 else 1
    if count == 1:
        return speak(network, heard, rules, temperature)
    rows = range(len(heard.given))
    many = heard.rows([row for row in rows for _ in range(count)])
    said = speak(network, many, rules, temperature, [*range(count)] * len(rows))
    if rules.bias is not None:
        said = [replace(own, bonus=rules.bias.worth([*own.ids, rules.end])) for own in said]
    draws = [said[row * count : (row + 1) * count] for row in rows]
    return [max(own, key=lambda said: (not said.looped, said.mean_favoured)) for own in draws]


def cut(said: Spoken) -> Spoken:
    """A loop said once."""
    end = REPEATS.first_end(said.ids)
    return said if end is None else replace(said, ids=said.ids[:end], scores=said.scores[:end])
