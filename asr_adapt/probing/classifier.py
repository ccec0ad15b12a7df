"""A linear classifier on pooled features: what is stored, and what it answers.

Knows its matrix, labels and where its features come from. Does not know how it was trained. A folder holds
numbers and JSON only: nothing in it is executed when it is read, unlike a pickle.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from asr_adapt.errors import DataError

FORMAT = 1
CARD, WEIGHTS = "probe.json", "classifier.safetensors"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe says about one row: its label, and the probability where the classifier has one."""

    label: str
    probability: float | None


@dataclass(frozen=True)
class FeatureOrigin:
    """Where features come from: model name, fingerprint of its weights, stage name, pooling."""

    model: str
    fingerprint: str
    stage: str
    pool: str


@dataclass(frozen=True)
class LinearProbe:
    """``features @ weights.T + bias``: weights float64 (labels, width), bias (labels,); the largest wins.

    Standardisation is folded into the matrix. ``field`` is the manifest field of the labels, ``kind`` is
    ``logistic`` (a softmax gives probabilities) or ``svm`` (margins only).
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    labels: tuple[str, ...]
    field: str
    kind: str
    origin: FeatureOrigin

    def __call__(self, features: NDArray[np.floating]) -> list[Answer]:
        """Answers for features (rows, width)."""
        scores = features.astype(np.float64) @ self.weights.T + self.bias
        best = scores.argmax(1)
        if self.kind != "logistic":
            return [Answer(self.labels[index], None) for index in best]
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return [Answer(self.labels[i], float(row[i])) for i, row in zip(best, shares, strict=True)]

    def save(self, folder: Path) -> None:
        """Write the classifier into ``folder``, which exists."""
        # safetensors writes the bytes as they lie, whatever their order: scikit-learn's may be Fortran's
        matrices = {"weights": self.weights, "bias": self.bias}
        save_file({name: np.ascontiguousarray(value) for name, value in matrices.items()}, folder / WEIGHTS)
        card = {
            "format": FORMAT,
            "field": self.field,
            "kind": self.kind,
            "labels": list(self.labels),
            "origin": asdict(self.origin),
        }
        text = json.dumps(card, ensure_ascii=False, indent=2)
        (folder / CARD).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: str | Path) -> LinearProbe:
        """Read a saved classifier; raises :class:`DataError` for a folder that holds none."""
        path = Path(folder) / CARD
        try:
            card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            matrices = load_file(path.parent / WEIGHTS)
            if card["format"] != FORMAT:
                raise ValueError(f"format {card['format']}, this version reads {FORMAT}")
            probe = LinearProbe(
                matrices["weights"],
                matrices["bias"],
                tuple(card["labels"]),
                card["field"],
                card["kind"],
                FeatureOrigin(**card["origin"]),
            )
            if len(probe.labels) != len(probe.weights) or len(probe.labels) != len(probe.bias):
                raise ValueError(f"{len(probe.labels)} labels for {len(probe.weights)} rows of weights")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise DataError(
                f"no probe can be read here ({error}): name the --output folder of asr-adapt probe.",
                path=path,
            ) from error
        return probe
