"""Moonshine-streaming: an encoder whose layers see little of what follows, and Moonshine's decoder.

Knows where transformers keeps its modules, and how many frames each layer sees. Does not know text, recipes,
manifests, or how a checkpoint was found. Source: transformers' ``moonshine_streaming`` (Useful Sensors).

Frames are causal: a clip's first frames do not depend on how it goes on, nor on its batch. transformers
leaves out the layers' windows where it is given no mask; its own processor always gives one, so they are
always kept here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSpeechSeq2Seq

from asr_adapt.models.attention.mel import padded_samples
from asr_adapt.models.attention.moonshine import MoonshineNetwork
from asr_adapt.models.attention.plain_seq2seq import WINDOW_SECONDS, PlainSeq2SeqRecogniser
from asr_adapt.models.contract import Capabilities, Hidden
from asr_adapt.models.registry import Architecture
from asr_adapt.models.stack import EMBEDDING, FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage


def frames_of(samples: int, size: int) -> int:
    """Encoder frames of a clip: of ``size`` samples each, the last one filled up, halved twice."""
    whole = -(-samples // size)
    for _ in range(2):
        whole = (whole - 1) // 2 + 1
    return max(whole, 0)


class MoonshineStreamingNetwork(MoonshineNetwork):
    """The modules of a ``MoonshineStreamingForConditionalGeneration``."""

    @property
    def frame_samples(self) -> int:
        """Samples of what the front end takes for one frame."""
        return int(self.encoder.embedder.frame_len)

    def stack(self) -> LayerStack:
        """Stages from sound to text; positions of what was heard are the decoder's, and learnt."""
        deep, high = len(self.encoder.layers), len(self.decoder.layers)
        learnt = [
            name
            for name in ("pos_emb", "proj")
            if any(True for _ in getattr(self.decoder, name).parameters())
        ]
        stages = [
            Stage("front_end", FRONT_END, ("model.encoder.embedder",)),
            *(Stage(f"encoder_{i}", LAYER, (f"model.encoder.layers.{i}",)) for i in range(deep)),
            Stage("encoder_norm", NORM, ("model.encoder.final_norm",)),
            Stage("positions", EMBEDDING, tuple(f"model.decoder.{name}" for name in learnt)),
            *(Stage(f"decoder_{i}", LAYER, (f"model.decoder.layers.{i}",)) for i in range(high)),
            Stage("decoder_norm", NORM, ("model.decoder.norm",)),
            Stage("head", HEAD, ("proj_out", "model.decoder.embed_tokens")),
        ]
        return LayerStack(self.model, stages, prefix_limit=deep + 2, usual_layers=high)

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Samples (batch, samples) to (batch, frames, width).

        A last frame that is not whole counts, as zeros, where the clip ends in it; so does transformers.
        """
        embedder, size = self.encoder.embedder, self.frame_samples
        values = nn.functional.pad(values, (0, -values.shape[1] % size))
        framed = values.reshape(len(values), -1, size).to(embedder.linear.weight.dtype)
        states = nn.functional.silu(embedder.linear(embedder.comp(embedder.cmvn(framed))))
        whole = torch.arange(states.shape[1], device=lengths.device)[None] < (lengths // size)[:, None]
        states = (states * whole[..., None]).transpose(1, 2)
        states = nn.functional.silu(embedder.conv1(states)[0])
        states = embedder.conv2(states)[0].transpose(1, 2)
        frames = torch.tensor([frames_of(n, size) for n in lengths.tolist()], device=lengths.device)
        return states, frames

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Encoder layers ``indices``, each within its own window of frames."""
        for index in indices:
            states = self.encoder.layers[index](states, attention_mask=self._window(index, states, lengths))
        return states

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The normalisation above the encoder."""
        return self.encoder.final_norm(states)

    def read(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """The decoder's normalised states (batch, tokens, width) on whole texts."""
        return super().read(ids, states.clone(), lengths, drop)  # transformers adds positions in place

    def step(
        self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any, said: Tensor | None = None
    ) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``; ``said`` as in the other networks."""
        return super().step(ids, states.clone(), heard, cache, said)

    def _window(self, index: int, states: Tensor, lengths: Tensor) -> Tensor:
        """Boolean (batch, 1, frames, frames): what each frame hears; padding hears itself."""
        left, right = self.encoder.config.sliding_windows[index]
        place = torch.arange(states.shape[1], device=states.device)
        ahead = place[None] - place[:, None]
        near = (ahead <= 0) & (-ahead < left) | (ahead > 0) & (ahead < right)
        valid = place[None] < lengths.to(states.device)[:, None]
        return (near[None] & valid[:, None] | (ahead == 0)[None])[:, None]


class MoonshineStreamingRecogniser(PlainSeq2SeqRecogniser):
    """Moonshine-streaming; the contract's methods are documented there."""

    family = "moonshine_streaming"
    title = "Moonshine-streaming"
    network: MoonshineStreamingNetwork
    adaptable = ("q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2")

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        super().__init__(model, processor, name, MoonshineStreamingNetwork(model))
        self.frame_seconds = 4 * self.network.frame_samples / self.sample_rate
        learnt = self.network.decoder.pos_emb.num_embeddings  # positions of what is heard
        self.window_seconds = min(WINDOW_SECONDS, learnt * self.frame_seconds)

    @property
    def capabilities(self) -> Capabilities:
        """As of Moonshine; its output layer may be its own."""
        return replace(super().capabilities, tied_head=bool(self.model.config.tie_word_embeddings))

    @property
    def positions(self) -> int:
        """The most tokens that the decoder takes."""
        return int(self.model.config.max_position_embeddings)

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Zero-padded samples (batch, samples); clips too short for a frame are lengthened by silence."""
        return Hidden(*padded_samples(waveforms, self.network.frame_samples))

    def clip_frames(self, samples: int) -> int:
        """Encoder frames (20 ms) of a clip."""
        return frames_of(samples, self.network.frame_samples)


ARCHITECTURE = Architecture(AutoModelForSpeechSeq2Seq, MoonshineStreamingRecogniser)
