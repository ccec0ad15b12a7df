"""What is allowed in a recipe and yet makes its figures say less than they seem to.

Knows which manifests name the same files. Does not know rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asr_adapt.training.recipe.file import expand
from asr_adapt.training.recipe.schema import Recipe


def remarks(recipe: Recipe) -> Iterator[str]:
    """Sentences about sets of the recipe that share a manifest."""
    train, dev, test, guard, guard_test = (
        {path.resolve() for path in expand(paths or [])}
        for paths in (recipe.train, recipe.dev, recipe.test, recipe.guard, recipe.guard_test)
    )
    for name, chosen in (("dev", dev), ("test", test)):
        if shared := _shared(train, chosen):
            yield (
                f"{name} holds {shared}, which is also in train: its WER is that of training rows, not of "
                "unheard speech; split the manifest first (asr-adapt manifest split)."
            )
    for name, chosen in (("guard", guard), ("guard_test", guard_test)):
        if shared := _shared(train | dev | test, chosen):
            yield (
                f"{name} holds {shared}, which belongs to the target and cannot show forgetting; use speech "
                "that the base already knew."
            )


def _shared(one: set[Path], other: set[Path]) -> str:
    found = sorted(one & other)
    return found[0].name if found else ""
