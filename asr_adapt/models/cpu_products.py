"""Float32 products on a CPU by the library that is fast there.

Knows that torch has two libraries for them, and on which processors the one that it takes first is slow. Does
not know networks. Nothing is computed less exactly: that is tried, once, before anything changes.

torch multiplies float32 matrices by MKL, which takes its AVX2 kernels on AMD processors, and keeps oneDNN,
which has AVX-512 ones for all makes, for other types. oneDNN is let in by ``fp32_precision = "bf16"``, which
allows float32 products to be rounded to bfloat16; it does so only where there are tiles (AMX) for them, which
no AMD processor has. One core of an EPYC (Zen 5): 85 against 210 GFLOP/s, at the same error.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

#: Rows, inner size and columns of the product that is tried: large enough that oneDNN takes it.
TRIED = 64, 256, 64
#: Errors up to this multiple of the usual one are float32's own; bfloat16's are ten thousand times as large.
ALLOWED = 4.0


@cache
def prefer_fast_products() -> bool:
    """Let oneDNN multiply float32 matrices in this process where MKL is slow; whether it does.

    Left alone where the user has chosen (``torch.backends.mkldnn.matmul.fp32_precision``), and where the
    trial shows any rounding below float32.
    """
    switch = products_switch()
    if not _mkl_is_slow() or getattr(switch, "fp32_precision", "") != "none":
        return False
    usual = _errors()
    switch.fp32_precision = "bf16"
    if any(found > ALLOWED * own for found, own in zip(_errors(), usual, strict=True)):
        switch.fp32_precision = "none"
        return False
    return True


def products_switch() -> Any:
    """What chooses between the libraries; None before torch 2.9, which brought it."""
    return getattr(torch.backends.mkldnn, "matmul", None)


def _mkl_is_slow() -> bool:
    """An AMD processor with AVX-512, and without tiles."""
    units = torch.cpu.get_capabilities()
    amd = str(units.get("cpu_name", "")).startswith("AMD")
    tiles = any(units.get(unit) for unit in ("amx_tile", "amx_bf16", "amx_fp16"))
    return torch.backends.mkldnn.is_available() and amd and bool(units.get("avx512_f")) and not tiles


def _errors() -> tuple[float, float]:
    """Largest errors of a product and of an attention, against float64."""
    rows, inner, columns = TRIED
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(size, inner, generator=generator) for size in (rows, columns))
    query, keys, values = (torch.randn(1, 2, rows, 64, generator=generator) for _ in range(3))
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return (
            _off(F.linear(left, right), F.linear(left.double(), right.double())),
            _off(
                F.scaled_dot_product_attention(query, keys, values),
                F.scaled_dot_product_attention(query.double(), keys.double(), values.double()),
            ),
        )


def _off(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).abs().max())
