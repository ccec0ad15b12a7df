"""Runs the commands of a documentation page in order, and writes down what they print.

python docs/run_page.py docs/tutorial.md           # run all, stop at the first surprise
python docs/run_page.py docs/tutorial.md --write   # the same, and put what was printed into the page

Knows the few marks below. Does not know what any command does. Commands are lines that begin with ``$ `` in
blocks marked ``console``; blocks marked ``python`` run as a file. All of a page runs in one new folder.
Comments, which readers do not see, say more:

``<!-- prepare: COMMAND -->``     run COMMAND here
``<!-- not run: REASON -->``      skip the next block
``<!-- exit status: N -->``       the last command of the next block ends with status N
``<!-- lines: N -->``             --write keeps the first N lines of what each command prints (next block)
``<!-- in tests: A => B -->``     as the tests run the page (``short``), A is replaced by B in all commands
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

_MARK = re.compile(r"<!-- (prepare|not run|exit status|lines|in tests): (.*?) -->", re.DOTALL)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
PROMPT = "$ "
#: Where the commands of a page are found, unless another environment is given.
PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class Step:
    """One block of a page, or one hidden command before it."""

    kind: str  #: console, python or prepare
    body: str
    line: int
    skipped: str | None = None
    status: int = 0
    lines: int | None = None
    span: tuple[int, int] = (0, 0)  #: where the body lies in the page
    heading: str = ""  #: the heading above it


@dataclass(frozen=True)
class Ran:
    """What became of one command."""

    command: str
    status: int
    output: str
    errors: str
    seconds: float


@dataclass
class Page:
    """A page's steps, and the replacements that make it short enough for a test."""

    path: Path
    text: str
    steps: list[Step] = field(default_factory=list)
    shortened: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Page:
    """The steps of the page at ``path``, in order."""
    page = Page(path, path.read_text())
    marks: dict[str, str] = {}
    found = sorted([*_MARK.finditer(page.text), *_FENCE.finditer(page.text)], key=lambda match: match.start())
    for match in found:
        line = page.text.count("\n", 0, match.start()) + 1
        heading = next(reversed(_HEADING.findall(page.text, 0, match.start())), "")
        name, body = match.group(1), match.group(2)
        if match.re is _FENCE:
            if name in ("console", "python"):
                page.steps.append(replace(_block(name, body, line, marks, match.span(2)), heading=heading))
            marks = {}
        elif name == "in tests":
            long, _, short = body.partition(" => ")
            page.shortened[long] = short
        elif name == "prepare":
            page.steps.append(Step("prepare", body, line))
        else:
            marks[name] = body
    return page


def _block(kind: str, body: str, line: int, marks: Mapping[str, str], span: tuple[int, int]) -> Step:
    return Step(
        kind,
        body,
        line,
        marks.get("not run"),
        int(marks.get("exit status", "0")),
        int(marks["lines"]) if "lines" in marks else None,
        span,
    )


def commands(body: str) -> Iterator[str]:
    """The commands of a console block; a line that ends with a backslash goes on in the next."""
    lines = iter(body.splitlines())
    for line in lines:
        if not line.startswith(PROMPT):
            continue
        command = line.removeprefix(PROMPT)
        while command.endswith("\\"):
            command += "\n" + next(lines)
        yield command


def run(
    page: Page,
    folder: Path,
    *,
    short: bool = False,
    programs: Path = PROGRAMS,
    told: Callable[[Ran], None] = lambda _: None,
    journal: Path | None = None,
) -> list[tuple[Step, list[Ran]]]:
    """Run every step in ``folder`` with the commands of ``programs``; ``told`` hears of each.

    What ``journal`` (JSON lines) already holds is not run again. AssertionError names the first command that
    ends with another status.
    """
    known = _recorded(journal)
    done: list[tuple[Step, list[Ran]]] = []
    for step in page.steps:
        if step.skipped is not None:
            done.append((step, []))
            continue
        body = step.body
        for long, brief in page.shortened.items() if short else ():
            body = body.replace(long, brief)
        todo = list(commands(body)) if step.kind == "console" else [body]
        ran = []
        for number, command in enumerate(todo):
            wanted = step.status if number == len(todo) - 1 else 0
            ran.append(known.get(command) or _run(step, command, folder, programs))
            told(ran[-1])
            if ran[-1].status != wanted:
                raise AssertionError(_surprise(page, step, ran[-1], wanted))
            if journal is not None and command not in known:
                with journal.open("a") as file:
                    file.write(json.dumps(asdict(ran[-1])) + "\n")
        done.append((step, ran))
    return done


def _recorded(journal: Path | None) -> dict[str, Ran]:
    if journal is None or not journal.exists():
        return {}
    return {ran.command: ran for ran in (Ran(**json.loads(line)) for line in journal.open())}


def _run(step: Step, command: str, folder: Path, programs: Path) -> Ran:
    began = time.monotonic()
    called = [str(programs / "python"), "-c", command] if step.kind == "python" else ["bash", "-c", command]
    path = os.pathsep.join([str(programs), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path, "COLUMNS": "100"}
    process = subprocess.run(
        called, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return Ran(command, process.returncode, process.stdout, process.stderr, time.monotonic() - began)


def _surprise(page: Page, step: Step, ran: Ran, wanted: int) -> str:
    return (
        f"{page.path}:{step.line}: exit status {ran.status} instead of {wanted}: {ran.command}\n"
        f"{ran.output[-2000:]}\n{ran.errors[-4000:]}"
    )


def written(page: Page, done: list[tuple[Step, list[Ran]]]) -> str:
    """The page with what its commands printed on standard output."""
    text = page.text
    for step, ran in reversed([pair for pair in done if pair[0].kind == "console" and pair[1]]):
        begin, end = step.span
        text = text[:begin] + "".join(_shown(one, step.lines) for one in ran) + text[end:]
    return text


def _shown(ran: Ran, most: int | None) -> str:
    lines = ran.output.rstrip("\n").splitlines()
    if most is not None and len(lines) > most:
        lines = [*lines[:most], "…"] if most else []
    return "\n".join([PROMPT + ran.command, *(line.rstrip() for line in lines)]) + "\n"


def tell(ran: Ran) -> None:
    """One line for a command that has ended."""
    print(f"{ran.seconds:7.1f} s  status {ran.status}  {ran.command.splitlines()[0]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--write", action="store_true", help="put what was printed into the page")
    parser.add_argument("--short", action="store_true", help="as the tests run it")
    parser.add_argument(
        "--folder", type=Path, help="where the commands run; by default a folder that is deleted"
    )
    options = parser.parse_args()
    page = read(options.page)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        done = run(page, folder.resolve(), short=options.short, told=tell)
    if options.write:
        options.page.write_text(written(page, done))


if __name__ == "__main__":
    main()
