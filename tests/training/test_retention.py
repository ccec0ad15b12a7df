"""``train`` with a guard budget: the new letters are learnt only as far as the guard can bear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCTC, AutoProcessor

from asr_adapt.errors import DataError, RecipeError
from asr_adapt.models import load_recogniser
from asr_adapt.models.lora import LoraSettings, add_lora
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.learning.attachments import LoraAttachment
from tests.models.architectures import save_tiny


@pytest.fixture(scope="session")
def sure_model(tone_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tone recogniser, right by a narrow margin, so that it can be talked out of its letters."""
    recogniser = load_recogniser(tone_model, device="cpu")
    with torch.no_grad():
        weight = recogniser.model.lm_head.weight
        weight.copy_(0.6 * weight + 0.4 * weight[[0, 1, 3, 2, 5, 4, 7, 6, 8, 9]])
    recogniser.save(folder := tmp_path_factory.mktemp("sure") / "model")
    return folder


@pytest.fixture
def turned(tree: dict[str, Any], corpus: Path, sure_model: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe in which the target swaps letters that the guard, and the base, write as they sound."""
    for part in ("train", "dev"):
        rows = [json.loads(line) for line in (corpus / f"{part}.jsonl").read_text("utf-8").splitlines()]
        for row in rows:
            row["text"] = row["text"].translate(str.maketrans("abcdef", "badcfe"))
            row["audio_filepath"] = str(corpus / row["audio_filepath"])
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{part}.jsonl").write_text(text, encoding="utf-8")
        tree[part] = str(tmp_path / f"{part}.jsonl")
    return tree | {"model": str(sure_model)}


def run(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    adapt(build_recipe(tree), folder, quiet=True)
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_a_budget_of_nothing_keeps_the_guard(turned: dict[str, Any], tmp_path: Path) -> None:
    turned |= {"retention": {"guard_budget": 0, "points": 5}}
    summary = run(turned, tmp_path / "out")
    found = summary["retention"]
    shares = [p["share"] for p in found["points"]]
    assert shares == sorted(shares) and {0.0, 0.25, 0.5, 0.75, 1.0} < set(shares)
    largest = max(p["share"] for p in found["points"] if p["within"])
    following = min(p["share"] for p in found["points"] if p["share"] > largest)
    assert following - largest <= 0.25 / 4, "the edge of the budget is looked at more closely"
    whole = found["points"][-1]
    assert whole["target"] < 0.2 and whole["guard"] > 0.9 and not whole["within"]
    assert summary["guard"]["before"] == summary["guard"]["after"] == 0.0
    assert found["chosen"]["share"] < 1.0 and found["chosen"]["guard"] == 0.0
    assert summary["target"]["after"] == found["chosen"]["target"]
    assert {"low", "high"} <= summary["guard"]["after_interval"].keys()
    folder = tmp_path / "out"
    assert json.loads((folder / "retention.json").read_text(encoding="utf-8")) == found
    assert (folder / "retention.svg").stat().st_size > 1000 and (folder / "retention.png").is_file()
    assert "from base to adapted weights" in (folder / "report.html").read_text(encoding="utf-8")
    assert found["sentence"] in (folder / "README.md").read_text(encoding="utf-8")


def test_a_budget_that_allows_all_takes_what_is_best_for_the_target(
    turned: dict[str, Any], tmp_path: Path
) -> None:
    plain = run(turned, tmp_path / "plain")
    summary = run({**turned, "retention": {"guard_budget": "1.0", "points": 2}}, tmp_path / "out")
    assert "retention" not in plain and not (tmp_path / "plain" / "retention.json").exists()
    assert summary["retention"]["chosen"]["share"] == 1.0
    assert summary["target"]["after"] == plain["target"]["after"] < 0.2
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("plain", "out")]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_run_that_changed_nothing_has_one_point(turned: dict[str, Any], tmp_path: Path) -> None:
    turned |= {
        "optimiser": {"learning_rate": 1e-12},
        "schedule": {"steps": 2},
        "retention": {"guard_budget": "10%"},
    }
    points = run(turned, tmp_path / "out")["retention"]["points"]
    assert [point["share"] for point in points] == [0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"guard": None}, "needs guard"),
        ({"vocabulary": "extend"}, "needs vocabulary keep"),
        ({"retention": {"guard_budget": "ten"}}, "is not a rise; write 5%"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(
    changes: dict[str, Any], message: str, turned: dict[str, Any]
) -> None:
    with pytest.raises(RecipeError, match=message):
        build_recipe({**turned, "retention": {"guard_budget": "10%"}, **changes})


def test_replay_rows_that_the_base_labels_need_no_transcript_and_keep_the_guard(
    turned: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    lines = []
    for row in map(json.loads, (corpus / "guard.jsonl").read_text("utf-8").splitlines()):
        row["audio_filepath"] = str(corpus / row["audio_filepath"])
        lines.append(json.dumps({k: v for k, v in row.items() if k != "text"}))
    (tmp_path / "unheard.jsonl").write_text("\n".join(lines), encoding="utf-8")
    replay = {"manifest": str(tmp_path / "unheard.jsonl"), "share": 0.5}
    with pytest.raises(DataError, match="transcript is missing"):
        run(turned | {"replay": replay}, tmp_path / "refused")
    alone = run(turned, tmp_path / "alone")
    protected = run(turned | {"replay": replay | {"labels": "base"}}, tmp_path / "protected")
    assert alone["guard"]["after"] > 0.9
    assert protected["guard"]["after"] < alone["guard"]["after"] - 0.2
    assert protected["rows"] == alone["rows"] + len(lines)


def test_a_share_is_kept_where_no_guard_says_how_much(turned: dict[str, Any], tmp_path: Path) -> None:
    turned.pop("guard", None)
    run(turned, tmp_path / "all")
    summary = run({**turned, "retention": {"share": 0.25}}, tmp_path / "part")
    assert summary["retention"]["share"] == 0.25
    assert summary["retention"]["sentence"].startswith("0.25 of the adapted weights were kept")
    base, whole, part = (
        load_file(folder / "model.safetensors")
        for folder in (Path(turned["model"]), tmp_path / "all", tmp_path / "part")
    )
    assert any((base[name] != whole[name]).any() for name in base)
    for name, weights in part.items():
        wanted = base[name] + 0.25 * (whole[name] - base[name])
        assert torch.allclose(weights, wanted, atol=1e-6), name
    page = (tmp_path / "part" / "report.html").read_text(encoding="utf-8")
    assert "0.25 of the adapted weights were kept" in page
    assert "0.25 of the adapted weights" in (tmp_path / "part" / "README.md").read_text(encoding="utf-8")


LORA = {"name": "lora", "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.0}}


@pytest.mark.parametrize(
    "retention", [{"guard_budget": "0.3", "points": 5, "groups": 2}, {"share": 0.6}], ids=["budget", "share"]
)
def test_plain_peft_on_the_base_writes_what_was_measured_after_the_blend(
    turned: dict[str, Any], sure_model: Path, tmp_path: Path, retention: dict[str, Any]
) -> None:
    peft = pytest.importorskip("peft")
    optimiser = turned["optimiser"] | {"learning_rate": 1e-2}
    turned |= {"strategy": LORA, "optimiser": optimiser, "retention": retention}
    summary = run(turned, tmp_path / "out")
    found = summary["retention"]
    assert 0.0 < (found["share"] if "share" in found else found["chosen"]["share"]) < 1.0
    plain = AutoModelForCTC.from_pretrained(sure_model)
    before = {name: weights.clone() for name, weights in plain.state_dict().items()}
    model = peft.PeftModel.from_pretrained(plain, tmp_path / "out" / "adapter").eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "out" / "adapter")
    lines = (tmp_path / "out" / "predictions" / "target.after.jsonl").read_text("utf-8").splitlines()
    for row in map(json.loads, lines):
        samples, rate = soundfile.read(row["audio_filepath"], dtype="float32")
        values = processor(samples, sampling_rate=rate, return_tensors="pt").input_values
        with torch.no_grad():
            ids = model(values).logits.argmax(-1)
        assert processor.batch_decode(ids)[0] == row["pred_text"]
    merged, saved = model.merge_and_unload().state_dict(), load_file(tmp_path / "out" / "model.safetensors")
    assert any(not torch.equal(before[name], weights) for name, weights in saved.items())
    for name, weights in saved.items():
        torch.testing.assert_close(merged[name], weights, rtol=1e-4, atol=1e-5)


def test_a_dora_adapter_that_cannot_follow_the_blend_says_so(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    recogniser = load_recogniser(save_tiny("wav2vec2", tmp_path / "tiny"), device="cpu")
    lora = add_lora(recogniser, LoraSettings(2, 4.0, dora=True), seed=0)
    added = LoraAttachment(lora, str(tmp_path / "tiny"), frozenset())
    added.detach()
    before = dict(added.state)
    added.blended({"wav2vec2.encoder.layers.0.attention.q_proj.weight": 1.0})
    added.write(tmp_path / "kept")
    assert not (tmp_path / "kept" / "adapter" / "README.md").exists()
    added.blended({"wav2vec2.encoder.layers.0.attention.q_proj.weight": 0.5})
    added.write(tmp_path / "out")
    remark = (tmp_path / "out" / "adapter" / "README.md").read_text("utf-8")
    assert "as it was trained" in remark and "retention.json" in remark
    stored = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert all(torch.equal(stored[name], weights) for name, weights in before.items())
