"""Whisper's network taken apart: convolutions, encoder layers, decoder, each on clips of any length.

Knows where transformers keeps the modules and how their layers are called. transformers' own forward hears
exactly 30 s; this one hears ``lengths`` frames of each row, so a row never depends on the others. Does not
know text, losses or decoding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage

#: Mel frames of one encoder frame.
STRIDE = 2


class WhisperNetwork:
    """The modules of a ``WhisperForConditionalGeneration`` in the order in which sound passes them."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.encoder = model.model.encoder
        self.decoder = model.model.decoder

    def stack(self) -> LayerStack:
        """Stages from sound to text. The token embedding is the head, to which it is tied.

        The decoder needs labels, so the frozen prefix ends where it begins. Encoder positions are fixed
        sinusoids and never learn.
        """
        deep, high = len(self.encoder.layers), len(self.decoder.layers)
        stages = [
            Stage("front_end", FRONT_END, tuple(f"model.encoder.{n}" for n in _FRONT)),
            *(Stage(f"encoder_{i}", LAYER, (f"model.encoder.layers.{i}",)) for i in range(deep)),
            Stage("encoder_norm", NORM, ("model.encoder.layer_norm",)),
            Stage("positions", EMBEDDING, ("model.decoder.embed_positions",)),
            *(Stage(f"decoder_{i}", LAYER, (f"model.decoder.layers.{i}",)) for i in range(high)),
            Stage("decoder_norm", NORM, ("model.decoder.layer_norm",)),
            Stage("head", HEAD, ("proj_out", "model.decoder.embed_tokens")),
        ]
        return LayerStack(
            self.model,
            stages,
            prefix_limit=deep + 2,
            usual_layers=high,
            fixed=("model.encoder.embed_positions",),
        )

    def front_end(self, mels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mels (batch, frames, bands) to the input of encoder layer 0 (batch, frames / 2, width)."""
        values = mels.transpose(1, 2).to(self.encoder.conv1.weight.dtype)
        padded = bool((lengths < mels.shape[1]).any())
        valid = _valid(lengths, mels.shape[1])[:, None]
        if padded:  # what a row alone would see behind its end: the convolution's own zeros
            values = values * valid
        values = F.gelu(self.encoder.conv1(values))
        if padded:
            values = values * valid
        states = F.gelu(self.encoder.conv2(values)).transpose(1, 2)
        states = states + self.encoder.embed_positions.weight[: states.shape[1]]
        dropped = F.dropout(states, self.encoder.dropout, training=self.encoder.conv1.training)
        return dropped, torch.div(lengths + 1, STRIDE, rounding_mode="floor")

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Encoder layers ``indices``; ``drop`` is the chance that one in training is skipped."""
        mask = _mask(states, lengths)
        for index in indices:
            layer = self.encoder.layers[index]
            if not _dropped(layer, drop):
                states = layer(states, mask)
        return states

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The normalisation above the encoder."""
        return self.encoder.layer_norm(states)

    def decode(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """Logits (batch, tokens, vocabulary) of each token's successor (teacher forcing)."""
        hidden = self.decoder.embed_tokens(ids) + self.decoder.embed_positions.weight[: ids.shape[1]]
        training = self.decoder.layers[-1].training
        hidden = F.dropout(hidden, self.decoder.dropout, training=training)
        heard = _mask(states, lengths)
        for layer in self.decoder.layers:
            if not _dropped(layer, drop):  # sdpa without a mask is causal; padding stands behind the tokens
                hidden = layer(hidden, None, states, encoder_attention_mask=heard, use_cache=False)
        return self.head(hidden)

    def step(self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``, which follow the tokens in ``cache``."""
        past = cache.get_seq_length()
        positions = self.decoder.embed_positions.weight[past : past + ids.shape[1]]
        hidden = self.decoder.embed_tokens(ids) + positions
        for layer in self.decoder.layers:
            hidden = layer(hidden, None, states, heard, past_key_values=cache, use_cache=True)
        return self.head(hidden[:, -1])

    def head(self, hidden: Tensor) -> Tensor:
        """Norm and output projection."""
        return self.model.proj_out(self.decoder.layer_norm(hidden))

    def set_dropout(self, hidden: float | None, attention: float | None, activation: float | None) -> None:
        """Put rates into the layers; None keeps a layer's own."""
        for part in (self.encoder, self.decoder):
            part.dropout = part.dropout if hidden is None else hidden
            for layer in part.layers:
                layer.dropout = layer.dropout if hidden is None else hidden
                layer.activation_dropout = layer.activation_dropout if activation is None else activation
                for name in ("self_attn", "encoder_attn"):
                    own = getattr(layer, name, None)
                    if own is not None and attention is not None:
                        own.dropout = attention


_FRONT = ("conv1", "conv2", "embed_positions")


def heard_mask(states: Tensor, lengths: Tensor) -> Tensor | None:
    """Additive mask (batch, 1, 1, frames) of what lies behind a row's end; None where nothing does."""
    return _mask(states, lengths)


def _valid(lengths: Tensor, frames: int) -> Tensor:
    return torch.arange(frames, device=lengths.device)[None, :] < lengths[:, None]


def _mask(states: Tensor, lengths: Tensor) -> Tensor | None:
    frames = states.shape[1]
    if bool((lengths == frames).all()):
        return None
    mask = torch.zeros(len(states), 1, 1, frames, dtype=states.dtype, device=states.device)
    return mask.masked_fill(~_valid(lengths, frames)[:, None, None], torch.finfo(states.dtype).min)


def _dropped(layer: nn.Module, drop: float) -> bool:
    return layer.training and drop > 0 and torch.rand(()).item() < drop
