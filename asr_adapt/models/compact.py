"""Linear maps that do not learn, kept small while others train: weights in 8 or 4 bits, or on the host.

Knows bitsandbytes' number formats and the gradient of a product with frozen weights. Does not know which
maps of a network are kept so, nor when. 8 bits are LLM.int8's rows (Dettmers et al., arXiv 2208.07339), each
with the scale of its largest weight; 4 bits are QLoRA's NormalFloat in blocks of 64 whose scales have 8 bits
(Dettmers et al., arXiv 2305.14314). Products are computed with the weights in the type of the input, on every
device alike; nothing but the small weights is kept for the backward pass.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr_adapt.errors import MissingExtraError

Bits = Literal["8bit", "4bit"]
#: Bytes of a weight with its share of the scales: a float32 for each row of some hundreds, or a byte for each
#: block of 64 and a float32 for 256 blocks.
BYTES: dict[Bits, float] = {"8bit": 1 + 4 / 512, "4bit": 0.5 + 1 / 64 + 4 / (64 * 256)}
#: The extra that brings bitsandbytes.
EXTRA = "small-gpu"


def require_bitsandbytes(feature: str) -> Any:
    """The bitsandbytes package; raises :class:`MissingExtraError` with the install command."""
    quiet_bitsandbytes()
    try:
        import bitsandbytes
    except ImportError as error:
        raise MissingExtraError(feature, EXTRA) from error
    return bitsandbytes


def quiet_bitsandbytes() -> None:
    """Keep it from recommending, whenever it is imported on a CPU, a kernel that nothing here calls."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class CompactLinear(nn.Module):
    """What the frozen ``linear`` computes, from weights that are kept small.

    ``quantise`` None keeps the weights as they are, in ``kind``; with ``offload`` they wait on the host and
    are copied to the input's device for each product. ``linear`` itself is not changed: :attr:`original`.
    """

    def __init__(
        self, linear: nn.Linear, quantise: Bits | None, *, offload: bool = False, kind: torch.dtype
    ) -> None:
        super().__init__()
        self.quantise, self.offload = quantise, offload
        #: Weights of the map before it was made small.
        self.numbers = linear.weight.numel()
        self._original = [linear]  # a list hides it: its parameters are not this module's
        codes, self._scales = _coded(linear.weight.detach(), quantise, kind)
        self.weight = None if offload else nn.Parameter(codes, requires_grad=False)
        # whoever moves the network to a device must not find what is to stay on the host
        self._host = [_on_host(codes)] if offload else []
        self.bias = linear.bias

    @property
    def scale_bytes(self) -> int:
        """What the scales of the small weights take on the device."""
        if self.quantise is None:
            return 0
        if self.quantise == "8bit":
            return int(self._scales.nbytes)
        blocks, second = self._scales, self._scales.state2
        return int(sum(t.nbytes for t in (blocks.absmax, blocks.code, second.absmax, second.code)))

    @property
    def original(self) -> nn.Linear:
        """The map whose weights these are."""
        return self._original[0]

    def move(self, device: torch.device | None) -> None:
        """Keep the small weights there, unless they stay on the host anyway."""
        if self.weight is not None:
            self.weight.data = self.weight.data.to(device)

    def forward(self, states: Tensor) -> Tensor:
        """(…, in) → (…, out), in autocast's type where it is on."""
        kind, device = states.dtype, states.device.type
        if torch.is_autocast_enabled(device):
            kind = torch.get_autocast_dtype(device)
        bias = None if self.bias is None else self.bias.to(kind)
        found: Tensor = _Product.apply(states.to(kind), bias, self)
        return found

    def weights(self, kind: torch.dtype, device: torch.device) -> Tensor:
        """The weights (out, in) in ``kind``, made anew at each call."""
        # the copy is made on a CPU too, so that counting memory there counts what a GPU will hold
        if self.weight is None:
            codes = self._host[0].to(device, copy=True, non_blocking=True)
        else:
            codes = self.weight.data
        if self.quantise is None:
            return codes.to(kind)
        if self.quantise == "8bit":
            return codes.to(kind).mul_(self._scales)
        self._scales.dtype = kind
        found: Tensor = require_bitsandbytes("4-bit weights").functional.dequantize_4bit(codes, self._scales)
        return found


class _Product(torch.autograd.Function):
    """A linear map with frozen weights; neither they nor the input are kept for the backward pass."""

    @staticmethod
    def forward(context: Any, states: Tensor, bias: Tensor | None, own: CompactLinear) -> Tensor:
        context.own = own
        return functional.linear(states, own.weights(states.dtype, states.device), bias)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        return gradient @ context.own.weights(gradient.dtype, gradient.device), None, None


def _on_host(codes: Tensor) -> Tensor:
    """``codes`` on the host, in memory that a GPU copies from at full speed."""
    return codes.cpu().pin_memory() if codes.is_cuda else codes.clone()


def _coded(weights: Tensor, quantise: Bits | None, kind: torch.dtype) -> tuple[Tensor, Any]:
    """The small weights, and what turns them into numbers again."""
    if quantise is None:
        return weights.to(kind), None
    functions = require_bitsandbytes("8- and 4-bit weights").functional
    if quantise == "8bit":
        codes, largest, _ = functions.int8_vectorwise_quant(weights.half())
        return codes, largest.float().unsqueeze(1) / 127.0
    return functions.quantize_4bit(
        weights.contiguous(), blocksize=64, compress_statistics=True, quant_type="nf4"
    )
