"""Three keywords by six synthetic voices, and a tiny random recogniser whose features tell them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_adapt.demo.synthesis import SAMPLE_RATE, Voice, held_out_variants, synthesise
from asr_adapt.manifest import Utterance, write_manifest
from asr_adapt.models import Recogniser, load_recogniser
from tests.models.architectures import save_tiny

KEYWORDS = ("seven", "two", "four")


@pytest.fixture(scope="session")
def keywords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest: each keyword twice by six voices, their sex as a field, and one row without a label."""
    folder = tmp_path_factory.mktemp("keywords")
    rows = []
    for speaker in held_out_variants()[:6]:
        for word in KEYWORDS:
            for rate in (140, 180):
                name = f"{speaker}-{word}-{rate}.wav"
                soundfile.write(folder / name, synthesise(word, Voice("en-us", speaker, rate)), SAMPLE_RATE)
                rows.append(Utterance(name, text=word, speaker=speaker, root=folder))
    soundfile.write(folder / "silence.wav", np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
    rows.append(Utterance("silence.wav", speaker="nobody", root=folder))
    write_manifest(folder / "keywords.jsonl", rows)
    return folder / "keywords.jsonl"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers directory with random weights."""
    return save_tiny("wav2vec2", tmp_path_factory.mktemp("probe_model") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> Recogniser:
    """The same, loaded."""
    return load_recogniser(tiny_model, device="cpu", compute_type="float32")
