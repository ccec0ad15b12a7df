"""Live transcription of real speech: WER beside the whole recording's, and how late words are committed.

    python benchmarks/bench_live.py --data ../shared/data --write

LibriSpeech test-other and the medium band of speechocean762, clips one behind the other with pauses, come in
blocks of 0.1 s. The clock is simulated: sound comes at the speed of speech, and every hearing takes the
seconds of processor time that it took here, on one thread. So other work on the machine counts little, and a
system that needs more than a second for a second of sound falls behind as it would. Needs no network.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import jiwer
import numpy as np
import torch
from accent_corpora import labelled
from report import add_write, hardware, publish, table

import asr_adapt
from asr_adapt import Transcriber, Utterance
from asr_adapt.api.opening import Runtime
from asr_adapt.audio import read_audio
from asr_adapt.decoding import Decoding
from asr_adapt.manifest import Manifest
from asr_adapt.text import normalise
from asr_adapt.transcription.live import LiveClock, LiveRun
from asr_adapt.transcription.live.clock import percentile

RATE = 16_000
BLOCK = 0.1
#: Digits, contractions and "mister" count as what they stand for.
PROFILE = "whisper-en"
#: Pauses between clips, in turn: too short to end what is said, and long enough.
PAUSES = (0.4, 1.2)
SYSTEMS = (("torch", "float32"), ("ctranslate2", "float32"), ("ctranslate2", "int8"))


@dataclass(frozen=True)
class JoinedClips:
    """Joined clips: samples and what was said."""

    name: str
    samples: np.ndarray
    text: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


@dataclass(frozen=True)
class Measured:
    """One system on one recording; times in seconds."""

    recording: str
    system: str
    step: float
    wer: float
    whole: float
    median: float
    late: float
    behind: float
    cpu: float


class SimulatedClock:
    """Seconds since the first sample was spoken: waiting costs nothing, computing what it takes here."""

    def __init__(self) -> None:
        self._base, self._since = 0.0, time.process_time()

    def __call__(self) -> float:
        return self._base + time.process_time() - self._since

    def wait_until(self, moment: float) -> None:
        """Go on at ``moment``, or now where that has passed."""
        self._base, self._since = max(self(), moment), time.process_time()


class ArrivedClock(LiveClock):
    """Sound is there when it is spoken, also what is not fed yet because the one who hears is behind."""

    def due(self, second: float) -> float:
        """The moment at which sound up to ``second`` was due."""
        return second

    def waits(self, second: float) -> bool:
        """Whether sound up to ``second`` is due already."""
        return self.now() >= second


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, and with ``--write`` publish, the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--steps", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    parser.add_argument("--seconds", type=float, default=75.0, help="of each recording")
    parser.add_argument("--keep", type=Path, help="file of what is measured; a later call goes on from it")
    parser.add_argument("--systems", nargs="+", default=[" ".join(system) for system in SYSTEMS])
    add_write(parser, "live")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = list(Manifest.open(options.data / "librispeech_other" / "manifest.jsonl"))
    accented = [row for row in labelled(options.data / "speechocean762" / "test") if row.accent == "medium"]
    recordings = [
        joined("LibriSpeech test-other", rows, options.seconds),
        joined("Mandarin accents (speechocean762, medium)", accented, options.seconds),
    ]
    found = kept(options.keep)
    for system, recording in product(options.systems, recordings):
        for one in steps_of(system, recording, options, found):
            found.append(one)
            if options.keep is not None:
                options.keep.write_text(json.dumps([asdict(row) for row in found]), encoding="utf-8")
    publish("\n".join(written(recordings, found, options.model)), "live", options.write)


def kept(path: Path | None) -> list[Measured]:
    """What an earlier call measured."""
    if path is None or not path.is_file():
        return []
    return [Measured(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def steps_of(
    system: str, recording: JoinedClips, options: argparse.Namespace, found: list[Measured]
) -> Iterator[Measured]:
    """One system on one recording with every step that is not ``found`` yet."""
    done = {m.step for m in found if (m.recording, m.system) == (recording.name, system)}
    if done >= set(options.steps):
        return
    runtime, compute_type = system.split()
    model = asr_adapt.load(
        options.model, runtime=Runtime(runtime).value, device="cpu", compute_type=compute_type
    )
    whole = wer(recording, model.transcribe(recording.samples).text)
    for step in options.steps:
        if step not in done:
            yield measured(system, model, recording, step, whole)


def joined(name: str, rows: list[Utterance], seconds: float) -> JoinedClips:
    """Clips of different speakers in turn, until there are so many seconds."""
    rows = by_turns(rows)
    parts: list[np.ndarray] = []
    texts: list[str] = []
    while sum(map(len, parts)) < seconds * RATE:
        row = rows.pop(0)
        parts += [read_audio(row.audio_path, offset=row.offset, duration=row.duration)]
        parts += [np.zeros(round(PAUSES[len(texts) % 2] * RATE), np.float32)]
        texts.append(row.text or "")
    return JoinedClips(name, np.concatenate(parts), " ".join(texts))


def by_turns(rows: list[Utterance]) -> list[Utterance]:
    """A row of each speaker, then a second one of each …"""
    seen: dict[str, int] = {}
    ranked = []
    for place, row in enumerate(rows):
        turn = seen[str(row.speaker)] = seen.get(str(row.speaker), 0) + 1
        ranked.append((turn, place))
    return [rows[place] for _, place in sorted(ranked)]


def wer(speech: JoinedClips, text: str) -> float:
    """WER of a transcript (fraction)."""
    return float(jiwer.wer(normalise(speech.text, PROFILE), normalise(text, PROFILE)))


def measured(system: str, model: Transcriber, speech: JoinedClips, step: float, whole: float) -> Measured:
    """Hear a recording as it would be heard while it is spoken."""
    now = SimulatedClock()
    run = LiveRun(model.recogniser, Decoding(), ArrivedClock(now=now), step=step)

    size = round(BLOCK * RATE)

    def spoken() -> Iterator[np.ndarray]:
        for place in range(0, len(speech.samples), size):
            block = speech.samples[place : place + size]
            now.wait_until((place + len(block)) / RATE)
            yield block

    began = time.process_time()
    for _ in run.updates(spoken()):
        pass
    cpu = time.process_time() - began
    clock, report = run.clock, run.report(speech.name)
    print(f"{speech.name}, {system}, step {step:g}: {report.transcript.text}", flush=True)
    return Measured(
        speech.name, system, step, wer(speech, report.transcript.text), whole,
        percentile(clock.latencies, 0.5), percentile(clock.latencies, 0.95),
        clock.most_behind, cpu / speech.seconds,
    )  # fmt: skip


def written(recordings: Sequence[JoinedClips], found: Sequence[Measured], model: str) -> list[str]:
    """A table for each recording."""
    heads = [
        "system", ">step s", ">WER live", ">WER whole", ">latency s, median", ">95 %", ">most behind s",
        ">CPU s a second",
    ]  # fmt: skip
    text: list[str] = []
    for one in recordings:
        rows = [
            [m.system, f"{m.step:g}", f"{m.wer:.1%}", f"{m.whole:.1%}", f"{m.median:.1f}", f"{m.late:.1f}",
             f"{m.behind:.1f}", f"{m.cpu:.2f}"]
            for m in found
            if m.recording == one.name
        ]  # fmt: skip
        text += [
            f"{one.name}: {one.seconds:.0f} s, {len(one.text.split())} words.",
            "",
            *table(heads, rows),
            "",
        ]
    text.append(
        f"{Path(model).name}; {hardware()}, one thread. Latency: from a word's end to its commitment, on a "
        "simulated clock that advances by the processor seconds measured for each hearing."
    )
    return text


if __name__ == "__main__":
    main()
