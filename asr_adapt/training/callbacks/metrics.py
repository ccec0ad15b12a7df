"""What a run says while it goes: ``metrics.jsonl``, and on the terminal a bar and a line for each evaluation.

Knows one file and a :class:`~asr_adapt.training.watching.Watch`. Does not know how the numbers come about.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from asr_adapt.files import atomic_write
from asr_adapt.training.callback import Callback
from asr_adapt.training.learning.checkpoints import newest_checkpoint
from asr_adapt.training.progress import Progress
from asr_adapt.training.watching import Phase, Watch

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"


class Metrics(Callback):
    """One line a step, evaluation and phase in ``folder``; only the ``main`` process writes.

    ``steps`` is the length of the schedule. With ``resume`` the lines up to the newest of the ``checkpoints``
    stay.
    """

    def __init__(
        self, folder: Path, checkpoints: Path, watch: Watch, steps: int, *, main: bool, resume: bool
    ) -> None:
        self.path, self.watch, self.steps, self.main = folder / METRICS, watch, steps, main
        if main:
            newest = newest_checkpoint(checkpoints) if resume else None
            self._keep_until(-1 if newest is None else int(newest.name.removeprefix("step_")))
        self._phase: Phase | None = None
        self._step = 0
        watch.ended = self._ended

    @contextmanager
    def training(self) -> Iterator[None]:
        """Steps are made inside the block."""
        with self.watch.phase("training", "training", self.steps, "steps") as self._phase:
            yield
        self._phase = None

    def step_done(self, values: dict[str, Any], elapsed: float) -> None:
        """One line, and the bar."""
        self._append({"kind": "step", **values})
        self._step = values["step"]
        if self._phase is not None:
            self._phase.done(values["step"], f"loss {values['loss']:.3f}")

    def evaluated(self, values: Mapping[str, Any], weights: Mapping[str, Tensor], progress: Progress) -> None:
        """The WERs of an evaluation, on stderr too."""
        self._append({"kind": "evaluation", **values})
        guard = f", guard {values['guard']:.1%}" if "guard" in values else ""
        star = " (best)" if values["best"] else ""
        self.watch.say(f"step {values['step']}: dev WER {values['dev']:.1%}{guard}{star}")

    def phases(self, values: dict[str, Any]) -> None:
        """What the phases took in all."""
        self._append({"kind": "time", "step": self._step, **values})

    def _ended(self, kind: str, label: str, seconds: float) -> None:
        values = {"kind": "phase", "step": self._step, "phase": kind, "label": label, "seconds": seconds}
        self._append(values)

    def _append(self, values: dict[str, Any]) -> None:
        if self.main:
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(values) + "\n")

    def _keep_until(self, step: int) -> None:
        """Drop lines that a killed run wrote after its last checkpoint: they will be written again."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = []
        for line in lines:
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                logger.warning("dropped a half-written line of %s", self.path)
                continue
            if values["step"] <= step:
                kept.append(line)
        with atomic_write(self.path) as handle:
            handle.writelines(f"{line}\n" for line in kept)
