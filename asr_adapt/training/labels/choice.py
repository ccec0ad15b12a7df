"""What a row teaches: the text that its labels are made from.

Knows the styles of a recipe's ``labels`` and which of them suits a recogniser and a corpus. Does not know how
a text becomes label ids (:mod:`asr_adapt.training.data.corpus`), nor how transcripts are scored: the profile
``normalise`` of a recipe is for WER alone.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import Recogniser
from asr_adapt.text import (
    CharacterVocabulary,
    Spelling,
    Writing,
    build_vocabulary,
    casing_for,
    fit_case,
    normalise,
    tidy,
    writing_of,
)
from asr_adapt.training.recipe.schema import Recipe

logger = logging.getLogger(__name__)

#: The styles that labels can have; a recipe's ``auto`` becomes one of them.
Style = Literal["as_written", "model", "plain"]


@dataclass(frozen=True)
class Taught:
    """The rows of one manifest, their ``text`` being what they teach; ``reason`` says why in that style.

    Where ``style`` is ``model`` and the base has not been heard yet, texts are still those of the manifest.
    """

    style: Style
    rows: Manifest
    writing: Writing
    reason: str
    #: How many rows took something from the base's hypothesis; None where none was made.
    from_base: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``summary.json``."""
        values = {"style": self.style, "reason": self.reason} | self.writing.to_json()
        if self.from_base is not None:
            values["rows_styled_by_base"] = self.from_base
        return values


def choose_style(recipe: Recipe, recogniser: Recogniser, writing: Writing, name: str) -> tuple[Style, str]:
    """The style of the labels of one manifest, called ``name``, and why in one sentence.

    ``auto``: a model that writes neither capitals nor punctuation is taught plain words. One that writes both
    is taught transcripts as written where the corpus has capitals or punctuation, else in its own style.
    Raises :class:`RecipeError` for style ``model`` where the base cannot give it.
    """
    wanted, cased = recipe.labels.style, recogniser.limits().cased
    writes = f"{recogniser.name} writes {'' if cased else 'no '}capitals and punctuation"
    found = f"{name}: {writing.sentence}; {writes}"
    obstacle = _cannot_style(recipe, recogniser)
    if wanted == "model" and obstacle:
        raise RecipeError(f"{obstacle}: choose plain or as_written.", field="labels.style")
    if wanted != "auto":
        return wanted, f"{found}; labels are {_TOLD[wanted]}, as set in the recipe."
    if not cased:
        return "plain", f"{found}; labels are {_TOLD['plain']}."
    if writing.written:
        return "as_written", f"{found}; labels are {_TOLD['as_written']}."
    if obstacle:
        return "plain", f"{found}, but {obstacle}; labels are {_TOLD['plain']}."
    return "model", f"{found}; labels are {_TOLD['model']}."


_TOLD: dict[Style, str] = {
    "plain": "lower-case words without punctuation",
    "as_written": "the transcripts as written",
    "model": "the transcripts' words with the capitals and punctuation of the base's own transcripts",
}


def _cannot_style(recipe: Recipe, recogniser: Recogniser) -> str:
    """Why the base's own transcripts cannot lend their capitals and punctuation; empty where they can."""
    if not recogniser.limits().cased:
        return "the base writes neither capitals nor punctuation"
    if recipe.initialise == "random":
        return "a model with random weights cannot transcribe yet"
    if recipe.vocabulary.mode != "keep":
        return "a model with a changed vocabulary cannot transcribe before training"
    return ""


def begin(
    recipe: Recipe, recogniser: Recogniser, manifest: Manifest, name: str, spell: Callable[[str], str]
) -> Taught:
    """The style of a manifest's labels, and its rows with their label text where no hypothesis is needed.

    ``spell`` makes a text of characters that the model can write; see :func:`speller`.
    """
    writing = writing_of(row.text or "" for row in manifest)
    style, reason = choose_style(recipe, recogniser, writing, name)
    logger.info("labels of %s", reason)
    given = (row.text if row.text and row.text.strip() else None for row in manifest)
    texts = (t if t is None or style == "model" else label_text(t, style, spell) for t in given)
    return Taught(style, with_texts(manifest, texts), writing, reason)


def label_text(text: str, style: Style, spell: Callable[[str], str]) -> str:
    """What a transcript teaches in a style that needs no hypothesis."""
    return spell(normalise(text) if style == "plain" else tidy(text))


def with_texts(rows: Iterable[Utterance], texts: Iterable[str | None]) -> Manifest:
    """The rows with other texts (None: none was given); each still names its manifest and line."""
    return Manifest.of(row.replace(text=text) for row, text in zip(rows, texts, strict=True))


def train_vocabulary(recipe: Recipe, recogniser: Recogniser, train: Manifest) -> CharacterVocabulary:
    """The characters of the training labels, in the recogniser's letter case; rare ones are said."""
    writing = writing_of(row.text or "" for row in train)
    style, _ = choose_style(recipe, recogniser, writing, "train")
    known = recogniser.limits().vocabulary or frozenset()
    fit = fitted(recipe, recogniser)
    texts = (fit(label_text(row.text or "", style, str)) for row in train)
    kept = known if recipe.vocabulary.mode == "extend" else ()
    found = build_vocabulary(texts, minimum=recipe.vocabulary.minimum, known=kept)
    for rare, base in found.rare.items():
        logger.warning("rare character %r (%d×) becomes %r", rare, found.counts[rare], base or "<unk>")
    return found


def fitted(recipe: Recipe, recogniser: Recogniser) -> Callable[[str], str]:
    """A call that writes a text for a new vocabulary: in the old one's spelling where that is extended, else
    in its letter case."""
    limits = recogniser.limits()
    if recipe.vocabulary.mode == "extend" and limits.spelling is not None:
        return limits.spelling.extended
    casing = casing_for(limits.vocabulary or ())
    return lambda text: fit_case(text, casing)


def speller(
    recogniser: Recogniser,
    changed: CharacterVocabulary | None = None,
    fit: Callable[[str], str] = str,
) -> Callable[[str], str]:
    """A call that makes a label text of what ``recogniser`` can write.

    Rare characters of a ``changed`` vocabulary, for which texts are made to ``fit``, become their base
    letter; punctuation and symbols that the vocabulary lacks become spaces, as in profile ``basic``. Letters
    and digits that it lacks stay, and are an error where rows are checked.
    """
    limits = recogniser.limits()
    if limits.vocabulary is None:
        return str
    spelling = limits.spelling or Spelling(limits.vocabulary)
    if spelling.whole:  # phonemes may hold any sign
        return lambda text: " ".join(text.split())
    lacking: dict[str, str] = {}

    def shown(character: str) -> str:
        if character not in lacking:
            word = spelling.knows(character) or unicodedata.category(character)[0] in "LNM"
            lacking[character] = character if word else " "
        return lacking[character]

    def spell(text: str) -> str:
        if changed is not None:
            text = changed.simplify(fit(text))
        return " ".join("".join(map(shown, text)).split())

    return spell
