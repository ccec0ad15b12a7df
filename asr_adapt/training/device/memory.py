"""Whether a computation fits into a device's memory: tried out on CUDA, watched on a CPU.

Knows the allocator's refusal on CUDA and the resident memory of this process on a CPU. Does not know what is
computed.
"""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

from asr_adapt.errors import RecipeError

#: Share of a CPU's available memory that a step may take: the rest of the machine goes on working, and a
#: trial twice as large as the last one that fitted is still no danger.
AVAILABLE_SHARE = 0.4
_INTERVAL = 0.002  # seconds between two looks at the resident memory


@dataclass(frozen=True)
class DeviceMemory:
    """The memory of ``device``; ``limit`` in bytes is what a CPU may use for a step."""

    device: torch.device
    limit: int

    @staticmethod
    def of(device: torch.device, processes: int = 1) -> DeviceMemory:
        """As it is now, shared on a CPU by ``processes``; raises :class:`RecipeError` for other devices."""
        if device.type not in ("cpu", "cuda"):
            raise RecipeError(
                f"auto cannot watch the memory of {device.type}: give a number of seconds.",
                field="batch.seconds",
            )
        return DeviceMemory(device, int(psutil.virtual_memory().available * AVAILABLE_SHARE / processes))

    @property
    def name(self) -> str:
        """What the device is called, with its memory, so that equal names mean equal room."""
        if self.device.type == "cuda":
            found = torch.cuda.get_device_properties(self.device)
            return f"{found.name}, {found.total_memory >> 30} GiB"
        return f"{platform.machine()} cpu, {psutil.virtual_memory().total >> 30} GiB"

    def holds(self, compute: Callable[[], None]) -> bool:
        """Run ``compute`` and say whether it fitted."""
        self.clear()
        if self.device.type == "cuda":
            try:
                compute()
            except torch.cuda.OutOfMemoryError:
                return False  # the answer that was asked for; the allocator is whole afterwards
            finally:
                self.clear()
            return True
        with watched() as peak:
            compute()
        self.clear()
        return peak() <= self.limit

    def clear(self) -> None:
        """Give back what earlier computations left behind."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)  # or the next trial would live on the last one's pages unseen


@contextmanager
def grown(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yields a call that gives the bytes that the block has taken at its peak: the allocator's on CUDA, else
    the growth of resident memory."""
    if device.type != "cuda":
        with watched() as peak:
            yield peak
        return
    start = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    yield lambda: int(torch.cuda.max_memory_allocated(device)) - start


def held(device: torch.device) -> int:
    """Bytes that are taken now: by tensors on CUDA, else by this process."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


@contextmanager
def watched() -> Iterator[Callable[[], int]]:
    """Yields a call that gives the growth of resident memory in the block so far, in bytes."""
    process, done = psutil.Process(), threading.Event()
    start = highest = process.memory_info().rss

    def look() -> None:
        nonlocal highest
        while not done.wait(_INTERVAL):
            highest = max(highest, process.memory_info().rss)

    thread = threading.Thread(target=look, name="memory", daemon=True)
    thread.start()
    try:
        yield lambda: highest - start
    finally:
        done.set()
        thread.join()
