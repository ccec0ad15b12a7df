"""Real whisper-tiny.en: rows decoded from kept states read as they do the whole way from the sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_adapt.manifest import Manifest
from asr_adapt.models import load_recogniser
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.transcription import evaluate_rows
from asr_adapt.transcription.known_states import KnownRows

pytestmark = [pytest.mark.pretrained, pytest.mark.realdata]


def test_real_clips_read_the_same_from_kept_states(
    whisper_tiny_en: Path, real_data: Path, tmp_path: Path
) -> None:
    corpus = Manifest.open(real_data / "kathleen" / "manifest.jsonl")
    rows = corpus.select([0, 200, 400, 600, 800, 1000])
    ours = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
    plain = evaluate_rows(rows, ours)
    prefix = MeasuredPrefix(Cache(folder=str(tmp_path / "store")), times=3, boundary=ours.stack.prefix_limit)
    states = prefix.of(ours, rows)
    assert states is not None and all(states.has(row) for row in rows)
    heard = []
    ours.model.model.encoder.conv1.register_forward_hook(lambda *_: heard.append(1))
    kept = evaluate_rows(rows, ours, known=KnownRows(states))
    prefix.close()
    assert not heard, "the encoder ran again"
    assert kept.hypotheses == plain.hypotheses
    assert all(kept.hypotheses)
