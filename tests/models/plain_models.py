"""Tiny random Moonshine and Speech2Text models as complete transformers directories."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
import transformers as t
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import Fuse

LETTERS = "abcdefghijklmnopqrstuvwxyz "
SENTENCES = ["the quick brown fox jumps over the lazy dog", "it is a longer line of text", "hello the there"]


def save_tiny_moonshine(place: Path) -> Path:
    """A Moonshine of width 32 that writes letters."""
    torch.manual_seed(0)
    make: Any = t.MoonshineConfig  # it takes older names of its fields too
    config = make(
        vocab_size=3 + len(LETTERS), hidden_size=32, intermediate_size=48, encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2, num_hidden_layers=2, encoder_num_attention_heads=2,
        decoder_num_attention_heads=2, num_attention_heads=2, max_position_embeddings=64,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, pad_token_id=2,
    )  # fmt: skip
    model = t.MoonshineForConditionalGeneration(config)
    with torch.no_grad():
        model.model.decoder.embed_tokens.weight.mul_(20.0)
        model.model.decoder.embed_tokens.weight[:3].mul_(0.1)  # letters, not the end at once
    model.generation_config = t.GenerationConfig(
        max_length=12, bos_token_id=1, eos_token_id=2, pad_token_id=2, decoder_start_token_id=1
    )
    extractor = t.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    model.save_pretrained(place)
    t.Wav2Vec2Processor(extractor, letter_tokenizer()).save_pretrained(place)
    return place


def letter_tokenizer() -> Any:
    """A token for each letter."""
    vocabulary = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>", *LETTERS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = Fuse()
    return t.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def save_tiny_speech2text(place: Path, *, languages: bool = False) -> Path:
    """A Speech2Text of width 32 that writes word pieces; with ``languages`` the eight of MuST-C."""
    place.mkdir(parents=True, exist_ok=True)
    words = piece_tokenizer(place, languages=languages)
    torch.manual_seed(0)
    config = t.Speech2TextConfig(
        vocab_size=len(words), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, conv_channels=32,
        max_target_positions=64, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
        dropout=0.0,
    )  # fmt: skip
    model = t.Speech2TextForConditionalGeneration(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("proj.weight") or ".fc" in name or "conv" in name:
                weights.mul_(12.0)
        model.model.decoder.embed_tokens.weight[:4].mul_(0.1)  # else tied weights say the last token again
    model.generation_config = t.GenerationConfig(
        max_length=12, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2
    )
    model.save_pretrained(place)
    t.Speech2TextProcessor(t.Speech2TextFeatureExtractor(), words).save_pretrained(place)
    return place


def piece_tokenizer(place: Path, *, languages: bool) -> Any:
    """Pieces learnt from a few sentences, in fairseq's order: its specials stand before them."""
    import sentencepiece

    written, marks = io.BytesIO(), [f"<lang:{code}>" for code in mustc_languages()] if languages else []
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=written, vocab_size=48 + len(marks),
        model_type="bpe", user_defined_symbols=marks, minloglevel=2,
    )  # fmt: skip
    (place / "sentencepiece.bpe.model").write_bytes(written.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    names = [pieces.IdToPiece(i) for i in range(pieces.GetPieceSize())]
    order = ["<s>", "<pad>", "</s>", "<unk>", *(n for n in names if n not in ("<s>", "</s>", "<unk>"))]
    (place / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(order)}))
    more: dict[str, Any] = {"lang_codes": "mustc", "tgt_lang": "de"} if languages else {}
    return t.Speech2TextTokenizer(str(place / "vocab.json"), str(place / "sentencepiece.bpe.model"), **more)


def mustc_languages() -> list[str]:
    """The languages of MuST-C in transformers' order."""
    from transformers.models.speech_to_text.tokenization_speech_to_text import MUSTC_LANGS

    return list(MUSTC_LANGS)


#: The chat template of Qwen3-ASR, without what only other tasks use.
QWEN3_ASR_TEMPLATE = (
    "<|im_start|>system\n<|im_end|>\n{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'audio' %}{{ '<|audio_start|><|audio_pad|><|audio_end|>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if not (loop.last and continue_final_message) %}{{ '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def save_tiny_qwen3_asr(place: Path) -> Path:
    """A Qwen3-ASR of width 32 that writes bytes."""
    from tokenizers import pre_tokenizers

    marks = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|audio_start|>",
        "<|audio_pad|>",
        "<|audio_end|>",
    ]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(alphabet)}
    tokeniser: Any = t.Qwen2Tokenizer
    words = tokeniser(
        vocab=vocabulary, merges=[], unk_token=None, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        extra_special_tokens={
            "audio_token": "<|audio_pad|>", "audio_bos_token": "<|audio_start|>",
            "audio_eos_token": "<|audio_end|>", "turn": "<|im_start|>",
        },
    )  # fmt: skip
    words.add_tokens(["<asr_text>"])
    number = {mark: words.convert_tokens_to_ids(mark) for mark in marks}
    torch.manual_seed(0)
    config = t.Qwen3ASRConfig(
        audio_config={
            "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "d_model": 32,
            "output_dim": 32, "downsample_hidden_size": 8, "num_mel_bins": 128,
            "n_window": 50, "n_window_infer": 200,
        },
        text_config={
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 16, "vocab_size": len(words),
            "max_position_embeddings": 512, "tie_word_embeddings": True,
        },
        audio_token_id=number["<|audio_pad|>"], pad_token_id=number["<|endoftext|>"],
        eos_token_id=[number["<|endoftext|>"], number["<|im_end|>"]],
    )  # fmt: skip
    model = t.Qwen3ASRForConditionalGeneration(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("proj.weight") or "conv" in name or ".linear_" in name:
                weights.mul_(8.0)
        model.model.language_model.embed_tokens.weight.mul_(8.0)
    model.save_pretrained(place)
    extractor = t.Qwen3ASRFeatureExtractor()
    t.Qwen3ASRProcessor(extractor, words, chat_template=QWEN3_ASR_TEMPLATE).save_pretrained(place)
    return place
