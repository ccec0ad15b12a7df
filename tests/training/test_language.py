"""The language that a Whisper is taught follows the rows."""

from __future__ import annotations

import logging

import pytest

from asr_adapt.errors import RecipeError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import load_recogniser
from asr_adapt.training import build_recipe
from asr_adapt.training.recipe.language import in_language
from tests.models.whisper_models import LANGUAGES, save_tiny_whisper
from tests.training.conftest import quick_tree


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    folder = save_tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny", most=12)
    return load_recogniser(folder, device="cpu")


@pytest.fixture
def recipe(corpus, whisper):
    return build_recipe(quick_tree(corpus, whisper.name))


def rows(*languages):
    return Manifest.of(Utterance(f"{n}.wav", text="a", lang=lang) for n, lang in enumerate(languages))


def test_the_language_of_the_rows_is_taught(recipe, whisper):
    own = LANGUAGES[1]
    for spelt in (own, own.upper(), f"{own}-XX", f"{own}_XX"):
        assert in_language(recipe, whisper, rows(spelt, None, spelt)).decoder.language == own


def test_the_recipe_has_the_last_word(recipe, whisper):
    told = recipe.model_copy(update={"decoder": recipe.decoder.model_copy(update={"language": LANGUAGES[0]})})
    assert in_language(told, whisper, rows(LANGUAGES[1])) is told


def test_rows_of_several_languages_stop_the_run(recipe, whisper):
    with pytest.raises(RecipeError, match=r"decoder\.language: the training rows are of several languages"):
        in_language(recipe, whisper, rows(LANGUAGES[0], LANGUAGES[1]))


def test_a_language_that_the_model_does_not_list_stops_the_run(recipe, whisper):
    with pytest.raises(RecipeError, match=r"'tlh', which .* does not list: .* decoder\.language_from"):
        in_language(recipe, whisper, rows("tlh"))


def test_rows_that_do_not_say_are_a_warning(recipe, whisper, caplog):
    with caplog.at_level(logging.WARNING):
        assert in_language(recipe, whisper, rows(None)) is recipe
    assert "neither the rows (lang) nor the recipe name a language" in caplog.text
