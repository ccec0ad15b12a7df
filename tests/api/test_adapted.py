"""A finished run, opened again."""

from __future__ import annotations

from asr_adapt.api.adapted import Adapted
from asr_adapt.training import build_recipe
from asr_adapt.training.recipe.file import save_recipe


def test_its_recipe_names_manifests_from_where_it_was_started(tmp_path, monkeypatch):
    """A relative output folder: ``runs/x/data/test.jsonl`` is that file, not one below the result."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "x" / "model"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    parts = {name: f"runs/x/data/{name}.jsonl" for name in ("train", "dev", "test")}
    save_recipe(build_recipe({"model": "nano-en", **parts}), folder / "recipe.yaml")
    assert Adapted.open("runs/x").recipe.test == ["runs/x/data/test.jsonl"]
