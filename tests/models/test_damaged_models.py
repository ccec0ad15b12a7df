"""Damaged model folders: each ends in one sentence, none in a library's error or a hang."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr_adapt.errors import AsrAdaptError
from asr_adapt.models import load_recogniser
from asr_adapt.models.importing.openai_pt import read_openai

from .architectures import save_tiny
from .whisper_models import save_tiny_whisper

Damage = Callable[[Path], None]
#: What a field may hold after a bad edit.
VALUES: tuple[Any, ...] = (None, "many", -1, 0, 100_000, [], {}, 1.5, True)
FIELDS = {
    "config.json": (
        *("model_type", "architectures", "num_hidden_layers", "encoder_layers", "decoder_layers"),
        *("hidden_size", "vocab_size", "conv_stride", "num_attention_heads", "pad_token_id", "d_model"),
        "decoder_start_token_id",
    ),
    "processor_config.json": ("feature_extractor",),
    "tokenizer_config.json": ("pad_token", "tokenizer_class"),
    "generation_config.json": (
        *("suppress_tokens", "lang_to_id", "alignment_heads", "max_length", "forced_decoder_ids"),
    ),
}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


def damages(base: Path) -> Iterator[tuple[str, Damage]]:
    """Every damage that ``base`` can suffer, by name."""
    for path in sorted(base.iterdir()):
        contents = {
            "empty": b"",
            "cut": path.read_bytes()[:60],
            "noise": b"\xff\x00garbage",
            "pointer": POINTER,
        }
        if path.suffix == ".json":
            contents |= {"list": b"[]", "null": b"null", "string": b'"a"'}
        for name, content in contents.items():
            yield f"{path.name} {name}", partial(_overwrite, path.name, content)
        if path.name in ("config.json", "model.safetensors"):
            yield f"{path.name} absent", partial(_remove, path.name)
    for file, fields in FIELDS.items():
        stored = json.loads((base / file).read_text()) if (base / file).is_file() else {}
        for field in fields:
            for value in VALUES if field in stored else ():
                yield f"{file} {field}={value!r}", partial(_edit, file, field, value)


def _overwrite(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)


def _remove(name: str, folder: Path) -> None:
    (folder / name).unlink()


def _edit(file: str, field: str, value: Any, folder: Path) -> None:
    values = json.loads((folder / file).read_text())
    values[field] = value
    (folder / file).write_text(json.dumps(values))


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper"])
def test_every_damage_is_a_sentence_or_harmless(kind: str, tmp_path: Path) -> None:
    base = tmp_path / "base"
    _ = save_tiny_whisper(base) if kind == "whisper" else save_tiny(kind, base)
    wave = np.random.default_rng(0).normal(0.0, 0.1, 8_000).astype(np.float32)
    refused, strange = 0, []
    for number, (name, damage) in enumerate(damages(base)):
        folder = tmp_path / f"d{number}"
        shutil.copytree(base, folder)
        damage(folder)
        try:
            with torch.inference_mode():
                load_recogniser(folder, device="cpu").transcribe([wave], words=True)
        except AsrAdaptError as error:
            refused += 1
            if "\n" in str(error) or len(str(error)) > 600 or "weights_only" in str(error):
                strange.append(f"{name}: {error}")
        except Exception as error:  # the point of the test: no other kind may come through
            strange.append(f"{name}: {type(error).__name__}: {error}"[:200])
        shutil.rmtree(folder)
    assert not strange, "\n".join(strange)
    assert refused > 60


def test_a_pickle_with_code_is_refused_without_advice_to_run_it(tmp_path: Path) -> None:
    folder = save_tiny("wav2vec2", tmp_path / "base")
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.ones(1), "b": _Code()}, folder / "pytorch_model.bin")
    with pytest.raises(AsrAdaptError, match=r"pytorch_model\.bin: holds Python objects") as caught:
        load_recogniser(folder)
    assert "weights_only" not in str(caught.value) and not (tmp_path / "ran").exists()


def test_an_openai_file_with_code_is_refused_without_advice_to_run_it(tmp_path: Path) -> None:
    torch.save({"dims": {}, "model_state_dict": _Code()}, tmp_path / "small.pt")
    with pytest.raises(AsrAdaptError, match=r"small\.pt: holds Python objects") as caught:
        read_openai(tmp_path / "small.pt", lambda size: pytest.fail("the vocabulary was asked for"))
    assert "weights_only" not in str(caught.value) and not (tmp_path / "ran").exists()


class _Code:
    """What a hostile author would put there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))
