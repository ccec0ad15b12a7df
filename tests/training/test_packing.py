"""Clips joined into windows: nothing is lost, nothing is heard twice, and a resumed run joins the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Utterance
from asr_adapt.manifest.windows import TimedText, segments_of
from asr_adapt.models import load_recogniser
from asr_adapt.training import build_recipe
from asr_adapt.training.data.corpus import Example
from asr_adapt.training.data.windows import PAUSES, Packing
from asr_adapt.training.preparing import packing

RATE = 100
WINDOW = 30.0


def label(segments: Sequence[TimedText], _: str) -> list[int]:
    return [0, *(ord(c) for c in " ".join(part.text for part in segments)), 1]


def clips(lengths: list[float]) -> tuple[list[Example], list[Utterance]]:
    """Clip n is all n + 1, and says "wn"."""
    sounds = [np.full(int(s * RATE), n + 1, dtype=np.float32) for n, s in enumerate(lengths)]
    rows = [Utterance(f"{n}.wav", text=f"w{n}", duration=lengths[n]) for n in range(len(lengths))]
    labels = [label(segments_of(row), "") for row in rows]
    return [Example(n, labels[n], lengths[n], sound) for n, sound in enumerate(sounds)], rows


lengths = st.lists(st.floats(0.2, WINDOW), min_size=1, max_size=40)


@given(lengths, st.integers(0, 5))
def test_every_clip_is_in_one_window_in_the_order_of_its_words(found: list[float], epoch: int) -> None:
    examples, rows = clips(found)
    windows = Packing(WINDOW, RATE, label, seed=3)(examples, rows, epoch)
    members = [(w.number, *w.others) for w in windows]
    assert sorted(n for window in members for n in window) == list(range(len(found)))
    for window, numbers in zip(windows, members, strict=True):
        assert len(window.samples) <= WINDOW * RATE + 1
        said = "".join(map(chr, window.labels[1:-1]))
        assert said == " ".join(f"w{n}" for n in numbers)
        sound = window.samples[window.samples > 0]
        assert sound.tolist() == [n + 1 for n in numbers for _ in range(len(examples[n].samples))]
        silent = len(window.samples) - len(sound)
        assert silent <= (len(numbers) - 1) * PAUSES[1] * RATE


def test_the_same_rows_and_epoch_give_the_same_windows_and_others_do_not() -> None:
    examples, rows = clips([1.0] * 30)
    pack = Packing(WINDOW, RATE, label, seed=3)
    drawn = [[w.others for w in pack(examples, rows, epoch)] for epoch in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    sizes = {len(w.others) for epoch in range(20) for w in pack(examples, rows, epoch)}
    assert 0 in sizes and max(sizes) > 10, "single clips and full windows are both learnt"


def test_labels_stay_within_the_decoder() -> None:
    examples, rows = clips([0.5] * 40)
    windows = Packing(WINDOW, RATE, label, seed=1, most_labels=20)(examples, rows, 0)
    assert max(len(w.labels) for w in windows) <= 20
    assert sum(1 + len(w.others) for w in windows) == 40


@given(lengths, st.integers(0, 5))
def test_the_times_of_a_window_are_where_its_clips_are(found: list[float], epoch: int) -> None:
    told: list[list[TimedText]] = []

    def note(segments: Sequence[TimedText], previous: str) -> list[int]:
        told.append(list(segments))
        return [len(told) - 1]

    examples, rows = clips(found)
    for window in Packing(WINDOW, RATE, note, seed=3)(examples, rows, epoch):
        if window.others:
            for part in told[window.labels[0]]:
                number = int(part.text[1:]) + 1
                (places,) = np.nonzero(window.samples == number)
                assert part.start == pytest.approx(places[0] / RATE)
                assert part.end == pytest.approx((places[-1] + 1) / RATE, abs=1 / RATE)


@pytest.mark.parametrize(
    ("strategy", "packed"),
    [("full", True), ("lora", True), ({"name": "top_layers", "top_layers": 2}, False), ("head", False)],
)
def test_only_where_the_encoder_learns(strategy: object, packed: bool) -> None:
    recogniser = load_recogniser("nano-whisper", device="cpu")
    recogniser.use_context("full")
    tree = {"model": "nano-whisper", "train": "t.jsonl", "dev": "d.jsonl", "strategy": strategy}
    recipe = build_recipe(tree)
    assert (packing(recipe, recogniser) is not None) is packed
    if not packed:
        with pytest.raises(RecipeError, match=r"batch\.pack"):
            packing(build_recipe(tree | {"batch": {"pack": True}}), recogniser)
