"""One name for one thing, read from the syntax tree of every module; settings that a recipe fills by name."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import asr_adapt
from asr_adapt.models.contract import DecoderSettings, Dropout
from asr_adapt.models.lora import LoraSettings
from asr_adapt.models.masking import SpecAugment
from asr_adapt.training.recipe.decoder import Decoder
from asr_adapt.training.recipe.schema import Regularisation, SpecAugmentation
from asr_adapt.training.recipe.section import Section
from asr_adapt.training.recipe.strategy import LoraSection

PACKAGE = Path(asr_adapt.__file__).parent


def test_no_class_name_occurs_twice():
    """A leading underscore is no other name: who searches for it finds both."""
    places = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("section", "kind", "given"),
    [
        (Decoder, DecoderSettings, {}),
        (LoraSection, LoraSettings, {}),
        (Regularisation, Dropout, {}),
        (SpecAugmentation, SpecAugment, {"seeds": [1]}),
    ],
)
def test_a_section_fills_settings_by_name_and_has_their_defaults(
    section: type[Section], kind: type, given: dict[str, object]
):
    filled = section().settings(kind, **given)
    for own in fields(kind):
        if own.name not in given:
            default = section.model_fields[own.name].default
            assert getattr(filled, own.name) == default
            assert own.default in (MISSING, default) or kind is LoraSettings  # bare, it has no dropout
