"""The demonstration's English words with their forms.

Knows the three word lists beside this module, how English spells plurals and verb forms, and which words
may fill which place of a sentence. Does not know sentences, speech or anything outside English.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

_VOWELS = "aeiou"
_AUXILIARIES = 4  # the first irregular verbs (be, have, do, go) take no plain object
_NO_DOUBLING = {"visit", "open", "offer", "enter", "answer", "cover", "order", "suffer", "wander", "remember"}


@dataclass(frozen=True, slots=True)
class Verb:
    """Five forms of a verb, lower case: base, third person, past, -ing, past participle."""

    base: str
    third: str
    past: str
    ing: str
    participle: str


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words by use, lower case, without duplicates and in a fixed order.

    ``sections`` holds the remaining lists of ``words.txt`` by their heading: adjectives, names, digits, ….
    """

    singular: tuple[str, ...]
    plural: tuple[str, ...]
    mass: tuple[str, ...]
    people: tuple[str, ...]
    transitive: tuple[Verb, ...]
    intransitive: tuple[Verb, ...]
    sections: dict[str, tuple[str, ...]]

    @property
    def words(self) -> tuple[str, ...]:
        """Every word form once, sorted."""
        found = {*self.singular, *self.plural, *self.mass, *self.people}
        for verb in (*self.transitive, *self.intransitive):
            found |= {verb.base, verb.third, verb.past, verb.ing, verb.participle}
        for section in self.sections.values():
            found |= set(section)
        return tuple(sorted(found))


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The word lists, read once."""
    nouns, verbs = _read("nouns.txt"), _read("verbs.txt")
    irregular = tuple(Verb(*entry.split("|")) for entry in verbs["irregular"])
    known = {verb.base for verb in irregular}
    listed = [entry for section in nouns.values() for entry in section]
    countable = [_number(entry) for entry in listed if not entry.startswith("=")]
    return Lexicon(
        singular=_unique(pair[0] for pair in countable),
        plural=_unique(pair[1] for pair in countable),
        mass=_unique(entry[1:] for entry in listed if entry.startswith("=")),
        people=_unique(_number(entry)[0] for entry in nouns["people"]),
        transitive=(
            *irregular[_AUXILIARIES:],
            *(regular(base) for base in verbs["transitive"] if base not in known),
        ),
        intransitive=tuple(regular(base) for base in verbs["intransitive"]),
        sections={**_read("words.txt"), "irregular": tuple(verb.base for verb in irregular)},
    )


def regular(base: str) -> Verb:
    """Forms of a regular verb by the rules of English spelling (stop: stops, stopped, stopping)."""
    if base.endswith("e"):
        past, ing = base + "d", (base if base.endswith("ee") else base[:-1]) + "ing"
    elif base.endswith("y") and base[-2] not in _VOWELS:
        past, ing = base[:-1] + "ied", base + "ing"
    else:
        stem = base + base[-1] if _doubles(base) else base
        past, ing = stem + "ed", stem + "ing"
    return Verb(base, plural(base), past, ing, past)


def plural(word: str) -> str:
    """Regular plural of a noun, which is also the third person of a verb."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def _doubles(base: str) -> bool:
    """Whether the last consonant doubles: one short stressed vowel before it (stop, admit, but not open)."""
    if len(base) < 3 or base in _NO_DOUBLING or base[-1] in _VOWELS + "wxy":
        return False
    one_vowel = base[-2] in _VOWELS and base[-3] not in _VOWELS
    syllables = sum(a in _VOWELS and b not in _VOWELS for a, b in zip(base, base[1:] + "#", strict=True))
    return one_vowel and (syllables == 1 or base in {"admit", "prefer", "regret", "occur"})


def _number(entry: str) -> tuple[str, str]:
    single, _, many = entry.partition("/")
    return single, many or plural(single)


def _unique(entries: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))  # type: ignore[call-overload]


def _read(name: str) -> dict[str, tuple[str, ...]]:
    """Sections of a word list: ``[heading]``, then words separated by white space; ``#`` starts a comment."""
    sections: dict[str, list[str]] = {}
    text = resources.files("asr_adapt.demo").joinpath(name).read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.extend(line.split())
    return {heading: _unique(words) for heading, words in sections.items()}
