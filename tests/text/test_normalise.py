"""Profiles: what each rule does, and that they are stable."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.errors import UsageError
from asr_adapt.text import PROFILES, normalise, profile


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Hello,  World!", "hello world"),
        ("Don’t   'quote' me", "don't quote me"),
        ("rock ´n` roll", "rock n roll"),
        ("it´s", "it's"),
        ("well-known e-mail", "well known e mail"),
        ("ＦＵＬＬ width", "full width"),
        ("ﬁne", "fine"),
        ("हिन्दी में", "हिन्दी में"),  # vowel signs (Mc) and virama (Mn) stay
        ("தமிழ்", "தமிழ்"),
        ("cafe\u0301", "café"),
        ("soft\u00adhyphen", "softhyphen"),
        ("3.5 % of £20", "3 5 of 20"),
        ("O''Brien", "o brien"),
        ("", ""),
        (" … ", ""),
        ("¡Hola!", "hola"),
    ],
)
def test_basic(raw, expected):
    assert normalise(raw) == expected


@given(st.text())
def test_basic_is_idempotent_and_has_only_words(text):
    once = normalise(text, "basic")
    assert normalise(once, "basic") == once
    assert once == " ".join(once.split())
    kept = {unicodedata.category(c)[0] for c in once if c not in " '"}
    assert kept <= {"L", "N", "M"}


@given(st.text(alphabet=st.characters(categories=["Mn", "Mc", "Lo"])))
def test_basic_never_drops_marks_inside_words(text):
    word = "\u0915" + unicodedata.normalize("NFKC", text)
    marks = [c for c in unicodedata.normalize("NFKC", word) if unicodedata.category(c) in ("Mn", "Mc")]
    assert [c for c in normalise(word) if unicodedata.category(c) in ("Mn", "Mc")] == marks


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Mr. Brown can't organise it", "mister brown can not organize it"),
        ("twenty-one colours", "21 colors"),
        ("um, I'm going", "i am going"),
        ("the travellers' theatre", "the travelers theater"),
        ("[noise] hello (laughs)", "hello"),
    ],
)
def test_whisper_english(raw, expected):
    assert normalise(raw, "whisper-en") == expected


def test_none_is_identity():
    assert normalise("  As IS!", "none") == "  As IS!"


def test_profiles_are_named_and_versioned():
    assert list(PROFILES) == ["none", "basic", "whisper-en", "alnum-en", "spelled-en"]
    assert profile("basic").label == "basic@1"
    with pytest.raises(UsageError, match="none, basic, whisper-en"):
        profile("basics")


def test_no_torch():
    code = (
        "import sys, asr_adapt.text as t; t.normalise('a b', 'whisper-en'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
