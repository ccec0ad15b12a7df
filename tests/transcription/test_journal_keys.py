"""What a killed run left is only used by a run that would write the same."""

from __future__ import annotations

import itertools

import pytest

from asr_adapt import Decoding
from asr_adapt.models import load_recogniser
from asr_adapt.transcription.decoding.fusion import with_decoding
from asr_adapt.transcription.journal import journal_key
from asr_adapt.transcription.rows.row_journal import run_key
from asr_adapt.transcription.sources import Source
from tests.models.whisper_models import save_tiny_whisper


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "Leith"},
        {"task": "translate"},
        {"temperatures": (0.4, 0.8)},
        {"no_speech_threshold": None},
        {"beam_size": 2},
        {"patience": 2.0},
        {"without_timestamps": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_killed_run_is_not_continued_by_another_search(changes, tmp_path, speak):
    source = Source("x.wav", "x", path=speak("x.wav", "bad cafe"))
    model = load_recogniser(save_tiny_whisper(tmp_path / "whisper"), device="cpu")
    others = [with_decoding(model, Decoding(**own)) for own in (changes, {"prompt": "Perth"})]
    keys = [journal_key(source, one, Decoding()) for one in (model, *others)]
    assert all(one != other for one, other in itertools.combinations(keys, 2))
    rows = [run_key(one, Decoding(), [source]) for one in (model, *others)]
    assert all(one != other for one, other in itertools.combinations(rows, 2))


def test_a_killed_run_is_not_continued_by_a_model_trained_anew_in_the_same_folder(tmp_path, speak):
    source = Source("x.wav", "x", path=speak("x.wav", "bad cafe"))
    before, after = (
        journal_key(
            source,
            load_recogniser(save_tiny_whisper(tmp_path / "whisper", seed=seed), device="cpu"),
            Decoding(),
        )
        for seed in (0, 1)
    )
    assert before != after
