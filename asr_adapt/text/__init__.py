"""Transcripts to units: normalisation profiles and CTC vocabularies.

Knows text only. Does not know audio, manifests, networks or scores, and never imports torch. What the
command line does not need for its help is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from asr_adapt.text.normalise import PROFILE_NAMES, PROFILES, Profile, normalise, profile, stored_profile

if TYPE_CHECKING:
    from asr_adapt.text.spelling import Spelling, spelling_of
    from asr_adapt.text.vocabulary import (
        PAD,
        UNKNOWN,
        WORD_DELIMITER,
        Casing,
        CharacterVocabulary,
        UnknownCharacter,
        UnknownReport,
        build_vocabulary,
        casing_for,
        fit_case,
        unknown_characters,
    )
    from asr_adapt.text.written import Writing, WrittenWord, tidy, writing_of, written_words

__all__ = [
    "PAD",
    "PROFILES",
    "PROFILE_NAMES",
    "UNKNOWN",
    "WORD_DELIMITER",
    "Casing",
    "CharacterVocabulary",
    "Profile",
    "Spelling",
    "UnknownCharacter",
    "UnknownReport",
    "Writing",
    "WrittenWord",
    "build_vocabulary",
    "casing_for",
    "fit_case",
    "normalise",
    "profile",
    "spelling_of",
    "stored_profile",
    "tidy",
    "unknown_characters",
    "writing_of",
    "written_words",
]

_MODULES = {
    "Casing": "vocabulary",
    "CharacterVocabulary": "vocabulary",
    "PAD": "vocabulary",
    "Spelling": "spelling",
    "UNKNOWN": "vocabulary",
    "UnknownCharacter": "vocabulary",
    "UnknownReport": "vocabulary",
    "WORD_DELIMITER": "vocabulary",
    "Writing": "written",
    "WrittenWord": "written",
    "build_vocabulary": "vocabulary",
    "casing_for": "vocabulary",
    "fit_case": "vocabulary",
    "spelling_of": "spelling",
    "tidy": "written",
    "unknown_characters": "vocabulary",
    "writing_of": "written",
    "written_words": "written",
}


def __getattr__(name: str) -> Any:
    """The public names, from the modules that define them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
