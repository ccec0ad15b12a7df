"""What every reader hands over: weights under transformers' names, sizes, and a vocabulary.

Knows how sizes follow from the weights and how weights are checked against them. Does not know file formats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from asr_adapt.errors import ModelError
from asr_adapt.models.importing.vocabulary import WhisperVocabulary

#: More layers than any Whisper has; a bound for damaged files.
MOST_LAYERS = 256
_EMBEDDING = "model.decoder.embed_tokens.weight"
_ENCODER, _DECODER = "model.encoder", "model.decoder"


@dataclass(frozen=True)
class WhisperCheckpoint:
    """A Whisper as read from ``path``.

    ``tensors`` has transformers' names; the head is tied to the embeddings and left out. ``heads`` are the
    attention heads of encoder and decoder. ``facts`` overrides generation settings, where the file has them
    (``alignment_heads``, ``suppress_tokens``, ``begin_suppress_tokens``).
    """

    path: Path
    tensors: dict[str, torch.Tensor]
    heads: tuple[int, int]
    vocabulary: WhisperVocabulary
    facts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def dtype(self) -> torch.dtype:
        """The narrowest floating type that holds every weight as it is."""
        for narrow in (torch.float16, torch.bfloat16):
            if all(_fits(tensor, narrow) for tensor in self.tensors.values()):
                return narrow
        return torch.float32

    def config(self) -> WhisperConfig:
        """The architecture, with sizes from the weights; raises :class:`ModelError` where they contradict."""
        words, width = self._shape(_EMBEDDING, 2)
        encoder, decoder = (_layers(self, side) for side in (_ENCODER, _DECODER))
        if any(count < 1 or width % count for count in self.heads):
            raise self._fault(f"{self.heads} attention heads do not divide a width of {width}")
        vocabulary = self.vocabulary
        return WhisperConfig(
            vocab_size=words,
            num_mel_bins=self._shape(f"{_ENCODER}.conv1.weight", 3)[1],
            d_model=width,
            encoder_layers=encoder,
            decoder_layers=decoder,
            encoder_attention_heads=self.heads[0],
            decoder_attention_heads=self.heads[1],
            encoder_ffn_dim=self._shape(f"{_ENCODER}.layers.0.fc1.weight", 2)[0],
            decoder_ffn_dim=self._shape(f"{_DECODER}.layers.0.fc1.weight", 2)[0],
            max_source_positions=self._shape(f"{_ENCODER}.embed_positions.weight", 2)[0],
            max_target_positions=self._shape(f"{_DECODER}.embed_positions.weight", 2)[0],
            bos_token_id=vocabulary.end,
            eos_token_id=vocabulary.end,
            pad_token_id=vocabulary.end,
            decoder_start_token_id=vocabulary.start,
            begin_suppress_tokens=None,
            suppress_tokens=None,
            dtype=self.dtype,
        )

    def model(self) -> WhisperForConditionalGeneration:
        """The network with these weights; raises :class:`ModelError` where one is missing, or misshapen."""
        config = self.config()
        with torch.device("meta"):
            model = WhisperForConditionalGeneration(config)
        wanted = {n: tuple(t.shape) for n, t in model.state_dict().items() if n != "proj_out.weight"}
        missing = sorted(wanted.keys() - self.tensors.keys())
        unknown = sorted(self.tensors.keys() - wanted.keys())
        if missing or unknown:
            kind, name = (
                ("lacks the weight", missing[0]) if missing else ("has the unknown weight", repr(unknown[0]))
            )
            raise self._fault(f"it {kind} {name}")
        for name, shape in wanted.items():
            if tuple(self.tensors[name].shape) != shape:
                raise self._fault(f"{name} is {tuple(self.tensors[name].shape)}, not {shape}")
        tensors = _apart({name: tensor.to(self.dtype) for name, tensor in self.tensors.items()})
        model.load_state_dict({**tensors, "proj_out.weight": tensors[_EMBEDDING]}, assign=True)
        model.tie_weights()
        return model.eval()

    def _shape(self, name: str, rank: int) -> tuple[int, ...]:
        if name not in self.tensors:
            raise self._fault(f"it lacks the weight {name}")
        shape = tuple(self.tensors[name].shape)
        if len(shape) != rank or 0 in shape:
            raise self._fault(f"{name} has the shape {shape}")
        return shape

    def _fault(self, what: str) -> ModelError:
        return ModelError(f"this is not a complete Whisper model: {what}.", path=self.path)


def _layers(checkpoint: WhisperCheckpoint, side: str) -> int:
    """How many layers ``side`` has, counted without gaps."""
    pattern = re.compile(rf"{re.escape(side)}\.layers\.(\d+)\.")
    found = {int(match[1]) for name in checkpoint.tensors if (match := pattern.match(name))}
    if not found or len(found) > MOST_LAYERS or max(found) != len(found) - 1:
        raise ModelError(
            f"this is not a complete Whisper model: {side} has {len(found)} layers, not counted from 0 on.",
            path=checkpoint.path,
        )
    return len(found)


def _apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors without memory in common: a file may keep equal weights once, and stack several."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found


def _fits(tensor: torch.Tensor, narrow: torch.dtype) -> bool:
    """Whether ``tensor`` is the same in the type ``narrow``, not-a-number apart."""
    return tensor.dtype == narrow or bool((tensor.to(narrow).to(tensor.dtype) == tensor).all())
