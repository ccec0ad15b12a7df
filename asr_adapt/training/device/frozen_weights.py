"""How weights are kept while steps run: what a recipe asks for, as callbacks.

Knows recipes and the run's precision. Does not know how any of it is done (:mod:`speedups <.speedups>`,
:mod:`small_base <.small_base>`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from accelerate import Accelerator

from asr_adapt.models import LayerStack
from asr_adapt.models.compact import require_bitsandbytes
from asr_adapt.training.callback import Callback
from asr_adapt.training.device.small_base import SmallBase
from asr_adapt.training.device.speedups import Speedups
from asr_adapt.training.learning import sharding
from asr_adapt.training.precision import TYPES
from asr_adapt.training.recipe.schema import Recipe


def require_small(recipe: Recipe) -> None:
    """Raise :class:`~asr_adapt.errors.MissingExtraError` where the recipe needs a package that is absent."""
    if recipe.strategy.quantise:
        require_bitsandbytes(f"strategy.quantise {recipe.strategy.quantise}")
    if recipe.optimiser.kind == "adamw_8bit":
        require_bitsandbytes("optimiser.kind adamw_8bit")


def kept_in_steps(
    recipe: Recipe, stack: LayerStack, accelerator: Accelerator, *, compiled: bool
) -> list[Callback]:
    """The callbacks that keep weights as the recipe says, in the order in which they are to be called."""
    found: list[Callback] = []
    strategy = recipe.strategy
    if strategy.quantise or strategy.offload:
        kind = TYPES[str(accelerator.mixed_precision)]
        found.append(SmallBase(stack, strategy.quantise, offload=strategy.offload, kind=kind))
    # on a CPU bfloat16 saves neither time (measured) nor room, because the originals stay there;
    # FSDP has wrapped the layers in its own way
    half = (
        accelerator.mixed_precision == "bf16" and accelerator.device.type != "cpu" and not sharding.wanted()
    )
    return [*found, Speedups(stack, compiled=compiled, half=half)]


def as_in_steps(
    recipe: Recipe, stack: LayerStack, accelerator: Accelerator
) -> Callable[[], AbstractContextManager[object]]:
    """Contexts in which weights are kept as in steps, before there are any; nothing is compiled."""
    return partial(_kept, recipe, stack, accelerator)


@contextmanager
def _kept(recipe: Recipe, stack: LayerStack, accelerator: Accelerator) -> Iterator[None]:
    with ExitStack() as around:
        for callback in kept_in_steps(recipe, stack, accelerator, compiled=False):
            around.enter_context(callback.training())
            callback.boundary_moved(stack.boundary)
        yield
