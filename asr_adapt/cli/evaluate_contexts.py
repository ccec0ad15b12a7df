"""``asr-adapt evaluate --context``: in which contexts to evaluate, and both WERs on screen.

Knows the option's values. Does not know what a context is; the recogniser does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr_adapt.transcription import ContextEvaluation


class Context(StrEnum):
    """How much sound around a clip is heard."""

    full = "full"
    dynamic = "dynamic"
    silence = "silence"
    both = "both"


def context_names(asked: Context | None, offered: Sequence[str]) -> tuple[str, ...]:
    """The contexts to evaluate in, dearest first; none where nothing was asked and the model has no choice.

    By default, a model that has several contexts is evaluated in every one.
    """
    if asked is None:
        return tuple(offered)
    return (Context.full.value, Context.dynamic.value) if asked is Context.both else (asked.value,)


def show_contexts(compared: ContextEvaluation) -> None:
    """One line for each context, and one sentence where the cheaper was refused."""
    from asr_adapt.scoring.percentages import percent
    from asr_adapt.screen import console

    out = console()
    for name, wer in compared.wers.items():
        mark = "  (the score above)" if name == compared.chosen else ""
        speed = compared.evaluations[name].real_time_factor
        out.print(f"context {name:8} WER {percent(wer)}   {speed:.1f} × real time{mark}")
    cheapest = list(compared.wers)[-1]
    if compared.chosen != cheapest:
        out.print(f"the {cheapest} context is worse here and was not scored.")
