"""A network run for the sizes of its tensors alone, on a CPU, as a GPU would hold them.

Knows where torch's CPU and CUDA keep different tensors of the same network, and how to run operations without
computing. Does not count (:mod:`live_bytes <.live_bytes>`), and knows no family. Seen on one H200: with these
differences left out, a step of wav2vec 2.0 came out 3.7 times too large; with them within 1 % for each clip.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from asr_adapt.training.device.live_bytes import tensors

# as they are before they are replaced below
_ATTENTION: Callable[..., Tensor] = F.scaled_dot_product_attention
_LAYER_NORM: Callable[..., Tensor] = F.layer_norm
#: What CUDA's autocast computes in float32 and a CPU's does not (https://docs.pytorch.org/docs/stable/amp.html),
#: as far as networks here call it.
IN_FLOAT32 = "layer_norm", "group_norm", "softmax", "log_softmax", "cross_entropy", "nll_loss", "softplus"
#: Operations among tensors of so many numbers at most are computed in any case.
LITTLE = 256


@contextmanager
def gpu_sizes() -> Iterator[None]:
    """In the block nothing large is computed: numbers that are not whole are whatever their memory held.

    Their memory is reserved but not touched (but for 2 MB of each, where Linux has huge pages), so a model
    that is larger than the computer's memory can be made and run within; on a CPU alone. Whole numbers and
    truth values (labels, masks), and small tensors (lengths), are computed.
    """
    with as_on_cuda(), SizesOnly():
        yield


@contextmanager
def as_on_cuda() -> Iterator[None]:
    """In the block a CPU keeps for the backward pass what CUDA keeps.

    Attention keeps no matrix, with dropout neither; dropout keeps a mask of one byte; and autocast computes
    normalisation in float32, of a contiguous copy. Functions of torch are replaced for all threads: a
    function mode would not reach layers that are computed again.
    """
    own: dict[str, Callable[..., Tensor]] = {name: _in_float32(getattr(F, name)) for name in IN_FLOAT32}
    own |= {"scaled_dot_product_attention": _attention, "dropout": _dropout}
    former = {name: getattr(F, name) for name in own}
    try:
        for name, function in own.items():
            setattr(F, name, function)
        yield
    finally:
        for name, function in former.items():
            setattr(F, name, function)


def _in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``function`` as CUDA's autocast has it."""

    @wraps(function)
    def computed(states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            states, args, kwargs = tree_map(_wide, (states, args, kwargs))
        return function(states.contiguous() if function is _LAYER_NORM else states, *args, **kwargs)

    return computed


def _attention(*args: Any, **kwargs: Any) -> Tensor:
    """A CPU's kernel without a matrix knows no dropout, whose share is the fifth argument."""
    if len(args) > 4:
        return _ATTENTION(*args[:4], 0.0, *args[5:], **kwargs)
    return _ATTENTION(*args, **{**kwargs, "dropout_p": 0.0})


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As torch's, by the kernel that CUDA has too."""
    return torch.native_dropout(input, p, True)[0] if training and p else input


def _wide(value: Any) -> Any:
    """Numbers of 16 bits in 32."""
    half = isinstance(value, Tensor) and value.is_floating_point() and value.element_size() < 4
    return value.float() if half else value


class SizesOnly(TorchDispatchMode):
    """Within, an operation with a result of numbers that are not whole gives one of the right size instead.

    Sizes are worked out on the meta device, once for each operation and sizes of what it is given.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Hashable, Any] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation only where values count."""
        kwargs = kwargs or {}
        if function._schema.is_mutable:
            first = args[0] if args else None
            skipped = _inexact(first) and not _little((args,)) and torch.Tag.inplace_view not in function.tags
            return first if skipped and function._schema.name.endswith("_") else function(*args, **kwargs)
        key = function, _sizes(args), _sizes((*kwargs, *kwargs.values()))
        if key not in self._known:
            self._known[key] = _result_on_meta(function, args, kwargs)
        shaped = self._known[key]
        return function(*args, **kwargs) if shaped is None else _reserved(shaped)


def _result_on_meta(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result's sizes; None where the operation must run: whole numbers, values, another view."""
    if not any("Tensor" in str(returned.type) for returned in function._schema.returns):
        return None
    args, kwargs = tree_map(_shape, (args, kwargs))
    if "device" in kwargs:
        kwargs["device"] = torch.device("meta")
    try:
        shaped = function(*args, **kwargs)
    except NotImplementedError:  # sizes that depend on values, or a library's own kernel
        return None
    given = {_storage(tensor) for tensor in tensors((args, *kwargs.values()))}
    made = list(tensors((shaped,)))
    if not any(map(_inexact, made)) or any(_storage(tensor) in given for tensor in made):
        return None
    return None if _little((args, *kwargs.values(), shaped)) else shaped


def _sizes(value: Any) -> Hashable:
    """What an operation's result depends on, of something it is given."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    if isinstance(value, (list, tuple)):
        return tuple(map(_sizes, value))
    return type(value), value


def _little(values: Iterable[Any]) -> bool:
    """Whether all tensors are as small as those that lengths are worked out with."""
    return all(tensor.numel() <= LITTLE for tensor in tensors(values))


def _inexact(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _shape(value: Any) -> Any:
    """A tensor's sizes, strides and type."""
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def _reserved(shaped: Any) -> Any:
    """Memory for tensors of those sizes; whole numbers (places of the largest, say) are zero."""
    if isinstance(shaped, (list, tuple)):
        return tuple(map(_reserved, shaped))
    if not isinstance(shaped, Tensor):
        return shaped
    found = torch.empty_strided(shaped.shape, shaped.stride(), dtype=shaped.dtype)
    return found if _inexact(found) or found.dtype is torch.bool else found.zero_()
