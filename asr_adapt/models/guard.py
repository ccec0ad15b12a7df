"""What is done about a row whose decoder loops: end it, try again, and cut it where nothing helps.

Knows attempts and which rows are tried again. Does not know how a token follows another, nor what made a row
doubtful besides loops: a family may add reasons. Trying again at rising temperatures is what OpenAI's Whisper
does (arXiv 2212.04356, section 4.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from asr_adapt.models.beam_search import search as beam_search
from asr_adapt.models.contract import Search
from asr_adapt.models.generation import Heard, Network, Rules, Spoken, speak
from asr_adapt.models.repetition import Repeats

#: What counts as a loop.
REPEATS = Repeats()
#: Tokens that a row may say for each second of sound, and besides. Nobody speaks as fast in any script.
TOKENS_A_SECOND = 40
TOKENS_BESIDES = 20

#: (row, what it said) → whether it should be tried at another temperature.
Doubt = Callable[[int, Spoken], bool]


def most_tokens(seconds: Sequence[float]) -> tuple[int, ...]:
    """The tokens that rows of ``seconds`` may say at most; generous, so that only babble meets it."""
    return tuple(TOKENS_BESIDES + round(TOKENS_A_SECOND * own) for own in seconds)


def transcribed(
    network: Network, heard: Heard, rules: Rules, search: Search, doubted: Doubt | None = None
) -> list[Spoken]:
    """What is said in each row, as ``search`` says; unguarded rows are marked where they loop, and left.

    A row that looped, or that is ``doubted``, is tried again at the next temperature, and so on. The first
    attempt that neither loops nor is doubted stands. Where there is none, a row that looped keeps its first
    attempt, cut behind the first repetition, and one that was doubted keeps the last that did not loop.
    """
    first = replace(rules, repeats=REPEATS if search.guard else None)
    plain = heard if search.guard else replace(heard, most=None)
    found = attempt(network, plain, first, search.beams)
    if not search.guard:
        return [replace(said, looped=REPEATS.first_end(said.ids) is not None) for said in found]
    open_rows = [row for row, said in enumerate(found) if _again(row, said, doubted)]
    for temperature in search.temperatures[1:]:
        if not open_rows:
            break
        tried = attempt(network, heard.rows(open_rows), first, 1, temperature)
        for row, said in zip(open_rows, tried, strict=True):
            if not said.looped:
                found[row] = replace(said, looped=found[row].looped)
        open_rows = [row for row, said in zip(open_rows, tried, strict=True) if _again(row, said, doubted)]
    return [cut(said) for said in found]


def attempt(
    network: Network, heard: Heard, rules: Rules, beams: int = 1, temperature: float = 0.0
) -> list[Spoken]:
    """Every row once: by beam, greedily, or drawn at ``temperature``."""
    if beams > 1 and temperature == 0:
        return beam_search(network, heard, rules, beams)
    return speak(network, heard, rules, temperature)


def cut(said: Spoken) -> Spoken:
    """A loop said once."""
    end = REPEATS.first_end(said.ids)
    return said if end is None else replace(said, ids=said.ids[:end], scores=said.scores[:end])


def _again(row: int, said: Spoken, doubted: Doubt | None) -> bool:
    return said.looped or (doubted is not None and doubted(row, said))
