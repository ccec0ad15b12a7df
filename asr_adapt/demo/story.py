"""The whole demonstration: speak an accent, adapt the bundled base to it, prove the gain and the price.

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

from asr_adapt.demo.corpus import AccentCorpus, CorpusSizes, build_accent_corpus
from asr_adapt.demo.tuning import REPLAY_SHARE, tuning_of
from asr_adapt.errors import UsageError
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest
from asr_adapt.scoring.report import write_report
from asr_adapt.training import Outcome, Recipe, adapt, build_recipe, predictions_of, save_recipe
from asr_adapt.transcription import transcribe

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demonstration does; ``steps`` are optimiser steps, ``seconds`` padded audio a batch.

    Where they are None, the model's own tuning says (`asr_adapt.demo.tuning`).
    """

    accent: str = "scottish"
    model: str = "nano-en"
    seed: int = 1
    steps: int | None = None
    seconds: float | None = None
    sizes: CorpusSizes = field(default_factory=CorpusSizes)


@dataclass(frozen=True, slots=True)
class Story:
    """What came out: ``summary`` as in ``summary.json`` (WER as fractions), one file transcribed, paths."""

    summary: dict[str, Any]
    audio: Path
    reference: str
    before: str
    after: str
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
    _clear(folder)
    say(f"Speaking {options.accent} and US English, disjoint in texts and voices …")
    corpus = build_accent_corpus(folder / "corpus", options.accent, options.seed, options.sizes)
    # Paths of a recipe file start at the file, so that the folder can be moved and trained from anywhere.
    save_recipe(demo_recipe(AccentCorpus(Path("corpus"), corpus.accent), options), folder / "recipe.yaml")
    say(f"Adapting {options.model}: {options.steps} steps, half of every batch replays US English …")
    outcome = adapt(demo_recipe(corpus, options), folder / "model")
    audio, reference, before, after = _one_file(corpus, options, folder / "model")
    summary = _summary(options.accent, outcome, time.monotonic() - started)
    report = folder / "report.html"
    write_report(
        report,
        predictions_of(folder / "model"),
        folder / "model" / "metrics.jsonl",
        title=f"{options.model} adapted to {options.accent} English",
        summary=summary,
    )
    write_json(folder / "summary.json", summary)
    return Story(summary, audio, reference, before, after, folder / "model", report)


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
            "replay": {"manifest": str(corpus.manifest("replay")), "share": REPLAY_SHARE},
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
    """The options with the model's own steps and seconds where none are given."""
    own = tuning_of(options.model)
    return replace(options, steps=options.steps or own.steps, seconds=options.seconds or own.seconds)


def _clear(folder: Path) -> None:
    """Remove an earlier demonstration; refuse to touch a folder that holds anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        return
    ours = {"corpus", "model", "recipe.yaml", "summary.json", "report.html"}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if foreign or not (folder / "corpus").is_dir():
        raise UsageError(
            f"{folder} holds other files ({(foreign or ['no corpus'])[0]}): name an empty folder."
        )
    for path in (folder / "corpus", folder / "model"):
        shutil.rmtree(path, ignore_errors=True)
    for name in ("recipe.yaml", "summary.json", "report.html"):
        (folder / name).unlink(missing_ok=True)


def _one_file(corpus: AccentCorpus, options: DemoOptions, model: Path) -> tuple[Path, str, str, str]:
    """The longest test clip, as its text, as the base hears it and as the adapted model does."""
    rows = list(Manifest.open(corpus.manifest("test")))
    row = max(rows, key=lambda candidate: len((candidate.text or "").split()))
    before, after = (transcribe(row.audio_path, model=source).text for source in (options.model, str(model)))
    return row.audio_path, row.text or "", before, after


def _summary(accent: str, outcome: Outcome, seconds: float) -> dict[str, Any]:
    return {
        "accent": accent,
        **{
            name: {"before": outcome.before[name].wer, "after": outcome.after[name].wer}
            for name in ("target", "guard")
        },
        "seconds": round(seconds, 1),
    }
