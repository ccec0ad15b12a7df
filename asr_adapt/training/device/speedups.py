"""What makes steps faster without changing what is learnt: compiled layers, frozen weights in bfloat16.

Knows modules and weights of the layer stack. Does not know steps, recipes' other sections or how models are
measured: measuring is wrapped, so that it always sees the plain float32 network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from asr_adapt.models import LayerStack
from asr_adapt.training.callback import Callback

#: Modules whose float32 weights autocast rounds to bfloat16 before each use.
_ROUNDED = (nn.Linear, nn.Conv1d)


class RestoredCallback(Callback):
    """Keeps weights otherwise while steps run; :meth:`restore` gives the plain ones back."""

    def restore(self) -> None:
        """Give the network its own weights back, bit for bit."""

    def boundary_moves(self) -> None:
        """Back to plain weights before the boundary moves."""
        self.restore()

    @contextmanager
    def training(self) -> Iterator[None]:
        """The weights are plain again behind the last step."""
        try:
            yield
        finally:
            self.restore()


class Speedups(RestoredCallback):
    """Follows the boundary of the frozen prefix.

    ``compiled``: layers that learn run through ``torch.compile``, one graph for all lengths, with dropout
    masks drawn as without it. ``half``: linear and convolution weights that do not learn, in the prefix and
    above it (LoRA's base), are bfloat16 during steps, which gives the very numbers that autocast gives; their
    float32 originals wait on the host.
    """

    def __init__(self, stack: LayerStack, *, compiled: bool, half: bool) -> None:
        self.stack, self.compiled, self.half = stack, compiled, half
        self._originals: dict[nn.Parameter, Tensor] = {}
        self._done: set[str] = set()

    def boundary_moved(self, boundary: int) -> None:
        """Compile what learns from now on, and round what does not."""
        if self.compiled:
            self._compile()
        if self.half:
            self._round(boundary)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """The network as it runs without any of this."""
        with self._eager(), self._whole():
            yield

    def restore(self) -> None:
        """Give what was rounded its float32 weights back, bit for bit."""
        self._put_back()
        self._originals.clear()

    def _put_back(self) -> None:
        for parameter, original in self._originals.items():
            parameter.data = original.to(parameter.device)

    def _compile(self) -> None:
        import torch._inductor.config as inductor  # heavy, and only wanted here

        inductor.fallback_random = True  # dropout follows torch's seed, as a resumed run needs
        learning = {self.stack.stage_name(name) for name in self.stack.trainable_names()}
        for stage in (self.stack.stages[number] for number in self.stack.layers):
            if stage.name in learning - self._done:
                self._done.add(stage.name)
                for prefix in stage.prefixes:
                    self.stack.model.get_submodule(prefix).compile(dynamic=True)

    def _round(self, boundary: int) -> None:
        prefix = self.stack.stages[:boundary]
        whole = needed_whole(self.stack.model)
        for name, module in self.stack.model.named_modules():
            own = list(module.parameters(recurse=False))
            if not isinstance(module, _ROUNDED) or parametrize.is_parametrized(module):
                continue  # nor what is kept in fewer bits, which is another class
            frozen = not any(parameter.requires_grad for parameter in own) and whole.isdisjoint(own)
            if frozen or any(stage.owns(f"{name}.weight") for stage in prefix):
                for parameter in own:
                    self._originals[parameter] = parameter.data.cpu()
                    parameter.data = parameter.data.bfloat16()

    def _eager(self) -> AbstractContextManager[object]:
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        rounded = {parameter: parameter.data for parameter in self._originals}
        self._put_back()
        try:
            yield
        finally:
            for parameter, data in rounded.items():
                parameter.data = data


def needed_whole(model: nn.Module) -> set[nn.Parameter]:
    """Weights used where autocast rounds nothing: tied embeddings, and those whose norms DoRA takes."""
    found: set[nn.Parameter] = set()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            found.update(module.parameters(recurse=False))
        elif len(getattr(module, "lora_magnitude_vector", ())):
            found.update(module.get_base_layer().parameters())  # type: ignore[operator]
    return found
