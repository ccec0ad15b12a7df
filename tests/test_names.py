"""One name for one thing, and none for what is not there, read from the syntax tree of every module; settings
that a recipe fills by name."""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterator
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
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
#: ``:func:`name``` and its kin in a docstring.
REFERENCE = re.compile(r":(?:class|meth|func|attr|data):`(?:[^`<]*<)?~?([\w.]+)>?`")


def test_no_class_name_occurs_twice():
    """A leading underscore is no other name: who searches for it finds both."""
    places = defaultdict(list)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def names_in(tree: ast.AST) -> Iterator[str]:
    """What a module defines or imports, methods and attributes included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)


def test_docstrings_refer_to_what_is_there():
    """``:func:`name``` names something of its own module, a class of the package, or a member of one."""
    names = {path: set(names_in(tree)) for path, tree in TREES.items()}
    modules = {
        "." + ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in TREES
    }
    classes = {n.name for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}

    def there(path: Path, reference: str) -> bool:
        *owner, name = reference.split(".")
        if not owner:
            return name in names[path] or name in classes or hasattr(builtins, name)
        if owner[-1] in classes:
            return any(name in own for own in names.values())
        if owner[0] in names[path]:
            return True  # of another package
        place = "." + ".".join(owner)
        return any(name in names[at] for module, at in modules.items() if module.endswith(place))

    lost = [
        f"{path.relative_to(PACKAGE)}: {reference}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for reference in REFERENCE.findall(ast.get_docstring(node) or "")
        if not there(path, reference)
    ]
    assert lost == []


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
