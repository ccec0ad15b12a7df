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


#: Selectors and joiners, which change how a character looks and nothing of a word.
UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


@given(st.text(alphabet=st.characters(categories=["Mn", "Mc", "Lo"], exclude_characters=UNSEEN)))
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
    assert profile("basic").label == "basic@2"
    with pytest.raises(UsageError, match="none, basic, whisper-en"):
        profile("basics")


def test_no_torch():
    code = (
        "import sys, asr_adapt.text as t; t.normalise('a b', 'whisper-en'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("written", "other"),
    [
        ("İzmir", "izmir"),
        ("good ☀️ day", "good day"),
        ("2️⃣ times", "2 times"),
        ("ســـلام", "سلام"),
        ("word\u034fjoiner", "wordjoiner"),
        ("\u3164한글", "한글"),
        ("צ׳יפס", "צ'יפס"),
        ("צה״ל", "צהל"),
        ("col·legi", "collegi"),
        ("Hawaiʻi", "hawai'i"),
        ("don‛t", "don't"),
    ],
)
def test_what_nobody_sees_makes_no_error(written, other):
    assert normalise(written) == normalise(other)
    assert normalise(normalise(written)) == normalise(written)


def test_an_earlier_version_is_called_by_its_label():
    assert profile("basic@1").apply("ســلام") == "ســلام"
    assert profile("basic@2") is profile("basic")
    for unknown in ("basic@9", "no-such", "none@7"):
        with pytest.raises(UsageError, match="unknown normalisation profile"):
            profile(unknown)
