"""One token through the decoder on a CPU: the numbers of transformers' own layers, whatever the layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr_adapt.models import Hidden, load_recogniser
from asr_adapt.models.attention import token_step
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.search.decoder_cache import DecoderCache, HeardCache

from .whisper_models import save_tiny_whisper

GIVEN, STEPS = torch.tensor([[50, 3, 7]] * 3), 6
#: The encoder's frames of each row; equal ones need no mask.
LENGTHS = ((40, 40, 40), (40, 25, 9))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> WhisperRecogniser:
    found = load_recogniser(save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny"), device="cpu")
    assert isinstance(found, WhisperRecogniser)
    return found


def said(ours: WhisperRecogniser, lengths: tuple[int, ...]) -> list[torch.Tensor]:
    """Logits of a few steps, in which the second row leaves and the others change places."""
    generator = torch.Generator().manual_seed(0)
    width = ours.model.config.d_model
    hidden = Hidden(torch.randn(3, max(lengths), width, generator=generator), torch.tensor(lengths))
    mask = ours.network.mask(hidden.states, hidden.lengths)
    cache, ids, found = DecoderCache(20, HeardCache()), GIVEN, []
    states = hidden.states
    with torch.inference_mode():
        for number in range(STEPS):
            found.append(ours.network.step(ids, states, mask, cache))
            ids = found[-1].argmax(-1)[:, None]
            if number == 2:
                cache.keep([2, 0])
                ids, states = ids[[2, 0]], states[[2, 0]]
                mask = None if mask is None else mask[[2, 0]]
    return found


@pytest.mark.parametrize("lengths", LENGTHS)
def test_logits_are_those_of_the_layers_themselves(
    ours: WhisperRecogniser, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = said(ours, lengths)
    monkeypatch.setattr(token_step, "applies", lambda states: False)
    plain = said(ours, lengths)
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_projections_that_were_replaced_are_called(
    ours: WhisperRecogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Louder(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            return 2.0 * self.inner(states)

    before = said(ours, LENGTHS[1])
    attention = ours.network.decoder.layers[0].encoder_attn
    monkeypatch.setitem(attention._modules, "k_proj", Louder(attention.k_proj))
    monkeypatch.setitem(attention._modules, "v_proj", Louder(attention.v_proj))
    fast = said(ours, LENGTHS[1])
    monkeypatch.setattr(token_step, "applies", lambda states: False)
    plain = said(ours, LENGTHS[1])
    assert not torch.allclose(fast[0], before[0], atol=1e-4)
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_beams_and_second_attempts_write_the_same(
    ours: WhisperRecogniser, waves: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr_adapt.models import Search

    ours.set_search(Search(beams=3))
    fast = [row.text for row in ours.transcribe(waves)]
    monkeypatch.setattr(token_step, "applies", lambda states: False)
    assert fast == [row.text for row in ours.transcribe(waves)]
    ours.set_search(Search())


def test_training_and_other_types_take_the_layers_themselves() -> None:
    states = torch.zeros(1, 4, 8)
    assert not token_step.applies(states)  # a gradient may be wanted
    with torch.no_grad():
        assert token_step.applies(states)
        assert not token_step.applies(states.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            assert not token_step.applies(states)
