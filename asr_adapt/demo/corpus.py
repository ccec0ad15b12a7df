"""A small corpus of accented speech, written as ordinary WAV files and manifests.

Knows how texts and voices are divided so that no dev or test row shares a sentence or a voice with a train
row or with what the bundled base has heard. Does not know models, training or scores.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr_adapt.demo.conditions import level, pad
from asr_adapt.demo.sentences import Domain, Part, sentences
from asr_adapt.demo.synthesis import (
    SAMPLE_RATE,
    Voice,
    accents,
    held_out_variants,
    spoken_form,
    synthesise,
    train_variants,
)
from asr_adapt.destinations import mark_folder
from asr_adapt.errors import UsageError
from asr_adapt.files import atomic_directory
from asr_adapt.manifest import Utterance, write_manifest

BASE_ACCENT = "us"
DEV_VOICES = 3  # of the held-out variants, the first are for dev and the others for test
PEAK = 0.5  # amplitude of every clip
SILENCE = 0.3  # seconds, at most, before and after a clip


@dataclass(frozen=True, slots=True)
class CorpusSizes:
    """Rows of each part; ``dev`` and ``test`` hold for the accent and for the guard alike."""

    train: int = 600
    replay: int = 600
    dev: int = 80
    test: int = 300


@dataclass(frozen=True, slots=True)
class AccentCorpus:
    """Manifests of an accent and of the base accent, under one folder."""

    folder: Path
    accent: str

    def manifest(self, name: str) -> Path:
        """Path of ``train``, ``dev``, ``test``, ``replay``, ``guard_dev`` or ``guard_test``."""
        return self.folder / f"{name}.jsonl"


#: What the mark of the folder says.
CORPUS_KIND = "demo corpus"


@dataclass(frozen=True, slots=True)
class SpokenSet:
    """One manifest to speak: its name, accent, the part its texts come from, who speaks, how many rows."""

    name: str
    accent: str
    part: Part
    variants: tuple[str, ...]
    count: int
    domain: Domain = "open"


def build_accent_corpus(
    output: str | Path, accent: str, seed: int = 1, sizes: CorpusSizes | None = None
) -> AccentCorpus:
    """Speak and write the six manifests of ``accent``; the folder appears only when it is complete.

    Dev and test use sentences and voices of their own, which neither train nor the bundled base contains.
    Raises `UsageError` for an accent that `asr_adapt.demo.synthesis.accents` does not list.
    """
    if accent not in accents() or accent == BASE_ACCENT:
        known = ", ".join(name for name in accents() if name != BASE_ACCENT)
        raise UsageError(f"No accent {accent!r} to adapt to: choose one of {known}.")
    with atomic_directory(output) as folder:
        for spoken in _sets(accent, sizes or CorpusSizes()):
            speak(spoken, folder, seed)
        mark_folder(folder, CORPUS_KIND)
    return AccentCorpus(Path(output), accent)


def speak(spoken: SpokenSet, folder: Path, seed: int) -> Path:
    """Speak one set into ``folder/NAME/*.wav`` and write ``folder/NAME.jsonl``, which is returned."""
    manifest = folder / f"{spoken.name}.jsonl"
    own_seed = zlib.crc32(f"{seed} {spoken.name}".encode())
    write_manifest(manifest, _speak(spoken, folder, own_seed))
    return manifest


def _sets(accent: str, sizes: CorpusSizes) -> tuple[SpokenSet, ...]:
    dev, test = held_out_variants()[:DEV_VOICES], held_out_variants()[DEV_VOICES:]
    return (
        SpokenSet("train", accent, "train", train_variants(), sizes.train, "home"),
        SpokenSet("replay", BASE_ACCENT, "train", train_variants(), sizes.replay, "home"),
        SpokenSet("dev", accent, "dev", dev, sizes.dev, "home"),
        SpokenSet("guard_dev", BASE_ACCENT, "dev", dev, sizes.dev, "home"),
        SpokenSet("test", accent, "test", test, sizes.test, "home"),
        SpokenSet("guard_test", BASE_ACCENT, "test", test, sizes.test, "home"),
    )


def _speak(spoken: SpokenSet, folder: Path, seed: int) -> Iterator[Utterance]:
    (folder / spoken.name).mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    texts = sentences(spoken.count, seed, part=spoken.part, domain=spoken.domain)
    for number, text in enumerate(texts):
        voice = _voice(spoken, number, chance)
        wave = level(pad(synthesise(spoken_form(text), voice), chance, SILENCE), PEAK)
        name = f"{spoken.name}/{number:04d}.wav"
        soundfile.write(folder / name, wave, SAMPLE_RATE)
        yield Utterance(
            audio_filepath=name,
            id=f"{spoken.name}-{number:04d}",
            duration=round(wave.size / SAMPLE_RATE, 4),
            text=text,
            speaker=voice.variant,
            accent=spoken.accent,
            lang="en",
            root=folder,
        )


def _voice(spoken: SpokenSet, number: int, chance: np.random.Generator) -> Voice:
    variants: Sequence[str] = spoken.variants
    return Voice(
        language=accents()[spoken.accent],
        variant=variants[number % len(variants)],
        rate=int(chance.uniform(130, 200)),
        pitch=int(chance.uniform(30, 70)),
        pitch_range=int(chance.uniform(30, 70)),
    )
