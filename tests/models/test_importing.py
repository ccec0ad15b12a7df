"""Whispers of CTranslate2, OpenAI and whisper.cpp read back: the same weights, vocabulary and transcripts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, GenerationConfig

from asr_adapt.errors import ModelError
from asr_adapt.models import bundled_models, load_recogniser
from asr_adapt.models.importing import (
    WhisperVocabulary,
    foreign_kind,
    read_foreign,
    read_tokenizer_json,
    with_openai_specials,
    write_whisper,
)
from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2

from .foreign_models import save_ggml, save_openai
from .whisper_models import save_tiny_whisper

pytest.importorskip("ctranslate2")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multilingual Whisper of random weights."""
    return save_tiny_whisper(tmp_path_factory.mktemp("importing") / "tiny", most=8)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An English-only one, whose special tokens stand as OpenAI's do."""
    return save_tiny_whisper(tmp_path_factory.mktemp("importing") / "tiny.en", multilingual=False, most=8)


def exported(folder: Path, target: Path, quantisation: str) -> Path:
    export_ctranslate2(load_recogniser(folder, device="cpu"), target, quantisation=quantisation)
    return target


def no_vocabulary(size: int) -> WhisperVocabulary:
    raise AssertionError(f"asked for a vocabulary of {size} tokens, which the file itself has")


def vocabulary_of(folder: Path) -> WhisperVocabulary:
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    return with_openai_specials(read_tokenizer_json(folder / "tokenizer.json", False), size, folder)


def imported(source: Path, target: Path) -> dict[str, torch.Tensor]:
    """The weights written for ``source``."""
    target.mkdir()
    write_whisper(read_foreign(source, no_vocabulary), target)
    return load_file(target / "model.safetensors")


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.int16 if tensor.element_size() == 2 else torch.int32)


@pytest.mark.parametrize(
    ("quantisation", "dtype"),
    [("float16", torch.float16), ("bfloat16", torch.bfloat16), ("float32", torch.float32)],
)
def test_export_and_import_give_the_same_bits(
    tiny: Path, tmp_path: Path, quantisation: str, dtype: torch.dtype
) -> None:
    found = imported(exported(tiny, tmp_path / "ct2", quantisation), tmp_path / "back")
    wanted = load_file(tiny / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == dtype, name
        assert torch.equal(bits(found[name]), bits(tensor.to(dtype))), name


@pytest.mark.parametrize("quantisation", ["int8", "int8_float32", "int8_float16", "int16"])
def test_integer_weights_are_read_with_their_scales(tiny: Path, tmp_path: Path, quantisation: str) -> None:
    found = imported(exported(tiny, tmp_path / "ct2", quantisation), tmp_path / "back")
    wanted = load_file(tiny / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        rows = tensor.flatten(1) if tensor.ndim > 1 else tensor[None]
        # half a step of 8 bits for a row, of 10 bits for the whole stack of q, k, v; a float16's rounding
        step = (
            rows.abs().amax(1, keepdim=True) / 127
            if "int8" in quantisation
            else 4 * tensor.abs().max() / 2**10
        )
        far = (found[name].float().reshape(rows.shape) - rows).abs()
        assert bool((far <= 0.51 * step + rows.abs() * 2**-10 + 1e-7).all()), name
        assert name.endswith("bias") or "norm" in name or far.max() < tensor.abs().max() / 50


def test_a_converted_folder_speaks_like_the_original(tiny: Path, tmp_path: Path) -> None:
    """Tokens, generation settings and tokeniser, through ``--model`` and the file's own vocabulary."""
    imported(exported(tiny, tmp_path / "ct2", "float32"), tmp_path / "back")
    settings = json.loads((tmp_path / "back/generation_config.json").read_text())
    assert settings["max_length"] == 448  # CTranslate2 does not keep it
    (tmp_path / "back/generation_config.json").write_text(json.dumps(settings | {"max_length": 8}))
    noise = np.random.default_rng(0)
    clips = [(0.2 * noise.standard_normal(n)).astype(np.float32) for n in (16_000, 30_000, 52_000)]
    first, second = (load_recogniser(folder, device="cpu") for folder in (tiny, tmp_path / "back"))
    for language in ("en", "de"):
        said = [one.text for one in first.transcribe(clips, language=language)]
        assert said == [one.text for one in second.transcribe(clips, language=language)]
        assert all(said)
    wanted, found = (GenerationConfig.from_pretrained(folder) for folder in (tiny, tmp_path / "back"))
    for name in ("suppress_tokens", "begin_suppress_tokens", "alignment_heads", "lang_to_id", "task_to_id"):
        assert getattr(found, name) == getattr(wanted, name), name
    for name in ("no_timestamps_token_id", "prev_sot_token_id", "is_multilingual", "eos_token_id"):
        assert getattr(found, name) == getattr(wanted, name), name
    wanted, found = (AutoTokenizer.from_pretrained(folder) for folder in (tiny, tmp_path / "back"))
    assert found.get_vocab() == wanted.get_vocab()
    assert found.all_special_ids and found.decode([*range(40), found.eos_token_id], skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["json", "txt", "tokenizer"])
def test_the_bundled_vocabulary_is_found_in_each_of_its_files(tmp_path: Path, kind: str) -> None:
    """Without tokenizer.json the merges are derived: the same words become the same tokens."""
    base = bundled_models()["nano-whisper"]
    folder = exported(base, tmp_path / "ct2", "float16")
    if kind != "tokenizer":
        (folder / "tokenizer.json").unlink()
    if kind == "txt":
        tokens = json.loads((folder / "vocabulary.json").read_text())
        (folder / "vocabulary.txt").write_text("\n".join(tokens) + "\n")
        (folder / "vocabulary.json").unlink()
    found = imported(folder, tmp_path / "back")
    wanted = load_file(base / "model.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    first, second = AutoTokenizer.from_pretrained(base), AutoTokenizer.from_pretrained(tmp_path / "back")
    for text in (" the quick brown fox", " naïve café", " it's 17 o'clock, isn't it?"):
        assert second(text).input_ids[-6:] == first(text).input_ids[-6:]
        assert second.decode(second(text, add_special_tokens=False).input_ids) == text


@pytest.mark.parametrize("half", [True, False])
def test_whisper_cpp_and_openai_files_give_the_weights(english: Path, tmp_path: Path, half: bool) -> None:
    dtype = torch.float16 if half else torch.float32
    wanted = load_file(english / "model.safetensors")
    pt = save_openai(english, tmp_path / "tiny.en.pt", dtype)
    checkpoint = read_foreign(pt, lambda size: vocabulary_of(english))
    (tmp_path / "from-pt").mkdir()
    write_whisper(checkpoint, tmp_path / "from-pt")
    found = load_file(tmp_path / "from-pt/model.safetensors")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor.to(dtype)) for name, tensor in wanted.items())
    ggml = imported(save_ggml(english, tmp_path / "ggml-tiny.en.bin", half=half), tmp_path / "from-ggml")
    assert ggml.keys() == wanted.keys()
    for name, tensor in wanted.items():
        large = tensor.ndim > 1 and "embed_positions" not in name
        assert torch.equal(ggml[name], tensor.half().float() if half and large else tensor), name
    for folder in ("from-pt", "from-ggml"):
        words = AutoTokenizer.from_pretrained(tmp_path / folder)
        assert words.get_vocab() == AutoTokenizer.from_pretrained(english).get_vocab()


def test_another_layout_is_named(tiny: Path, tmp_path: Path) -> None:
    assert (
        foreign_kind(tiny) is None
        and foreign_kind(tmp_path) is None
        and foreign_kind(tmp_path / "no") is None
    )
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(
        ModelError, match=r"CTranslate2 folder with model\.bin, an OpenAI \.pt or a whisper\.cpp"
    ):
        read_foreign(tmp_path / "notes.txt", no_vocabulary)


def test_a_tokeniser_of_another_model_is_refused(tiny: Path, english: Path, tmp_path: Path) -> None:
    folder = exported(english, tmp_path / "ct2", "float16")
    shutil.copy(tiny / "tokenizer.json", folder)
    with pytest.raises(ModelError, match="vocabulary and tokeniser disagree"):
        imported(folder, tmp_path / "back")
