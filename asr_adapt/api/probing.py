"""Probes from Python: what a recogniser's frozen layers know about a label.

Knows what a caller may pass. Does not know features or classifiers; :mod:`asr_adapt.probing` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asr_adapt.api.transcriber import Transcriber
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest
    from asr_adapt.models import Recogniser
    from asr_adapt.probing import ProbeResult


def probe(
    manifest: str | Path | Manifest,
    label: str,
    *,
    model: str | Path | Transcriber | Recogniser = DEFAULT_MODEL,
    group: str = "speaker",
    layers: Sequence[str] = ("all",),
    pool: Literal["mean", "mean_std"] = "mean",
    folds: int = 5,
    seed: int = 0,
) -> ProbeResult:
    """Classify a label from frozen features, layer by layer, tested on speakers that it has not heard.

    ``label`` is a field of the rows (accent, age_group, text for keywords …), ``group`` the field that
    training and testing never share. Rows without the label are left out and counted. The result's
    ``save(folder)`` writes classifier, figures and plot. Raises :class:`~asr_adapt.errors.DataError` where
    fewer than two labels are left or a row has no group, and UsageError for a layer that the model has not.
    """
    from asr_adapt.probing import ProbeOptions, probe_manifest

    options = ProbeOptions(label, group, tuple(layers), pool, folds, seed)
    network = model.recogniser if isinstance(model, Transcriber) else model
    return probe_manifest(manifest, options, model=network)
