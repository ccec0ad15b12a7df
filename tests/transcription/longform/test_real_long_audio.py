"""Long audio through a real Whisper: nothing lost at pauses, windows' ends and silence; resumed alike."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr_adapt import Decoding, transcribe
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import Search, load_recogniser
from asr_adapt.scoring import word_errors

RATE = 16_000


@pytest.fixture(scope="module")
def talk(real_data: Path) -> tuple[np.ndarray, str, list[tuple[float, float]]]:
    """About 70 s: eight sentences with pauses of 0.5 to 12 s between them; texts and times."""
    rows = list(Manifest.open(real_data / "kathleen" / "manifest.jsonl"))[40:600:70]
    parts, spans, length = [], [], 0
    for number, row in enumerate(rows):
        clip = read_audio(row.audio_path)
        gap = np.zeros(round((0.5, 2.0, 5.0, 12.0)[number % 4] * RATE), np.float32)
        spans.append((length / RATE, (length + len(clip)) / RATE))
        parts += [clip, gap]
        length += len(clip) + len(gap)
    return np.concatenate(parts), " ".join(row.text or "" for row in rows), spans


@pytest.mark.pretrained
@pytest.mark.realdata
@pytest.mark.parametrize("options", [{}, {"segmenter": "windows", "condition_on_previous_text": True}])
def test_nothing_is_lost_and_words_stand_where_they_are_said(
    whisper_tiny_en: Path, talk: Any, options: dict[str, Any]
) -> None:
    audio, reference, spans = talk
    recogniser = load_recogniser(whisper_tiny_en, device="cpu")
    found = transcribe(audio, model=recogniser, decoding=Decoding(word_timestamps=True, **options))
    errors = word_errors([reference], [found.text], "whisper-en")
    assert errors.wer < 0.2 and errors.deletions <= 2
    assert all(segment.start <= segment.end for segment in found.segments)
    for parts in (found.segments, found.words):
        assert all(before.end <= after.start + 1e-6 for before, after in pairwise(parts))
    outside = [w for w in found.words if not _within((w.start + w.end) / 2, spans)]
    assert not outside
    assert all(segment.tokens and segment.decoded is not None for segment in found.segments)


@pytest.mark.pretrained
def test_nobody_speaks_in_noise(whisper_tiny_en: Path) -> None:
    noise = (0.02 * np.random.default_rng(0).standard_normal(60 * RATE)).astype(np.float32)
    recogniser = load_recogniser(whisper_tiny_en, device="cpu")
    recogniser.set_search(Search())
    assert transcribe(noise, model=recogniser).text == ""


def _within(time: float, spans: list[tuple[float, float]]) -> bool:
    return any(start - 0.5 <= time <= end + 0.5 for start, end in spans)
