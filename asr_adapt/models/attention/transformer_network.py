"""Encoder and decoder layers as Whisper and Speech2Text have them, run on clips of any length.

Knows how transformers' layers of that kind are called and masked, so that a row hears its own ``lengths``
frames only. Does not know how sound becomes frames, what a position is, text, losses or decoding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr_adapt.models.attention import text_layer, token_step, window_layer
from asr_adapt.models.masking import valid_frames
from asr_adapt.models.stack import FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage


class TransformerNetwork(ABC):
    """The modules of a model in the order in which sound passes them; see :class:`seq2seq.Seq2SeqNetwork`.

    ``model.encoder`` and ``model.decoder`` have ``layers`` and ``layer_norm``; the token embedding is tied to
    the output projection, whose name is ``projection``.
    """

    projection: str

    def __init__(self, model: Any) -> None:
        self.model = model
        self.encoder = model.model.encoder
        self.decoder = model.model.decoder

    @abstractmethod
    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, bands) to the states of layer 0, and their lengths."""

    @abstractmethod
    def embed(self, ids: Tensor, past: int) -> Tensor:
        """Tokens (batch, tokens) to the decoder's input, where ``past`` tokens went before."""

    def layer_stack(
        self, front: tuple[str, ...], positions: tuple[Stage, ...] = (), fixed: tuple[str, ...] = ()
    ) -> LayerStack:
        """Stages from sound to text. The token embedding is the head, to which it is tied.

        The decoder needs labels, so the frozen prefix ends where it begins. ``front`` names the front end's
        modules in the encoder, ``positions`` learnt ones of the decoder, ``fixed`` what never learns.
        """
        deep, high = len(self.encoder.layers), len(self.decoder.layers)
        stages = [
            Stage("front_end", FRONT_END, tuple(f"model.encoder.{name}" for name in front)),
            *(Stage(f"encoder_{i}", LAYER, (f"model.encoder.layers.{i}",)) for i in range(deep)),
            Stage("encoder_norm", NORM, ("model.encoder.layer_norm",)),
            *positions,
            *(Stage(f"decoder_{i}", LAYER, (f"model.decoder.layers.{i}",)) for i in range(high)),
            Stage("decoder_norm", NORM, ("model.decoder.layer_norm",)),
            Stage("head", HEAD, (self.projection, "model.decoder.embed_tokens")),
        ]
        return LayerStack(self.model, stages, prefix_limit=deep + 2, usual_layers=high, fixed=fixed)

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Encoder layers ``indices``; ``drop`` is the chance that one in training is skipped."""
        mask = self.mask(states, lengths)
        for index in indices:
            layer = self.encoder.layers[index]
            if mask is None and window_layer.applies(layer, states):
                states, _ = window_layer.encode_layer(layer, states)
            elif not _dropped(layer, drop):
                states = layer(states, mask)
        return states

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The normalisation above the encoder."""
        return self.encoder.layer_norm(states)

    def read(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """The decoder's states (batch, tokens, width) on whole texts, before :meth:`head`."""
        training = self.decoder.layers[-1].training
        hidden = F.dropout(self.embed(ids, 0), self.decoder.dropout, training=training)
        kind = states.device.type
        if torch.is_autocast_enabled(kind) and not states.requires_grad:
            states = states.to(torch.get_autocast_dtype(kind))  # once, instead of in every layer
        heard = self.mask(states, lengths)
        for layer in self.decoder.layers:
            if _dropped(layer, drop):
                continue
            if text_layer.applies(layer, states, ids.shape[1]):
                hidden = text_layer.read_layer(layer, hidden, states, heard)
            else:  # sdpa without a mask is causal; padding stands behind the tokens
                hidden = layer(hidden, None, states, encoder_attention_mask=heard, use_cache=False)
        return hidden

    def step(
        self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any, said: Tensor | None = None
    ) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``, which follow the tokens in ``cache``.

        ``said`` is an additive mask (1, 1, tokens, tokens and those in ``cache``); without one, ``ids`` are a
        single token, or the first ones.
        """
        hidden = self.embed(ids, cache.get_seq_length())
        plain = said is None and token_step.applies(states)
        for index, layer in enumerate(self.decoder.layers):
            if plain:
                hidden = token_step.step_layer(layer, index, hidden, states, heard, cache)
            else:
                hidden = layer(hidden, said, states, heard, past_key_values=cache, use_cache=True)
        return self.head(hidden[:, -1])

    def head(self, hidden: Tensor) -> Tensor:
        """Norm and output projection."""
        return getattr(self.model, self.projection)(self.decoder.layer_norm(hidden))

    def mask(self, states: Tensor, lengths: Tensor) -> Tensor | None:
        """Additive (batch, 1, 1, frames): what lies behind a row's end; None where nothing does."""
        frames = states.shape[1]
        if bool((lengths == frames).all()):
            return None
        mask = torch.zeros(len(states), 1, 1, frames, dtype=states.dtype, device=states.device)
        behind = ~valid_frames(lengths, frames)[:, None, None]
        return mask.masked_fill(behind, torch.finfo(states.dtype).min)

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


def _dropped(layer: nn.Module, drop: float) -> bool:
    return layer.training and drop > 0 and torch.rand(()).item() < drop
