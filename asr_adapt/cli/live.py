"""``asr-adapt transcribe --live``: words on the screen while somebody speaks.

Knows what is refused, what goes to standard output and to stderr, and how Ctrl-C ends it. Does not know how
anything is heard.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asr_adapt.cli.ranks import refuse_standard_input
from asr_adapt.errors import DataError, UsageError

if TYPE_CHECKING:
    from asr_adapt.api.opening import ChosenModel
    from asr_adapt.decoding import Decoding
    from asr_adapt.transcription.live import LiveReport, LiveUpdate
    from asr_adapt.transcription.live.sound import LiveSound
    from asr_adapt.transcription.sources import Source
    from asr_adapt.transcription.writing.outputs import Outputs

PANEL = "Live"
STDIN = "-"

Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Print words while they are spoken: into the microphone or, with INPUT -, into standard "
        "input, as WAV or as raw 16 kHz mono 16-bit little-endian PCM "
        "(ffmpeg -f s16le -ar 16000 -ac 1 -). Ctrl-C ends it.",
        rich_help_panel=PANEL,
    ),
]
Step = Annotated[
    float,
    typer.Option(
        "--step", min=0.1, max=10.0, help="Seconds from one hearing to the next.", rich_help_panel=PANEL
    ),
]
MicrophoneName = Annotated[
    str | None,
    typer.Option("--microphone", metavar="NAME", help="Name or number of it.", rich_help_panel=PANEL),
]


@dataclass(frozen=True)
class LiveSettings:
    """Options of a live run beside those of decoding."""

    step: float
    microphone: str | None
    overwrite: bool
    quiet: bool
    read: tuple[Any, ...] = ()


def transcribe_live(
    inputs: Sequence[str],
    chosen: ChosenModel,
    decoding: Decoding,
    outputs: Outputs,
    settings: LiveSettings,
) -> None:
    """Print what is said until the sound ends or Ctrl-C, then write what was asked for.

    Raises UsageError, before anything is loaded, for what cannot be done live.
    """
    from asr_adapt.transcription.live.stream import require_live
    from asr_adapt.transcription.sources import Source

    piped = _piped(inputs, settings)
    require_live(decoding, settings.step)
    named = ("<stdin>", "stdin") if piped else ("microphone", "microphone")
    source = _unwritten(Source(*named), outputs, settings)
    _require_outputs(outputs, source, settings)
    if not piped:
        from asr_adapt.transcription.live.sound import require_microphone

        require_microphone()
    report = _heard(chosen, decoding, settings, source, piped)
    outputs.write_files(source, report.transcript)
    if outputs.directory is not None and not settings.quiet:
        print(f"Written: {', '.join(map(str, outputs.paths(source)))}", file=sys.stderr)
    if outputs.common is not None:
        outputs.write_common([outputs.printed(report.transcript, 1)])
    _tell(report, settings.quiet)


def _piped(inputs: Sequence[str], settings: LiveSettings) -> bool:
    """Whether standard input is heard; else the microphone."""
    if not inputs:
        return False
    if list(inputs) != [STDIN]:
        other = next((name for name in inputs if name != STDIN), f"{STDIN} twice")
        raise UsageError(
            f"--live hears the microphone or standard input (-), not {other}: remove --live to transcribe it."
        )
    if settings.microphone is not None:
        raise UsageError("--microphone and the input - exclude each other: remove one.")
    refuse_standard_input()
    return True


def _unwritten(source: Source, outputs: Outputs, settings: LiveSettings) -> Source:
    """The source under a name of which the folder holds no transcript: each session is another one."""
    numbered = (source if n == 1 else replace(source, name=f"{source.name}-{n}") for n in count(1))
    if outputs.directory is None or settings.overwrite:
        return source
    return next(one for one in numbered if not any(path.exists() for path in outputs.paths(one)))


def _require_outputs(outputs: Outputs, source: Source, settings: LiveSettings) -> None:
    if outputs.directory is None and outputs.file is None and outputs.formats != ("txt",):
        raise UsageError(
            f"--live prints text as it comes: for {outputs.formats[0]} add -o FOLDER, "
            "which is written at the end."
        )
    outputs.check(1)
    outputs.require_free([source], settings.read, overwrite=settings.overwrite)


def _heard(
    chosen: ChosenModel, decoding: Decoding, settings: LiveSettings, source: Source, piped: bool
) -> LiveReport:
    """Hear until the end, with words on standard output."""
    from asr_adapt.transcription.live import LiveClock, LiveRun
    from asr_adapt.transcription.live.run import advice

    recogniser = chosen.load()
    clock = LiveClock()
    sound = _sound(piped, recogniser.sample_rate, clock, decoding, settings.microphone)
    with _stopping() as stopped, _printer(settings.quiet) as show:
        run = LiveRun(
            recogniser,
            decoding,
            clock,
            step=settings.step,
            late=lambda seconds: show.note(advice(seconds)),
        )
        show.note(f"Listening to {getattr(sound, 'name', source.label)}; Ctrl-C ends it.")
        for update in run.updates(sound.blocks(stopped)):
            show(update)
    report = run.report(source.label, sound.remarks)
    if not report.audio_seconds and piped and not stopped():
        raise DataError("standard input is empty; pipe sound into it.")
    return report


def _sound(piped: bool, rate: int, clock: Any, decoding: Decoding, microphone: str | None) -> LiveSound:
    from asr_adapt.transcription.live.sound import Microphone, PipedSound

    if piped:
        # past the buffer, whose lock a thread that waits for sound would hold when the process ends
        handle = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return PipedSound(handle, rate, clock, decoding.channel)
    return Microphone(rate, clock, microphone)


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C (or SIGTERM) asks to end, and a second one interrupts."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class _PrintedLines:
    """Committed words one behind the other, a line for each segment, flushed as they come."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.printed = ""

    def __call__(self, update: LiveUpdate) -> None:
        """Print what is new of the lines."""
        for segment in update.segments:
            self.write(segment.text[len(self.printed) :] + "\n")
            self.printed = ""
        self.write(update.text[len(self.printed) :])
        self.printed = update.text

    def note(self, sentence: str) -> None:
        """A sentence to stderr, unless nobody wants any."""
        if not self.quiet:
            print(sentence, file=sys.stderr, flush=True)

    def write(self, text: str) -> None:
        """To standard output, at once."""
        if text:
            sys.stdout.write(text)
            sys.stdout.flush()

    def close(self) -> None:
        """End the open line."""
        if self.printed:
            self.write("\n")
            self.printed = ""


class _Screen(_PrintedLines):
    """The same on a terminal, with the words that may still change dim behind them.

    They fill the line at most: then the cursor can go back to where they began.
    """

    def __init__(self, quiet: bool) -> None:
        super().__init__(quiet)
        from asr_adapt.screen import console

        self._console = console()
        self._tail = False

    def __call__(self, update: LiveUpdate) -> None:
        """Replace the tail: committed words first, then the new tail."""
        self._clear()
        super().__call__(update)
        self._show(update)

    def note(self, sentence: str) -> None:
        """A sentence on a line of its own; the open line begins anew below it."""
        self._clear()
        self.write("\n" if self.printed and not self.quiet else "")
        super().note(sentence)
        self.write("" if self.quiet else self.printed)

    def close(self) -> None:
        """End the open line, without a tail."""
        self._clear()
        super().close()

    def _clear(self) -> None:
        if self._tail:
            self._console.file.write("\x1b8\x1b[J")  # back to where the tail began; nothing behind it
            self._console.file.flush()
            self._tail = False

    def _show(self, update: LiveUpdate) -> None:
        from asr_adapt.text.spaces import columns, space_between

        width = self._console.width
        room = width - columns(update.text) % width - 1
        tail = update.tentative_text
        if update.text and tail:
            tail = space_between(update.text, tail) + tail
        while tail and columns(tail) > room:
            tail = tail[:-1]
        if tail:
            self._console.file.write("\x1b7")
            self._console.print(tail, style="dim", end="", soft_wrap=True)
            self._console.file.flush()
            self._tail = True


@contextmanager
def _printer(quiet: bool) -> Iterator[_PrintedLines]:
    """What prints updates; its line is ended whatever happens."""
    lines = _Screen(quiet) if sys.stdout.isatty() else _PrintedLines(quiet)
    try:
        yield lines
    finally:
        lines.close()


def _tell(report: LiveReport, quiet: bool) -> None:
    """What is said in the end; lost sound is said even when quiet."""
    from asr_adapt.cli.progress import spoken_time

    for remark in report.remarks:
        print(f"asr-adapt: {report.transcript.source}: {remark}", file=sys.stderr)
    if quiet:
        return
    parts = [f"{report.words} words in {spoken_time(report.audio_seconds)} of sound"]
    if report.median_latency is not None and report.latency_95 is not None:
        parts.append(
            f"a word is committed {report.median_latency:.1f} s after its end "
            f"(median; 95 % within {report.latency_95:.1f} s)"
        )
        parts.append(f"at most {report.most_behind:.1f} s behind the sound")
    parts.append(f"computing took {report.real_time_factor:.2f} of the sound's time")
    print("; ".join(parts) + ".", file=sys.stderr)
