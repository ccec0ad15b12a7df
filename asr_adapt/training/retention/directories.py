"""Blending two model directories on two manifests, and writing the result.

Knows files. Does not know how weights are mixed or chosen (:mod:`asr_adapt.training.retention.blending`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.files import atomic_directory, write_json
from asr_adapt.manifest import Manifest, require_rows
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring.rise import Rise
from asr_adapt.training.measuring.encoder_context import choose_context
from asr_adapt.training.measuring.wer import measure
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.training.retention.blending import (
    Blend,
    Mixer,
    require_same_shape,
    require_same_vocabulary,
    sweep,
    weights_of,
)
from asr_adapt.training.retention.mixture import write_plot
from asr_adapt.transcription.known_states import KnownRows

BATCH_SECONDS = 160.0
#: Shares measured besides, at the edge of the budget.
REFINE = 2


@dataclass(frozen=True)
class BlendResult:
    """A finished sweep; ``recogniser`` holds the chosen weights."""

    blend: Blend
    recogniser: Recogniser
    sources: tuple[str, str]
    budget: Rise
    #: WERs in each context that the model can hear in, and the one that is kept; None where it has no choice.
    context: Mapping[str, Any] | None = None

    def save(self, output: str | Path, *, overwrite: bool = False) -> None:
        """Write a transformers directory with ``blend.json`` and its plot.

        A full folder is refused, but for an earlier blend with ``overwrite``.
        """
        folder = Path(output)
        require_folder(folder, "blend", self.sources, overwrite=overwrite)
        chosen = self.blend.chosen
        card = (
            "---\nlibrary_name: transformers\npipeline_tag: automatic-speech-recognition\n---\n"
            f"# {1 - chosen.share:.2f} × {self.sources[0]} + {chosen.share:.2f} × {self.sources[1]}\n\n"
            f"Weights interpolated by asr_adapt. On the sets of the sweep: target WER {chosen.target:.1%}, "
            f"guard WER {chosen.guard:.1%}; the base alone {self.blend.points[0].target:.1%} and "
            f"{self.blend.points[0].guard:.1%}. `blend.json` holds every point.\n"
        )
        with atomic_directory(folder, replace=True) as work:
            self.recogniser.save(work)
            (work / "README.md").write_text(card, encoding="utf-8")
            write_json(work / "blend.json", self.to_json())
            write_plot(work / "blend", self.blend, self.budget.limit(self.blend.base.guard))
            mark_folder(work, "blend")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        context = {} if self.context is None else {"context": dict(self.context)}
        return {
            "sources": list(self.sources),
            "budget": str(self.budget),
            **self.blend.to_json(),
            **context,
        }


def blend_models(
    sources: tuple[str, str],
    manifests: tuple[str | Path, str | Path],
    budget: Rise,
    points: int,
    *,
    groups: int = 1,
    profile: str = "basic",
    device: str = "auto",
) -> BlendResult:
    """Sweep the mixtures of ``sources`` (base, adapted) on ``manifests`` (target, guard).

    ``points`` shares are spread evenly, two more lie at the edge of the budget.

    Raises :class:`~asr_adapt.errors.ModelError` for models of other shape or vocabulary.
    """
    target, guard = (require_rows(Manifest.open(path)) for path in manifests)
    base = load_recogniser(sources[0], device="cpu", compute_type="float32")
    adapted = load_recogniser(sources[1], device=device, compute_type="float32")
    weights = weights_of(base), weights_of(adapted)
    require_same_shape(*weights, sources)
    require_same_vocabulary(base, adapted)

    shares = np.linspace(0.0, 1.0, points).tolist()
    mixer = Mixer(adapted, *weights, groups=groups)
    prefix = MeasuredPrefix(Cache(), points, mixer.boundary)

    def both() -> tuple[float, float]:
        wers = []
        for rows in (target, guard):
            known = KnownRows(prefix.of(adapted, rows))
            wers.append(measure(adapted, rows, profile, BATCH_SECONDS, known).wer)
        return wers[0], wers[1]

    with closing(prefix):
        blend = sweep(mixer, both, budget, shares, refine=REFINE)
        context = choose_context(adapted, lambda: dict(zip(("dev", "guard"), both(), strict=True)))
    return BlendResult(blend, adapted, sources, budget, context)
