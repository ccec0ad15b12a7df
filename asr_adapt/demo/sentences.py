"""English sentences for synthetic speech, in disjoint parts.

Knows templates of everyday sentences, digit strings, dates, spelled letters and random word sequences, and
how a text is assigned to train, dev or test by its own hash, so that parts never share a sentence.
Does not know how they sound (see `asr_adapt.demo.synthesis.spoken_form`) or where they are written.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from asr_adapt.demo.lexicon import Lexicon, lexicon

Part = Literal["train", "dev", "test"]

PERIOD = 20  # of 20 hash values 18 are train, one dev, one test
SHORT = 2  # texts of one or two words are always train: the ten digits must all be heard alone
LONGEST = 80  # characters
COMMON_VERBS = 90  # the irregular verbs come first, and are the common ones

_KINDS = (("everyday", 0.50), ("sequence", 0.25), ("digits", 0.10), ("number", 0.05), ("spelled", 0.10))

_GRAMMAR: dict[str, str] = {
    "det": "the|the|the|the|a:s|my|your|his|her|our|their|this|that|every|another|one",
    "dets": "the|the|some|my|your|his|her|our|their|these|those|many|two|three|several|most|all the|no",
    "np": "{det} {singular}|{det} {adjectives} {singular}|{det} {singular}|the {plural}|{dets} {plural}"
    "|{dets} {adjectives} {plural}|the {mass}|some {mass}|{adjectives} {mass}",
    "who": "the {people}|my {people}|{names}|{names}|your {people}|the {adjectives} {people}|his {people}",
    "he": "he|she|it|{who}|{who}|{names}|someone|nobody|everybody|this|that|the {singular}",
    "they": "they|we|you|i|the {plural}|{names} and i|{names} and {names}|those {plural}|people|most {plural}",
    "obj": "{np}|{np}|{np}|it|me|you|him|her|us|them|something|everything|that|this|{names}",
    "prep": "in|on|at|under|near|behind|with|from|to|by|for|into|over|about|through|across|without|of|next to",
    "where": "{prep} {np}|{prep} the {singular}|here|there|at home|in {places}|at school|outside|upstairs"
    "|in the {singular}|on the {singular}|at the {singular}|over there",
    "when": "today|tomorrow|yesterday|now|again|on {days}|in {months}|tonight|every day|last night|this morning"
    "|next week|at {clock}|soon|for a long time|all day|before dinner|after school|{number} days ago",
    "clock": "{hour} o'clock|{hour} thirty|half past {hour}|{hour} fifteen|a quarter to {hour}",
    "hour": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve",
    "modal": "can|could|will|would|should|must|may|might|can't|won't|wouldn't|shouldn't|couldn't|don't have to"
    "|want to|need to|have to|used to|had to|didn't|don't|always|never|often|really",
    "im": "i'm|you're|we're|they're|he's|she's|it's|that's|what's|who's|there's",
    "ive": "i've|you've|we've|they've|he's|she's",
    "ill": "i'll|you'll|he'll|she'll|we'll|they'll|it'll|i'd|you'd|he'd|she'd|we'd|they'd",
    "number": "{digits}|{teens}|{tens}|{tens} {digits}|a hundred|{digits} hundred",
    "adj": "{adjectives}|very {adjectives}|so {adjectives}|too {adjectives}|not {adjectives}|{adjectives}",
}

_TEMPLATES = """
{he} {third} {obj}|{he} {past} {obj}|{they} {base} {obj}|{they} {past} {obj} {when}|{he} {past} {obj} {where}
{he} {ithird} {where}|{he} {ipast} {adverbs}|{they} {ibase} {where}|{they} {ipast} {where} {when}
{who} is {ing} {obj}|{who} was {iing} {where}|{im} {ing} {obj}|{im} {iing} {where}|{im} {adj}|{im} not {adj}
{they} {modal} {base} {obj}|{he} {modal} {ibase} {where}|i {modal} {base} {obj} {when}|we {modal} {ibase} {when}
{ill} {base} {obj}|{ill} {ibase} {when}|{ive} {participle} {obj}|{ive} never {participle} {np}
{np} is {adj}|{np} was {adj} {when}|{np} is {where}|the {plural} are {adj}|the {plural} were {where}
this is {np}|that is {np}|it is a {adjectives} {singular}|these are {np}|it's {adj}|it was {np}|here is {np}
there is a {singular} {where}|there are {dets} {plural} {where}|there was {np} {where}|there is no {mass} {where}
what is {np}|where is {np}|who is {who}|how is {np}|when is {np}|why is {he} {adj}|whose {singular} is this
what do you {base}|where did {they} {ibase}|why did {he} {base} {obj}|when will {they} {base} {obj}
how many {plural} do you {base}|how much {mass} do we need|which {singular} do you like|what time is it
do you {base} {obj}|does {he} {base} {np}|did {they} {base} {np}|is {he} {iing}|are you {iing} {where}
can you {base} {obj}|could you {base} {np} please|will you {ibase} {when}|may i {base} {np}|shall we {ibase}
have you {participle} {np}|has {who} {participle} {obj}|would you like {np}|don't you {base} {np}|isn't it {adj}
{base} {np}|please {base} {np}|don't {base} {np}|don't {ibase}|let's {base} {np}|let's {ibase} {where}|never {base} {obj}
{base} it {adverbs}|{base} me {np}|{ibase} {where}|please {ibase} {adverbs}|come and {base} {np}|go and {base} {np}
{he} {past} {obj} and {past} {obj}|{he} {past} {obj} but {he} {ipast}|if you {base} {obj} {ill} {ibase}
when {he} {ipast} {they} {past} {obj}|because {he} {past} {obj}|{they} {ibase} because {im} {adj}
i think {he} {third} {np}|i know {they} {base} {obj}|she said {he} was {adj}|he told me to {base} {np}
i don't know what to {base}|i want you to {base} {obj}|i hope {they} {ibase} {when}|do you know {who}
{names} is a {adjectives} {people}|my name is {names}|{names} and {names} {past} {obj}|{who} lives in {places}
{names}'s {singular} is {adj}|the {people}'s {singular} is {where}|we went to {places} {when}|i am from {places}
{he} wants to {base} {np}|{they} want to {ibase}|i like {ing} {np}|she likes {plural}|he hates {iing}
i like {np}|i love {plural}|i have {np}|i see {np}|i need {np}|i want {np}|we have {number} {plural}|she has {np}
{singular} and {singular}|{plural} and {plural}|{adjectives} {singular}|{adjectives} and {adjectives}|{det} {singular}
{where} {he} {past} {np}|{when} {they} {past} {np}|{adverbs} {he} {past} {obj}|{he} {adverbs} {past} {obj}
{np} is {adjectives} than {np}|{he} is the most {adjectives} {people}|{he} is as {adj} as {np}|as {adjectives} as {np}
{np} {prep} {np}|{np} {where}|{prep} {np}|a lot of {plural}|a piece of {mass}|a glass of {mass}|all of {obj}
the {singular} {past} the {singular}|the {singular} {ipast} {prep} the {singular}|the {singular} of the {singular}
one of the {plural}|some of {obj}|both of them {ipast}|neither {singular} is {adj}|what a {adjectives} {singular}
how {adjectives} {he} is|he is too {adjectives} to {base}|it's time to {base} {np}|it's {adj} to {base} {np}
thank you for the {singular}|thank you very much|excuse me where is {np}|good morning {names}|good night {names}
yes i {modal} {base} it|no i {modal} {base} it|yes please {base} it|of course {they} {ibase}|that's not {adj}
"""

_ALTERNATIVES = {slot: tuple(options.split("|")) for slot, options in _GRAMMAR.items()}
_ALTERNATIVES["everyday"] = tuple(t for line in _TEMPLATES.strip().splitlines() for t in line.split("|"))
_ALTERNATIVES["dated"] = tuple(
    "{months} {ordinals}|{days} {months} {ordinals}|{number} {plural}|{clock}|at {clock} {when}|it is {clock}"
    "|{tens} {digits} dollars|{number} percent|{digits} thousand {number}|twenty {teens}|nineteen {tens} {digits}"
    "|the {ordinals} of {months}|{number} plus {number} is {number}|{number} and {number}|page {number}"
    "|{digits} hundred and {number}|{number} years old|i am {number} years old|room {digits} {digits} {digits}"
    "|the {ordinals} {singular}|{number} {number} {number}|{digits} point {digits} {digits}".split("|")
)
_SLOT = re.compile(r"\{(\w+)\}")
_VERB_FORMS = ("base", "third", "past", "ing", "participle")


def sentences(count: int, seed: int, *, part: Part) -> list[str]:
    """``count`` upper-case texts (A–Z, apostrophe, space) of ``part``, the same for the same arguments.

    Half are everyday sentences, a quarter random sequences that walk through the whole word list, the rest
    digit strings, numbers with dates and times, and spelled letters. Texts longer than two words do not
    repeat, and no such text can occur in another part.
    """
    return list(islice(_stream(random.Random(f"{seed}-{part}"), part), count))


def part_of(text: str) -> Part:
    """The part to which a text belongs, by its CRC-32; texts of one or two words are ``train``."""
    if len(text.split()) <= SHORT:
        return "train"
    value = zlib.crc32(text.encode()) % PERIOD
    return "test" if value == PERIOD - 1 else "dev" if value == PERIOD - 2 else "train"


def vocabulary() -> tuple[str, ...]:
    """Every word that a sentence may hold, upper case, sorted; spelled letters left out."""
    return tuple(word.upper() for word in lexicon().words)


def _stream(chance: random.Random, part: Part) -> Iterator[str]:
    makers = _makers(chance)
    kinds, weights = zip(*_KINDS, strict=True)
    seen: set[str] = set()
    while True:
        text = makers[chance.choices(kinds, weights)[0]]().upper()
        fresh = text not in seen and len(text) <= LONGEST
        if fresh and part_of(text) == part:
            if len(text.split()) > SHORT:
                seen.add(text)
            yield text


def _makers(chance: random.Random) -> dict[str, Callable[[], str]]:
    words = lexicon()
    deck = _deck(chance, words)
    return {
        "everyday": lambda: _expand("{everyday}", chance, words),
        "number": lambda: _expand("{dated}", chance, words),
        "sequence": lambda: " ".join(next(deck) for _ in range(chance.randint(2, 8))),
        "digits": lambda: _digits(chance),
        "spelled": lambda: _spelled(chance, words),
    }


def _deck(chance: random.Random, words: Lexicon) -> Iterator[str]:
    """All words in a random order, over and over, so that each is used equally often."""
    cards = list(words.words)
    while True:
        chance.shuffle(cards)
        yield from cards


def _expand(template: str, chance: random.Random, words: Lexicon) -> str:
    while (slot := _SLOT.search(template)) is not None:
        filled = _fill(slot.group(1), chance, words)
        template = template[: slot.start()] + filled + template[slot.end() :]
    return _articles(template)


def _fill(slot: str, chance: random.Random, words: Lexicon) -> str:
    if slot in _ALTERNATIVES:
        return chance.choice(_ALTERNATIVES[slot])
    if slot in _VERB_FORMS:
        known = words.transitive[:COMMON_VERBS] if chance.random() < 0.4 else words.transitive
        return str(getattr(chance.choice(known), slot))
    if slot[1:] in _VERB_FORMS:
        return str(getattr(chance.choice(words.intransitive), slot[1:]))
    if slot in words.sections:
        return chance.choice(words.sections[slot])
    return str(chance.choice(getattr(words, slot)))


def _articles(text: str) -> str:
    """``a`` before a vowel letter becomes ``an``; ``a:s`` is an article written for the grammar's sake."""
    return re.sub(r"\ba (?=[aeio])", "an ", text.replace("a:s", "a"))


def _digits(chance: random.Random) -> str:
    names = (*lexicon().sections["digits"], "oh")
    weights = [1.0] * 10 + [0.5]
    length = chance.choice((1, 1, 2, 3, 3, 4, 4, 5, 6, 7))
    return " ".join(chance.choices(names, weights, k=length))


def _spelled(chance: random.Random, words: Lexicon) -> str:
    """Letters one by one: random, a name spelled, or letters beside words and digits."""
    letters = [chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(chance.randint(1, 6))]
    name = chance.choice(words.sections["names"])
    word = chance.choice(words.singular)
    return chance.choice(
        (
            " ".join(letters),
            " ".join(letters),
            " ".join(name),
            f"{name} {' '.join(name)}",
            f"{word} {' '.join(word[:7])}",
            f"{word} {' '.join(letters[:2])}",
            f"{' '.join(letters[:3])} {_digits(chance)}",
            f"my name is {name} {' '.join(name[:6])}",
        )
    )
