"""Long recordings with a known transcript, made of real utterances, and others in which nobody speaks.

Knows how utterances, pauses, real noises and music follow each other, all from a seed. Does not know models.
Speech: ``speechocean762`` (test speakers of the mild and medium bands), ``kathleen``, ``librispeech_other``;
noise: ``esc10_noise``. Music is synthetic: chords of decaying partials.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.manifest.build import BuildOptions, open_build

RATE = 16_000
#: What stands between two utterances, and how often.
GAPS = (("pause", 0.78), ("silence", 0.08), ("noise", 0.09), ("music", 0.05))


@dataclass(frozen=True)
class LongAudio:
    """Samples (n,) at 16 kHz, what is said in them in order, and in which seconds each part is said."""

    samples: np.ndarray
    texts: tuple[str, ...]
    spans: tuple[tuple[float, float], ...]

    @property
    def reference(self) -> str:
        """The whole transcript."""
        return " ".join(self.texts)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / RATE


def long_speech(data: Path, seconds: float, seed: int = 0) -> LongAudio:
    """Speech of several corpora in runs of one to six utterances of one speaker, with gaps between."""
    rng = random.Random(seed)
    voices = list(speakers(data).values())
    sounds = Noises(data, rng)
    parts: list[np.ndarray] = []
    texts: list[str] = []
    spans: list[tuple[float, float]] = []
    length = 0
    while length < seconds * RATE:
        rows = rng.choice(voices)
        for row in rng.sample(rows, min(len(rows), rng.randint(1, 6))):
            clip = read_audio(row.audio_path, offset=row.offset, duration=row.duration)
            gap = sounds.gap()
            spans.append((length / RATE, (length + len(clip)) / RATE))
            texts.append(row.text or "")
            parts += [clip, gap]
            length += len(clip) + len(gap)
    return LongAudio(np.concatenate(parts), tuple(texts), tuple(spans))


def long_noise(data: Path, seconds: float, seed: int = 0) -> LongAudio:
    """Silence, noises and music; nobody speaks (the classes of people are left out)."""
    sounds = Noises(data, random.Random(seed))
    parts: list[np.ndarray] = []
    length = 0
    while length < seconds * RATE:
        parts.append(sounds.of(sounds.rng.choice(("silence", "noise", "noise", "music"))))
        length += len(parts[-1])
    return LongAudio(np.concatenate(parts), (), ())


def speakers(data: Path) -> dict[str, list[Utterance]]:
    """Utterances by speaker; each corpus has the weight of its number of speakers, kathleen that of ten."""
    found: dict[str, list[Utterance]] = {}
    build = open_build(data / "speechocean762" / "test", BuildOptions(root=data / "speechocean762"))
    for row in build.rows():
        if str(row.accent).split()[0] in ("mild", "medium"):
            found.setdefault(f"speechocean762 {row.speaker}", []).append(row)
    for row in Manifest.open(data / "librispeech_other" / "manifest.jsonl"):
        found.setdefault(f"librispeech {row.speaker}", []).append(row)
    rows = list(Manifest.open(data / "kathleen" / "manifest.jsonl"))
    for number, row in enumerate(rows):
        found.setdefault(f"kathleen {number % 10}", []).append(row)
    return found


class Noises:
    """What stands between utterances, drawn from ``rng``."""

    def __init__(self, data: Path, rng: random.Random) -> None:
        self.rng = rng
        clips = sorted((data / "esc10_noise").rglob("*.ogg"))
        self.clips = [clip for clip in clips if "Person" not in str(clip) and "Baby" not in str(clip)]

    def gap(self) -> np.ndarray:
        """A pause, mostly; sometimes long silence, noise or music."""
        kinds = [kind for kind, _ in GAPS]
        return self.of(self.rng.choices(kinds, [weight for _, weight in GAPS])[0])

    def of(self, kind: str) -> np.ndarray:
        """Samples of one kind of gap; silence is that of a quiet room, 70 dB below full scale."""
        if kind == "pause":
            return self._quiet(self.rng.uniform(0.2, 1.5))
        if kind == "silence":
            return self._quiet(self.rng.uniform(3.0, 12.0))
        sound = read_audio(self.rng.choice(self.clips)) if kind == "noise" else self._music()
        level = 10 ** (self.rng.uniform(-35, -15) / 20) / max(1e-6, float(np.sqrt(np.mean(sound**2))))
        return np.concatenate([self._quiet(0.3), np.clip(level * sound, -1, 1), self._quiet(0.3)])

    def _quiet(self, seconds: float) -> np.ndarray:
        noise = np.random.default_rng(self.rng.randrange(2**32)).standard_normal(round(seconds * RATE))
        return (10 ** (-70 / 20) * noise).astype(np.float32)

    def _music(self) -> np.ndarray:
        return np.concatenate(list(self._chords(self.rng.randint(6, 16)))).astype(np.float32)

    def _chords(self, count: int) -> Iterator[np.ndarray]:
        time = np.arange(round(0.5 * RATE)) / RATE
        for _ in range(count):
            root = 110 * 2 ** (self.rng.randrange(24) / 12)
            tones = [root * 2 ** (step / 12) * k for step in (0, 4, 7) for k in (1, 2, 3)]
            yield sum(np.sin(2 * np.pi * tone * time) / tone for tone in tones) * np.exp(-3 * time)
