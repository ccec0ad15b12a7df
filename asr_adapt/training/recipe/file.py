"""Recipes as YAML files with ``key=value`` overrides.

Knows files, line numbers, the nearest known field and relative manifest paths. Does not know what a field
does; :mod:`asr_adapt.training.recipe.schema` does.
"""

from __future__ import annotations

import copy
import difflib
import glob
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from asr_adapt.errors import RecipeError
from asr_adapt.files import atomic_write, user_path
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.recipe.section import fields_of, section_of

_PATH_FIELDS = ("train", "dev", "test", "guard", "guard_test")


def load_recipe(
    path: str | Path, overrides: Iterable[str] = (), fields: Mapping[str, Any] | None = None
) -> Recipe:
    """Read ``path`` (YAML), put ``fields`` and then ``key.sub=value`` overrides over it, check everything.

    Manifest paths of the file are relative to the file; those of the others to the working folder.
    Raises :class:`RecipeError` with file, line and field.
    """
    text = _read(Path(path))
    try:
        tree = yaml.safe_load(text)
        lines = _lines(yaml.compose(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise RecipeError(f"{problem}.", path=path, line=mark.line + 1 if mark else None) from error
    if not isinstance(tree, dict):
        raise RecipeError("a recipe is a mapping of fields: start with train: and dev:.", path=path, line=1)
    root_paths(tree, Path(path).parent)
    tree = merged(tree, fields or {})
    for item in overrides:
        _override(tree, item)
    return build_recipe(tree, path=str(path), lines=lines)


def build_recipe(
    tree: dict[str, Any], *, path: str = "recipe", lines: dict[str, int] | None = None
) -> Recipe:
    """A checked recipe from plain values."""
    for field in _with_null(tree):
        raise RecipeError(
            "contains a null character: write the file again.",
            path=path,
            line=(lines or {}).get(field),
            field=field,
        )
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise _first_problem(error, path, lines or {}) from error


def _with_null(value: Any, name: str = "") -> Iterator[str]:
    """Dotted names of the fields that hold a null character, in themselves or in a list."""
    if isinstance(value, str) and "\0" in value:
        yield name
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _with_null(item, f"{name}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for item in value:
            yield from _with_null(item, name)


def save_recipe(recipe: Recipe, path: str | Path, *, started_here: bool = False) -> None:
    """Write the resolved recipe, every field, atomically.

    With ``started_here`` its manifests and folders, which start at the working folder, are named by absolute
    paths, so that the file can be carried out again wherever it lies.
    """
    tree = recipe.model_dump(mode="json")
    if started_here:
        root_paths(tree, Path.cwd())
    with atomic_write(path) as handle:
        yaml.safe_dump(tree, handle, sort_keys=False, allow_unicode=True)


def write_recipe(tree: dict[str, Any], path: str | Path) -> None:
    """Write plain values, checked, and nothing that they leave out."""
    build_recipe(copy.deepcopy(tree), path=str(path))
    with atomic_write(path) as handle:
        yaml.safe_dump(tree, handle, sort_keys=False, allow_unicode=True)


def overridden(tree: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of plain values with ``key.sub=value`` overrides; raises :class:`RecipeError`."""
    tree = copy.deepcopy(tree)
    for item in overrides:
        _override(tree, item)
    return tree


def merged(tree: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """``tree`` with ``fields`` over it; of a section that both have, the values of ``fields`` win."""
    found = dict(tree)
    for name, value in fields.items():
        own = found.get(name)
        both = isinstance(value, Mapping) and isinstance(own, Mapping)
        found[name] = merged(own, value) if both else value  # type: ignore[arg-type]
    return found


def expand(paths: Iterable[str]) -> list[Path]:
    """Files that a recipe's paths and globs name; raises :class:`RecipeError` for one that names none."""
    found: list[Path] = []
    for text in paths:
        matches = sorted(glob.glob(text)) if glob.has_magic(text) else [text]  # noqa: PTH207 (absolute patterns)
        if not matches or not all(Path(m).is_file() for m in matches):
            raise RecipeError("no such manifest: write it with asr-adapt manifest build.", path=text)
        found.extend(Path(m) for m in matches)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the recipe cannot be read ({error}): give a YAML file.", path=path) from error


def root_paths(tree: dict[str, Any], root: Path) -> None:
    """Make relative paths in the fields that hold paths start at ``root``."""
    for field in _PATH_FIELDS:
        if field in tree:
            tree[field] = _rooted(tree[field], root)
    augment = tree.get("augment")
    nested = [
        (tree, "replay", "manifest"),
        (tree, "silence", "manifest"),
        (tree, "cache", "folder"),
        (augment, "noise", "folder"),
        (augment, "room", "folder"),
    ]
    for parent, section, field in nested:
        child = parent.get(section) if isinstance(parent, dict) else None
        if isinstance(child, dict) and child.get(field) is not None:
            child[field] = _rooted(child[field], root)


def _rooted(value: Any, root: Path) -> Any:
    if isinstance(value, str):
        return str(root / user_path(value))
    return [_rooted(item, root) for item in value] if isinstance(value, list) else value


def _override(tree: dict[str, Any], item: str) -> None:
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise RecipeError(f"override {item!r} is not of the form key=value.")
    *parents, last = key.strip().split(".")
    node = tree
    for name in parents:
        child = node.get(name)
        node[name] = {"name": child} if isinstance(child, str) else dict(child or {})
        node = node[name]
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"the value {value!r} is not valid YAML.", field=key) from error
    if isinstance(node[last], str):  # YAML 1.1 reads 1e-4 as text
        node[last] = _number(node[last])


def _number(text: str) -> float | str:
    try:
        return float(text) if text[:1] in "0123456789.+-" else text
    except ValueError:
        return text


def _lines(node: yaml.Node | None, prefix: str = "") -> dict[str, int]:
    """Dotted field → line (1-based)."""
    found: dict[str, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            found[name] = key.start_mark.line + 1
            found.update(_lines(value, f"{name}."))
    return found


def _first_problem(error: ValidationError, path: str, lines: dict[str, int]) -> RecipeError:
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        *parents, name = [str(part) for part in problem["loc"]]
        near = difflib.get_close_matches(name, _fields(parents), n=1, cutoff=0.0)
        message = f"unknown field, did you mean {near[0]}?" if near else "unknown field."
    elif problem["type"] == "missing":
        message = "this field is required."
    else:
        message = f"{message} (got {problem['input']!r})." if field else f"{message}."
    return RecipeError(message, path=path, line=lines.get(field), field=field or None)


def _fields(parents: list[str]) -> list[str]:
    found: Mapping[str, FieldInfo] = Recipe.model_fields
    for name in parents:
        own = section_of(found[name].annotation) if name in found else None
        found = fields_of(own or Recipe)
    return list(found)
