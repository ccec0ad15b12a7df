"""Several LoRA adapters of one base written as one: a weighted sum of their updates, exactly.

Knows the matrices of adapters. Does not know which weights are good.

The update of a map is ``Σ wᵢ sᵢ Bᵢ Aᵢ``, which is one update whose ``A`` holds the experts' ``A`` one below
another and whose ``B`` their scaled ``B`` side by side (what PEFT calls ``cat``), here with weights that may
differ from layer to layer. Its rank is the sum of theirs; nothing is rounded away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr_adapt.models.contract import Recogniser
from asr_adapt.models.lora import Lora, attach_adapter, require_peft, save_adapter


@dataclass(frozen=True)
class Update:
    """The low-rank update of one map: ``down`` (rank, inputs), and ``up`` (outputs, rank) with its scale."""

    down: Tensor
    up: Tensor


@dataclass(frozen=True)
class Updates:
    """An adapter: updates by name of the map; ``plain`` unless it holds more (DoRA's magnitudes)."""

    maps: dict[str, Update]
    plain: bool


def updates_of(base: Recogniser, folder: str | Path) -> Updates:
    """The updates of the adapter in ``folder``; ``base`` carries it from then on.

    Raises :class:`~asr_adapt.errors.ModelError` for a folder that is no LoRA adapter of this base.
    """
    lora = attach_adapter(base, folder)
    maps = {}
    for name, module in base.model.named_modules():
        if hasattr(module, "get_base_layer"):
            down, up = (m["default"].weight.detach().cpu() for m in (module.lora_A, module.lora_B))
            maps[name] = Update(down, module.scaling["default"] * up)
    known = {f"{name}.lora_{part}.default.weight" for name in maps for part in "AB"}
    linear = all(update.down.ndim == 2 for update in maps.values())
    return Updates(maps, linear and lora.names == known)


def write_sum(
    base: Recogniser,
    adapters: Sequence[Updates],
    weight: Callable[[int, str], float],
    named: str,
    directory: Path,
    head: dict[str, Tensor] | None = None,
) -> Lora:
    """Write the weighted sum of ``adapters`` to ``directory`` as PEFT reads it; ``base`` carries it then.

    ``weight`` gives the weight of an adapter, by number, in the map of that name; ``named`` is how the folder
    names its base, and ``head`` the parameters of an output head that was learnt too. An adapter that weighs
    nothing anywhere takes no room.
    """
    names = list(dict.fromkeys(name for adapter in adapters for name in adapter.maps))
    used = [n for n, a in enumerate(adapters) if any(weight(n, name) for name in a.maps)]
    ranks = {n: max(update.down.shape[0] for update in adapters[n].maps.values()) for n in used}
    rank = max(1, sum(ranks.values()))
    lora = Lora(base, require_peft().LoraConfig(r=rank, lora_alpha=rank, target_modules=names))
    modules = dict(base.model.named_modules())
    with torch.no_grad():
        for name in names:
            own = modules[name]
            down, up = own.lora_A["default"].weight, own.lora_B["default"].weight
            down.zero_()
            up.zero_()
            place = 0
            for number in used:
                if (update := adapters[number].maps.get(name)) is not None:
                    end = place + update.down.shape[0]
                    down[place:end] = update.down
                    up[:, place:end] = weight(number, name) * update.up
                place += ranks[number]
        for name, value in (head or {}).items():
            base.model.get_parameter(name).copy_(value)
    save_adapter(lora, lora.state(head=bool(head)), named, directory)
    return lora


def is_exact(adapters: Sequence[Updates], changed: frozenset[str], head: frozenset[str]) -> bool:
    """Whether nothing but updates of linear maps, and the ``head``, makes up the ``changed`` parameters."""
    maps = {f"{name}.weight" for adapter in adapters for name in adapter.maps}
    return all(adapter.plain for adapter in adapters) and changed <= maps | head
