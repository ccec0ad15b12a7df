"""Gradient checkpointing (Chen et al., arXiv 1604.06174): layers keep their input alone and compute again.

Knows transformers' layers, all of which can do it. Does not know what else is kept, nor when it pays. Losses
and gradients stay what they are, dropout included; a step takes about a third longer.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from asr_adapt.errors import RecipeError

FIELD = "gradient_checkpointing"


def recompute_layers(model: nn.Module, *, on: bool = True) -> None:
    """Let every layer of ``model`` that is in training mode compute itself again in the backward pass.

    Nothing of it is saved with the model. Raises :class:`RecipeError` where no layer can.
    """
    layers: list[Any] = [
        module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    if on and not layers:
        raise RecipeError(f"{type(model).__name__} has no layers that can be computed again.", field=FIELD)
    for layer in layers:
        layer.gradient_checkpointing = on
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
