"""Measures how the package is built: files in each room, circles of imports, depth below a command.

    python scripts/measure_structure.py [--package asr_adapt] [--json]

Read from the syntax trees alone; imports inside functions and for type checkers count as all others. A circle
is a group of files that reach each other, and counts as one step of a chain. The depth is the number of steps
on the longest chain of imports from a command to a module that imports torch.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections import Counter
from pathlib import Path
from typing import Any

COMMANDS = ("train", "transcribe", "evaluate")
Graph = dict[str, set[str]]


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name → file."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def targets_of(module: str, modules: dict[str, Path]) -> set[str]:
    """What a module imports anywhere: our modules, and the names of other packages."""
    found = set()
    for node in ast.walk(ast.parse(modules[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {name if name in modules else name.split(".")[0] for name in names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            base = node.module or ""
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in modules else base if base in modules else base.split(".")[0])
    return found - {module}


def groups_of(graph: Graph) -> list[set[str]]:
    """Groups of files that reach each other, those that others import first (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            start = stack.index(node)
            found.append(set(stack[start:]))
            del stack[start:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def depths(groups: list[set[str]], graph: Graph, torch: set[str]) -> dict[str, int]:
    """Steps on the longest chain from each module to one of ``torch``; 0 where there is none."""
    found: dict[str, int] = {}
    for group in groups:
        longest = max((found[target] for node in group for target in graph[node] - group), default=0)
        found.update(dict.fromkeys(group, longest + 1 if longest or group & torch else 0))
    return found


def measure(package: Path) -> dict[str, Any]:
    """All figures as plain values."""
    modules = modules_of(package)
    every = {module: targets_of(module, modules) for module in modules}
    # a package's __init__ hands names on: it is a front, not a part of the house
    inner = {m for m in modules if modules[m].name != "__init__.py"}
    graph = {m: every[m] & inner for m in inner}
    groups = groups_of(graph)
    steps = depths(groups, graph, {m for m in inner if "torch" in every[m]})
    rooms = Counter(m.split(".")[1] for m in inner if m.count(".") > 1)
    flat = Counter(m.split(".")[1] for m in inner if m.count(".") == 2)
    return {
        "modules": len(inner),
        "rooms": {room: {"all": count, "flat": flat[room]} for room, count in sorted(rooms.items())},
        "circles": [sorted(group) for group in groups if len(group) > 1],
        "longest_file": max(len(modules[m].read_text(encoding="utf-8").splitlines()) for m in inner),
        "depth": {name: steps[f"{package.name}.cli.{name}"] for name in COMMANDS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="files, circles and depth of the package")
    parser.add_argument("--package", type=Path, default=Path(__file__).resolve().parents[1] / "asr_adapt")
    parser.add_argument("--json", action="store_true", help="print plain values")
    options = parser.parse_args()
    found = measure(options.package)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for room, own in found["rooms"].items():
        print(f"{room:14} {own['all']:4} files, {own['flat']} of them outside a folder")
    print(f"{found['modules']} files, the longest of {found['longest_file']} lines")
    for circle in found["circles"]:
        print(f"circle of {len(circle)} files: {', '.join(circle)}")
    print("steps from a command to torch: " + ", ".join(f"{k} {v}" for k, v in found["depth"].items()))


if __name__ == "__main__":
    main()
