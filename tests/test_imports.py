"""Imports run one way: read from the syntax tree of every module, so that no run can hide one."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import asr_adapt
from asr_adapt.cli.app import COMMAND_MODULES

PACKAGE = Path(asr_adapt.__file__).parent
#: Rooms from the ground up; a module may import from its own room and from rooms before it.
ROOMS = (
    "assets", "text", "audio", "manifest", "scoring", "decoding", "pretrained", "models", "transcription",
    "probing", "training", "publishing", "demo", "api", "cli",
)  # fmt: skip
#: Modules of the package itself: everyone may import these, and they import no room.
GROUND = {
    f"asr_adapt{name}"
    for name in (
        *("", ".errors", ".files", ".leftovers", ".locks", ".destinations", ".screen", ".notebook"),
        ".startup",
    )
}
#: Entry points above every room.
ROOF = {
    "asr_adapt.__main__",
    "asr_adapt.pytest_options",
    "asr_adapt.pytest_plugin",
    "asr_adapt.pytest_session",
}
HEAVY = {"torch", "torchaudio", "transformers", "accelerate", "peft", "safetensors", "silero_vad"}
WITHOUT_TORCH = ("text", "audio", "manifest", "scoring", "decoding", "pretrained")
SLOW_FOR_HELP = HEAVY | {"numpy", "pydantic", "librosa", "scipy", "jinja2", "yaml", "jiwer"}


@dataclass(frozen=True)
class Import:
    """One import: the module it names, and whether it runs when the importing module is loaded."""

    target: str
    at_load: bool


@cache
def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> tuple[Import, ...]:
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return tuple(_walk(tree, module, at_load=True))


def _walk(node: ast.AST, module: str, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_load) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from _from(child, module, at_load)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (Import(i.target, False) for i in _walk(child, module, False))
        else:
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, module, at_load and not inside)


def _from(node: ast.ImportFrom, module: str, at_load: bool) -> Iterator[Import]:
    base = node.module or ""
    if node.level:
        package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
        parts = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parts, base]).rstrip(".")
    for alias in node.names:
        whole = f"{base}.{alias.name}"
        yield Import(whole if whole in modules() else base, at_load)


def room(module: str) -> str:
    return module.split(".")[1]


def ours(module: str) -> list[Import]:
    return [i for i in imports(module) if i.target.split(".")[0] == "asr_adapt"]


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down(module):
    if module in ROOF or module in GROUND:
        return
    assert room(module) in ROOMS, f"{module} is in no known room"
    for found in ours(module):
        if found.target in GROUND:
            continue
        assert ROOMS.index(room(found.target)) <= ROOMS.index(room(module)), (
            f"{module} imports {found.target}, which lies above it"
        )


@pytest.mark.parametrize("module", sorted(GROUND))
def test_ground_stands_on_nothing(module):
    """The package itself names what it offers to type checkers, and loads a room when a name is asked for."""
    found = [i for i in ours(module) if i.target not in GROUND and (i.at_load or module != "asr_adapt")]
    assert [i.target for i in found] == []


def test_no_module_imports_itself_in_a_circle():
    """Among imports that run at load; parents of a package count as imported before it."""
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        state[module] = 1
        for found in ours(module):
            if not found.at_load or found.target == module or found.target not in modules():
                continue
            assert state.get(found.target) != 1, f"circle: {' -> '.join((*path, module, found.target))}"
            if found.target not in state:
                visit(found.target, (*path, module))
        state[module] = 2

    for module in modules():
        if module not in state:
            visit(module, ())


def folder(module: str) -> str:
    """The folder inside a room that a module lies in; a module directly in its room stands for itself."""
    parts = module.split(".")
    path = modules().get(module)
    inside = len(parts) > 3 or (len(parts) == 3 and path is not None and path.name == "__init__.py")
    return ".".join(parts[:3]) if inside else module


@pytest.mark.parametrize("name", [name for name in ROOMS if name != "assets"])
def test_folders_of_a_room_do_not_import_in_a_circle(name):
    """All imports count here, also those inside functions; a room's own ``__init__`` is its front."""
    front = f"asr_adapt.{name}"
    inside = [m for m in modules() if m.startswith(f"{front}.")]
    above: dict[str, set[str]] = {}
    for module in inside:
        reached_folders = {folder(i.target) for i in ours(module) if i.target.startswith(f"{front}.")}
        above.setdefault(folder(module), set()).update(reached_folders - {folder(module)})
    circles = [circle for circle in knots(above) if any(m.name == "__init__.py" for m in of(circle))]
    assert circles == [], f"folders of {front} import each other: {circles}"


@pytest.mark.parametrize("name", [name for name in ROOMS if name != "assets"])
def test_no_files_of_a_room_import_each_other(name):
    """Nor inside functions, nor for type checkers alone: each file can be read after those it imports."""
    front = f"asr_adapt.{name}"
    inside = [m for m in modules() if m.startswith(f"{front}.")]
    graph = {m: {i.target for i in ours(m) if i.target in inside and i.target != m} for m in inside}
    assert knots(graph) == []


def unknown_to_rooms() -> dict[str, set[str]]:
    """The last column of docs/design.md's table: what stands in backticks there, by room."""
    page = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    lines = page.split("| room | knows | does not know |\n|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {room.strip("`"): set(re.findall(r"`([a-z_]+)`", unknown)) for room, _, unknown in cells}


def test_the_design_names_every_room_from_the_top_down():
    assert list(unknown_to_rooms()) == [name for name in reversed(ROOMS) if name != "assets"]


@pytest.mark.parametrize("name", [name for name in ROOMS if name != "assets"])
def test_a_room_imports_nothing_that_the_design_says_it_does_not_know(name):
    unknown = unknown_to_rooms()[name]
    assert unknown
    for module in modules():
        if module.split(".")[1:2] == [name]:
            for found in imports(module):
                parts = found.target.split(".")
                known = parts[1] if parts[0] == "asr_adapt" and len(parts) > 1 else parts[0]
                assert known not in unknown, f"{module} imports {found.target}; see docs/design.md, Rooms"


def of(circle: list[str]) -> list[Path]:
    return [modules()[m] for m in circle]


def knots(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of more than one node that reach each other (by Kosaraju's two walks)."""
    order: list[str] = []
    seen: set[str] = set()

    def walk(node: str, edges: dict[str, set[str]], into: list[str]) -> None:
        seen.add(node)
        for target in sorted(edges.get(node, ())):
            if target not in seen:
                walk(target, edges, into)
        into.append(node)

    for node in sorted(graph):
        if node not in seen:
            walk(node, graph, order)
    back: dict[str, set[str]] = {}
    for node, targets in graph.items():
        for target in targets:
            back.setdefault(target, set()).add(node)
    seen.clear()
    found = []
    for node in reversed(order):
        if node not in seen:
            group: list[str] = []
            walk(node, back, group)
            found.append(sorted(group))
    return [group for group in found if len(group) > 1]


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_rooms_that_need_no_torch(name):
    """Neither at load nor inside any function, directly or through another module of ours."""
    start = [m for m in modules() if m.startswith(f"asr_adapt.{name}")]
    assert reached(start, at_load_only=False) & (HEAVY - {"transformers"}) == set()


def test_whisper_normaliser_borrowed_from_transformers_loads_no_torch():
    code = (
        "import sys; from asr_adapt.text import normalise; normalise('a', 'whisper-en'); print(*sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "transformers" in child.stdout.split() and "torch" not in child.stdout.split()


def test_help_reaches_nothing_slow():
    start = ["asr_adapt.__main__", *COMMAND_MODULES]
    assert reached(start, at_load_only=True) & (SLOW_FOR_HELP | {"rich"}) == set()


def reached(start: list[str], *, at_load_only: bool) -> set[str]:
    """Top-level packages outside ours that the modules import, through each other."""
    seen: set[str] = set()
    outside: set[str] = set()
    todo = list(start)
    while todo:
        module = todo.pop()
        if module in seen or module not in modules():
            continue
        seen.add(module)
        todo += [".".join(module.split(".")[:n]) for n in range(1, module.count(".") + 1)]
        for found in imports(module):
            if (at_load_only or module == "asr_adapt") and not found.at_load:  # names for type checkers
                continue
            if found.target.split(".")[0] == "asr_adapt":
                todo.append(found.target)
            else:
                outside.add(found.target.split(".")[0])
    return outside


@pytest.mark.parametrize("arguments", [["--help"], ["transcribe", "--help"], ["train", "--help"]])
def test_help_in_a_fresh_process_loads_nothing_slow(arguments):
    code = (
        "import json, sys\n"
        "from asr_adapt.cli.app import run\n"
        f"status = run({arguments!r})\n"
        "print(json.dumps([status, sorted({m.split('.')[0] for m in sys.modules})]), file=sys.stderr)\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, loaded = json.loads(child.stderr.splitlines()[-1])
    assert status == 0
    assert "Usage:" in child.stdout
    # typer itself takes pydantic where it is installed, to describe the options of one command
    assert set(loaded) & (SLOW_FOR_HELP - {"pydantic"}) == set()
