"""Every command in the documentation: its options exist, and those of the first pages run as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import run_page
import typer

from asr_adapt.cli.app import build_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def invocations(page: Path) -> list[tuple[int, str]]:
    """Line and words of each ``asr-adapt`` in the page's console blocks; pipes and redirections end one."""
    found = []
    for step in run_page.read(page).steps:
        for command in run_page.commands(step.body) if step.kind == "console" else ():
            lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
            lexer.whitespace_split = True
            part: list[str] = []
            for word in [*lexer, ";"]:
                if set(word) <= set("|&;<>"):
                    if part and Path(part[0]).name == "asr-adapt":
                        found.append((step.line, shlex.join(part[1:])))
                    part = []
                else:
                    part.append(word)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_exist(page):
    """Command, option names and values are what the command line takes; a renamed option fails here."""
    assert wrong(page) == []


def wrong(page: Path) -> list[str]:
    """Page, line and reason of each invocation that the command line refuses."""
    problems = []
    root = typer.main.get_command(build_app())
    for line, words in invocations(page):
        command, arguments, name = root, shlex.split(words), "asr-adapt"
        try:
            while hasattr(command, "resolve_command"):
                with command.make_context(name, list(arguments)) as context:
                    rest = [*context._protected_args, *context.args]
                    if not rest:
                        break
                    name, command, arguments = command.resolve_command(context, rest)
            else:
                command.make_context(name, list(arguments))
        except typer.Exit:  # --help and --version answer at once
            continue
        except Exception as error:
            problems.append(f"{page.name}:{line}: asr-adapt {words}: {error}")
    return problems


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_machine_is_named(page):
    """Recorded output holds no path of the machine that recorded it."""
    text = page.read_text()
    assert not [path for path in ("/work/", "/root/", str(Path.home()) + "/", "/tmp/") if path in text]


def test_that_a_wrong_option_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ asr-adapt score p.jsonl --bye accent | head > x\n```\n")
    assert invocations(page) == [(1, "score p.jsonl --bye accent")]
    assert "--bye" in wrong(page)[0]


@pytest.mark.pretrained
@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_commands_run(name, whisper_tiny_en, tmp_path, monkeypatch):
    """A reader who types the page's commands in order ends with the status that the page promises."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    page = run_page.read(ROOT / name)
    done = run_page.run(page, tmp_path, short=True)
    assert sum(len(ran) for _, ran in done) >= 5


def test_a_page_is_run_and_written(tmp_path):
    """Blocks, hidden preparations, statuses, replacements and recorded output of the runner itself."""
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- prepare: echo hello > note -->\n<!-- in tests: cat note => cat note note -->\n\n"
        "```console\n$ cat note\nold\n$ echo a \\\n    b\n```\n\n"
        "<!-- not run: needs a licence -->\n```console\n$ false\n```\n\n"
        "<!-- exit status: 3 -->\n<!-- lines: 1 -->\n```console\n$ echo 1; echo 2; exit 3\n```\n\n"
        "```python\nopen('made', 'w').write(open('note').read())\n```\n"
    )
    folder = tmp_path / "work"
    folder.mkdir()
    done = run_page.run(run_page.read(page), folder)
    assert (folder / "made").read_text() == "hello\n"
    text = run_page.written(run_page.read(page), done)
    assert "$ cat note\nhello\n$ echo a \\\n    b\na b\n```" in text
    assert "exit 3\n1\n…\n```" in text and "$ false\n```" in text
    short = run_page.run(run_page.read(page), folder, short=True)
    assert short[1][1][0].output == "hello\nhello\n"
    page.write_text("```console\n$ exit 4\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:1: exit status 4 instead of 0: exit 4"):
        run_page.run(run_page.read(page), folder)
