"""The recipe's section for encoder–decoder models.

Knows fields and ranges. Does not know which family has a decoder: one without refuses the section.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from asr_adapt.training.recipe.section import Section, Share


class Decoder(Section):
    """What an encoder–decoder model (Whisper) is told and how it learns; a CTC model has no decoder."""

    language: str | None = Field(
        None,
        description="Language code, saved with the model; empty: that of the rows (lang), else the model's "
        "own, else en. MMS: its adapter.",
    )
    language_from: str | None = Field(
        None,
        description="For a language that the model does not list: the listed one that its token starts from, "
        "or mean.",
    )
    task: Literal["transcribe", "translate"] | None = Field(
        None, description="Saved with the model; empty: the model's own, else transcribe."
    )
    context: Literal["full", "silence", "dynamic"] = Field(
        "full",
        description="full: 30 s, as pretrained; silence: the same, the silence behind a clip computed once "
        "for all, 4 times cheaper; dynamic: the clip and a margin, 7–9 times cheaper, must be learnt.",
    )
    learnt_silence: Annotated[float, Field(ge=0.0)] | None = Field(
        None,
        description="Where Whisper's encoder is frozen: seconds of silence behind a clip that its decoder "
        "hears as it learns, with the rest of the 30 s computed once for all clips (CPU); empty: all, with "
        "each clip. What is measured hears all.",
    )
    timestamps_share: Share = Field(
        0.0,
        description="Share of the rows whose target has timestamps, so that they survive tuning; rows with "
        "segments (asr-adapt manifest join) have them around each. Left out, pretrained Whisper models take "
        "0.5 where augment.speed is off.",
    )
    previous_text_share: Share = Field(
        0.0,
        description="Share of the rows with previous_text (asr-adapt manifest join) that are given it as a "
        "prompt, as windows of long audio are.",
    )
