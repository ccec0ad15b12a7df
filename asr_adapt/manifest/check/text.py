"""Suspicious transcripts: markup, invisible characters, mixed scripts, decomposed letters.

Knows one transcript at a time, and the repair of what can be repaired without knowing the speech. Does not
know audio, models or other rows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_MARKUP = re.compile(r"<[^<>]{1,40}>|\[[^\[\]]{1,40}\]|\{[^{}]{1,40}\}|&#?\w{1,8};|https?://|\(\(|\)\)")
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u00a0\u00ad\u200b\u200e\u200f\u2028-\u202f\u2060\ufeff]")
_WORD = re.compile(r"\w+")
#: Latin letters that Cyrillic and Greek letters are mistaken for, and the other way round.
_LATIN_TWINS = {
    "а": "a", "е": "e", "о": "o", "р": "p", "с": "c", "у": "y", "х": "x", "і": "i", "ј": "j", "ѕ": "s",
    "ԁ": "d", "һ": "h", "ӏ": "l", "А": "A", "В": "B", "Е": "E", "К": "K", "М": "M", "Н": "H", "О": "O",
    "Р": "P", "С": "C", "Т": "T", "У": "Y", "Х": "X", "І": "I", "Ј": "J", "Ѕ": "S", "ο": "o", "ν": "v",
    "α": "a", "ι": "i", "ρ": "p", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K",
    "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X",
}  # fmt: skip
_CYRILLIC_TWINS = {latin: twin for twin, latin in _LATIN_TWINS.items() if "Ѐ" <= twin <= "ӿ"}
_CONFUSABLE = ("LATIN", "CYRILLIC", "GREEK")


def text_findings(text: str) -> Iterator[tuple[str, str]]:
    """Codes and sentences for one transcript; plain ASCII costs two scans."""
    if (found := _MARKUP.search(text)) is not None:
        yield "markup", f"the transcript holds {found.group()[:40]!r}; remove it or spell what was said."
    if (found := _INVISIBLE.search(text)) is not None:
        yield "invisible-characters", f"the transcript holds {_name(found.group())}; remove it."
    if text.isascii():
        return
    if not unicodedata.is_normalized("NFC", text):
        yield "decomposed-text", "letters and their marks are stored apart (NFD); store them as NFC."
    for word, letter, script in mixed_words(text):
        yield (
            "mixed-scripts",
            f"{word!r} holds the {script} letter {_name(letter)}; write one script per word.",
        )
        return


def mixed_words(text: str) -> Iterator[tuple[str, str, str]]:
    """Words with letters of two confusable scripts: the word, the first foreign letter, its script."""
    for match in _WORD.finditer(text):
        word = match.group()
        if word.isascii():
            continue
        scripts = [script_of(letter) for letter in word if letter.isalpha()]
        present = {script for script in scripts if script in _CONFUSABLE}
        if len(present) > 1:
            main = max(present, key=scripts.count)
            letters = [letter for letter in word if letter.isalpha()]
            foreign = next(i for i, script in enumerate(scripts) if script in present and script != main)
            yield word, letters[foreign], scripts[foreign].capitalize()


def repair_text(text: str) -> str:
    """NFC, no invisible characters, look-alike letters in the script of their word, single spaces."""
    text = unicodedata.normalize("NFC", text)
    text = re.sub("[\u00ad\u200b\u200e\u200f\u2060\ufeff]", "", text)
    text = " ".join(_INVISIBLE.sub(" ", text).split())
    for word, _, _ in list(mixed_words(text)):
        text = text.replace(word, _one_script(word))
    return text


def script_of(letter: str) -> str:
    """``LATIN``, ``CYRILLIC``, …: the first word of the letter's Unicode name."""
    return unicodedata.name(letter, "?").split(" ", 1)[0]


def _one_script(word: str) -> str:
    """Replace look-alikes so that one script remains; letters without a twin decide which one."""
    to_latin = "".join(_LATIN_TWINS.get(letter, letter) for letter in word)
    to_cyrillic = "".join(_CYRILLIC_TWINS.get(letter, letter) for letter in word)
    for candidate in (to_latin, to_cyrillic):
        if not list(mixed_words(candidate)):
            return candidate
    return word


def _name(character: str) -> str:
    return f"{unicodedata.name(character, 'control character')} (U+{ord(character):04X})"
