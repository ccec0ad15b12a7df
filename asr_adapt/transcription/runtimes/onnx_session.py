"""An onnxruntime session on the CPU, and what is said where there can be none.

Knows onnxruntime. Does not know models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from asr_adapt.errors import MissingExtraError, ModelError


def open_session(graph: Path, threads: int | None = None) -> Any:
    """An onnxruntime session on the CPU; raises MissingExtraError without onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("The ONNX runtime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise ModelError(f"onnxruntime cannot load it ({error}); export it again.", path=graph) from error
