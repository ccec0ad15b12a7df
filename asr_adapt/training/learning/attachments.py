"""Strategies that train parts beside the pretrained weights: LoRA, and the model's own bottleneck adapters.

Knows which parts learn and what is written beside the plain model. Does not know how PEFT or transformers
keep them (:mod:`asr_adapt.models.lora`, :mod:`asr_adapt.models.bottleneck`) nor how they are trained.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from asr_adapt.errors import ModelError
from asr_adapt.files import atomic_directory
from asr_adapt.models import Recogniser, portable
from asr_adapt.models.bottleneck import bottleneck_names, save_bottleneck
from asr_adapt.models.lora import FOLDER, Lora, LoraSettings, add_lora, blended_adapter, save_adapter
from asr_adapt.models.stack import HEAD
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)
#: What the folder of an adapter says that cannot follow a blend.
UNBLENDED = (
    "this DoRA adapter is as it was trained; the merged model in the folder above was blended with its base "
    "afterwards (retention.json), and the figures there are the merged model's."
)


class Attachment(Protocol):
    """Parts of a network that alone learn."""

    #: All parameters that learn, the head's among them where it does.
    names: frozenset[str]

    def detach(self) -> None:
        """After training: leave a network that is saved as a plain transformers directory."""

    def blended(self, shares: Mapping[str, float]) -> None:
        """Told behind :meth:`detach` which share of what each parameter learnt the network keeps."""

    def write(self, folder: Path) -> None:
        """Write the parts by themselves into the result folder."""


class LoraAttachment:
    """LoRA: ``adapter/`` in the result folder is what PEFT loads on the base; the model itself is merged."""

    def __init__(self, lora: Lora, base: str, head: frozenset[str]) -> None:
        self.lora, self.base, self.head = lora, base, head
        self.names = lora.names | head
        self.state: dict[str, Tensor] = {}
        self.remark = ""

    def detach(self) -> None:
        """Keep the adapter's tensors and merge."""
        self.state = self.lora.state(head=bool(self.head))
        self.lora.merge()

    def blended(self, shares: Mapping[str, float]) -> None:
        """Scale the adapter so that on the base it gives what the merged network is after a blend.

        DoRA's magnitudes make that no scaling: such an adapter stays as trained, and its folder says so.
        """
        if all(share == 1.0 for share in shares.values()):
            return
        if self.lora.config.use_dora:
            self.remark = UNBLENDED
            logger.warning("adapter/: %s", UNBLENDED)
            return
        self.state = blended_adapter(self.state, shares, self.lora.base_head)

    def write(self, folder: Path) -> None:
        """``adapter/``: on the base it gives what the merged model is."""
        with atomic_directory(folder / FOLDER, replace=True) as work:  # a killed run may have left one
            save_adapter(self.lora, self.state, self.base, work)
            if self.remark:
                (work / "README.md").write_text(f"{self.remark}\n", encoding="utf-8")


class BottleneckAttachment:
    """The model's own adapters and the head; they stay where they are."""

    def __init__(self, recogniser: Recogniser, language: str) -> None:
        self.recogniser, self.language = recogniser, language
        self.names = bottleneck_names(recogniser) | _head(recogniser)

    def detach(self) -> None:
        """Nothing to do: the network is plain as it is."""

    def blended(self, shares: Mapping[str, float]) -> None:
        """Nothing to do: what is written is read from the network."""

    def write(self, folder: Path) -> None:
        """``adapter.LANGUAGE.safetensors`` beside the whole model."""
        save_bottleneck(self.recogniser, self.names, self.language, folder)


def attach(recogniser: Recogniser, recipe: Recipe) -> Attachment | None:
    """What the recipe's strategy adds to the network or finds in it; None where the layers themselves learn.

    Raises :class:`~asr_adapt.errors.ModelError` where the model does not carry it.
    """
    strategy = recipe.strategy
    if strategy.name == "adapters":
        return BottleneckAttachment(recogniser, strategy.adapters.language)
    if strategy.name != "lora":
        return None
    chosen = strategy.lora
    if chosen.head and recogniser.capabilities.tied_head:
        raise ModelError(
            "the head is also the input embedding: remove strategy.lora.head.", path=recogniser.name
        )
    learns_head = not recogniser.capabilities.tied_head if chosen.head is None else chosen.head
    head = _head(recogniser) if learns_head else frozenset[str]()
    lora = add_lora(recogniser, chosen.settings(LoraSettings), recipe.seed)
    return LoraAttachment(lora, portable(recipe.model), head)


def _head(recogniser: Recogniser) -> frozenset[str]:
    return recogniser.stack.names_of(recogniser.stack.kind(HEAD))
