"""How to decode, as data: one type for Python and for the command line.

Knows every option, its default, its bounds and what it means. Does not know how one is carried out, nor how
it is spelled on a command line. Needs neither torch nor numpy.
"""

from asr_adapt.decoding.hotwords import BEAMS, TOKEN_BOOST, WORD_BOOST, Listed, parse_hotwords, with_boosts
from asr_adapt.decoding.options import (
    SEGMENTERS,
    TASKS,
    Decoding,
    Part,
    Segmenter,
    Task,
    default_of,
    meaning_of,
    names_of,
)

__all__ = [
    "BEAMS",
    "SEGMENTERS",
    "TASKS",
    "TOKEN_BOOST",
    "WORD_BOOST",
    "Decoding",
    "Listed",
    "Part",
    "Segmenter",
    "Task",
    "default_of",
    "meaning_of",
    "names_of",
    "parse_hotwords",
    "with_boosts",
]
