"""How much may wait: requests, bytes and seconds of all recordings together.

Knows sums and limits. Does not know HTTP, nor who computes next (``turns``).
"""

from __future__ import annotations

import threading
from http import HTTPStatus

from asr_adapt.transcription.serve.refused import Refused
from asr_adapt.transcription.serve.settings import ServerSettings

#: What a client that was refused for lack of room is told to wait, in seconds.
RETRY_SECONDS = 30


class Queue:
    """The recordings that the server holds."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._places: set[QueuePlace] = set()

    def enter(self) -> QueuePlace:
        """A place for one more request; raises :class:`Refused` where too many are there."""
        with self._lock:
            if len(self._places) >= self.settings.queue_requests:
                raise _full(f"{len(self._places)} requests")
            place = QueuePlace(self)
            self._places.add(place)
            return place

    def sums(self) -> tuple[int, int, float]:
        """Requests, bytes and seconds that are held."""
        with self._lock:
            return len(self._places), sum(p.bytes for p in self._places), sum(p.seconds for p in self._places)

    def grow(self, place: QueuePlace, bytes_: int = 0, seconds: float = 0.0) -> None:
        """Let a recording grow to so much; raises :class:`Refused` where it or all together are too much."""
        own = self.settings
        if bytes_ > own.most_bytes:
            message = f"A recording may have {own.most_bytes / 2**20:g} MiB at most."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        if seconds > own.most_seconds:
            message = f"A recording may last {own.most_seconds / 3600:g} hours at most."
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        with self._lock:
            others = [p for p in self._places if p is not place]
            if others and sum(p.bytes for p in others) + bytes_ > own.queue_bytes:
                raise _full(f"{own.queue_bytes / 2**20:g} MiB")
            if others and sum(p.seconds for p in others) + seconds > own.queue_seconds:
                raise _full(f"{own.queue_seconds / 3600:g} hours of audio")
            place.bytes, place.seconds = max(place.bytes, bytes_), max(place.seconds, seconds)

    def leave(self, place: QueuePlace) -> None:
        """Give the place back."""
        with self._lock:
            self._places.discard(place)


class QueuePlace:
    """One recording's share of the queue; :meth:`leave` gives it back."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.bytes = 0
        self.seconds = 0.0

    def hold(self, *, bytes_: int | None = None, seconds: float | None = None) -> None:
        """Hold at least so much; see :meth:`Queue.grow`."""
        self._queue.grow(
            self, self.bytes if bytes_ is None else bytes_, self.seconds if seconds is None else seconds
        )

    def leave(self) -> None:
        """Give the place back."""
        self._queue.leave(self)


def _full(what: str) -> Refused:
    return Refused(
        HTTPStatus.TOO_MANY_REQUESTS, f"The server already holds {what}: try again later.", RETRY_SECONDS
    )
