"""Scripts without spaces, punctuation, overlong and zero-length words: texts and cues."""

from __future__ import annotations

import itertools

import pytest

from asr_adapt.models import Hypothesis, Word
from asr_adapt.text.spaces import columns, joined, pieces
from asr_adapt.transcription.assembly import assemble
from asr_adapt.transcription.result import Segment, Transcript
from asr_adapt.transcription.writing.subtitles import CueRules, cues
from asr_adapt.transcription.writing.writers import WriterOptions, render

JAPANESE = (
    "昨日の夜は雨が降りました。「傘を持って行きなさい」と"
    "母が言ったので、私は大きな傘を持って駅まで歩きました。"
)
RATE = 16_000


@pytest.mark.parametrize(
    ("words", "like", "text"),
    [
        (["good", "day"], "", "good day"),
        (list("今天天气"), "", "今天天气"),
        (["我", "用", "Python", "写", "代码"], "我 Python 写", "我用 Python 写代码"),
        (["我", "用", "Python", "写"], "我用Python写", "我用Python写"),
        (["你好", "，", "OK", "。"], "", "你好，OK。"),
        (["สวัสดี", "ครับ"], "", "สวัสดีครับ"),
        (["오늘", "날씨가"], "", "오늘 날씨가"),
        (["བོད་", "སྐད་"], "བོད་སྐད་", "བོད་སྐད་"),
        ([], "", ""),
    ],
)
def test_words_are_spaced_as_their_script_is(words, like, text):
    assert joined(words, like) == text


def test_pieces_are_where_a_line_may_end():
    assert pieces("「今日」は、OK！") == ["「今", "日」", "は、", "OK！"]
    assert pieces("plain old words") == ["plain", "old", "words"]
    for piece in pieces(JAPANESE):
        assert piece[0] not in "、。」"
        assert piece[-1] != "「"


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("form", ["srt", "vtt", "lrc"])
def test_japanese_subtitles_keep_their_text_and_fit_their_lines(form, timed):
    words = tuple(Word(c, 0.2 * i, 0.2 * i + 0.2, 0.9) for i, c in enumerate(JAPANESE)) if timed else ()
    end = 0.2 * len(JAPANESE)
    transcript = Transcript("x", (Segment(0, end, JAPANESE, words),), end)
    lines = [line.split("]")[-1] for line in render(transcript, form).splitlines()]
    shown = [line for line in lines if any(ord(c) > 0x3000 for c in line)]
    assert "".join(shown) == JAPANESE
    assert max(map(columns, shown)) <= (84 if form == "lrc" else 42)  # lrc: a cue is one line
    assert not any(line[0] in "、。」" or line[-1] == "「" for line in shown)


def test_each_character_is_underlined_in_its_turn():
    words = tuple(Word(c, i, i + 1, 0.9) for i, c in enumerate("好好学习"))
    transcript = Transcript("x", (Segment(0, 4, "好好学习", words),), 4.0)
    shown = render(transcript, "srt", WriterOptions(highlight_words=True))
    assert [line for line in shown.splitlines() if "<u>" in line] == [
        "<u>好</u>好学习",
        "好<u>好</u>学习",
        "好好<u>学</u>习",
        "好好学<u>习</u>",
    ]


def test_a_text_of_both_kinds_is_stitched_as_each_window_wrote_it():
    tokens = ["我", "爱", "deep", "learning", "因", "为", "有", "趣"]
    words = tuple(Word(t, 3 * i, 3 * i + 1, 0.9) for i, t in enumerate(tokens))
    heard = {
        (0, 30 * RATE): Hypothesis("我爱 deep learning 因为有趣", words, 0.9),
        (26 * RATE, 40 * RATE): Hypothesis("吧", (Word("吧", 8.0, 9.0, 0.9),), 0.9),
    }
    text = Transcript("x", assemble(heard, RATE), 40.0).text
    assert text == "我爱 deep learning 因为有趣吧"


def test_words_of_no_length_share_the_time_up_to_the_next():
    burst = [Word("syllables" * 2, 5.0, 5.0, 0.5) for _ in range(10)]
    transcript = Transcript("x", (Segment(5, 9, "x", (*burst, Word("after", 9.0, 9.4, 0.5))),), 12.0)
    shown = cues(transcript)
    assert shown[-1].words[-1].start == pytest.approx(9.0)
    assert shown[-1].start <= 9.0
    for before, after in itertools.pairwise(shown):
        assert before.end <= after.start
    assert all(0.2 <= cue.end - cue.start <= 7.0 for cue in shown)
    assert [word.text for cue in shown for word in cue.words] == [*(w.text for w in burst), "after"]


def test_a_word_that_lasts_too_long_is_not_shown_so_long():
    transcript = Transcript("x", (Segment(1, 40, "well", (Word("well", 1.0, 40.0, 0.5),)),), 60.0)
    (cue,) = cues(transcript)
    assert cue.end - cue.start == pytest.approx(CueRules().longest)


def test_a_word_wider_than_a_line_is_cut_only_where_its_script_allows():
    address = "https://example.org/" + "path/" * 12
    for text in (address, "漢字" * 40):
        transcript = Transcript("x", (Segment(0, 6, text, (Word(text, 0.0, 6.0, 0.9),)),), 6.0)
        lines = [line for cue in cues(transcript) for line in cue.lines]
        assert "".join(lines) == text
        assert (len(lines) == 1) == (text == address)
