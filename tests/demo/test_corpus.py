"""The demonstration's corpus: parts disjoint in text and voice, rows that read back."""

from __future__ import annotations

import itertools

import pytest

from asr_adapt.demo.corpus import CorpusSizes, build_accent_corpus
from asr_adapt.demo.synthesis import held_out_variants, train_variants
from asr_adapt.errors import UsageError
from asr_adapt.manifest import Manifest

SECTIONS = ("train", "replay", "dev", "guard_dev", "test", "guard_test")
SIZES = CorpusSizes(train=30, replay=20, dev=6, test=12)


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    corpus = build_accent_corpus(tmp_path_factory.mktemp("demo") / "corpus", "scottish", 1, SIZES)
    return {name: Manifest.open(corpus.manifest(name)) for name in SECTIONS}


def test_rows_have_their_audio_duration_and_accent(manifests):
    sizes = (30, 20, 6, 6, 12, 12)
    assert [len(manifests[name]) for name in SECTIONS] == list(sizes)
    for name in SECTIONS:
        accent = "us" if name in ("replay", "guard_dev", "guard_test") else "scottish"
        for row in manifests[name]:
            assert row.audio_path.is_file()
            assert row.duration and 0.3 < row.duration < 10
            assert row.accent == accent


def test_train_dev_and_test_share_no_text_and_no_voice(manifests):
    groups = {"train": ("train", "replay"), "dev": ("dev", "guard_dev"), "test": ("test", "guard_test")}
    for field in ("text", "speaker"):
        found = {
            part: {row.get(field) for name in names for row in manifests[name]}
            for part, names in groups.items()
        }
        for one, other in itertools.combinations(found.values(), 2):
            assert not one & other


def test_figures_come_from_voices_that_the_base_never_heard(manifests):
    for name in ("dev", "guard_dev", "test", "guard_test"):
        assert {row.speaker for row in manifests[name]} <= set(held_out_variants())
    assert {row.speaker for row in manifests["train"]} <= set(train_variants())


def test_the_same_seed_gives_the_same_rows(manifests, tmp_path):
    again = build_accent_corpus(tmp_path / "again", "scottish", 1, SIZES)
    other = build_accent_corpus(tmp_path / "other", "scottish", 2, SIZES)
    texts = [row.text for row in manifests["train"]]
    assert [row.text for row in Manifest.open(again.manifest("train"))] == texts
    assert [row.text for row in Manifest.open(other.manifest("train"))] != texts


@pytest.mark.parametrize("accent", ["klingon", "us"])
def test_an_accent_that_cannot_be_adapted_to_is_refused(tmp_path, accent):
    with pytest.raises(UsageError, match="scottish"):
        build_accent_corpus(tmp_path / "x", accent)
    assert not (tmp_path / "x").exists()
