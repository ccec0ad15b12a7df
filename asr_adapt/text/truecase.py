"""Capitals and punctuation for a transcript that has none, taken from a recogniser's own hypothesis.

Knows how two transcripts of the same sound are aligned word by word, what may be taken from the hypothesis
where they agree, and what the structure of a sentence says where they do not. Does not know recognisers,
audio or files.

The words are always the reference's: ``normalise(styled(r, h, s)) == normalise(r)`` for all texts. What is
taken is the recogniser's own way of writing, so that learning the result teaches the words and leaves the
style as it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rapidfuzz.distance import Levenshtein

from asr_adapt.text.normalise import normalise
from asr_adapt.text.written import (
    WrittenWord,
    ends_sentence,
    has_case,
    has_marks,
    marks_of,
    own_marks,
    tidy,
    written_words,
)

#: A hypothesis is used where at least this share of the words of the longer text is equal in both.
TRUSTED = 0.5
#: A word is written with capitals inside a sentence when it was seen so this often, and mostly.
FORM_COUNT = 2
VERSION = "2"  #: of the rules; labels made under other rules are made again
_QUESTION = ("?", "？", "؟")


@dataclass(frozen=True)
class Style:
    """How a recogniser writes: learnt from its hypotheses by :func:`learn_style`.

    ``capitals``: its sentences begin with one. ``full_stop``: the mark that most of its transcripts end in,
    or nothing. ``forms``: word → how it is written inside a sentence, where that is not lower case;
    ``lower``: words that mostly are in lower case there. ``questions``: openings
    (one or two words) of texts that mostly end in the question mark ``asks``.
    """

    capitals: bool = True
    full_stop: str = "."
    forms: Mapping[str, str] = field(default_factory=dict)
    lower: frozenset[str] = frozenset()
    questions: frozenset[str] = frozenset()
    asks: str = "?"

    @property
    def written(self) -> bool:
        """Whether it writes capitals or punctuation at all."""
        return self.capitals or bool(self.full_stop)


def agreement(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """Share of equal aligned words in the longer of two texts, 0…1: low also where a hypothesis loops."""
    longest = max(len(reference), len(hypothesis))
    if not longest:
        return 0.0
    blocks = Levenshtein.opcodes(list(reference), list(hypothesis))
    return sum(b.src_end - b.src_start for b in blocks if b.tag == "equal") / longest


def trusted(reference: str, hypothesis: str) -> bool:
    """Whether a hypothesis is near enough to the reference to take anything from it."""
    return agreement(normalise(reference).split(), normalise(hypothesis).split()) >= TRUSTED


def learn_style(hypotheses: Iterable[str]) -> Style:
    """The style of transcripts, right or wrong; without any, that of English prose."""
    firsts, lasts = Counter[bool](), Counter[str]()
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    openings: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text in hypotheses:
        words = written_words(tidy(text))
        if not words:
            continue
        if words[0].text.lower() != words[0].text.upper():
            firsts[words[0].text[0].isupper()] += 1
        mark = ends_sentence(own_marks(words[-1].gap))
        lasts[mark] += 1
        for opening in _openings(words):
            openings[opening][mark] += 1
        inside = [w for w, begins in zip(words, sentence_starts(words), strict=True) if not begins]
        seen = {(w.key, w.text) for w in inside} | {(_head(w.key), _head(w.text)) for w in inside}
        for key, form in seen:  # once a text, whatever loops
            forms[key][form] += 1
    if not lasts:
        return Style()
    capitals = 2 * firsts[True] > firsts.total() or not firsts
    stops = Counter({mark: n for mark, n in lasts.items() if mark and mark not in _QUESTION})
    ended = 2 * (lasts.total() - lasts[""]) > lasts.total()
    usual = _usual_forms(forms)
    return Style(
        capitals,
        (stops.most_common(1)[0][0] if stops else ".") if ended else "",
        {key: form for key, form in usual.items() if form != form.lower()} if capitals else {},
        frozenset(key for key, form in usual.items() if form == form.lower()),
        frozenset(opening for opening, marks in openings.items() if _asks(marks)),
        max(_QUESTION, key=lambda mark: lasts[mark]),
    )


def _asks(marks: Counter[str]) -> bool:
    asked = sum(marks[mark] for mark in _QUESTION)
    return asked >= FORM_COUNT and 2 * asked > marks.total()


def _head(word: str) -> str:
    """What stands before an apostrophe: ``John`` of ``John's``, ``I`` of ``I'm``."""
    return word.replace("’", "'").partition("'")[0]


def _openings(words: Sequence[WrittenWord]) -> list[str]:
    """The first two words and the first, where there are more."""
    return [" ".join(word.key for word in words[:count]) for count in (2, 1) if len(words) > count]


def _usual_forms(forms: Mapping[str, Counter[str]]) -> dict[str, str]:
    """The form that a word mostly has, where it was seen often enough."""
    found = {}
    for key, counts in forms.items():
        form, count = counts.most_common(1)[0]
        if count >= FORM_COUNT and 2 * count > counts.total():
            found[key] = form
    return found


def sentence_starts(words: Sequence[WrittenWord]) -> list[bool]:
    """For each word whether it begins a sentence: the first, and a capital behind ``.``, ``?`` or ``!``."""
    starts = [True]
    for word, following in pairwise(words):
        starts.append(_ends(word.gap) and not following.text[0].islower())
    return starts[: len(words)]


def styled(reference: str, hypothesis: str | None, style: Style) -> str:
    """``reference`` with capitals and marks; its words stay as they are.

    A reference in capitals only is lower-cased first. One that has capitals keeps them and gets marks, one
    that has marks keeps them and gets capitals, one that has both stays as written. ``hypothesis`` is None
    where there is none to trust: then sentence structure and ``style`` alone decide.
    """
    plain = tidy(reference)
    words = written_words(plain)
    if not words or (has_case(plain) and has_marks(plain)):
        return plain
    heard = written_words(tidy(hypothesis)) if hypothesis else []
    pairs = _pairs(words, heard)
    gaps, starts = _gaps(plain, words, heard, pairs, style)
    texts = [word.text for word in words] if has_case(plain) else _cases(words, heard, pairs, starts, style)
    lead = plain[: plain.index(words[0].text)]
    found = lead + "".join(text + gap for text, gap in zip(texts, gaps, strict=True))
    return found if normalise(found) == normalise(plain) else plain


@dataclass(frozen=True, slots=True)
class _Pair:
    """The hypothesis' word at the place of a reference's word, and whether it is the same word."""

    place: int
    equal: bool


def _pairs(words: Sequence[WrittenWord], heard: Sequence[WrittenWord]) -> list[_Pair | None]:
    pairs: list[_Pair | None] = [None] * len(words)
    for block in Levenshtein.opcodes([w.key for w in words], [w.key for w in heard]):
        if block.tag in ("equal", "replace"):
            for row, place in zip(
                range(block.src_start, block.src_end), range(block.dest_start, block.dest_end), strict=True
            ):
                pairs[row] = _Pair(place, block.tag == "equal")
    return pairs


def _gaps(
    plain: str,
    words: Sequence[WrittenWord],
    heard: Sequence[WrittenWord],
    pairs: Sequence[_Pair | None],
    style: Style,
) -> tuple[list[str], list[bool]]:
    """What follows each word, and for each word whether a sentence begins with it."""
    if has_marks(plain):
        ends = [_ends(word.gap) for word in words]
        return [word.gap for word in words], [True, *ends[:-1]]
    begins = sentence_starts(heard)
    gaps, starts = [], [True]
    for number, word in enumerate(words[:-1]):
        spelled = len(word.key) == len(words[number + 1].key) == 1
        taken = None if word.gap != " " else _place(heard, pairs[number], pairs[number + 1], spelled=spelled)
        gaps.append(word.gap if taken is None else _gap(heard, taken))
        starts.append(taken is not None and begins[taken + 1] and _ends(gaps[-1]))
    last = words[-1].gap
    final = style.asks if style.questions.intersection(_openings(words)) else style.full_stop
    if heard and (mark := ends_sentence(own_marks(heard[-1].gap))):
        final = mark
    gaps.append(last + final if not last.strip() else last)
    return gaps, starts


def _place(
    heard: Sequence[WrittenWord], first: _Pair | None, second: _Pair | None, *, spelled: bool
) -> int | None:
    """The place of the word behind which the hypothesis shows what stands between two words.

    Both must be neighbours there and both the same words; for the end of a sentence the word behind it is
    enough, and for the hyphen between two letters of a ``spelled`` word it does not matter which they are.
    """
    if first is None or second is None or second.place != first.place + 1:
        return None
    if spelled and heard[first.place].gap == "-":
        return first.place
    if second.equal and (first.equal or _ends(heard[first.place].gap)):
        return first.place
    return None


def _gap(heard: Sequence[WrittenWord], place: int) -> str:
    """What stands between two words of the hypothesis, reduced to what belongs there.

    An ellipsis within a text is a hesitation, not a mark. Without white space a hyphen, or a mark between
    digits, is kept.
    """
    gap = heard[place].gap
    if not _spaced(gap) and "—" not in marks_of(gap):
        digits = heard[place].text[-1:].isdigit() and heard[place + 1].text[:1].isdigit()
        return gap if gap == "-" or (digits and gap in ".,:") else " "
    marks = own_marks(gap.replace("...", " ").replace("…", " "))
    return " — " if "—" in marks else f"{marks} "


def _ends(gap: str) -> bool:
    """Whether a sentence ends in a gap: the mark of an end, and white space behind it."""
    return _spaced(gap) and bool(ends_sentence(own_marks(gap)))


def _spaced(gap: str) -> bool:
    return any(character.isspace() for character in gap)


def _cases(
    words: Sequence[WrittenWord],
    heard: Sequence[WrittenWord],
    pairs: Sequence[_Pair | None],
    starts: Sequence[bool],
    style: Style,
) -> list[str]:
    """Each word in its case."""
    begins, titled = sentence_starts(heard), _titled(heard)
    found = []
    for number, (word, pair, start) in enumerate(zip(words, pairs, starts, strict=True)):
        plain = word.text.lower()
        form = _usual(word.key, plain, style)
        said = "" if pair is None else heard[pair.place].text
        if len(said) == 1 and said.isupper() and _spelled(words, number):  # the right letter or a wrong one
            form = _capitalised(plain)
        elif pair is not None and pair.equal:
            only_start = begins[pair.place] and said == _capitalised(said.lower())
            if said.lower() == plain and not only_start and not (titled and word.key in style.lower):
                form = said
        found.append(_capitalised(form) if start and style.capitals else form)
    return found


def _titled(heard: Sequence[WrittenWord]) -> bool:
    """Whether a hypothesis Is Written Like A Title, which says nothing about its words."""
    inside = [word.text for word in heard[1:] if len(word.text) > 1 and word.text[0].isalpha()]
    return len(inside) > 2 and sum(text[0].isupper() for text in inside) > 0.6 * len(inside)


def _spelled(words: Sequence[WrittenWord], number: int) -> bool:
    """Whether a word is one letter beside another, as in a spelled name."""
    near = words[max(0, number - 1) : number + 2]
    return len(words[number].key) == 1 and sum(len(word.key) == 1 for word in near) > 1


def _usual(key: str, plain: str, style: Style) -> str:
    """How the recogniser writes a word inside a sentence."""
    form = style.forms.get(key)
    if form is not None and form.lower() == plain:
        return form
    head = _head(plain)
    form = style.forms.get(head)
    return form + plain[len(head) :] if form is not None and form.lower() == head else plain


def _capitalised(word: str) -> str:
    """``word`` with its first letter in upper case, where that leaves the word what it is."""
    changed = word[:1].upper() + word[1:]
    return changed if normalise(changed) == normalise(word) else word
