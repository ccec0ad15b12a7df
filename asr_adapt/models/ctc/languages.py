"""Languages of a CTC checkpoint that carries one adapter and one vocabulary for each (MMS).

Knows the files ``adapter.LANGUAGE.safetensors`` and the nested ``vocab.json`` that transformers writes. Does
not know where files come from, nor decoding. Source: Pratap et al., arXiv 2305.13516.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models.files.directory import read_pickle, tensor_shapes

_FILES = ("adapter.{}.safetensors", "adapter.{}.bin")
#: Names in messages; the largest checkpoint knows 1,162 languages.
_SHOWN = 12


class LanguageAdapters:
    """The languages of ``model``; ``find`` gives the path of one of its files, or None."""

    def __init__(self, model: Any, tokenizer: Any, name: str, find: Callable[[str], Path | None]) -> None:
        self.model, self.tokenizer, self.name, self.find = model, tokenizer, name, find
        self.codes = tuple(sorted(tokenizer.vocab))
        #: The language whose adapter and vocabulary are in place.
        self.current = str(tokenizer.target_lang)

    @staticmethod
    def carried_by(model: Any, tokenizer: Any) -> bool:
        """Whether a checkpoint has a vocabulary for each of several languages, and adapters."""
        vocabulary = getattr(tokenizer, "vocab", None)
        nested = isinstance(vocabulary, dict) and all(isinstance(v, dict) for v in vocabulary.values())
        adapted = getattr(model.config, "adapter_attn_dim", None) is not None
        return bool(nested and vocabulary and adapted and getattr(tokenizer, "target_lang", None))

    def use(self, language: str) -> None:
        """Put the adapter, head and vocabulary of ``language`` in place.

        Raises :class:`UsageError` for a language that the model has not, :class:`ModelError` for its files.
        """
        if language not in self.codes:
            near = [c for c in self.codes if c.startswith(language[:2])] or list(self.codes)
            shown = ", ".join(near[:_SHOWN]) + (", …" if len(near) > _SHOWN else "")
            raise UsageError(f"language {language!r} is unknown to {self.name}: use one of {shown}.")
        if language == self.current:
            return
        self._put(self._stored(language), language)
        self.tokenizer.set_target_lang(language)
        self.current = language

    def _stored(self, language: str) -> dict[str, Tensor]:
        for pattern in _FILES:
            path = self.find(pattern.format(language))
            if path is not None:
                tensor_shapes(path)  # a damaged file is named
                return load_file(path) if path.suffix == ".safetensors" else read_pickle(path)
        raise ModelError(
            f"has no {_FILES[0].format(language)}: take it from the model that this one was tuned from.",
            path=self.name,
        )

    def _put(self, stored: dict[str, Tensor], language: str) -> None:
        """Copy the tensors, under a new head where the vocabulary has another size."""
        model = self.model
        wanted = {
            n: p for n, p in model.named_parameters() if ".adapter_layer." in n or n.startswith("lm_head.")
        }
        if absent := wanted.keys() - stored.keys():
            raise ModelError(
                f"the adapter of {language} lacks {min(absent)}: download it again.", path=self.name
            )
        size, old = len(stored["lm_head.weight"]), model.lm_head
        if size != old.out_features:
            model.lm_head = nn.Linear(old.in_features, size, device=old.weight.device, dtype=old.weight.dtype)
            model.config.vocab_size = size
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in wanted:
                    parameter.copy_(stored[name])
        model.lm_head.requires_grad_(False)
