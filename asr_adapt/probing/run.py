"""``probe_manifest`` and ``apply_probe``: a labelled manifest in, a layer sweep and a classifier out.

Knows the order of things: rows, features, folds, figures, the choice, the final fit. Does not know how states
are computed, validated or drawn.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.errors import DataError, NotComparableError
from asr_adapt.files import atomic_directory, write_json
from asr_adapt.manifest import Manifest, Utterance, require_rows
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.pretrained import DEFAULT_MODEL
from asr_adapt.probing.classifier import Answer, FeatureOrigin, LinearProbe
from asr_adapt.probing.features import Features, choose_stages, fingerprint, pooled_features
from asr_adapt.probing.plot import write_sweep_plot
from asr_adapt.probing.validation import (
    KINDS,
    Bounds,
    Figures,
    Judge,
    Labels,
    folds_by_group,
    linear_map,
    make_classifier,
    out_of_fold,
)
from asr_adapt.scoring.bootstrap import speaker_blocks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeOptions:
    """What to probe: the label field, the field that no two parts may share, stages, pooling, folds."""

    label: str
    group: str = "speaker"
    layers: tuple[str, ...] = ("all",)
    pool: str = "mean"
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Entry:
    """One line of the sweep: a stage, a kind of classifier, and its figures on unheard speakers."""

    stage: str
    kind: str
    figures: Figures


@dataclass(frozen=True)
class ProbeResult:
    """A finished sweep. ``chosen`` is best by balanced accuracy, ``corrected`` is what that choice is worth.

    ``classes`` maps a label to (rows, speakers); ``majority`` is the share of the most frequent label.
    """

    options: ProbeOptions
    entries: tuple[Entry, ...]
    chosen: Entry
    corrected: Bounds
    classes: dict[str, tuple[int, int]]
    left_out: dict[str, int]
    folds: int
    unit: str
    classifier: LinearProbe

    @property
    def majority(self) -> float:
        """Accuracy of always naming the most frequent label; its balanced accuracy is 1 / labels."""
        sizes = [rows for rows, _ in self.classes.values()]
        return max(sizes) / sum(sizes)

    def to_json(self) -> dict[str, Any]:
        """Plain values; rates are fractions."""
        return {
            "label": self.options.label,
            "group": self.options.group,
            "pool": self.options.pool,
            "folds": self.folds,
            "seed": self.options.seed,
            "interval_unit": self.unit,
            "classes": {name: {"rows": r, "groups": g} for name, (r, g) in self.classes.items()},
            "left_out_rows": self.left_out,
            "majority": {"accuracy": self.majority, "balanced": 1 / len(self.classes)},
            "layers": [_entry_json(entry) for entry in self.entries],
            "chosen": _entry_json(self.chosen) | {"balanced_on_other_speakers": asdict(self.corrected)},
            "origin": asdict(self.classifier.origin),
        }

    def _repr_html_(self) -> str:
        from asr_adapt.notebook import framed, paragraph, table

        rows = [
            {
                "layer": entry.stage,
                "classifier": entry.kind,
                "accuracy": f"{entry.figures.accuracy.value:.1%}",
                "balanced": f"{entry.figures.balanced.value:.1%}",
                "": "chosen" if entry is self.chosen else "",
            }
            for entry in self.entries
        ]
        usual = f"Always naming the most frequent label is right on {self.majority:.1%} of the rows."
        return framed(table(rows, f"{self.options.label} by layer, on speakers not heard"), paragraph(usual))

    def save(self, output: str | Path, *, overwrite: bool = False) -> None:
        """Write the classifier, ``sweep.json`` and the plot into a folder.

        A full one is refused, but for an earlier probe with ``overwrite``.
        """
        folder = Path(output)
        require_folder(folder, "probe", overwrite=overwrite)
        with atomic_directory(folder, replace=True) as work:
            self.classifier.save(work)
            write_json(work / "sweep.json", self.to_json())
            write_sweep_plot(work / "layers", self.to_json())
            mark_folder(work, "probe")


def probe_manifest(
    manifest: str | Path | Manifest, options: ProbeOptions, *, model: str | Path | Recogniser = DEFAULT_MODEL
) -> ProbeResult:
    """Sweep stages and classifiers on the labelled rows of ``manifest``; fit the best one on all of them.

    Rows without the label are left out and counted, and so are labels of fewer than two speakers, which can
    not be both learnt and tested. Raises :class:`DataError` when fewer than two labels are left or a row has
    no speaker.
    """
    rows = require_rows(manifest if isinstance(manifest, Manifest) else Manifest.open(manifest))
    kept, left_out = _labelled(rows, options)
    recogniser = _loaded(model)
    stages = choose_stages(recogniser.stack, options.layers)
    chosen = [rows[number] for number in kept]
    features = pooled_features(recogniser, chosen, stages, options.pool)
    return replace(probe_features(recogniser, chosen, features, options), left_out=left_out)


def probe_features(
    recogniser: Recogniser, rows: Sequence[Utterance], features: Features, options: ProbeOptions
) -> ProbeResult:
    """As :func:`probe_manifest`, from ``features`` of ``rows`` that :func:`pooled_features` gave."""
    kept, left_out = _labelled(rows, options)
    names = sorted({str(rows[number].get(options.label)) for number in kept})
    labels = np.array([names.index(str(rows[number].get(options.label))) for number in kept])
    groups = [str(rows[number].get(options.group)) for number in kept]
    features = {name: values[kept] for name, values in features.items()}
    classes = {name: _size(labels == number, groups) for number, name in enumerate(names)}
    folds = min(options.folds, *(speakers for _, speakers in classes.values()))
    fold = folds_by_group(labels, groups, folds, options.seed)
    blocks = speaker_blocks(groups, len(groups))
    judge = Judge(labels, blocks, options.seed)
    pairs = [(stage, kind) for stage in features for kind in KINDS]
    predicted = [out_of_fold(features[s], labels, fold, kind, options.seed) for s, kind in pairs]
    entries = tuple(Entry(*pair, judge.figures(p)) for pair, p in zip(pairs, predicted, strict=True))
    chosen = max(entries, key=lambda entry: entry.figures.balanced.value)
    stage = choose_stages(recogniser.stack, [chosen.stage])[0]
    origin = FeatureOrigin(recogniser.name, fingerprint(recogniser, stage), chosen.stage, options.pool)
    probe = fit_probe(features[chosen.stage], labels, chosen.kind, options.seed)
    probe = replace(probe, labels=tuple(names), field=options.label, origin=origin)
    corrected = judge.choice(predicted)
    return ProbeResult(options, entries, chosen, corrected, classes, left_out, folds, blocks.unit, probe)


def fit_probe(features: np.ndarray, labels: Labels, kind: str, seed: int) -> LinearProbe:
    """A classifier of all rows, with integer labels and no provenance yet."""
    pipeline = make_classifier(kind, seed).fit(features, labels)
    classes = int(labels.max()) + 1
    weights, bias = linear_map(pipeline, classes)
    return LinearProbe(
        weights, bias, tuple(map(str, range(classes))), "", kind, FeatureOrigin("", "", "", "mean")
    )


def apply_probe(
    probe: LinearProbe, rows: Sequence[Utterance], *, model: str | Path | Recogniser | None = None
) -> list[Answer]:
    """Answers for ``rows``; ``model`` is the probe's own by default.

    Raises :class:`~asr_adapt.errors.NotComparableError` when the model's weights below the probe are others
    than those it was trained on.
    """
    recogniser = _loaded(model or probe.origin.model)
    stages = choose_stages(recogniser.stack, [probe.origin.stage])
    if fingerprint(recogniser, stages[0]) != probe.origin.fingerprint:
        raise NotComparableError(
            f"the weights of {recogniser.name} up to {probe.origin.stage} are not those that the probe was "
            "trained on: give that model with --model, or probe again."
        )
    features = pooled_features(recogniser, rows, stages, probe.origin.pool)
    return probe(features[probe.origin.stage])


def _loaded(model: str | Path | Recogniser) -> Recogniser:
    if isinstance(model, Recogniser):
        return model
    return load_recogniser(model, compute_type="float32")


def _labelled(rows: Sequence[Utterance], options: ProbeOptions) -> tuple[list[int], dict[str, int]]:
    """Numbers of rows that can be learnt from and tested, and how many others by label ("" is no label)."""
    kept: list[tuple[int, str]] = []
    speakers: dict[str, set[str]] = defaultdict(set)
    left_out: Counter[str] = Counter()
    for number, row in enumerate(rows):
        label, group = row.get(options.label), row.get(options.group)
        if label is None or label == "":
            left_out[""] += 1
        elif group is None or group == "":
            raise row.error(f"no {options.group!r}: add it, or choose another --group.", options.group)
        else:
            kept.append((number, str(label)))
            speakers[str(label)].add(str(group))
    lonely = {label for label, members in speakers.items() if len(members) < 2}
    left_out.update(label for _, label in kept if label in lonely)
    if len(speakers) - len(lonely) < 2:
        raise DataError(
            f"fewer than two values have two or more {options.group}s each "
            f"({len(speakers)} values in {len(rows)} rows): choose another --label or --group.",
            path=next((row.source for row in rows), None),
            field=options.label,
        )
    for label, count in left_out.items():
        why = f"of {label!r}, which has one {options.group} only" if label else f"without {options.label!r}"
        logger.warning("left out: %d rows %s", count, why)
    return [number for number, label in kept if label not in lonely], dict(left_out)


def _size(mask: np.ndarray, groups: Sequence[str]) -> tuple[int, int]:
    """Rows and speakers of a class."""
    members = {group for group, own in zip(groups, mask, strict=True) if own}
    return int(mask.sum()), len(members)


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {"layer": entry.stage, "classifier": entry.kind, **entry.figures.to_json()}
