"""Fixtures of the models room: one tiny directory per architecture, and some noise to listen to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .architectures import ARCHITECTURES, save_tiny


@pytest.fixture(scope="session", params=sorted(ARCHITECTURES))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of each architecture in turn."""
    return save_tiny(request.param, tmp_path_factory.mktemp("tiny") / request.param)


@pytest.fixture(scope="session")
def waves() -> list[np.ndarray]:
    """Three clips of different length, float32 at 16 kHz."""
    random = np.random.default_rng(0)
    return [(0.1 * random.standard_normal(n)).astype(np.float32) for n in (16_000, 9_000, 23_616)]
