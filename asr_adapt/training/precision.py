"""In which type a device computes steps: bfloat16, float16 with scaled losses, or float32.

Knows devices and Accelerate's names. Does not know networks. Weights that learn are float32 in any case.
"""

from __future__ import annotations

import torch

from asr_adapt.errors import RecipeError

#: A recipe's ``precision`` → Accelerate's ``mixed_precision``.
MIXED = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
#: Accelerate's name → the type in which steps compute.
TYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def mixed_precision(precision: str, device: torch.device) -> str:
    """Accelerate's name for a recipe's ``precision``; ``auto`` is the fastest safe type of ``device``.

    That is bfloat16 where hardware has it, float16 on older GPUs (Volta, Turing), else float32. Raises
    :class:`RecipeError` for float16 elsewhere: the losses' scale needs CUDA.
    """
    if precision == "auto":
        older = device.type == "cuda" and not fast_bfloat16(device)
        precision = "bfloat16" if fast_bfloat16(device) else "float16" if older else "float32"
    if precision == "float16" and device.type != "cuda":
        raise RecipeError(f"float16 is for CUDA, not {device.type}: use auto or bfloat16.", field="precision")
    return MIXED[precision]


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is computed in hardware: CUDA since Ampere, CPUs with AMX tiles or AVX-512 BF16.

    On an AVX-512 BF16 CPU (Zen 4, Cooper Lake) a step of whisper-tiny.en takes half the time of float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    units = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(units.get(unit) for unit in ("amx_bf16", "avx512_bf16"))
