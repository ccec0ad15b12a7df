"""LoRA (Hu et al. 2021) and DoRA (Liu et al. 2024) on any recogniser, through PEFT.

Knows how an adapter is put into the layers, merged, written as PEFT writes it and read back.
Does not know how it is trained, nor recipes. Which linear maps are adapted is a fact of the architecture:
``Recogniser.adaptable``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.files import user_path
from asr_adapt.models.compact import quiet_bitsandbytes
from asr_adapt.models.contract import Recogniser
from asr_adapt.models.files.directory import WEIGHTS as WHOLE
from asr_adapt.models.files.directory import read_object, read_pickle, tensor_shapes
from asr_adapt.models.stack import HEAD, LAYER

CONFIG, WEIGHTS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
#: Where a result folder keeps the adapter that was trained, beside the merged model.
FOLDER = "adapter"
#: What PEFT's model classes put before every name.
PREFIX = "base_model.model."
#: What some versions of PEFT left inside names: the adapter's own name, the wrapper of whole modules.
_PART_NAME = re.compile(r"(\.modules_to_save)?\.default\.|\.modules_to_save\.")


@dataclass(frozen=True)
class LoraSettings:
    """Rank, scale ``alpha / rank``, dropout 0…1; ``targets`` are globs on module names, empty for all
    attention and feed-forward maps; ``layers`` counts from the top, None for all.
    """

    rank: int
    alpha: float
    dropout: float = 0.0
    dora: bool = False
    targets: tuple[str, ...] = ()
    layers: int | None = None


class Lora:
    """An adapter inside ``recogniser``'s network; until :meth:`merge` the base's weights stay untouched."""

    def __init__(self, recogniser: Recogniser, config: Any) -> None:
        peft = require_peft()
        self.recogniser, self.config = recogniser, config
        #: The output head before training, by parameter.
        self.base_head = {n: p.detach().clone() for n, p in _head(recogniser)}
        peft.inject_adapter_in_model(config, recogniser.model)
        self.names = frozenset(n for n, _ in recogniser.model.named_parameters() if ".lora_" in n)

    def merge(self) -> None:
        """Add the adapter to the weights and leave a plain network behind."""
        model = self.recogniser.model
        for name, module in _adapted(model):
            module.merge(safe_merge=True)
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())
        del model.peft_config
        for parameter in model.parameters():
            parameter.requires_grad_(False)

    def state(self, *, head: bool) -> dict[str, Tensor]:
        """CPU tensors under the names that ``PeftModel.from_pretrained`` expects, with the head if asked."""
        found = require_peft().get_peft_model_state_dict(self.recogniser.model, save_embedding_layers=False)
        if head:
            found |= dict(_head(self.recogniser))
        return {f"{PREFIX}{n}": t.detach().cpu().clone().contiguous() for n, t in found.items()}

    def load(self, stored: dict[str, Tensor]) -> None:
        """Take up what :meth:`state` gave."""
        peft, model = require_peft(), self.recogniser.model
        plain = {name.removeprefix(PREFIX): tensor for name, tensor in stored.items()}
        head = dict(_head(self.recogniser))
        with torch.no_grad():
            for name in head.keys() & plain.keys():
                head[name].copy_(plain.pop(name))
        found = peft.set_peft_model_state_dict(model, plain)
        if found.unexpected_keys:
            raise ModelError(
                f"the adapter holds {found.unexpected_keys[0]}, which the base does not have: was it "
                "made for this base?"
            )


def add_lora(recogniser: Recogniser, settings: LoraSettings, seed: int) -> Lora:
    """Put a fresh adapter (which changes nothing yet) into the layers; raises :class:`ModelError`."""
    peft = require_peft()
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_dora=settings.dora,
        target_modules=target_modules(recogniser, settings.targets, settings.layers),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Lora(recogniser, config)


def target_modules(recogniser: Recogniser, patterns: tuple[str, ...], layers: int | None) -> list[str]:
    """Full names of the linear maps to adapt, in the network's order.

    Raises :class:`ModelError` where the family or the patterns leave none.
    """
    stack = recogniser.stack
    numbers = stack.layers[-layers:] if layers else stack.layers
    stages = [stack.stages[i] for i in numbers if stack.stages[i].kind == LAYER]
    possible = [
        name
        for name, module in recogniser.model.named_modules()
        if isinstance(module, nn.Linear)
        and name.rpartition(".")[2] in recogniser.adaptable
        and any(stage.owns(name) for stage in stages)
    ]
    chosen = [n for n in possible if not patterns or any(fnmatchcase(n, p) for p in patterns)]
    chosen = chosen or [n for n in possible if n.rpartition(".")[2] in patterns]
    if not chosen:
        known = ", ".join(recogniser.adaptable) or "none"
        raise ModelError(
            f"no linear map of the {recogniser.family} network matches {patterns}: it has {known}.",
            field="strategy.lora.targets",
        )
    return chosen


def save_adapter(lora: Lora, state: dict[str, Tensor], base: str, directory: Path) -> None:
    """Write a PEFT adapter folder: configuration, ``state``, and the processor beside them."""
    values = lora.config.to_dict()
    head = sorted({name.removeprefix(PREFIX).rpartition(".")[0] for name in state if ".lora_" not in name})
    values |= {
        "base_model_name_or_path": base,
        "inference_mode": True,
        "target_modules": sorted(values["target_modules"]),
        "modules_to_save": head or None,
    }
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in values.items()}
    lora.recogniser.processor.save_pretrained(directory)
    model = lora.recogniser.model
    if model.can_generate():  # a decoder's language and task are part of what was adapted
        model.generation_config.save_pretrained(directory)
    save_file(state, directory / WEIGHTS, metadata={"format": "pt"})
    (directory / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True), encoding="utf-8")


def blended_adapter(
    state: dict[str, Tensor], shares: Mapping[str, float], base_head: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """``state`` (see :meth:`Lora.state`) of which, merged, each parameter keeps its share of the update.

    ``base_head`` are the base's own parameters of a head that learnt as a whole.
    """
    found = {}
    for name, tensor in state.items():
        plain = name.removeprefix(PREFIX)
        module, down, _ = plain.partition(".lora_B")
        if down:
            tensor = tensor * shares.get(f"{module}.weight", 1.0)
        elif ".lora_" not in plain:
            tensor = torch.lerp(base_head[plain].to(tensor), tensor, shares.get(plain, 1.0))
        found[name] = tensor
    return found


def is_adapter(folder: str | Path) -> bool:
    """Whether ``folder`` is a PEFT adapter and no whole model; some hold their base's config.json too."""
    place = Path(folder)
    return (place / CONFIG).is_file() and not any((place / name).is_file() for name in WHOLE)


def adapter_in(source: str | Path) -> Path | None:
    """The adapter that a folder is, or that a result folder holds in ``adapter/``; else None."""
    place = user_path(source)
    return next((folder for folder in (place, place / FOLDER) if is_adapter(folder)), None)


def base_of(folder: str | Path) -> str:
    """The model that an adapter folder is for; raises :class:`ModelError` where it names none."""
    path = Path(folder) / CONFIG
    base = read_object(path).get("base_model_name_or_path")
    if not base:
        raise ModelError(
            "does not name its base: add the model that the adapter was trained on.",
            path=path,
            field="base_model_name_or_path",
        )
    return str(base)


def attach_adapter(recogniser: Recogniser, folder: str | Path) -> Lora:
    """Put the adapter of ``folder`` into ``recogniser``, its base; raises :class:`ModelError`."""
    peft = require_peft()
    config = peft.PeftConfig.from_pretrained(str(folder))
    if config.peft_type != peft.PeftType.LORA:
        raise ModelError(f"is a {config.peft_type} adapter: only LoRA and DoRA can be loaded.", path=folder)
    config.inference_mode, config.modules_to_save = False, None
    lora = Lora(recogniser, config)
    lora.load(stored_adapter(Path(folder)))
    return lora


def stored_adapter(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter folder under today's names; PEFT before 0.5 wrote a pickle.

    Raises :class:`ModelError` for a folder without weights or with damaged ones.
    """
    if (folder / WEIGHTS).is_file():
        tensor_shapes(folder / WEIGHTS)  # a damaged file is named
        found = load_file(folder / WEIGHTS)
    elif (folder / PICKLED).is_file():
        found = read_pickle(folder / PICKLED)
    else:
        raise ModelError(f"holds no {WEIGHTS}: save or download the adapter again.", path=folder)
    return {_PART_NAME.sub(".", name): tensor for name, tensor in found.items()}


def require_peft() -> Any:
    """The PEFT package; raises :class:`MissingExtraError` with the install command."""
    quiet_bitsandbytes()  # which PEFT imports where it is installed
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("LoRA", "lora") from error
    return peft


def _adapted(model: nn.Module) -> list[tuple[str, Any]]:
    """The network's maps that carry an adapter."""
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "get_base_layer")]


def _head(recogniser: Recogniser) -> list[tuple[str, nn.Parameter]]:
    """Named parameters of the output head."""
    stack = recogniser.stack
    return [item for stage in stack.kind(HEAD) for item in stack.parameters_of(stage)]
