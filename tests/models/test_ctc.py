"""The CTC family against transformers itself: same logits, same text, whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from asr_adapt.models import Recogniser, SpecAugment, load_recogniser

TEXTS = ["hello there", "it's", "a much longer line of text"]


def loaded(folder: Path) -> Recogniser:
    return load_recogniser(folder, device="cpu")


def test_logits_equal_those_of_transformers(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = loaded(tiny)
    reference = transformers.AutoModelForCTC.from_pretrained(tiny).eval()
    processor = transformers.AutoProcessor.from_pretrained(tiny)
    for wave in waves:
        inputs = processor(wave, sampling_rate=16_000, return_tensors="pt")
        with torch.no_grad():
            expected = reference(**inputs).logits[0]
            got = ours.logits(ours.inputs([wave]))
        frames = int(got.lengths[0])
        torch.testing.assert_close(got.states[0, :frames], expected[:frames], atol=2e-4, rtol=1e-3)


def test_text_equals_that_of_the_plain_pipeline(tiny: Path, waves: list[np.ndarray]) -> None:
    pipe = transformers.pipeline("automatic-speech-recognition", model=str(tiny), device="cpu")
    ours = loaded(tiny)
    for wave in waves:
        text = ours.transcribe([wave])[0].text
        assert text == pipe(wave.copy())["text"]
        assert len(text) > 3


def test_a_row_does_not_depend_on_its_batch(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = loaded(tiny)
    together = ours.transcribe(waves)
    alone = [ours.transcribe([wave])[0] for wave in waves]
    assert [h.text for h in together] == [h.text for h in alone]
    np.testing.assert_allclose([h.confidence for h in together], [h.confidence for h in alone], atol=1e-3)


def test_loss_equals_that_of_transformers(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = loaded(tiny)
    reference = transformers.AutoModelForCTC.from_pretrained(tiny, ctc_loss_reduction="sum").eval()
    labels = ours.labels(["hello"])
    inputs = transformers.AutoProcessor.from_pretrained(tiny)(
        waves[0], sampling_rate=16_000, return_tensors="pt"
    )
    with torch.no_grad():
        expected = reference(**inputs, labels=torch.tensor(labels)).loss
        got = ours.losses(ours.inputs(waves[:1]), 0, labels)
    torch.testing.assert_close(got.sum(), expected, rtol=1e-4, atol=1e-3)


def test_every_boundary_gives_the_same_transcripts(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = load_recogniser(tiny, device="cpu")
    expected = ours.transcribe(waves, words=True)
    assert any(row.text for row in expected)
    samples = [len(wave) for wave in waves]
    with torch.no_grad():
        for boundary in range(len(ours.stack)):
            hidden = ours.encode(ours.inputs(waves), boundary)
            found = ours.transcribe_hidden(hidden, boundary, samples, words=True)
            assert [row.text for row in found] == [row.text for row in expected]
            spans = [[(w.text, w.start, w.end) for w in row.words] for row in found]
            assert spans == [[(w.text, w.start, w.end) for w in row.words] for row in expected]


def test_every_boundary_gives_the_same_loss(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = loaded(tiny)
    labels = ours.labels(TEXTS)
    with torch.no_grad():
        losses = [
            ours.losses(ours.encode(ours.inputs(waves), boundary), boundary, labels)
            for boundary in range(len(ours.stack))
        ]
    assert torch.isfinite(losses[0]).all()
    for other in losses[1:]:
        torch.testing.assert_close(other, losses[0], rtol=1e-5, atol=1e-4)


def test_stages_own_every_parameter_once_and_frozen_ones_get_no_gradient(
    tiny: Path, waves: list[np.ndarray]
) -> None:
    ours = loaded(tiny)
    stack = ours.stack
    owned = [name for i in range(len(stack)) for name, _ in stack.parameters_of(i)]
    assert sorted(owned) == sorted(n for n, _ in ours.model.named_parameters())
    top = stack.layers[-1]
    stack.freeze_except(range(top, len(stack)))
    assert stack.boundary == top
    stack.set_modes()
    ours.losses(ours.encode(ours.inputs(waves), top), top, ours.labels(TEXTS)).sum().backward()
    for name, parameter in ours.model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_autograd_never_enters_the_prefix(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = loaded(tiny)
    stack = ours.stack
    top = stack.layers[-1]
    stack.freeze_except(range(top, len(stack)))
    with torch.no_grad():
        hidden = ours.encode(ours.inputs(waves), top)
    loss = ours.losses(hidden, top, ours.labels(TEXTS)).sum()
    leaves, seen, queue = set(), set(), [loss.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        queue.extend(following for following, _ in node.next_functions)
    trainable = {id(p) for p in ours.model.parameters() if p.requires_grad}
    assert leaves == trainable


def test_dropout_is_on_where_the_model_learns_and_nowhere_else(tiny: Path) -> None:
    ours = loaded(tiny)
    stack = ours.stack
    stack.freeze_except([len(stack) - 1])
    stack.set_modes()
    learning = {name for name, module in ours.model.named_modules() if module.training}
    assert learning in ({"dropout", "lm_head"}, {"ctc_head"})
    stack.freeze_except(range(1, len(stack)))
    stack.set_modes()
    still = [
        name
        for name, module in ours.model.named_modules()
        if isinstance(module, torch.nn.Dropout) and not module.training
    ]
    assert still == []


def test_words_have_times_inside_the_clip(tiny: Path, waves: list[np.ndarray]) -> None:
    ours = loaded(tiny)
    heard = ours.transcribe(waves, words=True)
    for wave, hypothesis in zip(waves, heard, strict=True):
        assert " ".join(w.text for w in hypothesis.words) == hypothesis.text
        times = [t for w in hypothesis.words for t in (w.start, w.end)]
        assert times == sorted(times) and times[-1] <= len(wave) / 16_000 + max(0.04, ours.seconds_per_frame)
        assert all(0.0 <= w.probability <= 1.0 for w in hypothesis.words)


def test_frames_are_those_of_the_head(tiny: Path) -> None:
    ours = loaded(tiny)
    limits = ours.limits()
    for samples in (ours.minimum_samples, 4_000, 16_000, 31_337):
        wave = np.zeros(samples, np.float32)
        with torch.no_grad():
            got = int(ours.logits(ours.inputs([wave])).lengths[0])
        assert limits.frames is not None and limits.frames(samples / 16_000) == got == ours.frames(samples)


def test_a_clip_of_a_few_samples_is_heard_as_nothing_worse(tiny: Path) -> None:
    ours = loaded(tiny)
    short, normal = np.zeros(3, np.float32), np.zeros(16_000, np.float32)
    assert len(ours.transcribe([short, normal])) == 2
    assert ours.transcribe([]) == []


def test_masks_depend_on_the_row_and_its_seed_only() -> None:
    hidden = torch.ones(2, 50, 8)
    lengths = torch.tensor([50, 30])
    both = SpecAugment(0.3, 5, 0.2, 2, [7, 8])(hidden, lengths)
    second = SpecAugment(0.3, 5, 0.2, 2, [8])(hidden[1:], lengths[1:])
    assert torch.equal(both[1], second[0])
    assert 0.1 < float((both[0] == 0).all(-1).float().mean()) < 0.5
    assert not (both[1, 30:, (both[1] != 0).any(0)] == 0).any()


@pytest.mark.parametrize("architecture", ["bert"])
def test_an_unsupported_architecture_is_named(tmp_path: Path, architecture: str) -> None:
    from asr_adapt.errors import ModelError

    transformers.BertConfig(hidden_size=16, num_attention_heads=2).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"'{architecture}' is not supported"):
        load_recogniser(tmp_path)
