"""Trackers: curves arrive in each store that a recipe names; an absent package is said before the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asr_adapt.errors import MissingExtraError
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.callbacks import trackers


def short(tree: dict[str, Any], *names: str) -> Any:
    return build_recipe(
        tree | {"schedule": {"steps": 2}, "evaluation": {"every": 2}, "trackers": list(names)}
    )


def test_tensorboard_and_the_local_store_of_mlflow(
    tree: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    store = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    adapt(short(tree, "tensorboard", "mlflow"), tmp_path / "run", quiet=True)
    assert list((tmp_path / "run" / "tensorboard").rglob("events.out.tfevents.*"))
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name(trackers.PROJECT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run" and run.info.status == "FINISHED"
    assert run.data.params["model"] == str(tree["model"])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [1, 2]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "evaluation/dev")] == [0, 2]


def test_no_tracker_leaves_the_metrics_alone(tree: dict[str, Any], tmp_path: Path) -> None:
    adapt(short(tree), tmp_path / "run", quiet=True)
    assert (tmp_path / "run" / "metrics.jsonl").is_file() and not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_an_absent_tracker_is_named_with_its_extra_before_the_work(
    tree: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=rf"trackers: {name} .*pip install 'asr-adapt\[{name}\]'"):
        adapt(short(tree, name), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
