"""Qwen3-ASR's modules as stages: an encoder on mel frames, whose output stands in a language model's prompt.

Knows where transformers keeps its modules, and how sound and prompt become one row of states. Does not know
tokenizers, languages, or how a transcript is searched for. Source: Shi et al., arXiv 2601.21337, and
transformers' own class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.models.masking import valid_frames
from asr_adapt.models.stack import FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage

_FRONT = ("conv2d1", "conv2d2", "conv2d3", "conv_out")


class Qwen3AsrNetwork:
    """The modules of a ``Qwen3ASRForConditionalGeneration``; see :class:`plain_seq2seq.MaskedNetwork`.

    ``before`` and ``after`` are the tokens of the prompt around the sound.
    """

    def __init__(self, model: Any, before: Sequence[int], after: Sequence[int]) -> None:
        self.model, self.before, self.after = model, tuple(before), tuple(after)
        self.encoder, self.projector = model.model.audio_tower, model.model.multi_modal_projector
        self.decoder = model.model.language_model
        #: Mel frames of a chunk, which the convolutions see by itself.
        self.chunk = 2 * int(self.encoder.n_window)

    def stack(self) -> LayerStack:
        """Stages from sound to text; positions are fixed or rotary and own no parameter."""
        deep, high = len(self.encoder.layers), len(self.decoder.layers)
        tower, text = "model.audio_tower", "model.language_model"
        stages = [
            Stage("front_end", FRONT_END, tuple(f"{tower}.{name}" for name in _FRONT)),
            *(Stage(f"encoder_{i}", LAYER, (f"{tower}.layers.{i}",)) for i in range(deep)),
            Stage("encoder_norm", NORM, (f"{tower}.ln_post", "model.multi_modal_projector")),
            *(Stage(f"decoder_{i}", LAYER, (f"{text}.layers.{i}",)) for i in range(high)),
            Stage("decoder_norm", NORM, (f"{text}.norm",)),
            Stage("head", HEAD, ("lm_head", f"{text}.embed_tokens")),
        ]
        return LayerStack(self.model, stages, prefix_limit=deep + 2, usual_layers=high)

    def frames(self, mels: Tensor) -> Tensor:
        """Encoder frames of ``mels`` frames: three convolutions halve each chunk by itself."""
        whole, rest = torch.div(mels, self.chunk, rounding_mode="floor"), mels % self.chunk
        return whole * _halved(torch.full_like(mels, self.chunk)) + _halved(rest)

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, mel frames, bands), whole chunks, to (batch, frames, width)."""
        tower = self.encoder
        mels = values.transpose(1, 2).to(tower.conv2d1.weight.dtype)
        chunks = mels.unflatten(2, (-1, self.chunk)).transpose(1, 2).flatten(0, 1)
        states = chunks[:, None]
        for convolution in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
            states = F.gelu(convolution(states))
        states = tower.conv_out(states.permute(0, 3, 1, 2).flatten(2))
        states = states + tower.positional_embedding.positional_embedding[: states.shape[1]].to(states.dtype)
        frames = self.frames(lengths)
        return states.unflatten(0, (len(values), -1)).flatten(1, 2)[:, : int(frames.max())], frames

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Encoder layers ``indices``; attention sees windows of some seconds, rows lie one behind another."""
        valid = valid_frames(lengths, states.shape[1])
        flat, ends = states[valid], self._windows(lengths)
        longest = int((ends[1:] - ends[:-1]).max())
        for index in indices:
            flat = self.encoder.layers[index](flat, ends, max_seqlen=longest)[0]
        found = flat.new_zeros(*states.shape[:2], flat.shape[-1])
        found[valid] = flat
        return found

    def _windows(self, lengths: Tensor) -> Tensor:
        """Where each window of attention ends on the line of all rows, after a 0."""
        ratio = int(self.encoder.n_window_infer) // self.chunk
        window = ratio * int(_halved(torch.tensor(self.chunk)))
        sizes = [0]
        for own in lengths.tolist():
            sizes += [window] * (own // window) + [own % window] * (own % window > 0)
        return torch.tensor(sizes, device=lengths.device).cumsum(0, dtype=torch.int32)

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The normalisation above the encoder, and the projection to the language model's width."""
        found: Tensor = self.projector(self.encoder.ln_post(states))
        return found

    def mask(self, states: Tensor, lengths: Tensor) -> Tensor | None:
        """Boolean (batch, frames): what is sound; None where nothing is padded."""
        if bool((lengths == states.shape[1]).all()):
            return None
        return valid_frames(lengths, states.shape[1])

    def read(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """The decoder's normalised states (batch, tokens, width) on whole texts."""
        given = self._prompted(ids, states)
        mask, places = self._told(self.mask(states, lengths), 0, given.shape[1])
        out = self.decoder(inputs_embeds=given, attention_mask=mask, position_ids=places, use_cache=False)
        found: Tensor = out.last_hidden_state[:, -ids.shape[1] :]
        return found

    def head(self, hidden: Tensor) -> Tensor:
        """Output projection."""
        logits: Tensor = self.model.lm_head(hidden)
        return logits

    def step(
        self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any, said: Tensor | None = None
    ) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``; the first step also takes in the prompt."""
        own = cache.self_attention_cache
        past = own.get_seq_length()
        given = self.decoder.embed_tokens(ids) if past else self._prompted(ids, states)
        mask, places = self._told(heard, past, past + given.shape[1])
        out = self.decoder(
            inputs_embeds=given, attention_mask=mask, position_ids=places, past_key_values=own, use_cache=True
        )
        return self.head(out.last_hidden_state[:, -1])

    def _prompted(self, ids: Tensor, states: Tensor) -> Tensor:
        """Prompt, sound and ``ids`` as the language model takes them (batch, positions, width)."""
        embed, rows = self.decoder.embed_tokens, len(ids)
        around = [
            torch.tensor(part, device=ids.device).expand(rows, -1) for part in (self.before, self.after)
        ]
        before, behind = embed(around[0]), embed(torch.cat([around[1], ids], 1))
        return torch.cat([before, states.to(before.dtype), behind], 1)

    def _told(self, heard: Tensor | None, past: int, total: int) -> tuple[Tensor | None, Tensor | None]:
        """Mask (batch, ``total``) and places of the positions from ``past`` on; padded sound has no place."""
        if heard is None:
            return None, None
        mask = heard.new_ones(len(heard), total)
        first = len(self.before)
        mask[:, first : first + heard.shape[1]] = heard
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, past:]
        return mask, places

    def set_dropout(self, hidden: float | None, attention: float | None, activation: float | None) -> None:
        """Qwen3-ASR drops attention weights only."""
        for module in self.model.modules():
            if attention is not None and hasattr(module, "attention_dropout"):
                module.attention_dropout = attention


def _halved(frames: Tensor) -> Tensor:
    """Frames behind three convolutions of stride 2; of nothing none."""
    for _ in range(3):
        frames = torch.where(frames > 0, torch.div(frames - 1, 2, rounding_mode="floor") + 1, 0)
    return frames
