"""How much sound a model hears around a clip: measured both ways, and the cheaper way kept only if no worse.

Knows a recogniser's list of contexts, dearest first, and a measure. Does not know what a context is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from asr_adapt.models import Recogniser
from asr_adapt.transcription.contexts import cheapest_no_worse


@contextmanager
def as_pretrained(recogniser: Recogniser) -> Iterator[None]:
    """Within, the recogniser hears as it was pretrained: what a base's WER is fairly measured with."""
    names = recogniser.contexts
    if names:
        recogniser.use_context(names[0])
    try:
        yield
    finally:
        if names:
            recogniser.use_context(names[-1])


def choose_context(recogniser: Recogniser, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any] | None:
    """Measure dev WER in every context and leave the recogniser in the cheapest that is no worse.

    ``{"wer": {context: fraction}, "chosen": context}``; None for a model that has no choice.
    """
    wers: dict[str, float] = {}
    for name in recogniser.contexts:
        recogniser.use_context(name)
        wers[name] = float(measure()["dev"])
    if not wers:
        return None
    chosen = cheapest_no_worse(wers)
    recogniser.use_context(chosen)
    return {"wer": wers, "chosen": chosen}


def context_hint(choice: Mapping[str, Any] | None) -> str | None:
    """One sentence where the cheaper context was refused."""
    if choice is None:
        return None
    cheapest = list(choice["wer"])[-1]
    if choice["chosen"] == cheapest:
        return None
    pairs = ", ".join(f"{name} {wer:.1%}" for name, wer in choice["wer"].items())
    return f"the {cheapest} context is worse on dev ({pairs}): {choice['chosen']} was saved; train longer."
