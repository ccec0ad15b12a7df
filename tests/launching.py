"""Starting several real processes together, as ``accelerate launch`` does for a user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

import asr_adapt


def launch(processes: int, *arguments: str, launcher: Sequence[str] = ()) -> list[str]:
    """``accelerate launch`` of ``asr-adapt`` on as many processes, with more options for the launcher.

    ``--multi_gpu`` is what makes accelerate start several: without GPUs they talk by gloo. (``--cpu`` would
    start one process only, whatever ``--num_processes`` says.)
    """
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    if processes > 1:
        command += ["--multi_gpu"] if not launcher else []
    command += ["--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", "--main_process_port", str(_free_port()), *launcher]
    return [*command, "-m", "asr_adapt", *arguments]


def start(command: list[str]) -> subprocess.Popen[str]:
    """The launcher, in a session of its own."""
    paths = [str(Path(asr_adapt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip


def run(command: list[str], seconds: float = 240.0) -> subprocess.CompletedProcess[str]:
    """Run to the end; whatever is left of it is killed when ``seconds`` are over."""
    process = start(command)
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        kill(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the launcher and everything below it; nothing happens where it has ended.

    The launcher goes first, lest it starts or ends others; its workers are no longer of its group, since
    torch starts each in a session of its own.
    """
    try:
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in tree:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(tree, timeout=30)
    process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
