"""How much sound a model hears around a clip: the base as it was pretrained, and a cheaper way if no worse.

Knows a recogniser's list of contexts, dearest first, and a measure. Does not know what a context is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from asr_adapt.models import Recogniser
from asr_adapt.transcription.rows.encoder_contexts import cheapest_no_worse


@contextmanager
def as_pretrained(recogniser: Recogniser, when: bool = True) -> Iterator[None]:
    """Within, ``when`` so, the recogniser hears and writes as it was pretrained: a base's only fair WER.

    Before/after, the step before the first, and the base in a guard's budget are all measured so.
    """
    names = recogniser.capabilities.contexts if when else ()
    before = recogniser.settings.context
    if names:
        recogniser.use_context(names[0])
    try:
        with recogniser.as_published() if when else nullcontext():
            yield
    finally:
        if names:
            recogniser.use_context(before)


def choose_context(recogniser: Recogniser, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any] | None:
    """Measure dev and guard WER in every context and leave the recogniser in the cheapest that is no worse.

    ``{"wer": {context: fraction}, "guard": {context: fraction}, "chosen": context}``, without a guard
    ``guard`` is empty; None for a model that has no choice.
    """
    wers: dict[str, float] = {}
    guards: dict[str, float] = {}
    for name in recogniser.capabilities.contexts:
        recogniser.use_context(name)
        values = measure()
        wers[name] = float(values["dev"])
        if "guard" in values:
            guards[name] = float(values["guard"])
    if not wers:
        return None
    chosen = cheapest_no_worse(wers, guards)
    recogniser.use_context(chosen)
    return {"wer": wers, "guard": guards, "chosen": chosen}


def context_hint(choice: Mapping[str, Any] | None) -> str | None:
    """One sentence where the cheaper context was refused."""
    if choice is None:
        return None
    cheapest = list(choice["wer"])[-1]
    if choice["chosen"] == cheapest:
        return None
    where = "dev" if choice["wer"][cheapest] > choice["wer"][choice["chosen"]] else "the guard"
    wers = choice["wer"] if where == "dev" else choice["guard"]
    pairs = ", ".join(f"{name} {wer:.1%}" for name, wer in wers.items())
    kept = f"{choice['chosen']} was saved; train longer."
    return f"the {cheapest} context is worse on {where} ({pairs}): {kept}"
