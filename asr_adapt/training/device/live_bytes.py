"""How much memory a computation holds at its peak, counted tensor by tensor as it runs.

Knows torch's storages and when they end. Does not know what is computed. What a kernel takes for itself
(workspaces, buffers of libraries) is not seen; on every device the count is the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Within, every storage that an operation makes counts from its making to its end.

    ``now`` and ``peak`` are bytes above what was there before the block.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it made."""
        kwargs = kwargs or {}
        before = {_key(t) for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)}
        result = function(*args, **kwargs)
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor) and _key(tensor) not in before:
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._end, key, size)

    def _end(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that ``work`` held at once above what was there before, in bytes."""
    with LiveBytes() as live:
        work()
    return live.peak


def _key(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
