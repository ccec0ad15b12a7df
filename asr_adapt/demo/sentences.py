"""English sentences for synthetic speech, in disjoint parts.

Knows templates of everyday sentences, digit strings, dates, spelled letters and random word sequences, and
how a text is assigned to train, dev or test by its own hash, so that parts never share a sentence.
Does not know how they sound (see `asr_adapt.demo.synthesis.spoken_form`) or where they are written.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import resources
from itertools import islice
from typing import Literal

from asr_adapt.demo.lexicon import Lexicon, lexicon

Part = Literal["train", "dev", "test"]
Domain = Literal["open", "home"]

PERIOD = 20  # of 20 hash values 18 are train, one dev, one test
SHORT = 2  # texts of one or two words are always train: the ten digits must all be heard alone
LONGEST = 80  # characters
COMMON_VERBS = 90  # the irregular verbs come first, and are the common ones

_KINDS: dict[Domain, dict[str, float]] = {
    "open": {"everyday": 0.50, "sequence": 0.25, "digits": 0.10, "number": 0.05, "spelled": 0.10},
    "home": {"home": 1.0},
}

_SLOT = re.compile(r"\{(\w+)\}")
_VERB_FORMS = ("base", "third", "past", "ing", "participle")


def sentences(count: int, seed: int, *, part: Part, domain: Domain = "open") -> list[str]:
    """``count`` upper-case texts (A–Z, apostrophe, space) of ``part``, the same for the same arguments.

    ``domain`` "home" gives voice commands for the home and digit strings, over about 190 words. In "open",
    half are everyday sentences, a quarter random sequences that walk through the whole word list, the rest
    digit strings, numbers with dates and times, and spelled letters. Texts longer than two words do not
    repeat, and no such text can occur in another part.
    """
    return list(islice(_stream(random.Random(f"{seed}-{part}"), part, domain), count))


def part_of(text: str) -> Part:
    """The part to which a text belongs, by its CRC-32; texts of one or two words are ``train``."""
    if len(text.split()) <= SHORT:
        return "train"
    value = zlib.crc32(text.encode()) % PERIOD
    return "test" if value == PERIOD - 1 else "dev" if value == PERIOD - 2 else "train"


def vocabulary() -> tuple[str, ...]:
    """Every word that a sentence may hold, upper case, sorted; spelled letters left out."""
    return tuple(word.upper() for word in lexicon().words)


@lru_cache(maxsize=1)
def patterns() -> dict[str, tuple[str, ...]]:
    """Ways to fill each slot, from ``patterns.txt`` and ``home.txt``."""
    found: dict[str, list[str]] = {}
    files = (resources.files("asr_adapt.demo").joinpath(name) for name in ("patterns.txt", "home.txt"))
    for line in (line for file in files for line in file.read_text(encoding="utf-8").splitlines()):
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            current.append(line)
    return {slot: tuple(ways) for slot, ways in found.items()}


def _stream(chance: random.Random, part: Part, domain: Domain) -> Iterator[str]:
    makers = _makers(chance)
    kinds, weights = list(_KINDS[domain]), list(_KINDS[domain].values())
    seen: set[str] = set()
    while True:
        text = makers[chance.choices(kinds, weights)[0]]().upper()
        fresh = text not in seen and len(text) <= LONGEST
        if fresh and part_of(text) == part:
            if len(text.split()) > SHORT:
                seen.add(text)
            yield text


def _makers(chance: random.Random) -> dict[str, Callable[[], str]]:
    words = lexicon()
    deck = _deck(chance, words)
    return {
        "everyday": lambda: _expand("{everyday}", chance, words),
        "home": lambda: _expand("{home}", chance, words),
        "number": lambda: _expand("{dated}", chance, words),
        "sequence": lambda: " ".join(next(deck) for _ in range(chance.randint(2, 8))),
        "digits": lambda: _digits(chance),
        "spelled": lambda: _spelled(chance, words),
    }


def _deck(chance: random.Random, words: Lexicon) -> Iterator[str]:
    """All words in a random order, over and over, so that each is used equally often."""
    cards = list(words.words)
    while True:
        chance.shuffle(cards)
        yield from cards


def _expand(template: str, chance: random.Random, words: Lexicon) -> str:
    while (slot := _SLOT.search(template)) is not None:
        filled = _fill(slot.group(1), chance, words)
        template = template[: slot.start()] + filled + template[slot.end() :]
    return _articles(template)


def _fill(slot: str, chance: random.Random, words: Lexicon) -> str:
    if slot in patterns():
        return chance.choice(patterns()[slot])
    if slot in _VERB_FORMS:
        known = words.transitive[:COMMON_VERBS] if chance.random() < 0.4 else words.transitive
        return str(getattr(chance.choice(known), slot))
    if slot[1:] in _VERB_FORMS:
        return str(getattr(chance.choice(words.intransitive), slot[1:]))
    if slot in words.sections:
        return chance.choice(words.sections[slot])
    return str(chance.choice(getattr(words, slot)))


def _articles(text: str) -> str:
    """``a`` before a vowel letter becomes ``an``."""
    return re.sub(r"\ba (?=[aeio])", "an ", text)


def _digits(chance: random.Random) -> str:
    names = (*lexicon().sections["digits"], "oh")
    weights = [1.0] * 10 + [0.5]
    length = chance.choice((1, 1, 2, 3, 3, 4, 4, 5, 6, 7))
    return " ".join(chance.choices(names, weights, k=length))


def _spelled(chance: random.Random, words: Lexicon) -> str:
    """Letters one by one: random, a name spelled, or letters beside words and digits."""
    letters = [chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(chance.randint(1, 6))]
    name = chance.choice(words.sections["names"])
    word = chance.choice(words.singular)
    return chance.choice(
        (
            " ".join(letters),
            " ".join(letters),
            " ".join(name),
            f"{name} {' '.join(name)}",
            f"{word} {' '.join(word[:7])}",
            f"{word} {' '.join(letters[:2])}",
            f"{' '.join(letters[:3])} {_digits(chance)}",
            f"my name is {name} {' '.join(name[:6])}",
        )
    )
