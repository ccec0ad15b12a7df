"""Float32 products by the faster library: as exact as before, and the user's own choice stands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from asr_adapt.models import cpu_products

SCRIPT = """
import torch
from asr_adapt.models.cpu_products import _errors, prefer_fast_products
usual = _errors()
changed = prefer_fast_products()
torch.manual_seed(1)
left, right = torch.randn(300, 384), torch.randn(500, 384)
exact = left.double() @ right.double().T
print(changed, float((torch.nn.functional.linear(left, right) - exact).abs().max()) < 1e-3)
"""


def output(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_products_stay_as_exact_as_float32() -> None:
    assert output(SCRIPT)[1] == "True"  # bfloat16's error is 0.3


@pytest.mark.skipif(cpu_products.products_switch() is None, reason="this torch has no such choice")
def test_the_users_choice_stands() -> None:
    chosen = "import torch\ntorch.backends.mkldnn.matmul.fp32_precision = 'ieee'\n"
    asked = "print(prefer_fast_products(), torch.backends.mkldnn.matmul.fp32_precision)"
    found = output(f"{chosen}from asr_adapt.models.cpu_products import prefer_fast_products\n{asked}")
    assert found == ["False", "ieee"]


@pytest.mark.skipif(cpu_products.products_switch() is None, reason="this torch has no such choice")
def test_products_that_are_rounded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    switch = cpu_products.products_switch()
    before = switch.fp32_precision
    errors = iter([(1e-5, 1e-6), (1e-1, 1e-6)])  # as tiles would give
    monkeypatch.setattr(cpu_products, "_mkl_is_slow", lambda: True)
    monkeypatch.setattr(cpu_products, "_errors", lambda: next(errors))
    switch.fp32_precision = "none"
    try:
        assert cpu_products.prefer_fast_products.__wrapped__() is False
        assert switch.fp32_precision == "none"
    finally:
        switch.fp32_precision = before
