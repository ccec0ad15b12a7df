"""Ready recipes, ``asr-adapt init``, and ``train`` with flags alone: what is written can be carried out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from asr_adapt.cli.app import run
from asr_adapt.training.recipe.file import load_recipe
from asr_adapt.training.recipe.ready import FAMILIES, PURPOSES, family_of, template
from tests.models.whisper_models import save_tiny_whisper

ALL = [f"{purpose}-{family}" for purpose in PURPOSES for family in FAMILIES]
FOLDER = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def models(tone_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each family; the Whisper lists Hausa."""
    return {"ctc": tone_model, "whisper": save_tiny_whisper(tmp_path_factory.mktemp("tiny") / "whisper")}


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    found: dict[str, float] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("name", ALL)
def test_a_ready_recipe_is_what_init_writes_and_can_be_carried_out(
    name: str, models: dict[str, Path], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    purpose, _, family = name.rpartition("-")
    path = FOLDER / f"{name}.yaml"
    assert path.read_text(encoding="utf-8") == template(purpose, family), (
        "copy it from asr_adapt/assets/recipes"
    )
    shutil.copy(path, tmp_path / "recipe.yaml")
    (tmp_path / "data").mkdir()
    for part, source in {
        "train": "train",
        "dev": "dev",
        "test": "dev",
        "guard": "guard",
        "replay": "guard",
    }.items():
        text = (corpus / f"{source}.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        lines = [json.dumps(row | {"audio_filepath": str(corpus / row["audio_filepath"])}) for row in rows]
        (tmp_path / "data" / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = [f"model={models[family]}", "device=cpu", f"cache.folder={tmp_path / 'cache'}"]
    assert run(["train", str(tmp_path / "recipe.yaml"), *given, "--dry-run", "--json"]) == 0
    plan = told(capsys)
    assert plan["training_rows"] >= 24 and plan["steps"] > 0 and plan["seconds"] > 0
    assert not (tmp_path / "runs").exists()


def test_the_readme_of_the_recipes_names_each() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in ALL if f"({name}.yaml)" not in page] == []
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(ALL)


def test_init_fills_in_what_is_given_and_paths_hold_from_the_recipe(
    models: dict[str, Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(corpus, tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)
    manifests = [part for name in ("train", "dev", "guard") for part in (f"--{name}", f"corpus/{name}.jsonl")]
    call = ["init", "mine/heavy.yaml", "--for", "accent", "--model", str(models["whisper"])]
    assert run([*call, *manifests]) == 0
    written = Path("mine/heavy.yaml")
    text = written.read_text(encoding="utf-8")
    assert "# Speech that must not get worse" in text, "the comments stay"
    recipe = load_recipe(written)
    assert recipe.model == str(models["whisper"])
    assert [Path(path).resolve() for path in recipe.train] == [tmp_path / "corpus" / "train.jsonl"]
    assert recipe.test == recipe.dev and recipe.guard and recipe.replay is None
    assert run([*call, *manifests]) == 2, "a recipe that is there stays"
    assert written.read_text(encoding="utf-8") == text


def test_without_a_guard_nothing_needs_one(tmp_path: Path) -> None:
    for purpose in PURPOSES:
        for model, family in (("whisper-base", "whisper"), ("facebook/wav2vec2-base", "ctc")):
            path = tmp_path / f"{purpose}-{family}.yaml"
            call = [
                "init",
                str(path),
                "--for",
                purpose,
                "--model",
                model,
                "--train",
                "a b.jsonl",
                "--dev",
                "d.jsonl",
            ]
            assert run(call) == 0
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
            assert not tree.keys() & {"guard", "replay", "retention"} and tree["model"] == model
            assert load_recipe(path).train[0].endswith("a b.jsonl")


def test_init_asks_on_a_terminal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.yaml"
    assert run(["init", str(path)]) == 2
    assert "--for accent|child-speech" in capsys.readouterr().err and not path.exists()
    assert run(["init", str(path), "--for", "accent", "--train", "t.jsonl"]) == 2
    answers = iter(["phone", "phone-calls", "facebook/wav2vec2-base-960h", "t.jsonl", "d.jsonl", "", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    assert run(["init", str(path)]) == 0
    assert "One of accent" in capsys.readouterr().err
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert tree["model"] == "facebook/wav2vec2-base-960h" and "band_limit" in tree["augment"]
    assert tree["test"] == tree["dev"]


def test_the_family_follows_from_the_model(models: dict[str, Path]) -> None:
    found = {name: family_of(str(path)) for name, path in models.items()}
    assert found == {"ctc": "ctc", "whisper": "whisper"}
    assert [family_of(name) for name in ("tiny.en", "openai/whisper-small", "nano-whisper")] == [
        "whisper"
    ] * 3
    assert [family_of(name) for name in ("nano-en", "facebook/mms-300m")] == ["ctc"] * 2


def test_train_takes_flags_alone(
    models: dict[str, Path], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", str(models["ctc"]), "--train", str(corpus / "train.jsonl"), "--dev"]
    flags += [str(corpus / "dev.jsonl"), "--set", "schedule.steps=2", "strategy=head", "evaluation.every=2"]
    out = tmp_path / "out"
    assert run(["train", *flags, "-o", str(out), "-q"]) == 0
    capsys.readouterr()
    written = yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
    assert written["strategy"]["name"] == "head" and written["schedule"]["steps"] == 2
    assert run(["train", str(out / "recipe.yaml"), "--model", "absent", "--dry-run"]) == 3, (
        "flags stand over a file"
    )
    assert "absent" in capsys.readouterr().err
    assert run(["train", "--model", str(models["ctc"])]) == 2
    assert "asr-adapt init" in capsys.readouterr().err
    assert run(["train", "--train", "absent.jsonl"]) == 2
