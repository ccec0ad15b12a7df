"""Requests that are not answered with a transcript: refused, or nobody waits any more.

Knows statuses and sentences. Does not know HTTP frameworks, nor why a request is refused.
"""

from __future__ import annotations

from http import HTTPStatus


class Refused(Exception):
    """A request that is answered with ``status`` and one sentence, and perhaps seconds to wait."""

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ClientGone(ConnectionError):
    """The client has closed its connection: there is nobody to answer."""
