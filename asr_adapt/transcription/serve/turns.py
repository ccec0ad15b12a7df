"""Who computes next: requests take turns, and a long one lets others in between.

Knows order. Does not know what is computed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock in the order of asking, which its holder can pass on and gets back after those who waited."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def turn(self) -> Iterator[object]:
        """Wait for the turn and hold it within the block; yields what :meth:`pass_on` takes."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
        self._wait(ticket)
        try:
            yield ticket
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def pass_on(self, ticket: object) -> None:
        """Let each who waits now have a turn first."""
        with self._changed:
            if len(self._queue) == 1:
                return
            self._queue.remove(ticket)
            self._queue.append(ticket)
            self._changed.notify_all()
        self._wait(ticket)

    def _wait(self, ticket: object) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue[0] is ticket)
