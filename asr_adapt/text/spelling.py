"""How a vocabulary spells a text: letter case, other forms of the same letter, whole tokens.

Knows the tokens of one vocabulary and Unicode's equivalences. Does not know networks or tokenisers. Needs no
torch.

A profile rewrites texts so that they can be compared; a vocabulary may want the same letters in another
form: capitals, a typographic apostrophe, letters apart from their marks, the jamo that Korean is typed with.
A letter in the wrong form would be ``<unk>``, train to nothing, and score 100 % WER without any error.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

#: Characters that typists use for an apostrophe, the commonest first.
APOSTROPHES = "'’‘ʼʹ´`＇"
#: A vocabulary is of one case if it has so many times more letters of it; a few strays do not count.
_MAJORITY = 3
#: How Unicode's names of Korean letters begin: as typed; first, middle and last in a syllable.
_JAMO = ("HANGUL LETTER ", "HANGUL CHOSEONG ", "HANGUL JUNGSEONG ", "HANGUL JONGSEONG ")


@dataclass(frozen=True)
class Spelling:
    """The spelling of ``tokens``, the written ones of a vocabulary without its special tokens.

    With ``whole`` a text is tokens between spaces (phonemes), else it is single characters. Without
    ``spaces`` the vocabulary has no word delimiter, and a text's spaces are left out.
    """

    tokens: frozenset[str]
    whole: bool = False
    spaces: bool = True
    _known: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, text: str) -> str:
        """``text`` as the vocabulary spells it; what it cannot spell stays as it is."""
        if self.whole:
            return " ".join(self._forms.get(unit, unit) for unit in text.split())
        if any(unicodedata.combining(c) and c not in self.tokens for c in text):
            text = unicodedata.normalize("NFC", text)
        spelled = "".join(map(self._letter, text))
        return spelled if self.spaces else "".join(spelled.split())

    def units(self, text: str) -> list[str]:
        """The labels of ``text``, one string each; a space stands for the word delimiter."""
        spelled = self(text)
        return spelled.split() if self.whole else list(spelled)

    def unknown(self, text: str) -> Iterator[str]:
        """What of ``text`` the vocabulary cannot spell, each time that it occurs."""
        for unit in self.units(text):
            if not unit.isspace() and unit not in self.tokens:
                yield unit

    def frames(self, text: str) -> int:
        """CTC frames that ``text`` needs: one a label, and a blank between equal neighbours."""
        units = self.units(text)
        return len(units) + sum(a == b for a, b in pairwise(units))

    def knows(self, letter: str) -> bool:
        """Whether the vocabulary can spell ``letter`` in some form."""
        return next(self.unknown(letter), None) is None

    def extended(self, text: str) -> str:
        """``text`` as spelled, what is unknown in its letter case: for one to be extended."""
        return "".join(c.upper() if self.upper and c not in self.tokens else c for c in self(text))

    @cached_property
    def upper(self) -> bool:
        """Whether the vocabulary is written in capitals, but for a few letters."""
        letters = [token for token in self.tokens if len(token) == 1]
        capitals = sum(letter.lower() != letter for letter in letters)
        return capitals >= _MAJORITY * max(1, sum(letter.upper() != letter for letter in letters))

    def _letter(self, letter: str) -> str:
        """One character's spelling, looked up once."""
        found = self._known.get(letter)
        if found is None:
            found = self._known[letter] = " " if letter.isspace() else self._spelled(letter) or letter
        return found

    def _spelled(self, letter: str) -> str | None:
        """The first way to write ``letter`` that the vocabulary knows; None where there is none."""
        tokens = self.tokens
        if self.upper and letter.upper() in tokens:
            return letter.upper()
        if letter in tokens:
            return letter
        for other in (letter.upper(), letter.lower()):
            if other != letter and all(part in tokens for part in other):
                return other
        if letter in self._forms:
            return self._forms[letter]
        parts = unicodedata.normalize("NFD", letter)
        if parts == letter:
            return None
        spelled = [self._spelled(part) for part in parts]
        return None if None in spelled else "".join(filter(None, spelled))

    @cached_property
    def _forms(self) -> Mapping[str, str]:
        """Other forms of the vocabulary's tokens: what a profile may have made of them."""
        found: dict[str, str] = {}
        for token in sorted(self.tokens):
            for form in _other_forms(token):
                if form not in self.tokens:
                    found.setdefault(form, token)
        apostrophe = next((a for a in APOSTROPHES if a in self.tokens), None)
        if apostrophe is not None:
            found |= {a: apostrophe for a in APOSTROPHES if a not in self.tokens}
        return found


def _other_forms(token: str) -> Iterator[str]:
    """Strings that mean the same as ``token``: normal forms, lower case, Korean letters by place."""
    for form in ("NFC", "NFD", "NFKC"):
        yield unicodedata.normalize(form, token)
        yield unicodedata.normalize(form, token).lower()
    name = unicodedata.name(token, "") if len(token) == 1 else ""
    if name.startswith(_JAMO[0]):
        for place in _JAMO[1:]:
            try:
                yield unicodedata.lookup(place + name.removeprefix(_JAMO[0]))
            except KeyError:  # not every letter stands at every place
                continue


def spelling_of(vocabulary: Collection[str], delimiter: str = "|") -> Spelling:
    """The spelling of a character vocabulary: its tokens of one character, but for the word delimiter."""
    tokens = frozenset(token for token in vocabulary if len(token) == 1 and token != delimiter)
    return Spelling(tokens, spaces=delimiter in vocabulary)
