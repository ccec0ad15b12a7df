"""Vocabulary: keep, extend, replace; rows of shared characters survive each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr_adapt.models import Recogniser, load_recogniser, set_vocabulary

from .architectures import save_tiny


@pytest.fixture
def recogniser(tmp_path: Path) -> Recogniser:
    return load_recogniser(save_tiny("wav2vec2", tmp_path / "tiny"), device="cpu")


def row(recogniser: Recogniser, token: str) -> torch.Tensor:
    return recogniser.model.lm_head.weight[recogniser.vocabulary[token]].detach().clone()  # type: ignore[attr-defined]


def test_extending_keeps_every_old_row_and_the_old_text(
    recogniser: Recogniser, waves: list[np.ndarray], tmp_path: Path
) -> None:
    old = {token: row(recogniser, token) for token in recogniser.vocabulary}  # type: ignore[attr-defined]
    longer = set_vocabulary(recogniser, "aɓɗ", "extend")
    assert len(longer.vocabulary) == len(old) + 2  # type: ignore[attr-defined]
    assert all(torch.equal(row(longer, token), weights) for token, weights in old.items())
    assert longer.labels(["ɓa"])[0] == [len(old), longer.vocabulary["a"]]  # type: ignore[attr-defined]
    longer.save(tmp_path / "saved")
    again = load_recogniser(tmp_path / "saved", device="cpu")
    assert [h.text for h in again.transcribe(waves)] == [h.text for h in longer.transcribe(waves)]


def test_replacing_keeps_shared_rows_across_letter_case(recogniser: Recogniser, tmp_path: Path) -> None:
    wanted = {token: row(recogniser, token) for token in ("a", "|", "<pad>")}
    other = set_vocabulary(recogniser, "AƘZ", "replace")
    assert set(other.vocabulary) == {"<pad>", "<unk>", "|", "A", "Z", "Ƙ"}  # type: ignore[attr-defined]
    assert torch.equal(row(other, "A"), wanted["a"])
    assert torch.equal(row(other, "|"), wanted["|"])
    assert torch.equal(row(other, "<pad>"), wanted["<pad>"])
    assert other.model.config.vocab_size == 6
    assert other.labels(["az"])[0] == [other.vocabulary["A"], other.vocabulary["Z"]]  # type: ignore[attr-defined]


def test_keep_is_the_same_object(recogniser: Recogniser) -> None:
    assert set_vocabulary(recogniser, "xyz", "keep") is recogniser
