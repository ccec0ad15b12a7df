"""From a result to a folder for a hub: written beside its place, heard, put there when it fits.

Knows the order of things. Does not know what a card says, how a variant is written, or the hub.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr_adapt.destinations import mark_folder
from asr_adapt.errors import ModelError
from asr_adapt.files import atomic_directory
from asr_adapt.manifest import Utterance
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.publishing.base import Base
from asr_adapt.publishing.card import About, model_card
from asr_adapt.publishing.check import Compared, compared, transcripts
from asr_adapt.publishing.contents import write_about, write_model
from asr_adapt.publishing.files import KIND, sizes
from asr_adapt.publishing.result import Result
from asr_adapt.publishing.variants import Variant

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What will be written: of which result, as what, with which variants, compared on which rows."""

    result: Result
    base: Base
    about: About
    variants: Sequence[Variant]
    rows: Sequence[Utterance]
    report: bool = True

    def card(self) -> str:
        """The model card's text."""
        return str(
            model_card(self.result, self.base, self.about, [variant.name for variant in self.variants])
        )


@dataclass(frozen=True)
class Published:
    """The folder, its files with their sizes, and how each form compared with the result."""

    folder: Path
    files: list[tuple[str, int]]
    checks: list[Compared]


def publish(plan: Plan, recogniser: Recogniser, folder: Path, *, replace: bool = False) -> Published:
    """Write ``folder``; raises :class:`ModelError`, and leaves nothing, where a form is another model."""
    logger.info("Hearing %d rows with the result.", len(plan.rows))
    ours = transcripts(recogniser, plan.rows)
    checks = []
    with atomic_directory(folder, replace=replace) as work:
        write_model(recogniser, plan.result, work)
        again = load_recogniser(work, device="cpu", compute_type="float32")
        checks.append(_checked("transformers", ours, again, plan.rows, 0.0))
        for variant in plan.variants:
            logger.info("Writing the %s variant.", variant.name)
            variant.write(work / variant.name)
            read = variant.read(work / variant.name)
            checks.append(_checked(variant.name, ours, read, plan.rows, variant.tolerance))
            if variant.finish is not None:
                variant.finish(work / variant.name)
            for mark in (work / variant.name).glob(".*"):
                mark.unlink()
        write_about(plan.result, work, report=plan.report)
        (work / "README.md").write_text(plan.card(), encoding="utf-8")
        files = sizes(work)
        mark_folder(work, KIND)
    return Published(folder, files, checks)


def _checked(
    name: str, ours: Sequence[str], read: Recogniser, rows: Sequence[Utterance], tolerance: float
) -> Compared:
    found = compared(name, ours, transcripts(read, rows), tolerance)
    logger.info("%s", found.sentence)
    if not found.fits:
        raise ModelError(f"{found.sentence}; nothing was written: leave that variant out, or report it.")
    return found
