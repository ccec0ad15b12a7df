"""``asr-adapt adapt``: a corpus in a foreign layout becomes a model and its proof, in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.manifest.select import matching, sample_hours
from tests.conftest import tones

WORDS = ("abe", "bad", "cab", "dab", "egg", "fad", "gab")


@pytest.fixture
def kaldi(tmp_path: Path) -> Path:
    """A Kaldi folder of eight speakers, six sentences each; half of them have accent words in their ids."""
    folder = tmp_path / "kaldi"
    folder.mkdir()
    lines: dict[str, list[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
    for speaker in range(8):
        for number in range(6):
            name = f"s{speaker}-{number}"
            words = " ".join(WORDS[(speaker + number * step) % 7] for step in (1, 2, 3))
            soundfile.write(folder / f"{name}.wav", tones(words), 16_000)
            lines["wav.scp"].append(f"{name} {name}.wav")
            lines["text"].append(f"{name} {words}")
            lines["utt2spk"].append(f"{name} s{speaker}")
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def adapt(*arguments: object) -> int:
    return run(["adapt", *map(str, arguments)])


QUICK = ("--set", "schedule.steps=2", "--set", "evaluation.every=2", "--set", "strategy=head")


def test_a_folder_becomes_a_model_its_figures_and_a_recipe_that_train_repeats(
    kaldi: Path, tone_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert adapt(kaldi, "--model", tone_model, "-o", out, "--yes", *QUICK) == 0
    parts = {name: Manifest.open(out / "data" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    speakers = [{row.speaker for row in rows} for rows in parts.values()]
    assert all(speakers) and sum(map(len, speakers)) == len(set().union(*speakers))
    summary = json.loads((out / "model" / "summary.json").read_text())
    assert summary["steps"] == 2 and summary["target"]["utterances"] == len(parts["test"])
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    assert recipe["train"] == "data/train.jsonl" and recipe["strategy"] == "head"
    assert run(["train", str(out / "recipe.yaml"), "-o", str(tmp_path / "again"), "-q"]) == 0
    again = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert again["target"]["after"] == summary["target"]["after"]


def test_a_dry_run_shows_rows_and_minutes_and_leaves_nothing(
    kaldi: Path, tone_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert adapt(kaldi, "--model", tone_model, "-o", out, "--dry-run", "--hours", "0.005") == 0
    shown = capsys.readouterr()
    assert "train" in shown.out and "speakers" in shown.out and "estimate:" in shown.err
    (plan,) = (line for line in shown.err.splitlines() if line.startswith("plan: "))
    assert (
        plan == "plan: strategy top_layers, learning rate 0.0002, 400 steps; no replay; no blend of weights."
    )
    guarded = ("--guard", kaldi, "--set", "strategy.name=full", "--set", "retention.guard_budget=5%")
    assert (
        adapt(kaldi, "--model", tone_model, "-o", out, "--dry-run", *guarded, "--set", "replay.share=0.2")
        == 0
    )
    (plan,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("plan: "))
    assert "strategy full" in plan and "replay 20 % of each batch; weights blended so that guard WER" in plan
    assert not out.exists()


def test_folders_in_settings_start_at_the_working_folder(
    kaldi: Path, tone_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    noise = ("--set", "augment.noise.folder=kaldi")
    assert adapt("kaldi", "--model", tone_model, "-o", "out", "--yes", *QUICK, *noise) == 0
    for recipe in (Path("out/recipe.yaml"), Path("out/model/recipe.yaml")):
        tree = yaml.safe_load(recipe.read_text())
        assert tree["augment"]["noise"]["folder"] == str(kaldi)
    assert run(["train", "out/model/recipe.yaml", "-o", "again", "-q"]) == 0
    first, again = (json.loads(Path(f, "summary.json").read_text())["target"] for f in ("out/model", "again"))
    assert first["after"] == again["after"]
    assert run(["train", "out/recipe.yaml", "-o", "out/model", "--resume", "-q"]) == 0


def test_a_wrong_setting_leaves_nothing_and_an_earlier_result_says_how_to_go_on(
    kaldi: Path, tone_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert adapt(kaldi, "--model", tone_model, "-o", out, "--yes", "--set", "schedule.stepz=2") == 3
    assert "--set: schedule.stepz: unknown field, did you mean steps?" in capsys.readouterr().err
    assert not out.exists()
    assert adapt(kaldi, "--model", tone_model, "-o", out, "--yes", *QUICK) == 0
    capsys.readouterr()
    assert adapt(kaldi, "--model", tone_model, "-o", out, "--yes", *QUICK) == 2
    said = capsys.readouterr().err
    assert f"asr-adapt train {out / 'recipe.yaml'} -o {out / 'model'} --resume" in said
    assert "--overwrite" not in said
    assert run(["train", str(out / "recipe.yaml"), "-o", str(out / "model"), "--resume", "-q"]) == 0


def test_nobody_is_asked_where_nobody_can_answer(
    kaldi: Path, tone_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adapt(kaldi, "--model", tone_model, "-o", tmp_path / "out") == 2
    assert "--yes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_others_and_a_value_that_no_row_has_are_refused(
    kaldi: Path, tone_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adapt(kaldi, "--model", tone_model, "-o", kaldi, "--yes") == 2
    assert adapt(kaldi, "--model", tone_model, "-o", tmp_path / "out", "--yes", "--where", "speaker=x") == 3
    assert "speaker is s0, s1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_speech_of_one_person_is_parted_by_sentence_and_that_is_said(
    kaldi: Path, tone_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    only = ("--where", "speaker=s0,s1")
    assert adapt(kaldi, "--model", tone_model, "-o", out, "--dry-run", *only) == 0
    assert "say nothing about other speakers" in capsys.readouterr().err


def row(number: int, **more: object) -> Utterance:
    name = f"{number}.wav"
    return Utterance(audio_filepath=name, duration=2.0, text="a", id=str(number), extra=dict(more))


def test_conditions() -> None:
    rows = Manifest.of([row(0, band="heavy", years=7), row(1, band="mild", years=40), row(2, years="x")])

    def left(*conditions: str) -> list[str]:
        return [found.id for found in matching(rows, conditions)]

    assert left("band=heavy") == ["0"]
    assert left("band=heavy,mild") == ["0", "1"]
    assert left("band!=heavy") == ["1", "2"]
    assert left("years>=18") == ["1"]
    assert left("band=heavy", "years<18") == ["0"]
    for bad in ("band", "=heavy", "years>old", "band="):
        with pytest.raises(UsageError, match="--where"):
            matching(rows, [bad])
    with pytest.raises(DataError, match="band is heavy, mild"):
        matching(rows, ["band=none"])


@given(st.integers(1, 40), st.floats(0.0001, 0.03), st.floats(0.0001, 0.03))
def test_more_hours_hold_all_rows_of_fewer(count: int, one: float, other: float) -> None:
    rows = Manifest.of([row(number) for number in range(count)])
    few, many = ({r.id for r in sample_hours(rows, hours)} for hours in sorted((one, other)))
    assert few <= many
    assert len(many) * 2.0 <= max(one, other) * 3600 or len(many) == count


def test_filter_writes_rows_whose_audio_is_still_found(kaldi: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "all.jsonl", tmp_path / "elsewhere" / "part.jsonl"
    part.parent.mkdir()
    assert run(["manifest", "build", str(kaldi), "-o", str(whole)]) == 0
    assert run(["manifest", "filter", str(whole), "-o", str(part), "--where", "speaker=s1,s2"]) == 0
    rows = Manifest.open(part)
    assert {r.speaker for r in rows} == {"s1", "s2"} and all(r.audio_path.is_file() for r in rows)
    assert run(["manifest", "filter", str(whole), "-o", str(whole), "--where", "speaker=s1"]) == 2
    assert len(Manifest.open(whole)) == 48
