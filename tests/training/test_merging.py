"""Merging experts: what is searched, within the budget, and adapters whose sum other programs read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from asr_adapt.cli.app import run
from asr_adapt.errors import ModelError
from asr_adapt.files import atomic_directory
from asr_adapt.models import load_recogniser
from asr_adapt.models.loading import load_adapted
from asr_adapt.models.lora import LoraSettings, add_lora, save_adapter
from asr_adapt.scoring.rise import Rise
from asr_adapt.training.merging import Expert, ExpertSum, MergeSettings, merge_experts, search
from tests.models.architectures import save_tiny
from tests.models.whisper_models import save_tiny_whisper

#: Words of each accent: only these letters are heard wrongly by the base, and learnt by its expert.
ACCENTS = {"north": ["ab", "ba", "abba", "baa"], "south": ["cd", "dc", "dcd", "cc"]}


def call(*arguments: object) -> int:
    return run(["merge", *map(str, arguments)])


@pytest.fixture(scope="module")
def dev(say: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``north``, ``south`` and ``guard`` manifests; the guard's words hold other letters."""
    folder = tmp_path_factory.mktemp("dev")
    chance = random.Random(0)
    for part, words in {**ACCENTS, "guard": ["fee", "eff", "fef"]}.items():
        lines = []
        for number in range(4):
            text = " ".join(chance.choices(words, k=3))
            wave = say(text)[: -round(0.32 * 16_000)]
            soundfile.write(folder / f"{part}{number}.wav", wave, 16_000)
            row = {"audio_filepath": f"{part}{number}.wav", "duration": len(wave) / 16_000, "text": text}
            lines.append(json.dumps(row))
        (folder / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def experts(tone_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``base`` muddles a with b and c with d; ``north`` has learnt the first pair, ``south`` the second."""
    folder = tmp_path_factory.mktemp("experts")
    right = load_recogniser(tone_model, device="cpu").model.lm_head.weight.detach().clone()
    muddled = right.clone()
    for pair in ("ab", "cd"):
        one, other = ("abcdefg".index(letter) + 2 for letter in pair)
        muddled[[one, other]] = 0.4 * right[[one, other]] + 0.6 * right[[other, one]]
    for name, letters in {"base": "", "north": "ab", "south": "cd"}.items():
        recogniser = load_recogniser(tone_model, device="cpu")
        rows = ["abcdefg".index(letter) + 2 for letter in letters]
        with torch.no_grad():
            recogniser.model.lm_head.weight.copy_(muddled)
            recogniser.model.lm_head.weight[rows] = right[rows]
        recogniser.save(folder / name)
    return {name: folder / name for name in ("base", "north", "south")}


def test_two_experts_become_one_model_that_hears_both_accents(
    experts: dict[str, Path], dev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--target", dev / "north.jsonl", "--target", dev / "south.jsonl", "--guard", dev / "guard.jsonl"]
    out = tmp_path / "merged"
    assert call(*experts.values(), *sets, "-o", out, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((out / "merge.json").read_text(encoding="utf-8"))
    base, north, south = found["trials"][:3]
    assert min(base["targets"]) > 0.5 and base["guard"] == 0.0
    assert north["targets"][0] == 0.0 and north["targets"][1] == base["targets"][1]
    assert south["targets"][1] == 0.0 and south["targets"][0] == base["targets"][0]
    assert found["chosen"]["targets"] == [0.0, 0.0] and found["chosen"]["score"] == 0.0
    assert not found["exhausted"]
    merged = load_recogniser(out, device="cpu")
    for accent in ACCENTS:
        rows = [json.loads(line) for line in (dev / f"{accent}.jsonl").read_text().splitlines()]
        waves = [soundfile.read(dev / row["audio_filepath"], dtype="float32")[0] for row in rows]
        assert [heard.text for heard in merged.transcribe(waves)] == [row["text"] for row in rows]
    assert call(*experts.values(), *sets, "-o", out) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_too_few_trials_another_vocabulary_and_the_base_itself_are_refused(
    experts: dict[str, Path], dev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--target", dev / "north.jsonl", "--guard", dev / "guard.jsonl"]
    assert call(*experts.values(), *sets, "--trials", 2) == 2
    assert "the base and each expert alone are 3" in capsys.readouterr().err
    assert call(experts["base"], experts["base"], *sets) == 3
    assert "nothing to merge" in capsys.readouterr().err
    other = save_tiny("wav2vec2", tmp_path / "tiny")
    assert call(experts["base"], other, *sets) == 3
    assert "only a model adapted from the base" in capsys.readouterr().err


def made(folder: Path, count: int = 2, groups: int = 2) -> tuple[ExpertSum, dict[str, torch.Tensor]]:
    """``count`` experts, each one higher than the base in every parameter."""
    recogniser = load_recogniser(save_tiny("wav2vec2", folder / "tiny"), device="cpu")
    base = {n: p.detach().clone() for n, p in recogniser.model.named_parameters()}
    changed = {name: value + 1.0 for name, value in base.items()}
    return ExpertSum(recogniser, [Expert(str(n), changed) for n in range(count)], groups), base


def test_the_ends_are_the_models_themselves_and_what_lies_between_is_their_sum(tmp_path: Path) -> None:
    summed, base = made(tmp_path)
    name = "lm_head.weight"
    parameter = summed.recogniser.model.get_parameter(name)
    summed.set(summed.common([0.0, 1.0]))
    assert torch.equal(parameter, summed.experts[1].changed[name])
    summed.set(((0.0, 1.0), (0.5, 0.25)))
    torch.testing.assert_close(parameter.detach(), base[name] + 0.75)
    summed.set(summed.common([0.0, 0.0]))
    now = dict(summed.recogniser.model.named_parameters())
    assert all(torch.equal(now[n], value) for n, value in base.items())


def test_the_search_keeps_to_the_budget_and_climbs_by_group_of_layers(tmp_path: Path) -> None:
    """The second expert helps in the top layers and spoils the guard in the bottom ones."""
    summed, base = made(tmp_path)
    assert [group.name for group in summed.groups] == ["feature_encoder–layer_1", "layer_2–head"]

    def measure() -> tuple[tuple[float, ...], float]:
        now = dict(summed.recogniser.model.named_parameters())
        bottom, top = (
            float((now[n].detach() - base[n]).mean())
            for n in ("wav2vec2.feature_projection.projection.weight", "lm_head.weight")
        )
        return (0.5 - 0.2 * min(top, 1.0),), 0.1 + 0.2 * bottom

    found = search(summed, measure, Rise(0.03))
    assert found.base.row == (0.0, 0.0) and found.base.score == 1.0
    assert found.chosen.within and found.chosen.guard <= 0.13 + 1e-9
    bottom, top = found.chosen.weights
    assert sum(top) == 1.0 and sum(bottom) < sum(top)
    best = min((t for t in found.trials if t.within), key=lambda t: t.score)
    assert found.chosen.score == best.score and not found.exhausted
    assert not all(trial.within for trial in found.trials)
    assert len({trial.weights for trial in found.trials}) == len(found.trials)
    short = search(summed, measure, Rise(0.03), trials=8)
    assert len(short.trials) == 8 and short.exhausted


def adapter(base: Path, folder: Path, seed: int, *, dora: bool = False, head: bool = False) -> Path:
    """A LoRA adapter of ``base`` that does something."""
    recogniser = load_recogniser(base, device="cpu")
    lora = add_lora(recogniser, LoraSettings(2 + seed, 6.0, dora=dora), seed=seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in recogniser.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.2)
            elif name == "lm_head.weight" and head:
                parameter.add_(0.1 * torch.randn_like(parameter))
    with atomic_directory(folder) as work:
        save_adapter(lora, lora.state(head=head), str(base), work)
    return folder


def test_merged_adapters_are_one_adapter_with_the_weights_of_the_search_which_peft_reads(
    tmp_path: Path, corpus: Path
) -> None:
    import peft
    from transformers import AutoModelForSpeechSeq2Seq

    base = save_tiny_whisper(tmp_path / "whisper")
    names = [str(adapter(base, tmp_path / f"expert{seed}", seed)) for seed in (1, 2)]
    rows, guard = corpus / "dev.jsonl", corpus / "guard.jsonl"
    settings = MergeSettings(Rise(9.0), groups=2, trials=3, device="cpu")
    found = merge_experts(str(base), names, [rows], guard, settings)
    found.summed.set(((0.5, 0.25), (0.0, 0.75)))
    trial = found.found.chosen
    object.__setattr__(trial, "weights", ((0.5, 0.25), (0.0, 0.75)))  # as if the search had chosen them
    found.save(tmp_path / "merged")
    assert not (tmp_path / "merged" / "model.safetensors").exists()
    want = {n: p.detach() for n, p in found.recogniser.model.named_parameters()}
    ours = load_adapted(base, tmp_path / "merged", device="cpu")
    model = AutoModelForSpeechSeq2Seq.from_pretrained(base)
    theirs = peft.PeftModel.from_pretrained(model, tmp_path / "merged").merge_and_unload()
    plain = {n: p.detach() for n, p in load_recogniser(base, device="cpu").model.named_parameters()}
    assert any(not torch.allclose(want[n], plain[n], atol=1e-3) for n in want)
    for model in (ours.model, theirs):
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), want[name], atol=1e-5, rtol=1e-4)


def test_an_adapter_with_a_head_keeps_it_and_dora_is_written_whole(tmp_path: Path, corpus: Path) -> None:
    base = save_tiny("wav2vec2", tmp_path / "tiny")
    for dora in (False, True):
        names = [str(adapter(base, tmp_path / f"{dora}{s}", s, dora=dora, head=True)) for s in (1, 2)]
        sets = [corpus / "dev.jsonl"], corpus / "guard.jsonl"
        found = merge_experts(str(base), names, *sets, MergeSettings(Rise(9.0), trials=4, device="cpu"))
        folder = tmp_path / f"merged{dora}"
        found.summed.set(((0.5, 0.5),))
        object.__setattr__(found.found.chosen, "weights", ((0.5, 0.5),))
        found.save(folder)
        assert (folder / "model.safetensors").exists() == dora
        whole = load_recogniser(folder, device="cpu")
        for name, parameter in found.recogniser.model.named_parameters():
            near = whole.model.get_parameter(name).detach()
            torch.testing.assert_close(near, parameter.detach(), atol=1e-5, rtol=1e-4)
        if not dora:
            assert any("lm_head" in name for name in load_file(folder / "adapter_model.safetensors"))


def test_an_adapter_goes_onto_the_base_that_is_given_and_a_whole_model_is_no_adapter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = save_tiny("wav2vec2", tmp_path / "tiny")
    folder = adapter(base, tmp_path / "result" / "adapter", 1)
    other = load_recogniser(base, device="cpu")
    other.save(tmp_path / "copy")
    again = load_adapted(tmp_path / "copy", tmp_path / "result", device="cpu")
    assert "was trained on" in caplog.text
    want = load_recogniser(folder, device="cpu")
    for name, parameter in again.model.named_parameters():
        assert torch.equal(parameter, want.model.get_parameter(name))
    with pytest.raises(ModelError, match="holds no adapter"):
        load_adapted(base, tmp_path / "copy", device="cpu")
