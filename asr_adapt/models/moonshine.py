"""The Moonshine family: encoder and decoder on raw samples, as long as the clip.

Knows where transformers keeps Moonshine's modules and how its tokeniser closes a text. Does not know recipes,
manifests, or how a checkpoint was found. Source: Jeffries et al., arXiv 2410.15608.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asr_adapt.errors import ModelError
from asr_adapt.manifest import ModelLimits
from asr_adapt.models.contract import Hidden, Search
from asr_adapt.models.generation import Heard, Rules, Spoken, search, speak
from asr_adapt.models.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.stack import FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage

#: The longest piece, in seconds: what Moonshine was trained on, roughly.
WINDOW_SECONDS = 30.0
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
    """The modules of a ``MoonshineForConditionalGeneration``; see :class:`seq2seq.Network`."""

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

    def decode(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """Logits (batch, tokens, vocabulary) of each token's successor (teacher forcing)."""
        heard = self.mask(states, lengths)
        out = self.decoder(
            input_ids=ids, encoder_hidden_states=states, encoder_attention_mask=heard, use_cache=False
        )
        return self.model.proj_out(out.last_hidden_state)

    def step(self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``."""
        out = self.decoder(
            input_ids=ids,
            encoder_hidden_states=states,
            encoder_attention_mask=heard,
            past_key_values=cache,
            use_cache=True,
        )
        return self.model.proj_out(out.last_hidden_state[:, -1])

    def set_dropout(self, hidden: float | None, attention: float | None, activation: float | None) -> None:
        """Moonshine drops attention weights only."""
        for module in self.model.modules():
            if attention is not None and hasattr(module, "attention_dropout"):
                module.attention_dropout = attention


class MoonshineRecogniser(Seq2SeqRecogniser):
    """Moonshine; the contract's methods are documented there."""

    family = "moonshine"
    network: MoonshineNetwork
    window_seconds = WINDOW_SECONDS
    adaptable = ("q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2")
    tied_head = True

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        super().__init__(model, processor, name)
        self.network = MoonshineNetwork(model)
        self.stack = self.network.stack()
        self.sample_rate = int(processor.feature_extractor.sampling_rate)
        self.frame_seconds = STRIDE / self.sample_rate
        self.end = int(model.config.eos_token_id)
        self.search = Search()

    def set_search(self, search: Search) -> None:
        """Beams; raises ModelError for what it was not taught: fallback, prompt, silence threshold."""
        plain = Search(beams=search.beams)
        unknown = (
            ("a fallback temperature", search.temperatures != plain.temperatures),
            ("a prompt", bool(search.prompt)),
            ("a silence threshold", search.no_speech is not None),
        )
        asked = [what for what, given in unknown if given]
        if asked:
            raise ModelError(f"Moonshine cannot use {' or '.join(asked)}: leave that out.", path=self.name)
        self.search = search

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Zero-padded samples (batch, samples); clips too short for a frame are lengthened by silence."""
        shortest = next(n for n in range(1, self.sample_rate) if frames_of(n) >= 1)
        lengths = [max(len(w), shortest) for w in waveforms]
        padded = torch.zeros(len(waveforms), max(lengths, default=0))
        for row, wave in zip(padded, waveforms, strict=True):
            row[: len(wave)] = torch.from_numpy(np.ascontiguousarray(wave))
        return Hidden(padded, torch.tensor(lengths))

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Start, tokens, end."""
        tokenizer = self.processor.tokenizer
        coded = [tokenizer(text.strip(), add_special_tokens=False).input_ids for text in texts]
        return [[*self.prefix(None), *ids, self.end] for ids in coded]

    def prefix(self, language: str | None) -> list[int]:
        """The start token."""
        return [int(self.model.config.decoder_start_token_id)]

    def speak(self, heard: Hidden, language: str | None) -> list[Spoken]:
        """Greedily, or by beam."""
        given = torch.tensor([self.prefix(language)] * len(heard.states), device=heard.states.device)
        mask = self.network.mask(heard.states, heard.lengths)
        positions = int(self.model.config.max_position_embeddings)
        most = min(self.model.generation_config.max_length or positions, positions)
        rules = Rules(self.end, most)
        ready = Heard(heard.states, mask, given)
        if self.search.beams > 1:
            return search(self.network, ready, rules, self.search.beams)
        return speak(self.network, ready, rules)

    def clip_frames(self, samples: int) -> int:
        """Encoder frames (24 ms) of a clip."""
        return frames_of(samples)

    def limits(self) -> ModelLimits:
        """The decoder's positions; every character can be written."""
        return ModelLimits(
            name=self.name,
            max_seconds=self.window_seconds,
            max_labels=int(self.model.config.max_position_embeddings),
            count_labels=lambda text: len(self.labels([text])[0]),
        )
