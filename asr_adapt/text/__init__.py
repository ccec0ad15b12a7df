"""Transcripts to units: normalisation profiles and CTC vocabularies.

Knows text only. Does not know audio, manifests, networks or scores, and never imports torch.
"""

from asr_adapt.text.normalise import PROFILE_NAMES, PROFILES, Profile, normalise, profile, stored_profile
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
