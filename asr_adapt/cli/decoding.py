"""The decoding options that ``transcribe`` and ``evaluate`` share.

Knows how options become a :class:`Decoding`. Does not decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr_adapt.transcription.decoding.fusion import Decoding


def decoding_from(
    lm: Path | None, hotwords: Sequence[str] | None, weight: float | None, width: int | None
) -> Decoding:
    """The decoding that the options ask for; without any, the best path is taken."""
    from asr_adapt.transcription.decoding.beam import BeamOptions
    from asr_adapt.transcription.decoding.fusion import Decoding, parse_hotwords, tuned_options

    options = None
    if weight is not None or width is not None:
        options = tuned_options(lm) if lm is not None else BeamOptions()
        options = replace(options, weight=options.weight if weight is None else weight)
        options = replace(options, width=options.width if width is None else width)
    return Decoding(lm, parse_hotwords(hotwords or ()), options)
