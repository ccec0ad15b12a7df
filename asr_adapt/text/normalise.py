"""Normalisation profiles: named, versioned ways to make two transcripts comparable.

Knows how a transcript is rewritten before it is counted or labelled, and which version of the rules did it.
Does not know vocabularies, manifests or scores. Needs no torch.

A profile is part of every score: two scores are comparable only under the same name **and** version, so
any change of a rule below must raise the version.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asr_adapt.errors import UsageError
from asr_adapt.text.english_spelling import american_spellings
from asr_adapt.text.spoken import spoken_forms

#: Characters that typists use for an apostrophe, by code point; NFKC would turn some of them into a space
#: and a mark. Version 1 of ``basic`` knew the first seven.
APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼʹ´`＇‛′ʻʽˈꞌ՚׳ߴߵ᾽᾿΄", "'"))
_APOSTROPHES_1 = str.maketrans(dict.fromkeys("’‘ʼʹ´`＇", "'"))
_EDGE_APOSTROPHES = re.compile(r"(?<!\S)'+|'+(?!\S)|''+")
#: Marks inside a word that part nothing: Catalan ``col·legi``, the Hebrew quotation mark of ``צה״ל``.
_INNER_MARKS = re.compile("(?<=[^\\W\\d_])[\u00b7\u0387\u2027\u05f4](?=[^\\W\\d_])")
#: Letters and marks that nobody sees: selectors of a glyph, fillers, joiners, the Arabic stretching line.
_UNSEEN = re.compile(
    "[\u034f\u0640\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_ORPHAN_MARKS = re.compile(r"(?<!\S)'*[\u0300-\u036f]+")


@dataclass(frozen=True)
class Profile:
    """One set of rules; ``apply`` rewrites a transcript, ``version`` changes whenever its result may."""

    name: str
    version: str
    description: str
    apply: Callable[[str], str]

    @property
    def label(self) -> str:
        """Name and version as stored in scores and baselines, e.g. ``basic@1``."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, str]:
        """Name and version as scores, baselines and the settings of predictions hold them."""
        return {"name": self.name, "version": self.version}


class _BasicTable(dict[int, str]):
    """What becomes of one code point under ``basic``; decided once per character, then a table look-up."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] in "LN" or category in ("Mn", "Mc") or character == "'":
            kept = character
        elif category == "Cf":  # joiners, soft hyphens, direction marks: invisible, not a word boundary
            kept = ""
        else:
            kept = " "
        self[code] = kept
        return kept


_BASIC = _BasicTable()


def _none(text: str) -> str:
    return text


def _basic(text: str) -> str:
    if text.isascii():
        return _basic_1(text)
    seen = _UNSEEN.sub("", text.translate(APOSTROPHES)).replace("\u20e3", "").replace("İ", "i")
    return _basic_1(_INNER_MARKS.sub("", unicodedata.normalize("NFC", seen)))


def _basic_1(text: str) -> str:
    folded = unicodedata.normalize(
        "NFKC", unicodedata.normalize("NFKC", text.translate(_APOSTROPHES_1)).lower()
    )
    kept = _EDGE_APOSTROPHES.sub(" ", folded.translate(_BASIC))
    return unicodedata.normalize("NFKC", " ".join(_ORPHAN_MARKS.sub("", kept).split()))


@functools.cache
def _whisper_normaliser() -> Callable[[str], str]:
    # this transformers module imports neither torch nor the Whisper network
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer(american_spellings())


def _whisper_english(text: str) -> str:
    return " ".join(_whisper_normaliser()(text).split())


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("none", "1", "the text as it stands", _none),
        Profile(
            "basic",
            "2",
            "NFKC, lower case, punctuation and symbols to spaces, apostrophes inside words and combining "
            "marks (Mn, Mc) kept, marks that nobody sees left out, white space folded; for every language",
            _basic,
        ),
        Profile(
            "whisper-en",
            "1",
            "the Whisper paper's English rules as shipped in transformers (contractions, numbers, titles, "
            "fillers), with this project's own British-to-American spelling list",
            _whisper_english,
        ),
        Profile(
            "alnum-en",
            "1",
            "basic, then every digit and every spelled letter is a word of its own, whether it was written "
            "as a word, in groups or one by one; other words stay words; English",
            lambda text: spoken_forms(text, _basic, letters=False),
        ),
        Profile(
            "spelled-en",
            "1",
            "as alnum-en, and words are spelled too: every letter and digit counts by itself, spaces do not",
            lambda text: spoken_forms(text, _basic, letters=True),
        ),
    )
}


#: Versions of before, by label (``basic@1``): what was scored under one can be compared under it.
EARLIER: dict[str, Profile] = {
    profile.label: profile
    for profile in (
        Profile("basic", "1", "basic, with variation selectors, fillers and tatweel as letters", _basic_1),
    )
}

#: The names for a person to choose from.
PROFILE_NAMES = ", ".join(PROFILES)


def profile(name: str) -> Profile:
    """The profile called ``name``, or that of a label with a version, such as ``basic@1``.

    :class:`UsageError` names the known ones otherwise.
    """
    current = PROFILES.get(name.partition("@")[0])
    if current is not None and name in (current.name, current.label):
        return current
    try:
        return EARLIER[name]
    except KeyError:
        raise UsageError(f"unknown normalisation profile {name!r}: choose one of {PROFILE_NAMES}.") from None


def stored_profile(value: Mapping[str, str]) -> str:
    """What :func:`profile` takes for a stored name and version: with the version if it is an earlier one."""
    label = f"{value['name']}@{value['version']}"
    return label if label in EARLIER else value["name"]


def normalise(text: str, profile: str = "basic") -> str:
    """``text`` rewritten under a named profile (raises :class:`UsageError` for an unknown name)."""
    return _lookup(profile).apply(text)


_lookup = profile  # `normalise` shadows the function with its parameter
