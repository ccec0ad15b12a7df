"""Real whisper-tiny.en: plain decoding is that of transformers, loops end, real repetitions survive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from asr_adapt.audio import read_audio
from asr_adapt.models import Hidden, Search, load_recogniser
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.search.checks import REPEATS
from asr_adapt.models.search.generation import Spoken

pytestmark = [pytest.mark.pretrained, pytest.mark.realdata]
DATA = Path(__file__).parents[3] / "shared" / "data"
#: speechocean762, heavy: the untouched model says "There was no, no, no, …" and "The boy, the boy, …".
LOOPS = ("THERE WAS NO OTHER WAY AROUND IT", "THE BOY LOOKED FROM THE HAND TO HER")


@pytest.fixture(scope="module")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the corpora are not in {DATA}")
    return DATA


@pytest.fixture(scope="module")
def ours(whisper_tiny_en: Path) -> WhisperRecogniser:
    found = load_recogniser(whisper_tiny_en, device="cpu")
    assert isinstance(found, WhisperRecogniser)
    return found


def digits(data: Path, spoken: str, speaker: str = "jackson") -> np.ndarray:
    """Recordings of single digits, one behind the other with a breath between."""
    folder = data / "fsdd" / "recordings"
    files = [folder / f"{digit}_{speaker}_{take}.wav" for take, digit in enumerate(spoken)]
    pause = np.zeros(1_600, np.float32)
    return np.concatenate([part for file in files for part in (read_audio(file), pause)])


def heavy(data: Path, text: str) -> np.ndarray:
    folder = data / "speechocean762"
    texts = dict(line.split("\t") for line in (folder / "test" / "text").read_text().splitlines())
    bands = dict(
        line.split(maxsplit=2)[:2] for line in (folder / "test" / "spk2accent").read_text().splitlines()
    )
    speakers = dict(line.split("\t") for line in (folder / "test" / "utt2spk").read_text().splitlines())
    chosen = [u for u, said in texts.items() if said == text and bands[speakers[u]] == "heavy"]
    return read_audio(folder / "audio" / f"{chosen[0]}.ogg")


def encoded(ours: WhisperRecogniser, clips: list[np.ndarray]) -> tuple[Hidden, list[float]]:
    """What the encoder hears, once for all searches, and the clips' seconds."""
    with torch.inference_mode():
        ours.model.eval()
        return ours.heard(clips), [len(clip) / ours.sample_rate for clip in clips]


def said(ours: WhisperRecogniser, heard: tuple[Hidden, list[float]], search: Search) -> list[Spoken]:
    ours.set_search(search)
    with torch.inference_mode():
        return ours.speak(heard[0], None, heard[1])


def rows(heard: tuple[Hidden, list[float]], place: int) -> tuple[Hidden, list[float]]:
    hidden, seconds = heard
    return Hidden(hidden.states[place : place + 1], hidden.lengths[place : place + 1]), [seconds[place]]


def test_unguarded_tokens_are_those_of_transformers(ours: WhisperRecogniser, data: Path) -> None:
    clips = [digits(data, "5555"), digits(data, "31"), heavy(data, "IT WAS NOT YET TIME")]
    heard = encoded(ours, clips)
    together = said(ours, heard, Search(hallucination_checks=False))
    outputs = BaseModelOutput(last_hidden_state=heard[0].states)
    theirs = ours.model.generate(encoder_outputs=outputs, num_beams=1, do_sample=False)
    for place, own in enumerate(together):
        expected = [token for token in theirs[place].tolist() if token < ours.end]
        assert list(own.ids) == expected and expected
        alone = said(ours, rows(heard, place), Search(hallucination_checks=False))[0]
        assert alone.ids == own.ids
        np.testing.assert_allclose(alone.scores, own.scores, atol=1e-3)


def test_digits_that_repeat_are_left_as_they_are(ours: WhisperRecogniser, data: Path) -> None:
    heard = encoded(ours, [digits(data, spoken) for spoken in ("55555", "000000", "7777777777")])
    plain, guarded = said(ours, heard, Search(hallucination_checks=False)), said(ours, heard, Search())
    assert [own.looped for own in plain] == [own.looped for own in guarded] == [False, False, True]
    assert guarded[:2] == plain[:2] and all(own.ids for own in plain)
    sevens = ours.processor.tokenizer.decode(guarded[2].ids).strip()  # the model itself cannot stop here
    assert set(sevens) == {"7"} and 5 <= len(sevens) <= 20


def test_a_real_loop_ends_and_is_written_otherwise(ours: WhisperRecogniser, data: Path) -> None:
    heard = encoded(ours, [heavy(data, text) for text in LOOPS])
    plain, guarded = said(ours, heard, Search(hallucination_checks=False)), said(ours, heard, Search())
    assert [len(own.ids) for own in plain] == [446, 446]  # to the decoder's last position
    for place, own in enumerate(guarded):
        assert own.looped and plain[place].looped
        assert 5 < len(own.ids) < 40 and REPEATS.first_end(own.ids) is None
        assert said(ours, rows(heard, place), Search())[0].ids == own.ids
    silent = said(ours, heard, Search(no_speech=0.0, mean_score=0.0))
    assert [own.ids for own in silent] == [(), ()]
