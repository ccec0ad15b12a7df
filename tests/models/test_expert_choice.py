"""The surest expert is believed, clip by clip and window by window; nothing of it stays in the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from asr_adapt.models import Search, WhisperRecogniser, Window, load_recogniser
from asr_adapt.models.expert_choice import changed_weights, choosing, sure_of_row, sure_of_window

from .whisper_models import save_tiny_whisper


def test_each_clip_and_window_is_the_surest_members_and_the_base_is_left_as_it_was(
    waves: list[np.ndarray], tmp_path: Path
) -> None:
    folder = save_tiny_whisper(tmp_path / "whisper")
    base = load_recogniser(folder, device="cpu")
    before = {n: p.detach().clone() for n, p in base.model.named_parameters()}
    members, experts = [load_recogniser(folder, device="cpu")], {}
    for seed in (1, 2):
        torch.manual_seed(seed)
        adapted = load_recogniser(folder, device="cpu")
        with torch.no_grad():
            for parameter in list(adapted.model.parameters())[::seed]:
                parameter.add_(0.3 * torch.randn_like(parameter))
        members.append(adapted)
        experts[f"expert{seed}"] = changed_weights(base, adapted)
    assert len(experts["expert2"]) < len(experts["expert1"])
    one = choosing(base, experts)
    assert isinstance(one, WhisperRecogniser) and not one.capabilities.concurrent

    def expected(hear, sure):
        return [max(rows, key=sure) for rows in zip(*map(hear, members), strict=True)]

    unguarded = Search(hallucination_checks=False)
    for search in (Search(), unguarded):
        for member in members:
            member.set_search(search)
        clips = one.searching(search)
        want = expected(lambda m: m.transcribe(waves, words=True), sure_of_row)
        assert clips.transcribe(waves, words=True) == want
    assert len({row.text for row in want}) > 1
    windows = [Window(wave) for wave in waves]
    timed = expected(lambda m: m.hear_windows(windows), sure_of_window)
    assert clips.hear_windows(windows) == timed
    hidden = one.encode(one.inputs(waves), 0)
    samples = [len(wave) for wave in waves]
    want = expected(lambda m: m.transcribe_hidden(hidden, 0, samples), sure_of_row)
    assert clips.transcribe_hidden(hidden, 0, samples) == want
    now = dict(base.model.named_parameters())
    assert all(torch.equal(now[name], value) for name, value in before.items())


def test_a_loop_is_never_believed(waves: list[np.ndarray], tmp_path: Path) -> None:
    heard = load_recogniser(save_tiny_whisper(tmp_path / "whisper"), device="cpu").transcribe(waves)[0]
    sure = replace(heard, looped=False, confidence=0.9)
    assert sure_of_row(replace(sure, looped=True)) < sure_of_row(replace(sure, confidence=None))
    assert sure_of_row(replace(sure, confidence=None)) < sure_of_row(sure)
