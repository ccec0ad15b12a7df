"""Speech without words in a window: between phrases, and in phrases that say little for their length."""

from __future__ import annotations

from asr_adapt.models import Phrase
from asr_adapt.models.words.holes import early_end, holes, slow

SPEECH = [(0.0, 2.0), (5.0, 9.0), (10.0, 14.0), (20.0, 28.0)]


def test_a_hole_is_speech_in_front_of_words() -> None:
    assert holes([(0.0, 2.0), (20.0, 28.0)], SPEECH) == ((5.0, 14.0),)
    assert holes([(20.0, 28.0)], SPEECH) == ((0.0, 14.0),)
    assert holes([(0.0, 2.0), (5.0, 9.0), (11.5, 14.0)], SPEECH) == (), "less than three seconds, or behind"
    assert holes([(0.0, 9.0)], []) == () and holes([], SPEECH) == ()


def test_a_phrase_hides_a_hole_where_it_says_little_for_the_speech_it_spans() -> None:
    long = Phrase(0.0, 28.0, "now leave")
    assert slow(long, 20, SPEECH) and not slow(long, 30, SPEECH)
    assert not slow(Phrase(0.0, 4.0, "oh"), 1, SPEECH), "two seconds of speech"
    assert not slow(long, 1, []), "nobody asked a detector"


def test_a_decoder_that_stopped_early_is_heard_on_from_the_next_pause() -> None:
    assert early_end(7, SPEECH) == 2.0, "2.3 s of speech: the first stretch"
    assert early_end(18, SPEECH) == 9.0
    assert early_end(15, [(1.0, 26.0)]) == 6.0, "nobody pauses"
    assert early_end(0, SPEECH) == 2.0
