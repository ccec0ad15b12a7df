"""What training needs of memory for models that many people use, counted before and kept with the package.

Knows the file, which ``benchmarks/bench_memory.py`` writes. Does not count; that is
:mod:`memory_plan <asr_adapt.training.device.memory_plan>`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from asr_adapt.models.compact import BYTES, Bits
from asr_adapt.training.device.memory_plan import FLOAT, GIGABYTE, MemoryPlan, Operation, StepBytes

FILE = "memory.json"
HALF = 2
#: Length of the clips that the numbers of rows are for, in seconds.
SECONDS = 10.0
#: Ways to train: name → whether only LoRA learns, whether layers are computed again.
WAYS = {
    "full": (False, False),
    "full, checkpointing": (False, True),
    "LoRA": (True, False),
    "LoRA, checkpointing": (True, True),
}


#: The counted way from which follow those whose base has few bits.
SMALLEST = "LoRA, checkpointing"
ON_BITS: dict[str, Bits] = {f"{SMALLEST}, 8 bits": "8bit", f"{SMALLEST}, 4 bits": "4bit"}


def on_bits(plan: MemoryPlan, bits: Bits) -> MemoryPlan:
    """``plan``, whose frozen linear maps are bfloat16, with these in ``bits`` instead.

    Frozen convolutions are taken for linear maps, which is some megabytes too few.
    """
    frozen = (plan.measured - plan.weights) / (FLOAT - HALF)
    return replace(plan, weights=plan.weights - frozen * (HALF - BYTES[bits]))


@dataclass(frozen=True)
class KnownPlans:
    """Plans of one model by way (:data:`WAYS`), and its millions of parameters."""

    millions: float
    plans: Mapping[str, MemoryPlan]

    @staticmethod
    def of(values: Mapping[str, Any]) -> KnownPlans:
        """From plain values, as the file has them."""
        plans = {}
        for way, own in values["plans"].items():
            counted = {part: _step(own[part]) for part in ("step", "again")}
            plans[way] = MemoryPlan(**{**own, **counted})
        if SMALLEST in plans:
            plans |= {title: on_bits(plans[SMALLEST], bits) for title, bits in ON_BITS.items()}
        return KnownPlans(float(values["millions"]), plans)

    def rows(self, gigabytes: float) -> dict[str, int]:
        """Clips of :data:`SECONDS` in a micro-batch that a GPU of so many gigabytes holds, by way."""
        return {way: plan.rows(gigabytes * GIGABYTE, SECONDS) for way, plan in self.plans.items()}


def _step(values: Mapping[str, Any]) -> StepBytes:
    return StepBytes(tuple(Operation(**operation) for operation in values["operations"]))


@cache
def known_plans() -> dict[str, KnownPlans]:
    """All models in the file, the smallest first."""
    text = (resources.files("asr_adapt.assets") / FILE).read_text(encoding="utf-8")
    found = {name: KnownPlans.of(values) for name, values in json.loads(text)["models"].items()}
    return dict(sorted(found.items(), key=lambda item: item[1].millions))
