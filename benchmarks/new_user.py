"""What a new user does, recorded: the wheel in a new environment elsewhere, then the page docs/new-user.md.

    python benchmarks/new_user.py --data DIR [--before] [--write]

Builds the wheel from a copy of the sources and installs it into a new virtual environment. Dependencies
are those of the environment that runs this script, because what pip downloads says nothing about this
project; the cache is empty, so the model is downloaded. Then the page's commands run in order
(``docs/run_page.py``).
``--write`` puts what they printed into the page, and the table of commands and minutes between its markers.

``--before`` runs ``new_user_before.md`` instead, the first section's job with the first version, taken from
git's history; its table has markers of its own. It needs whisper-tiny.en in the usual cache.

Knows how to install and what is counted. Does not know what the commands do. DIR holds ``speechocean762``.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "new-user.md"
BEFORE, FIRST = ROOT / "benchmarks" / "new_user_before.md", "37c410b"
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "benchmarks")]
import installed_wheel  # noqa: E402
import run_page  # noqa: E402
from report import replace_block  # noqa: E402

#: What brings the command jupyter.
NOTEBOOKS = ("jupyter_core", "nbclient", "ipykernel")


def table(done: list[tuple[run_page.Step, list[run_page.Ran]]]) -> str:
    """Commands and minutes of each section of the page."""
    lines = ["| | commands | minutes |", "|---|--:|--:|"]
    for heading, part in sections(done).items():
        seconds = sum(ran.seconds for ran in part)
        lines.append(f"| {heading} | {len(part)} | {seconds / 60:.1f} |")
    cores = len(os.sched_getaffinity(0))
    lines += ["", f"{cores} core of {platform.machine()}, Python {platform.python_version()}, no GPU."]
    return "\n".join(lines)


def sections(done: list[tuple[run_page.Step, list[run_page.Ran]]]) -> dict[str, list[run_page.Ran]]:
    """What was run below each heading of the page; hidden preparations are not counted."""
    found: dict[str, list[run_page.Ran]] = {}
    for step, ran in done:
        if step.kind != "prepare" and ran:
            found.setdefault(step.heading, []).extend(ran)
    return found


def first_version(folder: Path) -> Path:
    """The commands of the first version, from the history, with the dependencies of today."""
    sources, programs = folder / "first", folder / "programs"
    for new in (sources, programs):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", FIRST], check=True, capture_output=True)
    subprocess.run(["tar", "x", "-C", str(sources)], input=archive.stdout, check=True)
    command = programs / "asr-adapt"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={sources} exec {sys.executable} -m asr_adapt "$@"\n')
    command.chmod(0o755)
    return programs


def measure_before(options: argparse.Namespace, folder: Path) -> None:
    """Run the old commands; ``--write`` puts their table into the page."""
    from asr_adapt.pretrained.store import place_of

    os.environ["TINY"] = str(place_of("whisper-tiny.en"))
    work = folder / "work-before"
    work.mkdir(exist_ok=True)
    programs, journal = first_version(folder), folder / "ran-before.jsonl"
    done = run_page.run(run_page.read(BEFORE), work, programs=programs, told=run_page.tell, journal=journal)
    print(table(done))
    if options.write:
        replace_block(options.write, "new-user-before", table(done))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="work here, keep it, and go on there the next time")
    parser.add_argument("--before", action="store_true", help=f"the first version, {FIRST}")
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE)
    options = parser.parse_args()
    os.environ["DATA"] = str(options.data.resolve())
    os.environ["REPOSITORY"] = str(ROOT)
    os.environ.pop("PYTHONPATH", None)
    os.environ.pop("HF_HUB_OFFLINE", None)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.before:
            measure_before(options, folder)
            return
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        for earlier in (folder / "sources", folder / "env"):
            shutil.rmtree(earlier, ignore_errors=True)
        programs = installed_wheel.install(
            installed_wheel.build(folder / "sources"), folder / "env", *NOTEBOOKS
        )
        work = folder / "work"
        work.mkdir(exist_ok=True)
        page, journal = run_page.read(PAGE), folder / "ran.jsonl"
        done = run_page.run(page, work, programs=programs, told=run_page.tell, journal=journal)
    if options.write:
        options.write.write_text(run_page.written(page, done))
        replace_block(options.write, "new-user", table(done))


if __name__ == "__main__":
    main()
