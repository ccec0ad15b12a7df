"""Where live sound comes from: a pipe or the microphone, read by a thread of its own so that nothing is lost.

Knows threads, pipes and PortAudio (through sounddevice). Does not know what is heard. While the recogniser
computes, sound waits in memory; only a recording, which comes faster than anybody speaks, is made to wait.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from asr_adapt.audio.piped import piped_audio
from asr_adapt.audio.resample import resample_stream
from asr_adapt.errors import MissingExtraError, UsageError
from asr_adapt.transcription.live.clock import LiveClock

#: Seconds of sound in one block from the microphone.
BLOCK_SECONDS = 0.1
#: A recording that is so many seconds ahead waits; twice as much of it is in memory at most.
MOST_AHEAD = 30.0
#: Seconds after which one who waits looks again whether anybody still wants sound.
GLANCE_SECONDS = 0.1

#: After Ctrl-C, sound that is still in the pipe or the device is waited for so many seconds.
LAST_SECONDS = 0.5

_Item = np.ndarray | BaseException | None


class LiveSound:
    """Blocks of float32 mono (n,) at ``rate`` Hz as they come, told to ``clock`` when they do."""

    def __init__(self, rate: int, clock: LiveClock) -> None:
        self.rate, self.clock = rate, clock
        self.remarks: list[str] = []
        self._waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._taken = 0.0
        self._ended = threading.Event()
        self._deadline: float | None = None

    def blocks(self, stopped: Callable[[], bool]) -> Iterator[np.ndarray]:
        """The blocks until the sound ends or ``stopped``; then those that were on their way."""
        self._open()
        try:
            while (item := self._next(stopped)) is not None:
                if isinstance(item, BaseException):
                    raise item
                self._taken += len(item) / self.rate
                yield item
        finally:
            self._ended.set()
            self._close()

    def _next(self, stopped: Callable[[], bool]) -> _Item:
        while True:
            if stopped() and self._deadline is None:
                self._deadline = time.monotonic() + LAST_SECONDS
            over = self._deadline is not None and time.monotonic() > self._deadline
            if over:
                self._ended.set()  # whoever reads goes on no longer
            try:
                return self._waiting.get(timeout=0 if over else GLANCE_SECONDS)
            except queue.Empty:
                if over:
                    return None

    def _put(self, block: np.ndarray) -> None:
        if len(block):
            self.clock.arrival(len(block) / self.rate)
            self._waiting.put(block)

    def _open(self) -> None:
        """Begin to put blocks, and None behind the last."""
        raise NotImplementedError

    def _close(self) -> None:
        """Nobody wants sound any more."""


class PipedSound(LiveSound):
    """Sound from ``handle``: see :func:`~asr_adapt.audio.piped.piped_audio`."""

    def __init__(self, handle: BinaryIO, rate: int, clock: LiveClock, channel: int | None = None) -> None:
        super().__init__(rate, clock)
        self._handle, self._channel = handle, channel

    def _open(self) -> None:
        threading.Thread(target=self._read, name="asr-adapt-live", daemon=True).start()

    def _read(self) -> None:
        try:
            for block in piped_audio(
                self._handle, self.rate, channel=self._channel, remark=self.remarks.append
            ):
                self._put(block)
                self._hold_back()
                if self._ended.is_set():
                    return
            self._waiting.put(None)
        except Exception as error:  # told by the one who hears
            self._waiting.put(error)

    def _hold_back(self) -> None:
        """Let a recording wait in its pipe while enough of it is here; a person who speaks is never ahead."""
        clock = self.clock
        while (
            clock.recorded
            and clock.arrived - self._taken > MOST_AHEAD
            and not self._ended.wait(GLANCE_SECONDS)
        ):
            pass


class Microphone(LiveSound):
    """The microphone ``device`` (name or number; None: the system's own).

    Raises MissingExtraError without sounddevice, and UsageError where there is no such microphone.
    """

    def __init__(self, rate: int, clock: LiveClock, device: str | None = None) -> None:
        super().__init__(rate, clock)
        self._portaudio = _sounddevice()
        self._device: int | str | None = int(device) if device is not None and device.isdigit() else device
        try:
            about = self._portaudio.query_devices(self._device, "input")
        except (ValueError, self._portaudio.PortAudioError) as error:
            named = "There is no microphone" if device is None else f"There is no microphone {device!r}"
            raise UsageError(f"{named} ({_one_line(error)}): name one with --microphone.") from error
        self.name = str(about["name"])
        self._own_rate = round(about["default_samplerate"])
        self._raw: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
        self._overflows = 0
        self._stream: Any = None

    def _open(self) -> None:
        """16 kHz where the device can, else its own rate, which is resampled."""
        for own in (self.rate, self._own_rate):
            try:
                self._stream = self._portaudio.InputStream(
                    samplerate=own, channels=1, dtype="float32", device=self._device,
                    blocksize=round(own * BLOCK_SECONDS), callback=self._came,
                )  # fmt: skip
                self._stream.start()
                break
            except self._portaudio.PortAudioError as error:
                if own == self._own_rate:
                    raise UsageError(f"{self.name} cannot be heard ({_one_line(error)}).") from error
        threading.Thread(target=self._resampled, args=(own,), name="asr-adapt-live", daemon=True).start()

    def _came(self, block: np.ndarray, frames: int, moment: Any, status: Any) -> None:
        """Called by PortAudio; must return at once."""
        del frames, moment
        self._overflows += bool(status.input_overflow)
        self._raw.put(block[:, 0].copy())

    def _resampled(self, own: int) -> None:
        def raw() -> Iterator[np.ndarray]:
            while (block := self._raw.get()) is not None:
                yield block

        for block in resample_stream(raw(), own, self.rate):
            self._put(block)
        self._waiting.put(None)

    def _close(self) -> None:
        self._stream.close()
        self._raw.put(None)
        if self._overflows:
            self.remarks.append(f"the system dropped sound of the microphone {self._overflows} times.")


def require_microphone() -> None:
    """Raise MissingExtraError or UsageError where no microphone can be heard at all."""
    _sounddevice()


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise MissingExtraError("The microphone", "live") from error
    except OSError as error:  # the library that the package speaks to is the system's
        raise UsageError(
            "The microphone needs the library PortAudio: install it (apt install libportaudio2)."
        ) from error
    return sounddevice


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
