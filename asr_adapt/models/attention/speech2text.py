"""The Speech2Text family: encoder and decoder on normalised filter banks, as long as the clip.

Knows Speech2Text's convolutions, positions and languages. Does not know text, recipes, manifests, or how a
checkpoint was found. Source: Wang et al., fairseq S2T, arXiv 2010.05171.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForSpeechSeq2Seq

from asr_adapt.manifest import ModelLimits
from asr_adapt.models.attention.mel import NormalisedFilterBank
from asr_adapt.models.attention.plain_seq2seq import PlainSeq2SeqRecogniser
from asr_adapt.models.attention.transformer_network import TransformerNetwork
from asr_adapt.models.contract import DecoderSettings, Hidden
from asr_adapt.models.masking import valid_frames
from asr_adapt.models.registry import Architecture
from asr_adapt.models.stack import LayerStack
from asr_adapt.models.words.pieces import piece_characters
from asr_adapt.text import Spelling


class Speech2TextNetwork(TransformerNetwork):
    """The modules of a ``Speech2TextForConditionalGeneration`` in the order in which sound passes them."""

    projection = "lm_head"

    def stack(self) -> LayerStack:
        """Stages from sound to text; positions are fixed sinusoids without parameters."""
        return self.layer_stack(("conv",))

    def frames(self, lengths: Tensor) -> Tensor:
        """Encoder frames of ``lengths`` mel frames: each convolution halves them."""
        for _ in self.encoder.conv.conv_layers:
            lengths = torch.div(lengths + 1, 2, rounding_mode="floor")
        return lengths

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, bands) to the input of encoder layer 0 (batch, frames / 4, width)."""
        convolutions = self.encoder.conv.conv_layers
        states = values.transpose(1, 2).to(convolutions[0].weight.dtype)
        for convolution in convolutions:
            lengths = torch.div(lengths + 1, 2, rounding_mode="floor")
            states = F.glu(convolution(states), dim=1)
            valid = valid_frames(lengths, states.shape[2])
            states = states * valid[:, None]  # what a row alone would see behind its end: zeros
        places = self.encoder.embed_positions((~valid).long())
        states = self.encoder.embed_scale * states.transpose(1, 2) + places.to(states.dtype)
        return F.dropout(states, self.encoder.dropout, training=convolutions[0].training), lengths

    def embed(self, ids: Tensor, past: int) -> Tensor:
        """Scaled tokens and positions."""
        tokens = self.decoder.embed_scale * self.decoder.embed_tokens(ids)
        return tokens + self.decoder.embed_positions(ids, past).to(tokens.dtype)


class Speech2TextRecogniser(PlainSeq2SeqRecogniser):
    """Speech2Text; the contract's methods are documented there."""

    family = "speech2text"
    title = "Speech2Text"
    network: Speech2TextNetwork
    adaptable = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        super().__init__(model, processor, name, Speech2TextNetwork(model))
        # transformers' default here computes every attention weight, but the layers take the fused kernel too
        model.config._attn_implementation = "sdpa"
        self.banks = NormalisedFilterBank(processor.feature_extractor)
        stride = 2 ** len(self.network.encoder.conv.conv_layers)
        self.frame_seconds = stride * self.banks.hop / self.sample_rate

    @property
    def positions(self) -> int:
        """The most tokens that the decoder takes."""
        return int(self.model.config.max_target_positions)

    @property
    def languages(self) -> dict[str, int]:
        """Languages of a multilingual checkpoint (MuST-C)."""
        return dict(self.processor.tokenizer.lang_code_to_id)

    def configure(self, settings: DecoderSettings) -> None:
        """The language is saved as the first token that plain transformers must say."""
        super().configure(settings)
        if settings.language is not None:
            self.model.generation_config.forced_bos_token_id = self.language_id(settings.language)

    def prefix(self, language: str | None) -> list[int]:
        """The start, and the language's token: that asked for, else the one saved with the model."""
        given, saved = super().prefix(language), self.model.generation_config.forced_bos_token_id
        return given if len(given) > 1 or saved is None else [*given, int(saved)]

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Normalised filter banks (batch, frames, bands) on the model's device."""
        return Hidden(*self.banks(waveforms, self.device))

    @cached_property
    def spelling(self) -> Spelling:
        """How the characters that word pieces are made of write a text."""
        return Spelling(piece_characters(self.processor.tokenizer))

    def written(self, text: str) -> str:
        """As the word pieces spell it, without which every piece would be unknown."""
        return self.spelling(text.strip())

    def limits(self) -> ModelLimits:
        """As of the other families, and the characters that the word pieces have."""
        return replace(super().limits(), vocabulary=self.spelling.tokens, spelling=self.spelling)

    def clip_frames(self, samples: int) -> int:
        """Encoder frames (40 ms) of a clip."""
        return int(self.network.frames(torch.tensor(self.banks.frames(samples))))


ARCHITECTURE = Architecture(
    AutoModelForSpeechSeq2Seq, Speech2TextRecogniser, package="sentencepiece", extra="speech2text"
)
