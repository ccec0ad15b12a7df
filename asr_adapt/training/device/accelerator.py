"""Accelerate as a run uses it: device, precision, and chance that starts from a seed.

Knows devices. Does not know rows, models or steps.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import distributed

from asr_adapt.models import choose_device
from asr_adapt.training.precision import mixed_precision
from asr_adapt.training.recipe.schema import Recipe


def make_accelerator(recipe: Recipe, folder: Path) -> Accelerator:
    """The recipe's device and precision; ``folder`` is the run's."""
    if not distributed.is_initialized():
        # Accelerate keeps one global state; a second run in this process may want another precision or device
        AcceleratorState._reset_state(reset_partial_state=True)
    device = choose_device(recipe.device)
    return Accelerator(
        mixed_precision=mixed_precision(recipe.precision, device),
        cpu=device.type == "cpu",
        project_dir=str(folder),
        # layer drop, and mask embeddings without masks, leave parameters out of a step
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def seed_all(seed: int) -> None:
    """Start the generators of Python, numpy and torch from ``seed``."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
