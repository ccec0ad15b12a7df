"""English digits, numbers and spelled letters in one form, whichever way they were spoken or written.

Knows how number words, groups of digits and spelled letters are written out, for the profiles ``alnum-en``
and ``spelled-en``. Does not know scores, nor any other language.

A phone number is said digit by digit and written ``5551234``, ``555-1234`` or ``five five five one two three
four``; a name is spelled and written ``M A R I A``, ``M-A-R-I-A`` or ``MARIA``. Every digit becomes a word of
its own, and so does every spelled letter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

_UNITS = {word: str(value) for value, word in enumerate(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
)} | {"nought": "0", "naught": "0"}  # fmt: skip
_TEENS = {word: 10 + value for value, word in enumerate(
    ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
     "nineteen"]
)}  # fmt: skip
_TENS = {word: 20 + 10 * value for value, word in enumerate(
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
)} | {"fourty": 40}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1_000, "lakh": 100_000, "million": 1_000_000, "crore": 10_000_000,
           "billion": 1_000_000_000}  # fmt: skip
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14,
    "fifteenth": 15, "sixteenth": 16, "seventeenth": 17, "eighteenth": 18, "nineteenth": 19,
    "twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "seventieth": 70,
    "eightieth": 80, "ninetieth": 90,
}  # fmt: skip
#: Ordinals that are more often no numbers: alone they stay words, and ``1st`` becomes one of them.
_WORDS = {("1", "st"): "first", ("2", "nd"): "second", ("3", "rd"): "third"}
_REPEATS = {"double": 2, "triple": 3, "treble": 3}
_ZERO = ("o", "oh")
_BETWEEN = frozenset({"point", "dot", "dash", "hyphen"})
_SIGNS = str.maketrans({"%": " percent ", "&": " and ", "@": " at "})
_LONE_CAPITAL = re.compile(r"(?<!\w)[A-Z](?!\w)")
_CAPITALS = re.compile(r"(?<!\w)[A-Z]{2,}(?!\w)")
_PIECES = re.compile(r"\d|\D+")
_ROUNDS = 20  #: far more than any text needs; a rule may only make digits and letters, never take them back

Tokens = list[str]


def spoken_forms(text: str, basic: Callable[[str], str], *, letters: bool) -> str:
    """``text`` with one word for every digit and every spelled letter; with ``letters`` for every letter.

    ``basic`` rewrites what is left as profile ``basic`` does. Applied twice it gives the same.
    """
    words: Tokens = basic(_capitals_spelled(text.translate(_SIGNS))).split()
    for _ in range(_ROUNDS):
        tokens = [piece for word in words for piece in _pieces(word)]
        for rule in (_repeated, _zeros, _numbers, _joined):
            tokens = rule(tokens)
        if letters:
            tokens = [part for token in tokens for part in _letters(token)]
        before, words = words, basic(" ".join(tokens)).split()
        if words == before:
            break
    return " ".join(words)


def _capitals_spelled(text: str) -> str:
    """Where most words are single capitals, a word in capitals is letters too: ``SU, M-A-N`` is S U M A N."""
    lone = len(_LONE_CAPITAL.findall(text))
    if lone < 3 or 2 * lone <= len(re.findall(r"\w+", text)):
        return text
    return _CAPITALS.sub(lambda match: " ".join(match.group()), text)


def _pieces(word: str) -> Iterator[str]:
    """``14th`` → ``1``, ``4``, ``th``; digits of every script as those of ASCII."""
    for piece in _PIECES.findall(word):
        yield str(unicodedata.decimal(piece)) if piece.isdecimal() else piece


def _letters(token: str) -> Iterator[str]:
    """Single letters, each with its marks; apostrophes are no letters."""
    letters: list[str] = []
    for character in token.replace("'", ""):
        if unicodedata.category(character).startswith("M") and letters:
            letters[-1] += character
        else:
            letters.append(character)
    yield from letters


def _is_digit(token: str) -> bool:
    return len(token) == 1 and token.isdigit()


def _is_number(token: str) -> bool:
    return _is_digit(token) or token in _UNITS or token in _TEENS or token in _TENS


def is_number_word(token: str) -> bool:
    """Whether a normalised word says a digit or a number: ``7``, ``42``, ``seven``, ``hundred``."""
    return token.isdigit() or _is_number(token) or token in _SCALES


def _is_letter(token: str) -> bool:
    return len(token) == 1 and token.isalpha() and token not in _ZERO


def _repeated(tokens: Tokens) -> Tokens:
    """``double seven`` → ``seven seven``, ``double o`` → ``o o``."""
    found: Tokens = []
    for token in tokens:
        times = _REPEATS.get(found[-1], 1) if found else 1
        if times > 1 and (_is_digit(token) or token in _UNITS or token in _ZERO or _is_letter(token)):
            found[-1:] = [token] * times
        else:
            found.append(token)
    return found


def _zeros(tokens: Tokens) -> Tokens:
    """``oh`` beside a number is a zero; so is ``o``, unless it is beside a letter too."""
    found, start = list(tokens), 0
    while start < len(found):
        if found[start] not in _ZERO:
            start += 1
            continue
        stop = start
        while stop < len(found) and found[stop] in _ZERO:
            stop += 1
        sides = found[start - 1 : start] if start else []
        sides += found[stop : stop + 1]
        spelled = "o" in found[start:stop] and any(map(_is_letter, sides))
        if any(map(_is_number, sides)) and not spelled:
            found[start:stop] = ["0"] * (stop - start)
        start = stop
    return found


def _numbers(tokens: Tokens) -> Tokens:
    """Number words to digits: ``one hundred and five`` → 1 0 5, ``nine eighty two`` → 9 8 2, ``14th`` and
    ``fourteenth`` → 1 4 th."""
    found: Tokens = []
    place = 0
    while place < len(tokens):
        number = _cardinal(tokens, place)
        if number is None:
            made, place = _other(tokens, place, alone=not (found and _is_digit(found[-1])))
            found += made
            continue
        value, place = number
        found += str(value)
        following = _ORDINALS.get(tokens[place]) if place < len(tokens) else None
        if tokens[place - 1] in _TENS and following is not None and following < 10:  # twenty first
            found[-1:] = [str(following), {1: "st", 2: "nd", 3: "rd"}.get(following, "th")]
            place += 1
    return found


def _other(tokens: Tokens, place: int, *, alone: bool) -> tuple[Tokens, int]:
    """What is no cardinal: an ordinal, or the token itself; and where it ends."""
    token = tokens[place]
    word = _WORDS.get((token, tokens[place + 1])) if place + 1 < len(tokens) else None
    if word is not None and alone:
        return [word], place + 2
    if token in _ORDINALS and token not in _WORDS.values():
        return [*str(_ORDINALS[token]), "th"], place + 1
    return [token], place + 1


Number = tuple[int, int]  #: a value, and the place behind its last token


def _cardinal(tokens: Tokens, place: int) -> Number | None:
    """The number whose words begin at ``place``; None where there are none, or only a digit."""
    group = _group(tokens, place)
    if group is None:
        return None
    (value, place), total, ceiling = group, 0, 0
    while scale := _scale(tokens, place):
        if ceiling and scale >= ceiling:
            break
        total, ceiling, value, place = total + value * scale, scale, 0, place + 1
        rest = _group(tokens, _behind_and(tokens, place), scales=False)
        if rest is None or not 0 < rest[0] < ceiling or _scale(tokens, rest[1]) >= ceiling:
            break
        value, place = rest
    return total + value, place


def _group(tokens: Tokens, place: int, *, scales: bool = True) -> Number | None:
    """A number in front of ``thousand`` and above: ``three hundred and five``, ``eighteen hundred``.

    With ``scales`` also what may begin with a scale: ``hundred``, ``a thousand``, ``5 thousand``.
    """
    small = _below_hundred(tokens, place) or (_before_scale(tokens, place) if scales else None)
    if small is None:
        return None
    value, place = small
    if tokens[place : place + 1] != ["hundred"]:
        return value, place
    value, place = 100 * value, place + 1
    rest = _below_hundred(tokens, _behind_and(tokens, place))
    if rest is None or not rest[0] or tokens[rest[1] : rest[1] + 1] == ["hundred"]:
        return value, place
    return value + rest[0], rest[1]


def _below_hundred(tokens: Tokens, place: int) -> Number | None:
    if place >= len(tokens):
        return None
    token = tokens[place]
    if token in _UNITS:
        return int(_UNITS[token]), place + 1
    if token in _TEENS:
        return _TEENS[token], place + 1
    if token not in _TENS:
        return None
    unit = int(_UNITS.get(tokens[place + 1], "0")) if place + 1 < len(tokens) else 0
    return _TENS[token] + unit, place + 1 + (unit > 0)


def _before_scale(tokens: Tokens, place: int) -> Number | None:
    """``hundred`` is 1 of them, as is ``a hundred``; digits in front of a scale are a number."""
    if tokens[place] in _SCALES:
        return 1, place
    stop = place
    while stop < len(tokens) and _is_digit(tokens[stop]):
        stop += 1
    if stop < len(tokens) and tokens[stop] in _SCALES and stop > place and tokens[place] != "0":
        return int("".join(tokens[place:stop])), stop
    if tokens[place] in ("a", "an") and tokens[place + 1 : place + 2] and tokens[place + 1] in _SCALES:
        return 1, place + 1
    return None


def _scale(tokens: Tokens, place: int) -> int:
    """The scale at ``place`` from a thousand on, else 0."""
    value = _SCALES.get(tokens[place], 0) if place < len(tokens) else 0
    return value if value > 100 else 0


def _behind_and(tokens: Tokens, place: int) -> int:
    return place + 1 if tokens[place : place + 1] == ["and"] else place


def _joined(tokens: Tokens) -> Tokens:
    """``point`` and ``dash`` between digits are dropped, as the marks that stand for them are."""
    last = len(tokens) - 1
    return [
        token
        for place, token in enumerate(tokens)
        if token not in _BETWEEN
        or not (0 < place < last and _is_digit(tokens[place - 1]) and _is_digit(tokens[place + 1]))
    ]
