"""Layouts of real repositories of the hub, small: their files, names of tensors and settings, random weights.

Each builder writes one folder as its authors' tools wrote it in its year. The networks are tiny, but a head's
rows are spread so that frames say many different letters: equal texts are then no accident.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as t
from safetensors.torch import save_file

from .whisper_models import tokenizer

RATE = 16_000
EXTRACTOR = {
    "do_normalize": True,
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": True,
    "sampling_rate": RATE,
}
#: XLS-R's shape: layer norm in the front end, stable layers; the strides of every wav2vec 2.0 model.
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "num_feat_extract_layers": 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "layerdrop": 0.0,
    "codevector_dim": 16,
    "proj_codevector_dim": 16,
    "num_codevectors_per_group": 4,
}
SPECIALS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
BRACKETS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "[UNK]", "pad_token": "[PAD]"}
LOWER = "'abcdefghijklmnopqrstuvwxyz"
JAMO = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㄲㄸㅃㅆㅉㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
PHONEMES = tuple("n s t ə l a i k d m ɛ ɾ e ɪ p o ɐ z ð f j v b ɹ iː r w ʌ u ɡ aɪ ʃ h ɔ ŋ eɪ".split())  # noqa: SIM905
#: Ids of OpenAI's multilingual vocabulary, whose size alone says so in checkpoints of 2022.
MULTILINGUAL = 51_865


def write(folder: Path, name: str, values: Any) -> None:
    """One JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


def fairseq_vocabulary(characters: str) -> dict[str, int]:
    """Specials first, as converted from fairseq."""
    return {token: i for i, token in enumerate(("<pad>", "<s>", "</s>", "<unk>", "|", *characters))}


def week_vocabulary(characters: str) -> dict[str, int]:
    """Letters first, as the notebooks of the XLSR sprint wrote it; ``<s>`` and ``</s>`` are in no file."""
    return {token: i for i, token in enumerate((*characters, "|", "[UNK]", "[PAD]"))}


def noise(seconds: float, seed: int) -> np.ndarray:
    """Coloured noise that swells and fades, float32."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE)
    rough = np.convolve(random.normal(size=count), np.ones(5) / 5, "same")
    return (0.5 * rough * (0.2 + 0.15 * np.sin(np.arange(count) / 1500))).astype(np.float32)


def ctc(
    folder: Path,
    vocabulary: Mapping[str, Any] | None,
    *,
    kind: str = "Wav2Vec2ForCTC",
    files: Mapping[str, Any] | None = None,
    size: int | None = None,
    pad: int = 0,
    safe: bool = False,
    omit: str = "$^",
    **config: Any,
) -> Path:
    """A wav2vec 2.0 folder; ``safe`` writes today's names as safetensors, else those of 2021 as a pickle.

    ``omit`` is a pattern of tensors that the file lacks.
    """
    torch.manual_seed(0)
    size = size or len(vocabulary or ())
    chosen = SHAPE | {"vocab_size": size, "pad_token_id": pad} | config
    write(folder, "config.json", chosen | {"model_type": "wav2vec2", "architectures": [kind]})
    write(folder, "preprocessor_config.json", EXTRACTOR)
    if vocabulary is not None:
        write(folder, "vocab.json", vocabulary)
    for name, values in (files or {}).items():
        write(folder, name, values)
    model = getattr(t, kind)(t.Wav2Vec2Config(**chosen)).eval()
    if kind == "Wav2Vec2ForCTC":
        spread_head(model)
    state = {n: v.detach().clone() for n, v in model.state_dict().items() if not re.search(omit, n)}
    if safe:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        torch.save({_of_2021(n): v for n, v in state.items()}, folder / "pytorch_model.bin")
    return folder


def _of_2021(name: str) -> str:
    """Weight normalisation's names before torch's parametrisations."""
    for number, old in enumerate(("weight_g", "weight_v")):
        name = name.replace(f"parametrizations.weight.original{number}", old)
    return name


@torch.no_grad()
def spread_head(model: Any) -> None:
    """Give the head rows that the frames of noise fall to evenly."""
    seen: list[torch.Tensor] = []
    hook = model.lm_head.register_forward_hook(lambda _, given, __: seen.append(given[0][0]))
    wave = torch.from_numpy(noise(2.0, 99))
    model(((wave - wave.mean()) / wave.std())[None])
    hook.remove()
    states, head = seen[0], model.lm_head
    rows = torch.randn(head.out_features, states.shape[1]) / (states.std(0) + 1e-4) / states.shape[1] ** 0.5
    head.weight.copy_(rows)
    head.bias.copy_(-(rows @ states.mean(0)))


def mms(folder: Path) -> Path:
    """Two languages: nested vocabulary, an adapter file each; English is in the whole weights."""
    words = {"eng": "etoainshrd'", "ful": "aeionudmtbɗɓŋƴ"}
    nested = {language: fairseq_vocabulary(letters) for language, letters in words.items()}
    settings: dict[str, object] = {**SPECIALS, "target_lang": "eng"}
    settings |= {"tokenizer_class": "Wav2Vec2CTCTokenizer"}
    settings |= {"word_delimiter_token": "|", "do_lower_case": False}
    size = len(nested["eng"])
    ctc(folder, nested, files={"tokenizer_config.json": settings}, size=size, adapter_attn_dim=8)
    whole = torch.load(folder / "pytorch_model.bin", weights_only=True)
    own = {n: v for n, v in whole.items() if "adapter_layer" in n}
    torch.manual_seed(1)
    for language, vocabulary in nested.items():
        rows = torch.arange(size) if language == "eng" else torch.randint(0, size, (len(vocabulary),))
        head = {n: whole[n][rows].clone() for n in ("lm_head.weight", "lm_head.bias")}
        changed = {n: v if language == "eng" else v + 0.1 * torch.randn_like(v) for n, v in own.items()}
        save_file(changed | head, folder / f"adapter.{language}.safetensors")
    return folder


def whisper(folder: Path, generation: Mapping[str, Any] | None = None, **config: Any) -> Path:
    """A multilingual Whisper with the settings of its year, tied head absent from the file."""
    torch.manual_seed(0)
    words = tokenizer(multilingual=True)
    ids = words.get_vocab()
    end = ids["<|endoftext|>"]
    tokens = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end}
    tokens["decoder_start_token_id"] = ids["<|startoftranscript|>"]
    chosen = {
        "vocab_size": MULTILINGUAL,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "suppress_tokens": [],
        "begin_suppress_tokens": [ids["Ġ"], end],
        "max_length": 12,
    }
    chosen |= tokens | config
    named = {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]}
    write(folder, "config.json", chosen | named)
    if generation is not None:
        write(folder, "generation_config.json", generation)
    later = ("suppress_tokens", "begin_suppress_tokens", "max_length", "forced_decoder_ids")
    make: Any = t.WhisperConfig
    model = t.WhisperForConditionalGeneration(make(**{k: v for k, v in chosen.items() if k not in later}))
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("proj.weight") or ".fc" in name or "conv" in name:
                weights.mul_(8.0)
        embedding = model.model.decoder.embed_tokens.weight
        embedding.mul_(8.0)
        embedding[end + 1 :].mul_(0.1)
        embedding[len(words) :].zero_()
    t.WhisperProcessor(t.WhisperFeatureExtractor(), words).save_pretrained(folder)
    state = {n: v.clone() for n, v in model.state_dict().items() if n != "proj_out.weight"}
    torch.save(state, folder / "pytorch_model.bin")
    return folder


def whisper_id(token: str) -> int:
    """Id of a special token of :func:`whisper`."""
    return int(tokenizer(multilingual=True).get_vocab()[token])


def old_adapter(folder: Path, base: Path) -> Path:
    """LoRA as PEFT of 2023 wrote it: a pickle, long-gone settings, the adapter's name inside a tensor's."""
    torch.manual_seed(2)
    settings = {
        "base_model_name_or_path": str(base),
        "bias": "none",
        "enable_lora": None,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": 64,
        "lora_dropout": 0.05,
        "merge_weights": False,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": 4,
        "target_modules": ["q_proj"],
        "task_type": None,
    }
    write(folder, "adapter_config.json", settings)
    state = {}
    for number in range(2):
        for part, kinds in (("encoder", ["self_attn"]), ("decoder", ["self_attn", "encoder_attn"])):
            for kind in kinds:
                place = f"base_model.model.model.{part}.layers.{number}.{kind}.q_proj"
                state[f"{place}.lora_A.default.weight"] = torch.randn(4, 32)
                state[f"{place}.lora_B.default.weight"] = torch.randn(32, 4)
    torch.save(state, folder / "adapter_model.bin")
    return folder
