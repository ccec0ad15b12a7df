"""A tiny random Parakeet-TDT as a complete transformers directory."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from .architectures import _MERGES, _PARAKEET, PIECES

BLANK = "<blank>"


def save_tiny_tdt(folder: Path, seed: int = 0) -> Path:
    """The model in ``folder``; its weights are spread so that several pieces of several lengths come out."""
    torch.manual_seed(seed)
    tokens = [*PIECES, BLANK]
    config = t.ParakeetTDTConfig(
        vocab_size=len(tokens),
        pad_token_id=tokens.index("<pad>"),
        blank_token_id=tokens.index(BLANK),
        decoder_hidden_size=24,
        num_decoder_layers=2,
        max_symbols_per_step=4,
        encoder_config=t.ParakeetEncoderConfig(**_PARAKEET),
    )
    model = t.ParakeetForTDT(config)
    model.generation_config = t.GenerationConfig(
        decoder_start_token_id=config.blank_token_id,
        pad_token_id=config.pad_token_id,
        suppress_tokens=[len(tokens) + n for n in range(len(config.durations))],  # durations are no tokens
    )
    with torch.no_grad():
        for layer in model.encoder.subsampling.layers:
            if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
                layer.weight.mul_(20.0)
                layer.bias.zero_()
        model.encoder_projector.weight.mul_(20.0)
        model.decoder.embedding.weight.mul_(40.0)
        model.decoder.decoder_projector.weight.mul_(8.0)
        model.joint.head.weight.mul_(10.0)
        model.joint.head.bias[config.blank_token_id] += 1.0
    backend = Tokenizer(models.BPE({p: i for i, p in enumerate(tokens)}, _MERGES, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    words = t.ParakeetTokenizer(
        tokenizer_object=backend, unk_token="<unk>", pad_token="<pad>", additional_special_tokens=[BLANK]
    )
    model.save_pretrained(folder)
    t.ParakeetProcessor(t.ParakeetFeatureExtractor(), words, decoder_type="tdt").save_pretrained(folder)
    return folder
