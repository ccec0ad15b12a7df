"""The whole demonstration: take accented speech, adapt a base to it, prove the gain and the price.

Knows the order of the steps, the recipe that fits minutes on two cores, and what ``summary.json`` holds. Does
not know how anything is trained, scored or drawn, nor how a terminal shows it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asr_adapt.demo.corpus import CORPUS_KIND, AccentCorpus, CorpusSizes, build_accent_corpus
from asr_adapt.demo.examples import HeardSentence, examples_of
from asr_adapt.demo.recordings import RECORDED_ACCENT, copy_recordings
from asr_adapt.demo.tuning import tuning_of
from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.files import write_json
from asr_adapt.scoring.report import write_report
from asr_adapt.training import Outcome, Recipe, adapt, build_recipe, predictions_of, save_recipe

Say = Callable[[str], None]
_FOLDERS, _FILES = ("corpus", "model"), ("recipe.yaml", "summary.json", "report.html")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demonstration does; ``steps`` are optimiser steps, ``seconds`` padded audio a batch.

    ``accent`` is ``mandarin``, which was recorded, or one that espeak-ng speaks. Where a field is None, the
    model's own tuning says (`asr_adapt.demo.tuning`).
    """

    accent: str | None = None
    model: str = "whisper-tiny.en"
    seed: int = 1
    steps: int | None = None
    seconds: float | None = None
    sizes: CorpusSizes = field(default_factory=CorpusSizes)


@dataclass(frozen=True, slots=True)
class Story:
    """What came out: ``summary`` as in ``summary.json`` (WER as fractions), a few sentences, paths."""

    summary: dict[str, Any]
    examples: list[HeardSentence]
    model: Path
    report: Path


def tell(output: str | Path, options: DemoOptions | None = None, say: Say = lambda _: None) -> Story:
    """Run the demonstration into ``output``; ``say`` receives one line per step.

    Writes ``corpus/`` (manifests and WAV files), ``recipe.yaml``, ``model/`` (a transformers directory with
    predictions), ``summary.json`` and ``report.html``. An earlier demonstration in the same folder is
    replaced; a folder with anything else in it is refused with `UsageError`.
    """
    options = _complete(options or DemoOptions())
    folder, started = Path(output), time.monotonic()
    _take(folder, options.model)
    corpus = _corpus(folder / "corpus", options, say)
    # Paths of a recipe file start at the file, so that the folder can be moved and trained from anywhere.
    save_recipe(demo_recipe(AccentCorpus(Path("corpus"), corpus.accent), options), folder / "recipe.yaml")
    say(f"Measuring {options.model}, adapting it in {options.steps} steps, and measuring again …")
    outcome = adapt(demo_recipe(corpus, options), folder / "model")
    summary = _summary(corpus.accent, outcome, time.monotonic() - started)
    report = folder / "report.html"
    write_report(
        report,
        predictions_of(folder / "model"),
        folder / "model" / "metrics.jsonl",
        title=f"{options.model} adapted to English with a {corpus.accent.title()} accent",
        summary=summary,
    )
    write_json(folder / "summary.json", summary)
    return Story(summary, examples_of(folder / "model", options.seed), folder / "model", report)


def _corpus(folder: Path, options: DemoOptions, say: Say) -> AccentCorpus:
    """Manifests and audio of the accent and of the English that must not be forgotten."""
    if options.accent == RECORDED_ACCENT:
        corpus = copy_recordings(folder)
        say("English read by Mandarin speakers: different speakers to learn from, to tune and to test on.")
        return corpus
    assert options.accent is not None  # _complete has filled it in
    say(f"Synthesising {options.accent} and US English, with different sentences and voices to test on …")
    return build_accent_corpus(folder, options.accent, options.seed, options.sizes)


def demo_recipe(corpus: AccentCorpus, options: DemoOptions) -> Recipe:
    """The recipe of the demonstration, ready for ``asr-adapt train`` as well."""
    options, own = _complete(options), tuning_of(options.model)
    steps = options.steps or own.steps
    return build_recipe(
        {
            "model": options.model,
            "train": str(corpus.manifest("train")),
            "dev": str(corpus.manifest("dev")),
            "test": str(corpus.manifest("test")),
            "guard": str(corpus.manifest("guard_dev")),
            "guard_test": str(corpus.manifest("guard_test")),
            "replay": {"manifest": str(corpus.manifest("replay")), "share": own.replay},
            **own.sections,
            **own.network,
            "schedule": {"steps": steps, "warmup": 0.1, "hold": 0.4},
            "batch": {"seconds": options.seconds},
            "evaluation": {"every": max(1, steps // 3)},
            "checkpoint_every": steps,
            "seed": options.seed,
        }
    )


def _complete(options: DemoOptions) -> DemoOptions:
    """The options with the model's own accent, steps and seconds where none are given."""
    own = tuning_of(options.model)
    return replace(
        options,
        accent=options.accent or own.accent,
        steps=options.steps or own.steps,
        seconds=options.seconds or own.seconds,
    )


def _take(folder: Path, model: str) -> None:
    """Make ``folder`` ours and empty: an earlier demonstration goes, anything else is refused."""
    for part, kind in ((folder, "demo"), (folder / "corpus", CORPUS_KIND), (folder / "model", "train")):
        require_folder(part, kind, [model], again=True)
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    mark_folder(folder, "demo", (*_FOLDERS, *_FILES))


def _summary(accent: str, outcome: Outcome, seconds: float) -> dict[str, Any]:
    whole = outcome.summary()
    wanted = ("before", "before_interval", "after", "after_interval")
    return {
        "model": whole["model"],
        "accent": accent,
        **{name: {key: whole[name][key] for key in wanted} for name in ("target", "guard")},
        "seconds": round(seconds, 1),
    }
