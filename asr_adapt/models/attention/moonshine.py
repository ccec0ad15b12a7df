"""The Moonshine family: encoder and decoder on raw samples, as long as the clip.

Knows where transformers keeps Moonshine's modules. Does not know text, recipes, manifests, or how a
checkpoint was found. Source: Jeffries et al., arXiv 2410.15608.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSpeechSeq2Seq

from asr_adapt.models.attention.mel import padded_samples
from asr_adapt.models.attention.plain_seq2seq import PlainSeq2SeqRecogniser
from asr_adapt.models.contract import Hidden
from asr_adapt.models.registry import Architecture
from asr_adapt.models.stack import FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage

#: (kernel, stride) of the convolutions.
CONVOLUTIONS = ((127, 64), (7, 3), (3, 2))
STRIDE = 64 * 3 * 2
_FRONT = ("conv1", "conv2", "conv3", "groupnorm")


def frames_of(samples: int) -> int:
    """Encoder frames of a clip."""
    for kernel, stride in CONVOLUTIONS:
        samples = (samples - kernel) // stride + 1
    return max(samples, 0)


class MoonshineNetwork:
    """The modules of a ``MoonshineForConditionalGeneration``; see :class:`plain_seq2seq.MaskedNetwork`."""

    def __init__(self, model: Any) -> None:
        self.model, self.encoder, self.decoder = model, model.model.encoder, model.model.decoder

    def stack(self) -> LayerStack:
        """Stages from sound to text, as for Whisper; positions are rotary and own no parameter."""
        deep, high = len(self.encoder.layers), len(self.decoder.layers)
        stages = [
            Stage("front_end", FRONT_END, tuple(f"model.encoder.{n}" for n in _FRONT)),
            *(Stage(f"encoder_{i}", LAYER, (f"model.encoder.layers.{i}",)) for i in range(deep)),
            Stage("encoder_norm", NORM, ("model.encoder.layer_norm",)),
            *(Stage(f"decoder_{i}", LAYER, (f"model.decoder.layers.{i}",)) for i in range(high)),
            Stage("decoder_norm", NORM, ("model.decoder.norm",)),
            Stage("head", HEAD, ("proj_out", "model.decoder.embed_tokens")),
        ]
        return LayerStack(self.model, stages, prefix_limit=deep + 2, usual_layers=high)

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (batch, samples) to (batch, frames, width), row by row where rows differ in length.

        The group normalisation averages over time, so padding would change every frame of a shorter row.
        """
        frames = torch.tensor([frames_of(n) for n in lengths.tolist()], device=lengths.device)
        if bool((lengths == values.shape[1]).all()):
            return self._convolved(values), frames
        rows = [self._convolved(row[None, :n])[0] for row, n in zip(values, lengths.tolist(), strict=True)]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), frames

    def _convolved(self, values: Tensor) -> Tensor:
        encoder = self.encoder
        states = torch.tanh(encoder.conv1(values.unsqueeze(1).to(encoder.conv1.weight.dtype)))
        states = nn.functional.gelu(encoder.conv2(encoder.groupnorm(states)))
        return nn.functional.gelu(encoder.conv3(states)).transpose(1, 2)

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Encoder layers ``indices``; Moonshine knows no layer drop."""
        places = torch.arange(states.shape[1], device=states.device)[None]
        positions = self.encoder.rotary_emb(states, position_ids=places)
        valid = self.mask(states, lengths)
        mask = None if valid is None else valid[:, None, None].expand(-1, 1, states.shape[1], -1)
        for index in indices:
            states = self.encoder.layers[index](states, attention_mask=mask, position_embeddings=positions)
        return states

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The normalisation above the encoder."""
        return self.encoder.layer_norm(states)

    def mask(self, states: Tensor, lengths: Tensor) -> Tensor | None:
        """Boolean (batch, frames): what is sound; None where nothing is padded."""
        if bool((lengths == states.shape[1]).all()):
            return None
        return torch.arange(states.shape[1], device=lengths.device)[None] < lengths[:, None]

    def read(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """The decoder's normalised states (batch, tokens, width) on whole texts."""
        heard = self.mask(states, lengths)
        out = self.decoder(
            input_ids=ids, encoder_hidden_states=states, encoder_attention_mask=heard, use_cache=False
        )
        return out.last_hidden_state

    def head(self, hidden: Tensor) -> Tensor:
        """Output projection."""
        return self.model.proj_out(hidden)

    def step(
        self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any, said: Tensor | None = None
    ) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``; ``said`` as in the other networks."""
        out = self.decoder(
            input_ids=ids,
            attention_mask=said,
            encoder_hidden_states=states,
            encoder_attention_mask=heard,
            past_key_values=cache,
            use_cache=True,
        )
        return self.head(out.last_hidden_state[:, -1])

    def set_dropout(self, hidden: float | None, attention: float | None, activation: float | None) -> None:
        """Moonshine drops attention weights only."""
        for module in self.model.modules():
            if attention is not None and hasattr(module, "attention_dropout"):
                module.attention_dropout = attention


class MoonshineRecogniser(PlainSeq2SeqRecogniser):
    """Moonshine; the contract's methods are documented there."""

    family = "moonshine"
    title = "Moonshine"
    adaptable = ("q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2")

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        super().__init__(model, processor, name, MoonshineNetwork(model))
        self.frame_seconds = STRIDE / self.sample_rate

    @property
    def positions(self) -> int:
        """The most tokens that the decoder takes."""
        return int(self.model.config.max_position_embeddings)

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Zero-padded samples (batch, samples); clips too short for a frame are lengthened by silence."""
        shortest = next(n for n in range(1, self.sample_rate) if frames_of(n) >= 1)
        return Hidden(*padded_samples(waveforms, shortest))

    def clip_frames(self, samples: int) -> int:
        """Encoder frames (24 ms) of a clip."""
        return frames_of(samples)


ARCHITECTURE = Architecture(AutoModelForSpeechSeq2Seq, MoonshineRecogniser)
