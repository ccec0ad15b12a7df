"""What a run tells the world while it goes: ``metrics.jsonl``, TensorBoard, a progress bar, the best weights.

Knows files and terminals. Does not know how the numbers come about.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from asr_adapt.files import atomic_write
from asr_adapt.training.learning.checkpoints import newest_checkpoint, oldest_checkpoint
from asr_adapt.training.learning.kept_weights import best_path, keep_weights
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.watching import Phase, Watch

logger = logging.getLogger(__name__)


class Tracker:
    """The loop's observer; only the main process writes."""

    def __init__(
        self, folder: Path, recipe: Recipe, accelerator: Accelerator, watch: Watch, *, resume: bool
    ) -> None:
        self.folder, self.accelerator = folder, accelerator
        self.main = accelerator.is_main_process
        self.metrics = folder / "metrics.jsonl"
        self.checkpoints = folder / "checkpoints"
        if self.main:
            self._keep_metrics_until(self._resumed_step() if resume else -1)
        accelerator.init_trackers("tensorboard", config={"model": recipe.model, "seed": recipe.seed})
        self.watch, self.steps = watch, recipe.schedule.steps
        self._phase: Phase | None = None
        self._step = 0
        watch.ended = self._ended

    @contextmanager
    def training(self) -> Iterator[None]:
        """Steps are made inside the block."""
        with self.watch.phase("training", "training", self.steps, "steps") as self._phase:
            yield
        self._phase = None

    def step(self, values: dict[str, Any]) -> None:
        """One line in metrics.jsonl and one point in TensorBoard."""
        self._append({"kind": "step", **values})
        self.accelerator.log({f"train/{k}": v for k, v in values.items() if k != "step"}, step=values["step"])
        self._step = values["step"]
        if self._phase is not None:
            self._phase.done(values["step"], f"loss {values['loss']:.3f}")

    def evaluation(self, values: dict[str, Any]) -> None:
        """The WERs of an evaluation, on stderr too."""
        self._append({"kind": "evaluation", **values})
        numbers = {k: v for k, v in values.items() if isinstance(v, float)}
        self.accelerator.log({f"evaluation/{k}": v for k, v in numbers.items()}, step=values["step"])
        guard = f", guard {values['guard']:.1%}" if "guard" in values else ""
        star = " (best)" if values["best"] else ""
        text = f"step {values['step']}: dev WER {values['dev']:.1%}{guard}{star}"
        self.watch.say(text)

    def phases(self, values: dict[str, Any]) -> None:
        """What the phases took in all."""
        self._append({"kind": "time", "step": self._step, **values})

    def _ended(self, kind: str, label: str, seconds: float) -> None:
        values = {"kind": "phase", "step": self._step, "phase": kind, "label": label, "seconds": seconds}
        self._append(values)

    def best(self, state: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Keep the best trainable weights beside the checkpoints.

        The file carries its step: a run that is killed and resumed still finds the best of its checkpoint.
        """
        if not self.main:
            return
        keep_weights(self.best_path(values["step"]), state)
        older = [p for p in sorted(self.best_path(0).parent.glob("step_*")) if p <= self._needed_best()]
        for path in older[:-1]:
            path.unlink()

    def best_path(self, step: int) -> Path:
        """Where the best weights are while those of ``step`` are the best."""
        return best_path(self.checkpoints, step)

    def close(self) -> None:
        """Flush the trackers; the processes stay together, for there is more to measure."""
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def _append(self, values: dict[str, Any]) -> None:
        if self.main:
            with self.metrics.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(values) + "\n")

    def _resumed_step(self) -> int:
        newest = newest_checkpoint(self.checkpoints)
        return -1 if newest is None else int(newest.name.removeprefix("step_"))

    def _needed_best(self) -> Path:
        """The best weights of the oldest checkpoint are those of this step or the nearest one before it."""
        oldest = oldest_checkpoint(self.checkpoints)
        return self.best_path(0 if oldest is None else int(oldest.name.removeprefix("step_")))

    def _keep_metrics_until(self, step: int) -> None:
        """Drop lines that a killed run wrote after its last checkpoint: they will be written again."""
        lines = self.metrics.read_text(encoding="utf-8").splitlines() if self.metrics.exists() else []
        kept = []
        for line in lines:
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                logger.warning("dropped a half-written line of %s", self.metrics)
                continue
            if values["step"] <= step:
                kept.append(line)
        with atomic_write(self.metrics) as handle:
            handle.writelines(f"{line}\n" for line in kept)
