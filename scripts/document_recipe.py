"""Writes docs/recipes.md's tables of fields and starting values from the code's own definitions.

python scripts/document_recipe.py          # writes between the markers
python scripts/document_recipe.py --check  # exit 1 when the page is out of date
"""

from __future__ import annotations

import argparse
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from asr_adapt.files import atomic_write
from asr_adapt.training import Recipe
from asr_adapt.training.recipe.section import fields_of, section_of
from asr_adapt.training.recipe.starting_values import TABLE

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"
PLAIN_KINDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true, false",
    "Path": "path",
}
BEGIN, END = "<!-- fields -->", "<!-- /fields -->"
VALUES_BEGIN, VALUES_END = "<!-- starting values -->", "<!-- /starting values -->"


def kind_of(annotation: Any) -> str:
    """A short name of a field's type."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_of(a) for a in typing.get_args(annotation) if a is not type(None))
    if origin is list:
        (item,) = typing.get_args(annotation)
        return f"list of {kind_of(item)}" if typing.get_origin(item) is typing.Literal else "path(s)"
    if origin is tuple:
        return "list"
    if origin is dict:
        return "mapping"
    name = getattr(annotation, "__name__", str(annotation))
    return PLAIN_KINDS.get(name, name)


def default_of(field: FieldInfo) -> str:
    """The default as YAML would show it; ``required`` where there is none."""
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "–"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def lines(section: type[Any], prefix: str = "") -> Iterator[str]:
    """Table lines of a section and of those inside it."""
    nested = []
    for name, field in fields_of(section).items():
        inner = section_of(field.annotation)
        if inner is not None:
            nested.append((f"{prefix}{name}.", inner))
            continue
        row = [f"`{prefix}{name}`", kind_of(field.annotation), default_of(field), field.description or ""]
        yield f"| {' | '.join(row)} |"
    for inner_prefix, inner in nested:
        yield f"| **`{inner_prefix[:-1]}`** | | | {(inner.__doc__ or '').splitlines()[0]} |"
        yield from lines(inner, inner_prefix)


def page(text: str) -> str:
    """The page with both tables between their markers."""
    fields = ["| field | type | default | meaning |", "|---|---|---|---|", *lines(Recipe)]
    return _block(_block(text, (BEGIN, END), fields), (VALUES_BEGIN, VALUES_END), starting_values())


def starting_values() -> Iterator[str]:
    """Table lines of what is chosen by a model's kind and size."""
    fields = ("strategy", "optimiser.learning_rate", "schedule.steps", "retention.guard_budget")
    yield f"| model | parameters | {' | '.join(f'`{name}`' for name in fields)} | rate with LoRA |"
    yield "|---|---|---|--:|--:|---|--:|"
    for line in TABLE:
        kind = "encoder–decoder" if line.kind == "attention" else "CTC"
        size = "larger" if line.millions == float("inf") else f"up to {line.millions:g} M"
        budget = line.budget or "–"
        told = f"{line.strategy} | {line.rate:g} | {line.steps} | {budget} | {line.lora_rate:g}"
        yield f"| {kind} | {size} | {told} |"


def _block(text: str, marks: tuple[str, str], content: Iterable[str]) -> str:
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    return "\n".join([before + marks[0], *content, marks[1]]) + after


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the page is up to date")
    options = parser.parse_args(arguments)
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if options.check:
        print(
            "docs/recipes.md is up to date" if old == new else "docs/recipes.md is out of date",
            file=sys.stderr,
        )
        return int(old != new)
    with atomic_write(PAGE) as handle:
        handle.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
