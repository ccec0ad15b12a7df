"""How windows follow each other: seeking, silent stops, context, and the same after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from asr_adapt.decoding import Decoding
from asr_adapt.models import Decoded, HeardWindow, Phrase
from asr_adapt.transcription.longform import Track, track_for
from asr_adapt.transcription.windows import Piece

RATE = 100
WINDOW = 30 * RATE
Hear = Callable[[np.ndarray], HeardWindow]


def run(track: Track, hear: Hear) -> list[tuple[int, float, tuple[int, ...]]]:
    """Take all turns; (first sample value, seconds, previous tokens) of each window."""
    heard = []
    while turns := list(track.ready()):
        for turn in turns:
            window = turn.window
            heard.append((int(window.samples[0]), len(window.samples) / RATE, window.previous))
            track.take(turn, hear(window.samples))
    return heard


def said(*times: tuple[float, float], until: float, temperature: float = 0.0) -> HeardWindow:
    decoded = Decoded(temperature=temperature, language="en")
    phrases = tuple(Phrase(a, b, f"{a:g}", tokens=(round(a),), decoded=decoded) for a, b in times)
    return HeardWindow(phrases, until, decoded)


def audio(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE), dtype=np.float32)


def stream(seconds: float, **options: object) -> Track:
    track = track_for(Decoding(segmenter="windows", **options), RATE, WINDOW)
    track.add(Piece(0, audio(seconds)))
    track.end()
    return track


def test_the_next_window_begins_where_the_last_phrase_broke_off() -> None:
    def hear(samples: np.ndarray) -> HeardWindow:
        whole = len(samples) == WINDOW
        return said((0, 5), (5, 20), until=20.0) if whole else said((0, 9), until=len(samples) / RATE)

    track = stream(65)
    assert [start for start, _, _ in run(track, hear)] == [0, 2000, 4000]
    assert track.done
    assert sorted(track.finished) == [(0, 2000), (2000, 4000), (4000, 6500)]


def test_a_window_always_moves_on() -> None:
    track = stream(31)
    windows = run(track, lambda s: said(until=0.0))
    assert len(windows) <= 62 and track.done


@pytest.mark.parametrize(
    ("condition", "temperature", "context"),
    [(True, 0.0, (0, 5)), (True, 0.8, ()), (False, 0.0, ())],
)
def test_previous_text_is_context_where_asked_and_believed(
    condition: bool, temperature: float, context: tuple[int, ...]
) -> None:
    track = stream(50, condition_on_previous_text=condition)
    windows = run(track, lambda s: said((0, 5), (5, 20), until=20.0, temperature=temperature))
    assert windows[0][2] == () and windows[1][2] == context


def spoken(seconds: float, *speech: tuple[float, float]) -> Piece:
    marks = tuple((round(a * RATE), round(b * RATE)) for a, b in speech)
    return Piece(0, audio(seconds), parts=((0, round(seconds * RATE)),), speech=marks)


def pieces(*given: Piece) -> Track:
    track = track_for(Decoding(language="en"), RATE, WINDOW)
    for piece in given:
        track.add(piece)
    track.end()
    return track


def test_speech_behind_the_last_word_is_heard_again() -> None:
    def hear(samples: np.ndarray) -> HeardWindow:
        return said((0, 10), until=30.0) if len(samples) == WINDOW else said((0, 16), until=18.0)

    track = pieces(spoken(30, (0, 10), (12, 28)))
    windows = run(track, hear)
    assert [start for start, _, _ in windows] == [0, 1180]  # a little before the speech that had no words
    (found,) = track.finished.values()
    assert [(phrase.start, phrase.end) for phrase in found.phrases] == [(0, 10), (12, pytest.approx(27.8))]


def test_silence_behind_the_last_word_is_not_heard_again() -> None:
    track = pieces(spoken(30, (0, 10)))
    assert len(run(track, lambda s: said((0, 10), until=30.0))) == 1


def test_pieces_are_heard_at_once_but_in_order_where_the_language_is_unknown() -> None:
    both = [spoken(10, (0, 9)), spoken(10, (0, 9))]
    both[1] = Piece(2000, both[1].samples, parts=((2000, 1000),), speech=both[1].speech)
    assert len(list(pieces(*both).ready())) == 2
    track = track_for(Decoding(), RATE, WINDOW)
    for piece in both:
        track.add(piece)
    track.end()
    (first,) = track.ready()
    track.take(first, said((0, 9), until=10.0))
    (second,) = track.ready()
    assert first.window.language is None and second.window.language == "en"


@pytest.mark.parametrize("segmenter", ["windows", "silero"])
def test_what_a_killed_run_heard_is_not_heard_again(segmenter: str) -> None:
    def track(known=None):
        made = track_for(Decoding(language="en", segmenter=segmenter), RATE, WINDOW, known)
        made.add(spoken(30, (0, 29)))
        made.add(Piece(3000, audio(30), parts=((3000, 3000),), speech=((0, 2900),)))
        made.end()
        return made

    def hear(s):
        return said((0, len(s) / RATE), until=len(s) / RATE)

    whole = track()
    run(whole, hear)
    first = dict([min(whole.finished.items())])
    again = track(first)
    assert len(run(again, hear)) == len(whole.finished) - 1
    assert again.finished == whole.finished and again.done


def test_a_window_of_speech_in_which_nothing_was_heard_is_heard_again_without_its_beginning() -> None:
    def hear(samples: np.ndarray) -> HeardWindow:
        return said(until=30.0) if len(samples) == WINDOW else said((0, 17), until=18.0)

    track = pieces(spoken(30, (0, 10), (12, 20), (22, 29)))
    assert [start for start, _, _ in run(track, hear)] == [0, 1180]


def test_a_hole_is_heard_again_and_its_words_take_their_place() -> None:
    first, spoken_again = said((0, 2), (20, 25), until=30.0), said((1, 10), until=10.4)
    track = track_for(Decoding(language="en"), RATE, WINDOW)
    track.add(spoken(30, (0, 2), (8, 18), (20, 25)))
    track.end()
    windows = run(
        track, lambda s: replace(first, holes=((8.0, 18.0),)) if len(s) == 30 * RATE else spoken_again
    )
    assert [(start, seconds) for start, seconds, _ in windows] == [(0, 30.0), (780, pytest.approx(10.4))]
    assert track.done
    (found,) = track.finished.values()
    assert [round(phrase.start, 1) for phrase in found.phrases] == [0.0, 8.8, 20.0]


def test_a_hole_is_heard_to_its_end_and_no_further() -> None:
    track = track_for(Decoding(language="en"), RATE, WINDOW)
    track.add(spoken(30, (0, 2), (8, 12), (13, 18), (20, 25)))
    track.end()
    answers = iter(
        [
            replace(said((0, 2), (20, 25), until=30.0), holes=((8.0, 18.0),)),
            replace(
                said((0, 4.3), until=10.4), holes=((0.0, 10.4),)
            ),  # as large as the window: not once more
            said((0, 5.2), until=5.4),
        ]
    )
    windows = run(track, lambda s: next(answers))
    assert [(start, seconds) for start, seconds, _ in windows] == [
        (0, 30.0),
        (780, pytest.approx(10.4)),
        (1280, pytest.approx(5.4)),
    ]
    (found,) = track.finished.values()
    assert [round(phrase.start) for phrase in found.phrases] == [0, 8, 13, 20]
