"""Work shared among processes that a launcher started together (``accelerate launch``, ``torchrun``).

Knows which of them this one is, how items are dealt out and how results come together. Does not know what the
items are, which device computes them, nor how gradients travel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

Item = TypeVar("Item")
#: The fastest process waits this long for the slowest; a process that fails ends the others much sooner.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process among ``count`` equal ones; ``index`` 0 is the main one, which writes and speaks."""

    index: int = 0
    count: int = 1

    @staticmethod
    def current() -> Processes:
        """The processes of the running process group; this one alone where there is none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return ALONE
        return Processes(distributed.get_rank(), distributed.get_world_size())

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.index == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's part of ``items``, every ``count``-th: of sorted items all get alike."""
        return list(items[self.index :: self.count])

    def gather(self, value: Item) -> list[Item]:
        """The ``value`` of every process, in their order, on all of them; each must call this."""
        if self.count == 1:
            return [value]
        found: list[Item | None] = [None] * self.count
        distributed.all_gather_object(found, value)
        return found  # type: ignore[return-value]

    def wait(self) -> None:
        """Go on when all have come here; each must call this."""
        self.gather(None)


ALONE = Processes()


@contextmanager
def launched() -> Iterator[Processes]:
    """The processes that a launcher started, joined by gloo; one alone where there was no launcher.

    Each takes the CUDA device of its number on its machine. Nothing but results travels between them, so gloo
    serves processes on GPUs too.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield Processes.current()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Processes.current()
    finally:
        distributed.destroy_process_group()
