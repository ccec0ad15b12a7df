"""How far word confidences can be believed on real speech, as the model gives them and calibrated.

    python benchmarks/bench_calibration.py --data ../shared/data [--model nano-en] --write

The map is fitted, as by ``asr-adapt calibrate``, on the development speakers of speechocean762 (train part,
not heard by the base) and measured on test rows, evenly spread, whose speakers nobody has seen; nothing is
chosen on them. A word is right where jiwer aligns it with an equal reference word. ECE: 15 bins of equally
many words, interval by bootstrap over speakers. *Rank* is the chance that a right word has more confidence
than a wrong one (AUC), which no monotone map changes. Predictions are kept under OUTPUT and not computed
again. Draws ``calibration.svg`` (of another model than nano-en ``calibration-MODEL.svg``) beside the file of
``--write``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accent_corpora import prepare_speechocean
from report import add_write, block_of, hardware, publish, table
from sklearn.metrics import roc_auc_score

from asr_adapt import Decoding, evaluate
from asr_adapt.manifest import Manifest
from asr_adapt.models import DEFAULT_MODEL
from asr_adapt.scoring.calibration import Calibration
from asr_adapt.scoring.figures import new_figure, save_figure
from asr_adapt.scoring.reliability import (
    JudgedWords,
    calibration_error,
    error_interval,
    judge_words,
    reliability,
)
from asr_adapt.transcription.calibration import calibrate


@dataclass(frozen=True)
class Result:
    """A model's map, and the test words under it."""

    model: str
    map: Calibration
    judged: JudgedWords
    rows: int

    @property
    def calibrated(self) -> np.ndarray:
        """The mapped probabilities (words,)."""
        return self.map.map(self.judged.probabilities)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--model", action="append", help=f"may be repeated [{DEFAULT_MODEL}]")
    parser.add_argument("--rows", type=int, default=400, help="test rows, evenly spread")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    add_write(parser, "calibration")
    options = parser.parse_args(arguments)
    models = options.model or [DEFAULT_MODEL]
    results = [measure(model, options) for model in models]
    block = block_of("calibration", models[0])
    if options.write:
        draw(results, options.write.parent / block)
    publish(document(results, options.seed, block), block, options.write)


def measure(model: str, options: argparse.Namespace) -> Result:
    """The map from the development speakers, and the judged test words."""
    parts = prepare_speechocean(options.data, options.output)
    dev = Manifest.open([parts["mild_dev"], parts["heavy_dev"]])
    test = Manifest.open(parts["test"])
    test = test.select(np.unique(np.linspace(0, len(test) - 1, options.rows).astype(int)))
    name = Path(model).name
    fitted = calibrate(
        predictions(dev, model, options.output / f"{name}.dev.jsonl"), model=model, decoding="greedy"
    )
    found = predictions(test, model, options.output / f"{name}.test{options.rows}.jsonl")
    return Result(name, fitted.calibration, judge_words(found), len(found))


#: With word times, and confidences as the model gives them.
RAW = Decoding(word_timestamps=True, language="en", calibration="none")


def predictions(rows: Manifest, model: str, path: Path) -> Manifest:
    """Raw word confidences of a manifest; read back when they are there already."""
    if not path.is_file():
        evaluate(rows, model=model, output=path, decoding=RAW)
    return Manifest.open(path)


def document(results: Sequence[Result], seed: int, picture: str) -> str:
    """The section: one line a model, then its bins, then the figure."""
    speakers = len(set(results[0].judged.speakers))
    heads = [">rows", ">words", ">right", ">rank", ">mean raw", "ECE raw", ">mean mapped", "ECE mapped"]
    lines = [
        "## Word confidence",
        "",
        f"`benchmarks/bench_calibration.py`, speechocean762 test, {speakers} speakers, seed {seed};",
        f"{hardware()}. The map (beta calibration) is fitted on the development speakers.",
        "*Right*: words equal to what was said. *Rank*: chance that a right word has more confidence than a",
        "wrong one. ECE: 15 bins of equally many words, 95 % interval over speakers.",
        "",
        *table(["model", *heads], [summary(result, seed) for result in results]),
    ]
    for result in results:
        lines += [
            "",
            f"`{result.model}`, map fitted on {result.map.words} words; bins of the raw confidence:",
        ]
        lines += ["", *table([">words", ">raw", ">mapped", ">right"], bins(result))]
    return "\n".join([*lines, "", f"![Share of right words against confidence]({picture}.svg)"])


def summary(result: Result, seed: int) -> list[str]:
    """The cells of a model's line."""
    judged, cells = result.judged, []
    for probabilities in (judged.probabilities, result.calibrated):
        low, high = error_interval(judged, probabilities, seed=seed)
        error = calibration_error(probabilities, judged.right)
        cells += [f"{probabilities.mean():.1%}", f"{error:.3f} ({low:.3f}–{high:.3f})"]
    rank = roc_auc_score(judged.right, judged.probabilities)
    right = f"{judged.right.mean():.1%}"
    return [f"`{result.model}`", str(result.rows), str(len(judged)), right, f"{rank:.2f}", *cells]


def bins(result: Result) -> list[list[str]]:
    """Words, mean raw and mapped confidence, and share right of each bin."""
    raw = reliability(result.judged.probabilities, result.judged.right)
    mapped = reliability(result.calibrated, result.judged.right)
    return [
        [str(a.words), f"{a.confidence:.3f}", f"{b.confidence:.3f}", f"{a.right:.3f}"]
        for a, b in zip(raw, mapped, strict=True)
    ]


def draw(results: Sequence[Result], stem: Path) -> None:
    """Share right against confidence, raw and mapped, a panel a model."""
    figure = new_figure(4.2 * len(results), 4.0)
    for number, result in enumerate(results, 1):
        axes = figure.add_subplot(1, len(results), number)
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey", label="perfect")
        for label, probabilities in (("raw", result.judged.probabilities), ("calibrated", result.calibrated)):
            found = reliability(probabilities, result.judged.right)
            axes.plot([b.confidence for b in found], [b.right for b in found], marker="o", label=label)
        axes.set(xlabel="confidence", ylabel="share of words that are right", title=result.model)
        axes.legend(fontsize="small")
    _, png = save_figure(figure, stem)
    png.unlink()  # the document shows the drawing


if __name__ == "__main__":
    main()
