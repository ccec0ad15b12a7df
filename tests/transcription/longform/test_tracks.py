"""How windows follow each other: seeking, silent stops, context, and the same after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from asr_adapt.decoding import Decoding
from asr_adapt.models import Decoded, HeardWindow, Hypothesis, Phrase, Window
from asr_adapt.transcription.hearing import Hearing
from asr_adapt.transcription.longform import Track, TurnBatches, track_for
from asr_adapt.transcription.longform.speech_track import LANE
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


@pytest.mark.parametrize("figures", [{"mean_score": -1.2}, {"compression": 3.0}])
def test_doubtful_text_is_no_context(figures: dict[str, float]) -> None:
    track = stream(50, condition_on_previous_text=True)
    heard = said((0, 5), (5, 20), until=20.0)
    own = tuple(replace(one, decoded=replace(one.decoded, **figures)) for one in heard.phrases)
    windows = run(track, lambda s: replace(heard, phrases=own))
    assert [previous for _, _, previous in windows] == [()] * len(windows)


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("able", [True, False])
def test_the_recogniser_says_whether_previous_text_is_context_where_nobody_does(
    asked: bool | None, able: bool
) -> None:
    settled = Hearing(RATE, 30.0, True, True, able).settled(Decoding(condition_on_previous_text=asked))
    assert settled.condition_on_previous_text is (able if asked is None else asked)


def spoken(seconds: float, *speech: tuple[float, float]) -> Piece:
    marks = tuple((round(a * RATE), round(b * RATE)) for a, b in speech)
    return Piece(0, audio(seconds), parts=((0, round(seconds * RATE)),), speech=marks)


def pieces(*given: Piece) -> Track:
    track = track_for(Decoding(language="en"), RATE, WINDOW)
    for piece in given:
        track.add(piece)
    track.end()
    return track


def times(track: Track) -> list[tuple[float, float]]:
    """Begin and end of all phrases, in seconds of the file."""
    return [
        (start / RATE + phrase.start, start / RATE + phrase.end)
        for (start, _), found in sorted(track.finished.items())
        for phrase in found.phrases
    ]


def test_speech_behind_the_last_word_is_heard_again() -> None:
    def hear(samples: np.ndarray) -> HeardWindow:
        return said((0, 10), until=30.0) if len(samples) == WINDOW else said((0, 16), until=18.0)

    track = pieces(spoken(30, (0, 10), (12, 28)))
    windows = run(track, hear)
    assert [start for start, _, _ in windows] == [0, 1180]  # a little before the speech that had no words
    assert times(track) == [(0, 10), (12, pytest.approx(27.8))]


def test_silence_behind_the_last_word_is_not_heard_again() -> None:
    track = pieces(spoken(30, (0, 10)))
    assert len(run(track, lambda s: said((0, 10), until=30.0))) == 1


def in_a_row(count: int) -> list[Piece]:
    """Pieces of ten seconds, half a minute from one to the next."""
    made = []
    for number in range(count):
        one = spoken(10, (0, 9))
        start = number * WINDOW
        made.append(Piece(start, one.samples, parts=((start, 10 * RATE),), speech=one.speech))
    return made


def test_lanes_are_heard_at_once_but_in_order_where_the_language_is_unknown() -> None:
    both = in_a_row(2 * LANE)
    assert len(list(pieces(*both).ready())) == 2
    track = track_for(Decoding(), RATE, WINDOW)
    for piece in both:
        track.add(piece)
    track.end()
    (first,) = track.ready()
    assert len(first.window.speech) == 3  # of as many pieces
    track.take(first, said((0, 29), until=30.0))
    second, third = track.ready()
    assert first.window.language is None
    assert second.window.language == third.window.language == "en"


@pytest.mark.parametrize("segmenter", ["silero", "windows"])
def test_a_speaker_who_changes_language_is_followed_until_the_next_change(segmenter: str) -> None:
    """What a window is expected to be in is the language of the one before, not of the first."""
    track = track_for(Decoding(language="auto", segmenter=segmenter), RATE, WINDOW)
    for piece in in_a_row(3 * LANE):
        track.add(piece)
    track.end()
    expected, heard = [], iter(["en", "sw", "sw", *["de"] * 99])
    while turns := list(track.ready()):
        (turn,) = turns
        expected.append(turn.window.language)
        found = said((0, len(turn.window.samples) / RATE), until=len(turn.window.samples) / RATE)
        decoded = replace(found.phrases[0].decoded, language=next(heard))
        track.take(turn, replace(found, phrases=(replace(found.phrases[0], decoded=decoded),)))
    assert track.done and expected[:5] == [None, "en", "sw", "sw", "de"]


def test_what_is_left_of_a_window_is_heard_with_the_audio_that_follows() -> None:
    heard = []

    def hear(samples: np.ndarray) -> HeardWindow:
        heard.append(len(samples) / RATE)
        return said((0, 16), until=30.0) if len(heard) == 1 else said((0, 24), until=24.0)

    track = pieces(*in_a_row(4))
    run(track, hear)
    assert heard == [29.2, 24.0]
    assert [start for start, _ in sorted(track.finished)] == [0, WINDOW + 6 * RATE]
    assert max(track.finished)[1] == 3 * WINDOW + 10 * RATE and track.done


def test_a_window_waits_for_audio_that_may_still_fill_it() -> None:
    track = track_for(Decoding(language="en"), RATE, WINDOW)
    *first, last = in_a_row(4)
    for piece in first[:2]:
        track.add(piece)
    assert not list(track.ready())
    track.add(first[2])
    track.add(last)
    assert len(list(track.ready())) == 1


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


def test_speech_without_words_behind_others_begins_the_next_window() -> None:
    track = pieces(spoken(30, (0, 2), (8, 18), (20, 25)))
    skipped = replace(said((0, 2), (20, 25), until=30.0), holes=((8.0, 18.0),))
    answers = iter([skipped, said((0, 10), (12, 17), until=22.2)])
    windows = run(track, lambda s: next(answers))
    assert [(start, seconds) for start, seconds, _ in windows] == [(0, 30.0), (780, pytest.approx(22.2))]
    assert [round(start, 1) for start, _ in times(track)] == [0.0, 8.0, 20.0] and track.done


def test_a_hole_at_the_beginning_is_heard_alone_to_its_end_and_no_further() -> None:
    track = pieces(spoken(30, (0, 4), (5, 10), (20, 25)))
    skipped = replace(said((20, 25), until=30.0), holes=((0.0, 10.0),))
    again = replace(said((0, 4.3), until=10.2), holes=((0.0, 10.2),))  # as large as the window: not once more
    answers = iter([skipped, again, said((0, 5.2), until=5.4)])
    windows = run(track, lambda s: next(answers))
    assert [(start, seconds) for start, seconds, _ in windows] == [
        (0, 30.0),
        (0, pytest.approx(10.2)),
        (480, pytest.approx(5.4)),
    ]
    (found,) = track.finished.values()
    assert [round(phrase.start) for phrase in found.phrases] == [0, 5, 20] and not found.unclear


def test_what_is_found_in_a_hole_is_context_too_as_for_a_run_that_goes_on() -> None:
    later = replace(spoken(20, (1, 18)), start=round(60 * RATE), parts=((round(60 * RATE), 20 * RATE),))

    def track(known: dict[tuple[int, int], Hypothesis] | None = None) -> Track:
        options = Decoding(language="en", condition_on_previous_text=True)
        made = track_for(options, RATE, WINDOW, known)
        for piece in (spoken(30, (0, 10), (20, 25)), later):
            made.add(piece)
        made.end()
        return made

    skipped = replace(said((20, 25), until=30.0), holes=((0.0, 10.0),))
    answers = iter([skipped, said((1, 9), until=10.2), said((1, 18), until=20.0)])
    whole = track()
    heard = run(whole, lambda s: next(answers))
    assert [previous for _, _, previous in heard] == [(), (), (1, 20)]
    first = min(whole.finished)
    resumed = run(track({first: whole.finished[first]}), lambda s: said((1, 18), until=20.0))
    assert [previous for _, _, previous in resumed] == [(1, 20)]


def test_a_hole_is_heard_in_halves_and_left_where_nothing_can_be_made_out() -> None:
    track = pieces(spoken(30, (0, 4), (5, 10), (20, 25)))
    skipped = replace(said((20, 25), until=30.0), holes=((0.0, 10.0),))
    left = replace(said((0, 3), until=4.5), doubted=True)
    answers = iter([skipped, replace(said(until=10.2), doubted=True), left, said((0, 5.5), until=5.7)])
    windows = run(track, lambda s: next(answers))
    assert [start for start, _, _ in windows] == [0, 0, 0, 450]
    (found,) = track.finished.values()
    assert [round(phrase.start) for phrase in found.phrases] == [5, 20]
    assert found.unclear == pytest.approx(4.0)


@pytest.mark.parametrize(("letters", "left"), [(70, 0.0), (90, 3.2)])
def test_a_doubtful_text_is_left_out_where_nobody_could_say_so_much(letters: int, left: float) -> None:
    track = pieces(spoken(4, (0, 2.8), (3.4, 3.8)))
    long = Phrase(0.0, 4.0, "x" * letters, tokens=(1,))
    run(track, lambda s: replace(said(until=4.0), phrases=(long,), doubted=True))
    (found,) = track.finished.values()
    assert bool(found.phrases) is not bool(left)
    assert found.unclear == pytest.approx(left)


def test_a_window_that_is_not_believed_is_heard_in_halves() -> None:
    lengths = []

    def hear(samples: np.ndarray) -> HeardWindow:
        lengths.append(len(samples) / RATE)
        if len(samples) == WINDOW:
            return replace(said(until=30.0), doubted=True)
        return said((0, len(samples) / RATE), until=len(samples) / RATE)

    track = pieces(spoken(30, (0, 9), (10, 14), (16, 29)))
    run(track, hear)
    assert lengths == [30.0, 14.2, 14.2] and track.done


class Counting:
    """A recogniser that hears all of every window, and how many windows it was given at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def hear_windows(self, windows: list[Window], *, words: bool) -> list[HeardWindow]:
        self.batches.append(len(windows))
        seconds = [len(window.samples) / RATE for window in windows]
        return [said((0, own), until=own) for own in seconds]


def test_a_batch_that_is_not_full_waits_for_more_audio() -> None:
    recogniser = Counting()
    turns: TurnBatches[int] = TurnBatches(recogniser, 2, words=False)  # type: ignore[arg-type]
    tracks = [(number, pieces(*in_a_row(1))) for number in range(3)]
    turns.run(tracks, lambda *_: None, more=True)
    assert recogniser.batches == [2] and [track.done for _, track in tracks] == [True, True, False]
    turns.run(tracks, lambda *_: None)
    assert recogniser.batches == [2, 1] and all(track.done for _, track in tracks)
