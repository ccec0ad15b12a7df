"""Experiment trackers: TensorBoard, Weights & Biases, MLflow and Trackio, through Accelerate's classes.

Knows how each is begun and where it keeps what it is told. Does not know how the numbers come about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate.tracking import (
    GeneralTracker,
    MLflowTracker,
    TensorBoardTracker,
    TrackioTracker,
    WandBTracker,
)
from torch import Tensor

from asr_adapt.errors import MissingExtraError
from asr_adapt.training.callback import Callback
from asr_adapt.training.progress import Progress

#: The project, or experiment, that runs are filed under where a tracker has such a thing.
PROJECT = "asr-adapt"
#: Name in a recipe → how a tracker of a run in a folder is made. MLflow keeps runs where
#: ``MLFLOW_TRACKING_URI`` says, by default in its own local store.
KINDS: dict[str, Callable[[Path], GeneralTracker]] = {
    "tensorboard": lambda folder: TensorBoardTracker("tensorboard", str(folder)),
    "wandb": lambda folder: WandBTracker(PROJECT, name=folder.name, dir=str(folder)),
    "mlflow": lambda folder: MLflowTracker(PROJECT, run_name=folder.name),
    "trackio": lambda folder: TrackioTracker(PROJECT, name=folder.name),
}


def require_trackers(names: Collection[str]) -> None:
    """Raise :class:`~asr_adapt.errors.MissingExtraError` for a tracker whose package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(f"trackers: {name}", name)


class Trackers(Callback):
    """Hands steps and evaluations on to the trackers ``names``; the ``main`` process alone begins them.

    ``config`` is what the run was made with. A resumed run is a further run of the same name, except in
    TensorBoard, which goes on in the run's folder.
    """

    def __init__(
        self, names: Collection[str], folder: Path, config: Mapping[str, Any], *, main: bool
    ) -> None:
        self.trackers = [KINDS[name](folder.resolve()) for name in names] if main else []
        for tracker in self.trackers:
            tracker.start()
            tracker.store_init_configuration(dict(config))

    def training(self) -> AbstractContextManager[object]:
        """Trackers are flushed and closed behind the last step, also of a run that failed."""
        return closing(self)

    def step_done(self, values: dict[str, Any], elapsed: float) -> None:
        """Points ``train/…``."""
        self._log(
            {f"train/{k}": v for k, v in values.items() if k != "step" and v is not None}, values["step"]
        )

    def evaluated(self, values: Mapping[str, Any], weights: Mapping[str, Tensor], progress: Progress) -> None:
        """Points ``evaluation/…``."""
        self._log({f"evaluation/{k}": v for k, v in values.items() if isinstance(v, float)}, values["step"])

    def close(self) -> None:
        """Flush what was told."""
        for tracker in self.trackers:
            tracker.finish()
        self.trackers = []

    def _log(self, values: dict[str, Any], step: int) -> None:
        for tracker in self.trackers:
            tracker.log(values, step=step)
