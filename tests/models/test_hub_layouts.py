"""Real layouts of hub checkpoints: loaded, heard as the plain pipeline does, trained, saved, loaded again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers as t

from asr_adapt import Decoding, transcribe
from asr_adapt.cli.app import run
from asr_adapt.errors import ModelError, UsageError
from asr_adapt.manifest import Manifest
from asr_adapt.manifest.check import CheckOptions, check_manifest
from asr_adapt.models import load_recogniser

from . import hub_layouts as hub
from .architectures import save_tiny

PHONEMIC = hub.SPECIALS | {
    "tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer",
    "phonemizer_backend": "espeak",
    "phonemizer_lang": "en-us",
    "do_lower_case": False,
}
WITH_LM = {"processor_class": "Wav2Vec2ProcessorWithLM", "feature_extractor_type": "Wav2Vec2FeatureExtractor"}
#: What transformers 4.27 wrote behind a fine-tuning: no ids of languages or tasks.
OF_2023 = {
    "_from_model_config": True,
    "begin_suppress_tokens": [220, 256],
    "bos_token_id": 256,
    "decoder_start_token_id": 257,
    "eos_token_id": 256,
    "max_length": 12,
    "pad_token_id": 256,
    "transformers_version": "4.27.4",
    "use_cache": False,
}


#: The same, set by hand afterwards: transformers then reads the file and not config.json.
SETTINGS = {name: value for name, value in OF_2023.items() if name != "_from_model_config"}


def with_lm(folder: Path) -> Path:
    """jonatasgrosman's folders: letters first, n-gram decoder beside them."""
    files = {"special_tokens_map.json": hub.SPECIALS, "preprocessor_config.json": hub.EXTRACTOR | WITH_LM}
    files["alphabet.json"] = {"labels": ["", "<s>", "</s>", "⁇", " ", *hub.LOWER], "is_bpe": False}
    hub.ctc(folder, hub.fairseq_vocabulary(hub.LOWER), files=files)
    hub.write(folder / "language_model", "attrs.json", {"alpha": 0.5, "beta": 1.5})
    return folder


def sprint(folder: Path, characters: str = hub.LOWER, **more: Any) -> Path:
    """A fine-tune of the XLSR sprint: ``<s>`` and ``</s>`` come behind the head."""
    vocabulary = hub.week_vocabulary(characters)
    tokens = hub.BRACKETS | {"word_delimiter_token": "|", "do_lower_case": False}
    files = {"special_tokens_map.json": hub.BRACKETS, "tokenizer_config.json": tokens}
    return hub.ctc(folder, vocabulary, files=files, pad=vocabulary["[PAD]"], **more)


def plain_tokens(folder: Path, characters: str, **more: Any) -> Path:
    """facebook's own layout with the given letters."""
    files = {"special_tokens_map.json": hub.SPECIALS, "tokenizer_config.json": hub.SPECIALS}
    return hub.ctc(folder, hub.fairseq_vocabulary(characters), files=files, **more)


def phonemes(folder: Path) -> Path:
    """facebook/wav2vec2-lv-60-espeak-cv-ft: phonemes with spaces between them."""
    vocabulary = {token: i for i, token in enumerate(("<pad>", "<s>", "</s>", "<unk>", *hub.PHONEMES))}
    return hub.ctc(folder, vocabulary, files={"tokenizer_config.json": PHONEMIC})


#: Layout → builder, texts that it can be trained on, strategies; every strategy is in the table.
LAYOUTS: dict[str, tuple[Callable[[Path], Path], str, tuple[str, ...]]] = {
    "n-gram processor": (with_lm, "one two", ("head", "top_layers", "full", "gradual", "lora")),
    "XLSR sprint": (sprint, "one two", ("full",)),
    "today's names": (partial(sprint, safe=True), "one two", ("top_layers",)),
    "upper case, one stray": (
        partial(plain_tokens, characters="ETAONIHSRDLUMWCFGYPBVK'XJQZß"),
        "Straße",
        ("head",),
    ),
    "curly apostrophe": (partial(plain_tokens, characters="abcdefghijklmnopqrstuvwxyz’"), "don't", ("head",)),
    "Korean jamo": (partial(plain_tokens, characters=hub.JAMO), "일이 삼사", ("head",)),
    "letters and marks apart": (partial(plain_tokens, characters="abcdefghnọ\u0301\u0300"), "ọ̀nà", ("head",)),
    "phonemes": (phonemes, "z ɪ r iː", ("head",)),
    "Wav2Vec2-Conformer": (
        partial(save_tiny, "wav2vec2-conformer"),
        "one two",
        ("top_layers", "lora", "full"),
    ),
    "Wav2Vec2-Conformer, rotary": (partial(save_tiny, "wav2vec2-conformer-rotary"), "one two", ("full",)),
    "UniSpeech-SAT": (partial(save_tiny, "unispeech-sat"), "one two", ("top_layers", "gradual")),
    "MMS": (hub.mms, "the trees", ("adapters",)),
    "Whisper of 2022": (hub.whisper, "one two", ("lora",)),
    "Whisper tuned in 2023": (partial(hub.whisper, generation=OF_2023), "one two", ("top_layers", "full")),
}


@pytest.fixture
def clip(tmp_path: Path) -> np.ndarray:
    """Two seconds of noise, written to ``clip.wav`` too."""
    wave = hub.noise(2.0, 7)
    soundfile.write(tmp_path / "clip.wav", wave, hub.RATE)
    return wave


def rows(folder: Path, text: str, count: int = 4, seconds: float = 1.0) -> Path:
    """A manifest of noise that is said to be ``text``."""
    lines = []
    for number in range(count):
        wave = hub.noise(seconds + 0.1 * number, number)
        soundfile.write(folder / f"{number}.wav", wave, hub.RATE)
        row = {"audio_filepath": f"{number}.wav", "duration": len(wave) / hub.RATE, "text": text}
        lines.append(json.dumps(row | {"speaker": f"s{number % 2}"}))
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "rows.jsonl"


def plain(folder: Path, wave: np.ndarray) -> str:
    """What transformers' own pipeline hears."""
    pipeline = t.pipeline(
        "automatic-speech-recognition", model=str(folder), device="cpu", dtype=torch.float32
    )
    greedy = {"generate_kwargs": {"num_beams": 1}} if pipeline.model.can_generate() else {}
    return str(pipeline({"raw": wave.copy(), "sampling_rate": hub.RATE}, **greedy)["text"]).strip()


def heard(folder: Path, wave: np.ndarray, **options: Any) -> str:
    """What this project hears."""
    recogniser = load_recogniser(folder, device="cpu", compute_type="float32")
    return recogniser.transcribe([wave], **options)[0].text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_from_loading_to_the_result(layout: str, tmp_path: Path, clip: np.ndarray) -> None:
    from asr_adapt.training import adapt, load_recipe

    build, text, strategies = LAYOUTS[layout]
    folder = build(tmp_path / "base")
    recogniser = load_recogniser(folder, device="cpu", compute_type="float32")
    recogniser.save(tmp_path / "saved")
    said = heard(folder, clip)
    assert said == heard(tmp_path / "saved", clip) == plain(tmp_path / "saved", clip)
    if (
        not recogniser.capabilities.decoder
    ):  # a pipeline lets an old Whisper say its language itself: random weights do not
        assert said == plain(folder, clip) and len(set(said)) > 3
    words = recogniser.transcribe([clip], words=True)[0].words
    assert words and all(0.0 <= word.start <= word.end <= 2.1 for word in words)
    manifest = rows(tmp_path, text)
    report = check_manifest(Manifest.open(manifest), CheckOptions(limits=recogniser.limits()))
    assert not report.unknown and "ctc-infeasible" not in report.findings.rows
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"model: {folder}\ntrain: {manifest}\ndev: {manifest}\nschedule: {{steps: 2}}\ndevice: cpu\n"
        "precision: float32\nevaluation: {every: 2, rows: 1}\ncache: {mode: 'off'}\n"
    )
    for strategy in strategies:
        if strategy == "lora":
            pytest.importorskip("peft")
        out = tmp_path / strategy
        adapt(load_recipe(recipe, [f"strategy={strategy}"]), out, quiet=True)
        assert heard(out, clip) == plain(out, clip)


def test_the_n_gram_model_beside_a_checkpoint_is_said_to_be_unused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load_recogniser(with_lm(tmp_path / "base"), device="cpu")
    assert "language_model/) is not used" in caplog.text


def test_a_self_supervised_checkpoint_with_a_vocabulary_has_a_new_head(tmp_path: Path) -> None:
    """facebook/wav2vec2-base carries the vocabulary of its fine-tuned sister."""
    folder = plain_tokens(tmp_path / "base", "ETAONIHSRDLU", kind="Wav2Vec2ForPreTraining")
    with pytest.raises(ModelError, match=r"only pretrained, without an output head \(lm_head.bias"):
        load_recogniser(folder)
    fresh = load_recogniser(folder, device="cpu", new_head=True)
    assert fresh.fresh_head and fresh.labels(["tea"]) == [[6, 5, 7]]
    assert not load_recogniser(
        plain_tokens(tmp_path / "tuned", "ETA"), device="cpu", new_head=True
    ).fresh_head


@pytest.mark.parametrize("omit", [r"layers\.0\.", r"lm_head\.bias", r"lm_head", r"layer_norm"])
@pytest.mark.parametrize("new_head", [False, True])
def test_tensors_that_a_tuned_checkpoint_lacks_are_named(tmp_path: Path, omit: str, new_head: bool) -> None:
    folder = plain_tokens(tmp_path / "base", "abc", omit=omit)
    with pytest.raises(ModelError, match=omit.replace(r"layers\.0\.", "layers.0|lack")):
        load_recogniser(folder, device="cpu", new_head=new_head)


def test_the_mask_that_old_conversions_lack_is_no_gap(tmp_path: Path, clip: np.ndarray) -> None:
    """facebook/wav2vec2-base-960h has no masked_spec_embed."""
    folder = plain_tokens(tmp_path / "base", "abcdefgh", omit="masked_spec_embed")
    masks = [load_recogniser(folder, device="cpu").model.wav2vec2.masked_spec_embed for _ in range(2)]
    assert torch.equal(masks[0], masks[1])
    assert heard(folder, clip) == plain(folder, clip)


def test_a_trainer_folder_says_which_files_it_lacks(tmp_path: Path) -> None:
    tuned = plain_tokens(tmp_path / "ctc", "abc")
    seq2seq = hub.whisper(tmp_path / "whisper")
    for folder in (tuned, seq2seq):
        for name in ("vocab.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / name).unlink(missing_ok=True)
        with pytest.raises(ModelError, match=r"without its tokeniser \(vocab\.json or tokenizer\.json\)"):
            load_recogniser(folder)


def test_extending_leaves_behind_what_the_head_never_had(tmp_path: Path, clip: np.ndarray) -> None:
    from asr_adapt.models import set_vocabulary

    base = load_recogniser(sprint(tmp_path / "base"), device="cpu", compute_type="float32")
    rows_before = base.model.lm_head.weight.detach().clone()
    longer = set_vocabulary(base, "öz", "extend")
    assert torch.equal(longer.model.lm_head.weight[: len(rows_before)], rows_before)
    assert longer.labels(["zö"]) == [[base.vocabulary["z"], len(rows_before)]]
    longer.save(tmp_path / "longer")
    again = load_recogniser(tmp_path / "longer", device="cpu", compute_type="float32")
    assert again.labels(["zö"]) == longer.labels(["zö"])
    assert "[PAD]" not in heard(tmp_path / "longer", clip) and plain(tmp_path / "longer", clip)


def test_an_mms_language_is_chosen_for_hearing_and_for_training(tmp_path: Path, clip: np.ndarray) -> None:
    folder = hub.mms(tmp_path / "mms")
    pipeline = t.pipeline("automatic-speech-recognition", model=str(folder))
    pipeline.tokenizer.set_target_lang("ful")
    pipeline.model.load_adapter("ful")
    wanted = pipeline({"raw": clip.copy(), "sampling_rate": hub.RATE})["text"].strip()
    recogniser = load_recogniser(folder, device="cpu", compute_type="float32")
    english = recogniser.transcribe([clip])[0].text
    assert recogniser.transcribe([clip], language="ful")[0].text == wanted != english
    assert recogniser.transcribe([clip])[0].text == english
    with pytest.raises(UsageError, match=r"language 'deu' is unknown to .*use one of eng, ful"):
        recogniser.transcribe([clip], language="deu")
    recogniser.configure(replace(recogniser.settings, language="ful"))
    recogniser.save(tmp_path / "saved")
    assert heard(tmp_path / "saved", clip) == plain(tmp_path / "saved", clip) == wanted
    with pytest.raises(ModelError, match=r"has no adapter\.eng\.safetensors"):
        heard(tmp_path / "saved", clip, language="eng")


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
def test_language_and_task_of_old_settings_are_followed(tmp_path: Path, clip: np.ndarray, place: str) -> None:
    ids = {token: hub.whisper_id(f"<|{token}|>") for token in ("ha", "translate", "notimestamps")}
    forced = {"forced_decoder_ids": [[1, ids["ha"]], [2, ids["translate"]], [3, ids["notimestamps"]]]}
    late = place == "generation_config.json"
    folder = hub.whisper(tmp_path / "base", **({"generation": SETTINGS | forced} if late else forced))
    recogniser = load_recogniser(folder, device="cpu", compute_type="float32")
    assert recogniser.labels(["a"])[0][1:4] == [ids["ha"], ids["translate"], ids["notimestamps"]]
    assert recogniser.transcribe([clip])[0].text == plain(folder, clip)


def test_alignment_heads_of_a_teacher_are_not_used(
    tmp_path: Path, clip: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    """kotoba-whisper and early distil-whisper kept those of a decoder with 32 layers."""
    folder = hub.whisper(tmp_path / "base", SETTINGS | {"alignment_heads": [[0, 0], [25, 6]]})
    recogniser = load_recogniser(folder, device="cpu", compute_type="float32")
    assert recogniser.transcribe([clip], words=True)[0].words
    windows = transcribe(clip, model=recogniser, decoding=Decoding(segmenter="windows", word_timestamps=True))
    assert windows.text and all(segment.words for segment in windows.segments)
    assert "alignment heads are those of a model with more layers" in caplog.text
    recogniser.save(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert saved["alignment_heads"] == [[1, 0], [1, 1]]


def test_an_adapter_of_2023_is_read_and_changes_what_is_heard(tmp_path: Path, clip: np.ndarray) -> None:
    pytest.importorskip("peft")
    base = hub.whisper(tmp_path / "base")
    adapter = hub.old_adapter(tmp_path / "adapter", base)
    (adapter / "config.json").write_bytes(
        (base / "config.json").read_bytes()
    )  # as a pushed Trainer leaves it
    loaded = load_recogniser(adapter, device="cpu", compute_type="float32")
    layer = loaded.model.model.encoder.layers[0].self_attn.q_proj.weight
    stored = torch.load(adapter / "adapter_model.bin", weights_only=True)
    place = "base_model.model.model.encoder.layers.0.self_attn.q_proj"
    change = stored[f"{place}.lora_B.default.weight"] @ stored[f"{place}.lora_A.default.weight"] * 64 / 4
    plain_weight = torch.load(base / "pytorch_model.bin", weights_only=True)
    torch.testing.assert_close(layer, plain_weight["model.encoder.layers.0.self_attn.q_proj.weight"] + change)


def test_word_pieces_are_counted_as_pieces(tmp_path: Path) -> None:
    recogniser = load_recogniser(save_tiny("parakeet", tmp_path / "tiny"), device="cpu")
    text = "the the the the the the"  # 6 pieces, 23 characters
    limits = recogniser.limits()
    assert limits.count_frames is not None and limits.count_frames(text) == 11
    seconds = next(
        s / 100 for s in range(1, 1000) if limits.frames is not None and limits.frames(s / 100) >= 11
    )
    manifest = rows(tmp_path, text, count=2, seconds=seconds)
    report = check_manifest(Manifest.open(manifest), CheckOptions(limits=limits))
    assert "ctc-infeasible" not in report.findings.rows
    manifest = rows(tmp_path, text, count=1, seconds=seconds - 0.2)
    report = check_manifest(Manifest.open(manifest), CheckOptions(limits=limits))
    assert "ctc-infeasible" in report.findings.rows


def test_a_phoneme_model_refuses_letters_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = phonemes(tmp_path / "base")
    recogniser = load_recogniser(folder, device="cpu")
    manifest = rows(tmp_path, "zero one")
    report = check_manifest(Manifest.open(manifest), CheckOptions(limits=recogniser.limits()))
    assert report.unknown == {"zero": 4, "one": 4}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"model: {folder}\ntrain: {manifest}\ndev: {manifest}\ndevice: cpu\n")
    assert run(["train", str(recipe), "-o", str(tmp_path / "out"), "schedule.steps=1"]) == 3
    error = capsys.readouterr().err
    assert "'zero'" in error and "unexpected" not in error


def test_a_row_costs_what_whisper_computes(tmp_path: Path) -> None:
    from asr_adapt.training.data.batches import BatchLimits, BatchPlan
    from asr_adapt.training.device.batch_size import with_default
    from asr_adapt.training.recipe.schema import Recipe

    recogniser = load_recogniser(hub.whisper(tmp_path / "base"), device="cpu")
    assert recogniser.heard_seconds(0.6) == 30.0
    plan = BatchPlan(np.full(40, 0.6), BatchLimits(100.0, 1e9), seed=0, heard=recogniser.heard_seconds)
    assert max(map(len, plan.epoch(0))) == 3
    recipe = with_default(Recipe(model="m", train="a", dev="b"), recogniser.heard_seconds)
    assert isinstance(recipe.batch.seconds, float)
    default = BatchPlan(
        np.full(40, 0.6), BatchLimits(recipe.batch.seconds), seed=0, heard=recogniser.heard_seconds
    )
    assert max(map(len, default.epoch(0))) == 16
    plain_ctc = load_recogniser(sprint(tmp_path / "ctc"), device="cpu")
    assert with_default(Recipe(model="m", train="a", dev="b"), plain_ctc.heard_seconds).batch.seconds == 80.0
