"""Processor time of ``import asr_adapt`` and ``asr-adapt --help``, and the modules that the import loads.

    python benchmarks/bench_startup.py [--runs 7] [--root CHECKOUT …]

Least of several runs, each in a process of its own; the checkouts take turns.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

IMPORT = "import sys; known = set(sys.modules); import asr_adapt; print(len(set(sys.modules) - known))"


def spent(root: Path, *arguments: str) -> tuple[float, str]:
    """Seconds of user and system time of a Python process in ``root``, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=root)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, found.stdout.strip()


def main() -> None:
    """Print a line for each checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--root", type=Path, nargs="+", default=[Path(__file__).resolve().parents[1]])
    options = parser.parse_args()
    roots = [root.resolve() for root in options.root]
    least: dict[tuple[Path, str], float] = {}
    modules = {}
    for _ in range(options.runs):
        for root in roots:
            nothing, _ = spent(root, "-c", "pass")
            imported, modules[root] = spent(root, "-c", IMPORT)
            helped, _ = spent(root, "-m", "asr_adapt", "--help")
            for name, value in (("nothing", nothing), ("import", imported), ("help", helped)):
                least[root, name] = min(value, least.get((root, name), value))
    for root in roots:
        python = least[root, "nothing"]
        imported, helped = (1000 * (least[root, name] - python) for name in ("import", "help"))
        print(
            f"{root}: import {imported:.0f} ms and {modules[root]} modules, --help {helped:.0f} ms, "
            f"besides Python's own {1000 * python:.0f} ms"
        )


if __name__ == "__main__":
    main()
