"""One request's transcription: in a thread of its own, batch by batch, for as long as its client waits.

Knows threads, turns and what ends the work. Does not know HTTP, nor how audio is transcribed (``engine``).
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from asr_adapt.audio import probe
from asr_adapt.decoding import Decoding
from asr_adapt.errors import AsrAdaptError
from asr_adapt.models import Recogniser
from asr_adapt.transcription.engine import Engine
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.serve.queue import QueuePlace
from asr_adapt.transcription.serve.refused import ClientGone, Refused
from asr_adapt.transcription.serve.turns import Turns
from asr_adapt.transcription.source_state import HearingProgress
from asr_adapt.transcription.sources import Source

#: Seconds of decoded audio that wait for the recogniser; one request holds so much memory.
POOL_SECONDS = 120.0


@dataclass(eq=False)
class Job:
    """A recording at ``path``, to be heard by ``recogniser``; ``kept`` is closed when nobody needs it."""

    path: Path
    recogniser: Recogniser
    options: Decoding
    place: QueuePlace
    kept: ExitStack
    ended: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise :class:`ClientGone` where nobody waits for the transcript any more."""
        if self.ended.is_set():
            raise ClientGone


class Work:
    """What is being transcribed; recognisers take turns, because each uses every core by itself."""

    def __init__(self) -> None:
        self.turns = Turns()
        self._ongoing: set[asyncio.Future[None]] = set()
        self._stopped = False

    async def transcribed(self, job: Job, gone: Callable[[], Awaitable[None]]) -> Transcript:
        """The transcript; the work ends at its next batch where ``gone`` returns or the server stops."""
        loop = asyncio.get_running_loop()
        result = self._begin(job)
        left = asyncio.ensure_future(gone())
        stop: asyncio.Future[None] = loop.create_future()
        self._ongoing.add(stop)
        try:
            work = asyncio.wrap_future(result)
            work.add_done_callback(_retrieved)
            ends: list[asyncio.Future[Any]] = [work, left, stop]
            if not self._stopped:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if left.done():
                raise ClientGone
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.")
        finally:
            job.ended.set()
            left.cancel()
            self._ongoing.discard(stop)

    def stop(self) -> None:
        """Let every request be answered that the server is stopping; thread-safe."""
        self._stopped = True
        for future in list(self._ongoing):
            future.get_loop().call_soon_threadsafe(_set, future)

    def _begin(self, job: Job) -> Future[Transcript]:
        result: Future[Transcript] = Future()

        def run() -> None:
            try:
                with job.kept:
                    found = self._transcribe(job)
            except BaseException as error:
                _deliver(result.set_exception, error)
            else:
                _deliver(result.set_result, found)

        threading.Thread(target=run, name="asr-adapt-serve", daemon=True).start()
        return result

    def _transcribe(self, job: Job) -> Transcript:
        try:
            duration = probe(job.path).duration
            job.place.hold(seconds=duration)
            engine = Engine(
                job.recogniser,
                job.options,
                on_progress=lambda progress: self._between(job, progress),
                computing=lambda: self.turns.turn(job, job.check),
                alive=job.check,
            )
            outcome = next(engine.run([Source(str(job.path), "upload", path=job.path, duration=duration)]))
        except AsrAdaptError as error:
            raise unheard(error, job.path) from error
        if outcome.transcript is None:
            assert outcome.failure is not None
            raise unheard(outcome.failure.error, job.path) from outcome.failure.error
        return outcome.transcript

    def _between(self, job: Job, progress: HearingProgress) -> None:
        """After each batch: end for a client that has gone or sound without end, let others in."""
        job.check()
        job.place.hold(seconds=max(job.place.seconds, progress.audio_seconds))
        self.turns.pass_on(job, job.check)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _retrieved(work: asyncio.Future[Transcript]) -> None:
    """Look at the outcome even where nobody waits for it, else asyncio complains."""
    if not work.cancelled():
        work.exception()


def _deliver(give: Callable[..., None], value: object) -> None:
    """Hand a result over, unless the one who waited has given up and cancelled it."""
    with suppress(InvalidStateError):
        give(value)


def unheard(error: BaseException, path: Path) -> BaseException:
    """What a client is told about a recording that cannot be transcribed, without names of ours."""
    if not isinstance(error, AsrAdaptError):
        return error
    # libraries cut long names off, so everything from the folder's name on goes
    sentence = re.sub(re.escape(str(path.parent.parent)) + r"[^\s'\")]*", "the recording", str(error))
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, sentence)
