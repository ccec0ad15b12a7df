"""What a row teaches: chosen by what the model writes and what the corpus holds, apart from scoring."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring import written_form
from asr_adapt.text import normalise
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.labels.choice import speller
from asr_adapt.training.labels.rows import LabelledRows, labelled_rows
from asr_adapt.training.preparing import load_model, open_sets
from tests.models.whisper_models import save_tiny_whisper
from tests.training.conftest import interrupted, quick_tree, unequal_weights

Retell = Callable[[Callable[[str], str]], str]


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny", most=12)


@pytest.fixture
def retold(corpus: Path, tmp_path: Path) -> Retell:
    """A copy of the training manifest with every text rewritten."""

    def write(change: Callable[[str], str]) -> str:
        rows = Manifest.open(corpus / "train.jsonl")
        path = tmp_path / "retold" / "train.jsonl"
        write_manifest(path, (row.replace(text=change(row.text or "")) for row in rows))
        return str(path)

    return write


def labelled(tree: dict[str, Any], folder: Path) -> tuple[Recogniser, LabelledRows]:
    recipe = build_recipe(tree)
    recogniser = load_recogniser(recipe.model, device="cpu")
    rows = Manifest.open(recipe.train)
    replay = Manifest.open(recipe.replay.manifest) if recipe.replay else None
    return recogniser, labelled_rows(recipe, recogniser, rows, replay, folder, speller(recogniser, None))


def texts(found: LabelledRows) -> list[str]:
    return [row.text or "" for row in found.parts[0].rows]


def test_a_ctc_model_learns_what_it_can_spell(tree: dict[str, Any], retold: Retell, tmp_path: Path) -> None:
    tree["train"] = retold(lambda text: f"{text.title()}, {text}!")
    _, found = labelled(tree, tmp_path)
    assert found.styles["train"].style == "plain"
    assert all(text == text.lower() and text.replace(" ", "").isalpha() for text in texts(found))


def test_a_cased_model_learns_the_transcript_as_written(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(lambda text: f"  {text.title()},  Cafe\u0301! "))
    recogniser, found = labelled(tree, tmp_path)
    assert found.styles["train"].style == "as_written"
    assert all(text.endswith(", Café!") and text[0].isupper() for text in texts(found))
    tokens = recogniser.processor.tokenizer.decode(found.parts[0].labels[0], skip_special_tokens=True)
    assert tokens.strip() == texts(found)[0]


@pytest.mark.parametrize("style", ["as_written", "plain"])
def test_the_recipe_decides_before_the_corpus(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path, style: str
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(lambda text: f"{text.title()}."), labels=style)
    wanted = {"as_written": "Bad Cafe.", "plain": "bad cafe"}[style]
    _, found = labelled(tree, tmp_path)
    assert found.styles["train"].style == style
    assert (texts(found)[0][0].isupper(), texts(found)[0].endswith(".")) == (
        wanted[0].isupper(),
        wanted[-1] == ".",
    )


def test_the_profile_of_scores_does_not_change_labels(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(lambda text: f"{text.title()}."))
    one, other = (labelled(tree | {"normalise": name}, tmp_path)[1] for name in ("basic", "whisper-en"))
    assert one.parts[0].labels == other.parts[0].labels


def test_target_and_replay_are_judged_apart(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    replay = {"manifest": retold(lambda text: f"{text.title()}."), "share": 0.3}
    _, found = labelled(quick_tree(corpus, whisper, replay=replay, labels="auto"), tmp_path)
    assert found.styles["replay"].style == "as_written"
    assert found.styles["train"].style != "as_written"
    assert found.parts[1].rows[0].text.endswith(".")


def test_labels_in_the_models_style_are_kept_for_a_person_to_read(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(str.upper), labels={"style": "model"})
    _, found = labelled(tree, tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "labels.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == texts(found)
    assert all(row["text"].isupper() and row["label"].lower().startswith(row["text"].lower()) for row in rows)
    assert all("pred_text" in row and (tmp_path / "out" / row["audio_filepath"]).exists() for row in rows)


def test_changed_labels_are_refused_with_the_way_out(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(str.upper), labels="model")
    labelled(tree, tmp_path / "out")
    path = tmp_path / "out" / "labels.jsonl"
    path.write_text(path.read_text().replace('"label": "', '"label": "Oh, ', 1))
    with pytest.raises(RecipeError, match=r"labels\.jsonl: was changed .* as_written"):
        labelled(tree, tmp_path / "out")
    path.unlink()
    assert labelled(tree, tmp_path / "out")[1].styles["train"].style == "model"


def test_labels_of_other_rows_are_made_again(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(str.upper), labels="model")
    before = texts(labelled(tree, tmp_path / "out")[1])
    retold(lambda text: f"{text} ace".upper())
    after = texts(labelled(tree, tmp_path / "out")[1])
    assert [f"{text.rstrip('.')} ace".lower() for text in before] == [
        text.rstrip(".").lower() for text in after
    ]


def test_a_resumed_run_learns_the_same_labels(
    corpus: Path, whisper: Path, retold: Retell, tmp_path: Path
) -> None:
    tree = quick_tree(corpus, whisper, train=retold(str.upper), labels="model", checkpoint_every=2)
    recipe = build_recipe(tree)
    adapt(recipe, tmp_path / "whole", quiet=True)
    with interrupted(5):
        adapt(recipe, tmp_path / "killed", quiet=True)
    kept = (tmp_path / "killed" / "labels.jsonl").read_bytes()
    adapt(recipe, tmp_path / "killed", resume=True, quiet=True)
    assert (tmp_path / "killed" / "labels.jsonl").read_bytes() == kept
    assert not unequal_weights(tmp_path / "whole", tmp_path / "killed")
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert summary["labels"]["train"]["style"] == "model"
    assert "0 of 24 rows have capitals, 0 punctuation" in summary["labels"]["train"]["reason"]


@pytest.mark.parametrize(
    "changes",
    [{}, {"vocabulary": "replace"}, {"initialise": "random", "strategy": "full"}],
    ids=["no capitals", "new vocabulary", "random weights"],
)
def test_a_base_that_cannot_style_refuses_the_style(
    tree: dict[str, Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(RecipeError, match=r"labels\.style: .* choose plain or as_written"):
        adapt(build_recipe(tree | changes | {"labels": "model"}), tmp_path / "out", quiet=True)


@pytest.mark.parametrize("mode", ["extend", "replace"])
def test_a_rare_character_is_learnt_as_its_base_letter(
    tree: dict[str, Any], retold: Retell, tmp_path: Path, mode: str
) -> None:
    """``vocabulary.minimum`` maps é to e in the vocabulary and in the labels."""
    first = iter([True])
    tree["train"] = retold(lambda text: f"{text} fée fée" if next(first, False) else text)
    kept, as_they_are = learnt(tree | {"vocabulary": {"mode": mode}}, tmp_path)
    assert "é" in kept
    assert as_they_are[0].endswith("fée fée")
    vocabulary, labels = learnt(tree | {"vocabulary": {"mode": mode, "minimum": 2}}, tmp_path)
    assert (vocabulary, labels) == (kept, as_they_are)
    vocabulary, labels = learnt(tree | {"vocabulary": {"mode": mode, "minimum": 3}}, tmp_path)
    assert "é" not in vocabulary
    assert labels[0].endswith("fee fee")
    assert "é" not in "".join(labels)


def learnt(tree: dict[str, Any], folder: Path) -> tuple[set[str], list[str]]:
    """The vocabulary that a run would have and the texts that it would learn."""
    from accelerate import Accelerator

    recipe = build_recipe(tree)
    sets = open_sets(recipe)
    recogniser, spell = load_model(recipe, sets.train, Accelerator(cpu=True))
    found = labelled_rows(recipe, recogniser, sets.train, None, folder, spell)
    unknown = recogniser.processor.tokenizer.unk_token_id
    assert not any(unknown in ids for ids in found.parts[0].labels)
    return set(recogniser.vocabulary), texts(found)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (str.upper, "0 of 24 rows have capitals, 0 punctuation; the model writes both: training takes them"),
        (
            lambda text: f"{text}.",
            "24 punctuation; the model writes both and learns the transcripts as written",
        ),
    ],
    ids=["capitals only", "as written"],
)
def test_manifest_check_says_what_follows_for_a_cased_model(
    whisper: Path, retold: Retell, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], told: str
) -> None:
    from asr_adapt.cli.app import run

    command = ["manifest", "check", retold(change), "--no-audio", "--no-cache", "--model", str(whisper)]
    run(command)
    assert told in capsys.readouterr().out
    run([*command, "--json"])
    writing = json.loads(capsys.readouterr().out)["writing"]
    assert (writing["rows"], writing["written"]) == (24, change is not str.upper)


def test_manifest_check_says_nothing_of_case_for_a_model_without(
    muddled_model: Path, retold: Retell, capsys: pytest.CaptureFixture[str]
) -> None:
    from asr_adapt.cli.app import run

    run(["manifest", "check", retold(str.upper), "--no-audio", "--no-cache", "--model", str(muddled_model)])
    assert "capitals" not in capsys.readouterr().out


@pytest.mark.pretrained
@pytest.mark.realdata
def test_a_real_whisper_gives_capitals_and_marks_back(
    whisper_tiny_en: Path, real_data: Path, tmp_path: Path
) -> None:
    """Read sentences in capitals are written again nearly as they were, and no word is another."""
    rows = list(Manifest.open(real_data / "kathleen" / "manifest.jsonl"))[:600:150]
    written = [row.text or "" for row in rows]
    bare = (row.replace(text=normalise(row.text or "").upper()) for row in rows)
    write_manifest(tmp_path / "train.jsonl", bare)
    tree = {"model": str(whisper_tiny_en), "device": "cpu"}
    tree |= {name: str(tmp_path / "train.jsonl") for name in ("train", "dev")}
    _, found = labelled(tree, tmp_path / "out")
    assert found.styles["train"].style == "model"
    assert found.styles["train"].from_base == len(rows)
    assert [normalise(text) for text in texts(found)] == [normalise(text) for text in written]
    form = written_form(written, texts(found))
    assert form.punctuation is not None and form.case is not None
    plain = written_form(written, [text.lower() for text in written]).case
    assert form.punctuation.total.f1 > 0.7
    assert plain is not None and form.case.rate < plain.rate
