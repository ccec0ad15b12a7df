"""Scripts of ``benchmarks/`` as modules, for the tests of what they count."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks"


@contextmanager
def script(name: str) -> Iterator[ModuleType]:
    """The script of that name; what it imports from beside it is found while it is used."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))
