"""The recogniser that the other tests lean on must itself be right."""

from __future__ import annotations

import numpy as np


def test_tone_recogniser_hears_its_letters(tone_recogniser, say):
    heard = tone_recogniser.transcribe([say("bad cafe"), say("gag"), np.zeros(8000, np.float32)])
    assert [hypothesis.text for hypothesis in heard] == ["bad cafe", "gag", ""]


def test_tone_recogniser_times_words(tone_recogniser, say):
    (heard,) = tone_recogniser.transcribe([say("bad cafe", lead=0.5)], words=True)
    assert [word.text for word in heard.words] == ["bad", "cafe"]
    assert abs(heard.words[0].start - 0.5) <= 0.04
    assert abs(heard.words[1].start - (0.5 + 4 * 0.12 + 0.2)) <= 0.04
