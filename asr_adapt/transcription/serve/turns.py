"""Who computes next: requests take turns, and a long one lets others in between.

Knows order. Does not know what is computed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after which one who waits looks again whether anybody still wants the result.
GLANCE_SECONDS = 0.5


def _nothing() -> None:
    return


class Turns:
    """A lock in the order of asking, which its holder can pass on and gets back after those who waited.

    ``check`` is called while waiting; what it raises ends the waiting.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def turn(self, ticket: object, check: Callable[[], None] = _nothing) -> Iterator[None]:
        """Wait for the turn of ``ticket`` and hold it within the block."""
        with self._changed:
            self._queue.append(ticket)
        try:
            self._wait(ticket, check)
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def pass_on(self, ticket: object, check: Callable[[], None] = _nothing) -> None:
        """Let each who waits now have a turn first; nothing where it is not the turn of ``ticket``."""
        with self._changed:
            if len(self._queue) < 2 or self._queue[0] is not ticket:
                return
            self._queue.remove(ticket)
            self._queue.append(ticket)
            self._changed.notify_all()
        self._wait(ticket, check)

    def _wait(self, ticket: object, check: Callable[[], None]) -> None:
        with self._changed:
            check()
            while self._queue[0] is not ticket:
                self._changed.wait(GLANCE_SECONDS)
                check()
