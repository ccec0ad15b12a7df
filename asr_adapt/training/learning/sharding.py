"""Fully sharded training: parameters, gradients and optimiser moments of the part that learns, split up.

Knows PyTorch's FSDP2 (``fully_shard``; Zhao et al. 2023) and which parts of a recogniser it splits. Does not
know steps, checkpoints' files or Accelerate's own preparation, which refuses FSDP on a CPU: this one is the
same on GPUs (nccl) and on CPUs (gloo), so that a recipe can be tried where there is no GPU.

The frozen prefix stays whole in every process, because it runs outside of the module that learns.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from asr_adapt.errors import RecipeError
from asr_adapt.models import Recogniser
from asr_adapt.training.learning.state import Learning
from asr_adapt.training.precision import TYPES
from asr_adapt.training.recipe.schema import Recipe


def wanted() -> bool:
    """Whether ``accelerate launch`` was told to use FSDP (``--use_fsdp`` or its configuration file)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def require_shardable(recipe: Recipe) -> None:
    """Raise :class:`RecipeError` for what cannot be split, where FSDP is wanted."""
    if not wanted():
        return
    refused = {
        "optimiser.kind": recipe.optimiser.kind != "adamw",
        "averaging.ema": bool(recipe.averaging.ema),
        "regularisation.pull": bool(recipe.regularisation.pull),
        "compile": recipe.compile,
        "decoder.context": recipe.decoder.context == "silence",  # it calls the parts of layers by themselves
        "strategy.name": recipe.strategy.name in ("gradual", "lora", "adapters"),
    }
    for field, present in refused.items():
        if present:
            raise RecipeError(
                "is not supported with FSDP: remove it, or launch without --use_fsdp.", field=field
            )


def measured(recogniser: Recogniser, learning: Learning) -> Callable[[], Recogniser]:
    """A call that gives the recogniser to measure: itself, or under FSDP a copy with whole, fresh weights.

    Processes measure shares of unlike length, so none may wait for another inside a forward pass.
    """
    if not wanted():
        return lambda: recogniser
    mirror = copy.deepcopy(recogniser)

    def fresh() -> Recogniser:
        state = learning.state()
        own = dict(mirror.model.named_parameters())
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)
        return mirror

    return fresh


def shard(
    module: nn.Module, recogniser: Recogniser, learning: Learning, accelerator: Accelerator
) -> nn.Module:
    """Split the learning parameters of ``module`` among the processes, layer by layer, and the optimiser's.

    ``module`` is what the loop calls; every layer that learns is gathered when it runs and let go behind it.
    """
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    before = dict(learning.model.named_parameters())
    whole_ones = {p for n, p in before.items() if n not in learning.names}
    for index in recogniser.stack.layers:
        for prefix in recogniser.stack.stages[index].prefixes:
            layer = learning.model.get_submodule(prefix)
            if any(p not in whole_ones for p in layer.parameters()):
                fully_shard(layer, mesh=mesh, ignored_params=whole_ones)
    fully_shard(module, mesh=mesh, ignored_params=whole_ones)
    after = dict(learning.model.named_parameters())
    _swap(learning.optimiser, {p: after[n] for n, p in before.items()}, mesh)
    if accelerator.scaler is not None:
        raise RecipeError("FSDP cannot scale float16's losses: use bfloat16 or float32.", field="precision")
    dtype = TYPES[str(accelerator.mixed_precision)]
    if dtype is not torch.float32:
        module.forward = torch.autocast(accelerator.device.type, dtype)(module.forward)
    return module


def _swap(optimiser: torch.optim.Optimizer, new: Mapping[Tensor, Tensor], mesh: DeviceMesh) -> None:
    """Let the optimiser work on the split parameters; moments of a checkpoint are split alike."""
    for group in optimiser.param_groups:
        group["params"] = [new[p] for p in group["params"]]
    for old in list(optimiser.state):
        state = optimiser.state.pop(old)
        target = new[old]
        optimiser.state[target] = {k: _split(v, old, target, mesh) for k, v in state.items()}


def _split(value: Any, old: Tensor, new: Tensor, mesh: DeviceMesh) -> Any:
    if not isinstance(value, Tensor) or value.shape != old.shape or not isinstance(new, DTensor):
        return value
    return distribute_tensor(value, mesh, new.placements, src_data_rank=None)  # all processes have it whole
