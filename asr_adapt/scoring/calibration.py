"""A map from a recogniser's word confidence to the share of such words that are right.

Knows pairs of a probability and whether the word was right, the beta map and its file. Does not know how a
word was recognised, judged (``reliability``) or which model it came from.

The map is beta calibration (Kull, Silva Filho & Flach, AISTATS 2017): logit q = a·ln p − b·ln(1−p) + c with
a, b ≥ 0, hence monotone; a = b = 1, c = 0 is the identity. It has Platt's two parameters and one more, for
scores that are crowded at one end only, as a CTC model's are.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from asr_adapt.errors import DataError
from asr_adapt.files import write_json

#: Probabilities are held between this and 1 − this: predictions files keep four decimals.
CLIP = 1e-4
#: Fewer words than this say little about three parameters.
MINIMUM_WORDS = 50
METHOD = "beta"


@dataclass(frozen=True)
class Calibration:
    """The map's parameters, and for the reader of its file what it was fitted on.

    ``model`` and ``decoding`` name what gave the probabilities; other decoding has others. ``words`` counts
    what it was fitted on.
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    model: str = ""
    decoding: str = ""
    words: int = 0

    def __call__(self, probability: float) -> float:
        """The calibrated probability of one word."""
        return float(self.map(np.array([probability]))[0])

    def map(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities (words,), float64 in 0…1; monotone in the given ones."""
        return expit(_features(probabilities) @ np.array([self.a, self.b]) + self.c)

    def write(self, path: str | Path, **about: Any) -> None:
        """Write the file that :meth:`read` reads; ``about`` is kept beside the parameters."""
        write_json(path, {"method": METHOD, **asdict(self), **about})

    @classmethod
    def read(cls, path: str | Path) -> Calibration:
        """The map in a file; raises DataError for one that is missing or holds none."""
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror}); correct the path.", path=path) from error
        except ValueError as error:
            raise DataError(f"is not JSON ({error}); run asr-adapt calibrate again.", path=path) from error
        if not isinstance(value, dict) or value.get("method") != METHOD:
            raise DataError(f'must be "{METHOD}": run asr-adapt calibrate again.', path=path, field="method")
        for name, least in (("a", 0.0), ("b", 0.0), ("c", -math.inf)):
            _require_number(value, name, least, path)
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})


def fit(probabilities: np.ndarray, right: np.ndarray, minimum: int = MINIMUM_WORDS) -> Calibration:
    """The map of highest likelihood, from probabilities and bools (words,) each.

    The targets are Platt's (1999), (right + 1)/(right + 2) and 1/(wrong + 2), so that words of one kind only
    give no infinite parameters. Raises DataError for fewer words than ``minimum``.
    """
    if len(probabilities) < minimum:
        raise DataError(
            f"{len(probabilities)} words were recognised: a calibration needs at least {minimum}; "
            "give more rows."
        )
    features = _features(probabilities)
    hits = int(right.sum())
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scores = features @ parameters[:2] + parameters[2]
        slope = (expit(scores) - targets) / len(targets)
        value = float(np.mean(np.logaddexp(0, scores) - targets * scores))
        return value, np.append(features.T @ slope, slope.sum())

    found = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, bounds=[(0, None), (0, None), (None, None)])
    a, b, c = map(float, found.x)
    return Calibration(a, b, c, words=len(probabilities))


def _features(probabilities: np.ndarray) -> np.ndarray:
    """ln p and −ln(1−p), shape (words, 2)."""
    held = np.clip(np.asarray(probabilities, dtype=np.float64), CLIP, 1 - CLIP)
    return np.stack([np.log(held), -np.log1p(-held)], axis=1)


def _require_number(value: dict[str, Any], name: str, least: float, path: str | Path) -> None:
    number = value.get(name)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise DataError("must be a number: run asr-adapt calibrate again.", path=path, field=name)
    if number < least:
        raise DataError(f"must be at least {least:g}: run asr-adapt calibrate again.", path=path, field=name)
