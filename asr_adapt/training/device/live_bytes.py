"""How much memory a computation holds at its peak, counted tensor by tensor as it runs.

Knows torch's storages and when they end. Does not know what is computed. What a kernel takes for itself
(workspaces, buffers of libraries) is not seen; on every device the count is the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LiveBytes(TorchDispatchMode):
    """Within, every storage that an operation makes counts from its making to its end.

    ``now`` and ``peak`` are bytes above what was there before the block, ``recent`` the peak since
    :meth:`mark`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.recent = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it made."""
        kwargs = kwargs or {}
        before = {_key(tensor) for tensor in tensors((args, *kwargs.values()))}
        result = function(*args, **kwargs)
        for tensor in tensors((result,)):
            if _key(tensor) not in before:
                self._count(tensor.untyped_storage())
        return result

    def mark(self) -> int:
        """The peak since the last mark, or since the beginning; from here on it is found anew."""
        found, self.recent = self.recent, self.now
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        self.recent = max(self.recent, self.now)
        weakref.finalize(storage, self._end, key, size)

    def _end(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """All tensors among ``values`` and in lists among them, as operations take and give them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


def _key(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
