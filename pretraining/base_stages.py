"""How the bundled bases are trained: recipes of their stages, as plain values.

Knows which rows, rates, losses and window lengths each stage has. Does not know how a start is made
(`ctc_start`, `whisper_start`), how a stage is carried out (`asr_adapt.training`), or what is published.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr_adapt.files import atomic_write

Tree = dict[str, Any]

#: Of a clip. Batches of equally many rows have few shapes, and a CPU compiles its kernels anew for each.
MEAN_SECONDS = 2.25
FEW = 60  # rows that judge the stages: an untrained decoder is slow, it never stops


@dataclass(frozen=True)
class Stage:
    """One run of the loop. ``longest`` leaves out longer training clips (seconds); ``changes`` go into the
    recipe; ``ctc_share`` weighs the auxiliary CTC loss and ``wide`` is
    the share of batches heard in windows of any length (Whisper only, see `joint_ctc.JointRecogniser`)."""

    name: str
    steps_share: float
    longest: float | None = None
    ctc_share: float = 0.0
    wide: float = 0.0
    changes: Mapping[str, Any] = field(default_factory=dict)


#: Alignment first, on short clips and mostly through CTC; then everything, a few batches in windows of up to
#: 30 s, as a plain pipeline feeds them. A last stage in 30 s windows alone was tried and did not help (70
#: steps of 8 clips: dev WER 2.2 % before, 3.6 % after). Shares are of ``--steps``.
WHISPER_STAGES = (
    Stage("short", 0.5, longest=2.6, ctc_share=0.6, changes={"schedule": {"hold": 0.92, "final": 0.5}}),
    Stage("all", 0.5, ctc_share=0.3, wide=0.04, changes={"schedule": {"warmup": 0.02, "hold": 0.4}}),
)


def ctc_recipe(options: argparse.Namespace, start: Path) -> Tree:
    """The recipe of ``nano-en``'s stage: one at a time, ``--start`` names the model that it continues."""
    corpus: Path = options.corpus
    return {
        "model": str(start),
        "train": [str(corpus / "manifest.jsonl")],
        "dev": [str(corpus / name / "manifest.jsonl") for name in ("dev_us", "dev_mild")],
        "guard": [str(corpus / "dev_mild" / "manifest.jsonl")],
        "test": [str(corpus / "test_us" / "manifest.jsonl")],
        "invalid_rows": "drop",
        "strategy": {"name": "full", "feature_encoder": not options.freeze_features},
        "optimiser": {"kind": options.optimiser, "learning_rate": options.rate, "weight_decay": 0.01},
        "schedule": {
            "kind": options.schedule,
            "steps": options.steps,
            "warmup": options.warmup,
            "hold": options.hold,
            "final": 0.02,
        },
        "batch": {"seconds": options.seconds},
        "regularisation": {
            "spec_augment": {"time_share": options.mask, "time_length": 6, "feature_share": 0.0}
        },
        "evaluation": {"every": options.evaluate_every, "batch_seconds": 200},
        "checkpoint_every": 100,
        "seed": options.seed,
    }


def whisper_recipe(options: argparse.Namespace, stage: Stage, start: Path) -> Tree:
    """The recipe of one of `WHISPER_STAGES`, from the model in ``start``; its dev set is the home domain."""
    corpus: Path = options.corpus
    tree = ctc_recipe(options, start) | {
        "dev": [str(corpus / "dev_home" / "manifest.jsonl")],
        "guard": [str(corpus / "dev_us" / "manifest.jsonl")],
        "test": [str(_few_rows(corpus / "dev_home" / "manifest.jsonl"))],
        "guard_test": [str(_few_rows(corpus / "dev_us" / "manifest.jsonl"))],
        "decoder": {"context": "dynamic"},
        "batch": {"seconds": options.seconds * 8, "rows": max(1, round(options.seconds / MEAN_SECONDS))},
        "checkpoint_every": 50,
    }
    tree["schedule"] |= {"steps": max(1, round(options.steps * stage.steps_share))}
    tree["evaluation"] |= {"rows": FEW}
    if stage.longest is not None:
        tree["train"] = [str(_short_rows(corpus / "manifest.jsonl", stage.longest))]
    for section, values in stage.changes.items():
        tree[section] = {**tree[section], **values}
    return tree


def _short_rows(manifest: Path, longest: float) -> Path:
    """Rows of at most ``longest`` seconds as a manifest beside ``manifest``."""
    target = manifest.with_name(f"{manifest.stem}_{longest:g}s.jsonl")
    with manifest.open(encoding="utf-8") as rows, atomic_write(target) as handle:
        for line in rows:
            if json.loads(line)["duration"] <= longest:
                handle.write(line)
    return target


def _few_rows(manifest: Path) -> Path:
    """`FEW` rows of ``manifest``, evenly spread, as a manifest beside it."""
    rows = manifest.read_text(encoding="utf-8").splitlines(keepends=True)
    target = manifest.with_name(f"{manifest.stem}_{FEW}.jsonl")
    with atomic_write(target) as handle:
        handle.writelines(rows[:: max(1, len(rows) // FEW)][:FEW])
    return target
