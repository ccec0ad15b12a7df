"""The layer stack: any supported network as an ordered list of stages.

Knows how to freeze, name and group parameters by stage, and where the frozen prefix ends.
Does not know what a stage computes, nor any architecture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

FRONT_END = "front_end"
EMBEDDING = "embedding"
LAYER = "layer"
NORM = "norm"
HEAD = "head"
#: Top layers that learn by default.
USUAL_LAYERS = 3


@dataclass(frozen=True)
class Stage:
    """One step of the network: ``prefixes`` name its modules and parameters inside the model.

    ``kind`` is one of ``front_end``, ``embedding``, ``layer``, ``norm``, ``head``.
    """

    name: str
    kind: str
    prefixes: tuple[str, ...]

    def owns(self, parameter: str) -> bool:
        """Whether the dotted parameter name lies in this stage."""
        return any(parameter == p or parameter.startswith(f"{p}.") for p in self.prefixes)


class LayerStack:
    """Stages of ``model`` from sound to text; every parameter belongs to exactly one stage.

    ``prefix_limit`` is the highest boundary that the family can run up to without labels (an encoder–decoder
    model's decoder needs them), ``usual_layers`` how many top layers learn where a recipe does not say, and
    ``fixed`` names parameters that never learn.
    """

    def __init__(
        self,
        model: nn.Module,
        stages: Iterable[Stage],
        *,
        prefix_limit: int | None = None,
        usual_layers: int = USUAL_LAYERS,
        fixed: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        self.stages = tuple(stages)
        self.prefix_limit = len(self.stages) if prefix_limit is None else prefix_limit
        self.usual_layers = usual_layers
        self._fixed = Stage("fixed", "", fixed)
        self._stage_of: dict[str, int] = {}
        for name, _ in model.named_parameters():
            owners = [i for i, stage in enumerate(self.stages) if stage.owns(name)]
            if len(owners) != 1:
                raise ValueError(f"parameter {name} belongs to {len(owners)} stages, must be one")
            self._stage_of[name] = owners[0]

    def __len__(self) -> int:
        return len(self.stages)

    @property
    def layers(self) -> list[int]:
        """Stage numbers of the transformer layers, lowest first."""
        return self.kind(LAYER)

    def kind(self, kind: str) -> list[int]:
        """Stage numbers of one kind, lowest first."""
        return [i for i, stage in enumerate(self.stages) if stage.kind == kind]

    def parameters_of(self, stage: int) -> Iterator[tuple[str, nn.Parameter]]:
        """Named parameters of one stage."""
        for name, parameter in self.model.named_parameters():
            if self._stage(name) == stage:
                yield name, parameter

    def names_of(self, stages: Iterable[int]) -> frozenset[str]:
        """Names of the parameters of ``stages`` that may learn."""
        chosen = set(stages)
        return frozenset(
            n
            for n, _ in self.model.named_parameters()
            if self._stage(n) in chosen and not self._fixed.owns(n)
        )

    def stage_name(self, parameter: str) -> str:
        """Name of the stage that owns a parameter, ``layer_3`` say."""
        return self.stages[self._stage(parameter)].name

    def freeze_except(self, trainable: Iterable[int]) -> None:
        """Make exactly the parameters of the stages ``trainable`` require a gradient."""
        chosen = self.names_of(trainable)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in chosen)

    @property
    def boundary(self) -> int:
        """The lowest stage with a trainable parameter; everything below is the frozen prefix."""
        numbers = [self._stage(n) for n, p in self.model.named_parameters() if p.requires_grad]
        return min([*numbers, self.prefix_limit])

    def set_modes(self) -> None:
        """Training mode for the modules of stages with trainable parameters, eval mode for all others.

        Dropout and layer drop in a frozen part would only add noise to what the trainable part sees.
        """
        trainable = {self._stage(n) for n, p in self.model.named_parameters() if p.requires_grad}
        self.model.eval()
        for name, module in self.model.named_modules():
            if any(self.stages[i].owns(name) for i in trainable):
                module.train()

    def trainable_names(self) -> list[str]:
        """Names of the parameters that require a gradient."""
        return [n for n, p in self.model.named_parameters() if p.requires_grad]

    def depth_from_top(self, name: str) -> int:
        """0 for head and norm above the layers, 1 for the top layer, and so on downwards."""
        stage = self._stage(name)
        above = [i for i in self.layers if i > stage]
        return len(above) + (1 if stage in self.layers or stage < min(self.layers, default=0) else 0)

    def is_head(self, name: str) -> bool:
        """Whether the parameter belongs to the output head."""
        return self.stages[self._stage(name)].kind == HEAD

    def in_layers(self, name: str) -> bool:
        """Whether the parameter belongs to a transformer layer."""
        return self.stages[self._stage(name)].kind == LAYER

    def _stage(self, name: str) -> int:
        """Stage of a parameter; one added later (an adapter) belongs where its module lies."""
        if name not in self._stage_of:
            self._stage_of[name] = next(i for i, stage in enumerate(self.stages) if stage.owns(name))
        return self._stage_of[name]
