"""The demonstration as a whole, on a tiny untrained model: its files, its refusals, its command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_adapt.cli.app import run
from asr_adapt.demo.corpus import AccentCorpus, CorpusSizes
from asr_adapt.demo.story import DemoOptions, demo_recipe, tell
from asr_adapt.errors import UsageError
from asr_adapt.manifest import Manifest
from asr_adapt.training import load_recipe

SIZES = CorpusSizes(train=12, replay=12, dev=4, test=6)


@pytest.fixture(scope="module")
def options(untrained_model):
    return DemoOptions(accent="caribbean", model=str(untrained_model), steps=2, seconds=20, sizes=SIZES)


@pytest.fixture(scope="module")
def told(options, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "output"
    lines: list[str] = []
    return folder, tell(folder, options, lines.append), lines


def test_summary_has_exactly_the_documented_fields(told):
    folder, story, _ = told
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary == story.summary
    assert set(summary) == {"accent", "target", "guard", "seconds"}
    assert summary["accent"] == "caribbean"
    for part in ("target", "guard"):
        assert set(summary[part]) == {"before", "after"}
        assert all(0.0 < rate < 5.0 for rate in summary[part].values())


def test_the_result_holds_model_report_and_a_recipe_that_can_be_trained(told):
    folder, story, lines = told
    assert (folder / "model" / "model.safetensors").is_file()
    assert "caribbean" in (folder / "report.html").read_text(encoding="utf-8").lower()
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe.replay is not None
    assert all(Path(path).is_file() for path in (*recipe.train, *recipe.dev, *recipe.replay.manifest))
    assert len(Manifest.open(folder / "model" / "predictions" / "target.after.jsonl")) == SIZES.test
    assert story.audio.is_file()
    assert story.reference
    assert len(lines) >= 2


def test_an_earlier_demonstration_is_replaced(told, options):
    folder, _, _ = told
    (folder / "corpus" / "stale.txt").write_text("old", encoding="utf-8")
    tell(folder, options)
    assert not (folder / "corpus" / "stale.txt").exists()
    assert (folder / "summary.json").is_file()


def test_a_folder_with_other_files_is_left_alone(options, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        tell(tmp_path, options)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize(("model", "steps"), [("nano-en", 600), ("nano-whisper", 150), ("some/model", 600)])
def test_each_base_has_its_own_tuning_which_options_overrule(model, steps):
    corpus = AccentCorpus(Path("corpus"), "scottish")
    recipe = demo_recipe(corpus, DemoOptions(model=model))
    assert (recipe.model, recipe.schedule.steps) == (model, steps)
    assert recipe.replay is not None
    assert demo_recipe(corpus, DemoOptions(model=model, steps=30)).schedule.steps == 30


def test_the_command_lists_accents(capsys):
    assert run(["demo", "--accent", "list"]) == 0
    assert "scottish" in capsys.readouterr().out.split()


def test_the_command_refuses_an_unknown_accent(tmp_path, capsys):
    assert run(["demo", "--accent", "klingon", "--output", str(tmp_path / "x")]) == 2
    assert "scottish" in capsys.readouterr().err
