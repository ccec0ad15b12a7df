"""Parts of a benchmark in processes of their own, several at a time: for a GPU that one part does not fill.

Knows commands, logs and seconds. Does not know what is measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asr_adapt.files import write_json


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The options ``--workers`` and ``--seconds``."""
    parser.add_argument("--workers", type=int, default=1, help="parts at the same time, for a GPU")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop them then")


def told(options: argparse.Namespace, *names: str) -> list[str]:
    """The options of ``names`` that have a value, as a part's own process is given them."""
    given = {name: getattr(options, name) for name in names}
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]


def measure_missing(
    options: argparse.Namespace,
    command: Sequence[str],
    missing: Sequence[str],
    kept: Callable[[str], Path],
    measured: Callable[[str], Any],
) -> None:
    """Keep what is ``measured`` of each part that is ``missing`` in its file.

    In turn, or with several workers as ``command --only PART`` in processes of their own, whose output stands
    in a log beside the file.
    """
    if options.workers > 1 and len(missing) > 1:
        side_by_side(
            missing,
            lambda name: [*command, "--only", name],
            lambda name: kept(name).with_suffix(".log"),
            workers=options.workers,
            seconds=options.seconds,
        )
        return
    for name in missing:
        write_json(kept(name), measured(name))
        print(name, file=sys.stderr, flush=True)


def side_by_side(
    parts: Sequence[str],
    command: Callable[[str], Sequence[str]],
    log: Callable[[str], Path],
    *,
    workers: int,
    seconds: float = float("inf"),
) -> None:
    """Run ``command(part)`` of this Python for each part, ``workers`` at a time; ``log`` takes its output.

    All are killed once ``seconds`` are over. A part that fails is named on stderr.
    """
    waiting, until = list(parts), time.monotonic() + seconds
    running: dict[str, Any] = {}
    while waiting or running:
        for part, process in list(running.items()):
            if process.poll() is not None:
                del running[part]
                if process.returncode:
                    print(f"{part}: failed, see {log(part)}", file=sys.stderr, flush=True)
        if time.monotonic() > until:
            for process in running.values():
                process.kill()
            return
        while waiting and len(running) < workers:
            part = waiting.pop(0)
            with log(part).open("w") as file:
                arguments = [sys.executable, *command(part)]
                running[part] = subprocess.Popen(arguments, stdout=file, stderr=subprocess.STDOUT)
        time.sleep(0.2)
