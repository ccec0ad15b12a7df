"""One batch a core: a CPU hears several batches at once faster than one batch on all its cores.

Knows threads and torch's count of them. Does not know batches or recognisers beyond whether they allow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from asr_adapt.models import Recogniser

#: More would hold more activations in memory than they save time.
MOST = 8


@contextmanager
def core_threads(recogniser: Recogniser) -> Iterator[ThreadPoolExecutor | None]:
    """Threads that compute on one core each; None where the recogniser or the number of cores forbids it."""
    cores = torch.get_num_threads()
    if cores == 1 or not recogniser.capabilities.concurrent:
        yield None
        return
    pool = ThreadPoolExecutor(
        min(cores, MOST), "core", initializer=torch.set_num_threads, initargs=(max(1, cores // MOST),)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)  # what new threads begin with
