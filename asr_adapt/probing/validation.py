"""Cross-validation by speaker, and how sure one can be of its figures.

Knows classical classifiers (scikit-learn) and blocks of rows. Does not know audio, models or files.

No speaker is in both parts of a fold. Figures carry intervals over speakers: the bootstrap of
:mod:`asr_adapt.scoring.bootstrap`. The best of many layers looks better than it is; how it does when other
speakers make the choice than those it is judged on is estimated by bootstrapping the choice itself (BBC-CV,
Tsamardinos et al. 2018), here over speakers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_adapt.scoring.bootstrap import REPLICATES, Blocks, effective_blocks, expanded_percentiles

KINDS = ("logistic", "svm")
#: Inverse regularisation on standardised features. Chosen once, not per data set.
STRENGTH = {"logistic": 0.05, "svm": 0.005}

Features = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Bounds:
    """A figure with its 95 % interval, all fractions."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """Accuracy over rows, and balanced accuracy (mean recall of the classes), on rows of unheard speakers."""

    accuracy: Bounds
    balanced: Bounds
    recalls: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def make_classifier(kind: str, seed: int = 0) -> Any:
    """Standardisation, then logistic regression or a linear SVM with every class weighted alike."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    if kind == "logistic":
        last: Any = LogisticRegression(C=STRENGTH[kind], class_weight="balanced", max_iter=1000)
    elif kind == "svm":
        last = LinearSVC(C=STRENGTH[kind], class_weight="balanced", random_state=seed, max_iter=5000)
    else:
        raise ValueError(f"classifier {kind!r} is unknown: use one of {', '.join(KINDS)}")
    return make_pipeline(StandardScaler(), last)


def linear_map(pipeline: Any, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (classes, width) and bias of a fitted pipeline, its standardisation folded in."""
    scaler, last = pipeline.steps[0][1], pipeline.steps[1][1]
    weights, bias = np.asarray(last.coef_, np.float64), np.asarray(last.intercept_, np.float64)
    if classes == 2:  # scikit-learn keeps the second class only; the first then scores zero
        weights, bias = np.stack([0 * weights[0], weights[0]]), np.array([0.0, bias[0]])
    weights = weights / scaler.scale_
    return weights, bias - weights @ scaler.mean_


def folds_by_group(labels: Labels, groups: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold 0 … folds-1 in which each row is tested; classes spread, no group in two folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold: NDArray[np.int64] = np.full(len(labels), -1)
    with warnings.catch_warnings():
        # it counts rows, not groups, and warns of classes with fewer rows than folds, which need no care here
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, tested) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
            fold[tested] = number
    return fold


def out_of_fold(features: Features, labels: Labels, fold: NDArray[np.int64], kind: str, seed: int) -> Labels:
    """For each row the class that a classifier trained on the other folds gives it."""
    found: Labels = np.empty_like(labels)
    for number in np.unique(fold):
        tested = fold == number
        classifier = make_classifier(kind, seed).fit(features[~tested], labels[~tested])
        found[tested] = classifier.predict(features[tested])
    return found


class Judge:
    """Figures of predicted classes against the true ``labels``, resampled over ``blocks``."""

    def __init__(self, labels: Labels, blocks: Blocks, seed: int = 0) -> None:
        self.labels, self.blocks = labels, blocks
        self.classes = int(labels.max()) + 1
        draws = np.random.default_rng(seed).integers(0, blocks.count, (REPLICATES, blocks.count))
        offsets = np.arange(REPLICATES)[:, None] * blocks.count
        counted = np.bincount((draws + offsets).ravel(), minlength=REPLICATES * blocks.count)
        #: How often each block is in each replicate, (replicates, blocks).
        self.weights = counted.reshape(REPLICATES, blocks.count).astype(np.float64)
        self.totals = self._per_block(np.ones(len(labels)))

    def figures(self, predicted: Labels) -> Figures:
        """Figures of one classifier's out-of-fold classes."""
        hits = self._per_block((predicted == self.labels).astype(np.float64))
        drawn, size = self.weights @ hits, self.weights @ self.totals
        whole, rows = hits.sum(0), self.totals.sum(0)
        return Figures(
            self._bounds(float(whole.sum() / rows.sum()), drawn.sum(1) / size.sum(1)),
            self._bounds(float(np.mean(whole / rows)), _balanced(drawn, size)),
            tuple((whole / rows).tolist()),
        )

    def choice(self, predictions: Sequence[Labels]) -> Bounds:
        """Balanced accuracy of "the best of ``predictions``" on speakers that did not make the choice."""
        hits = [self._per_block((p == self.labels).astype(np.float64)) for p in predictions]
        outside = (self.weights == 0).astype(np.float64)
        usable = (outside @ self.totals > 0).all(1)
        inside = np.stack([_balanced(self.weights @ h, self.weights @ self.totals) for h in hits])
        chosen = inside.argmax(0)
        judged = np.stack([_balanced(outside @ h, outside @ self.totals) for h in hits])
        values = judged[chosen, np.arange(len(chosen))]
        values = values[usable] if usable.any() else values
        return self._bounds(float(values.mean()), values)

    def _bounds(self, value: float, drawn: NDArray[np.float64]) -> Bounds:
        low, high = expanded_percentiles(drawn, value, effective_blocks(self.totals.sum(1)))
        return Bounds(value, max(low, 0.0), min(high, 1.0))

    def _per_block(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums by block and true class (blocks, classes)."""
        cell = self.blocks.index * self.classes + self.labels
        sums = np.zeros(self.blocks.count * self.classes)
        np.add.at(sums, cell, values)
        return sums.reshape(self.blocks.count, self.classes)


def _balanced(hits: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean recall (replicates,) over the classes that a replicate has rows of."""
    present = totals > 0
    recalls = np.divide(hits, totals, out=np.zeros_like(hits), where=present)
    return recalls.sum(1) / np.maximum(present.sum(1), 1)
