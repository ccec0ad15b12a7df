"""Text of files on a terminal: every command prints control characters and rich's markup as plain text."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import asr_adapt
from asr_adapt.screen import escaped

PACKAGE = Path(asr_adapt.__file__).parent
#: Clears the screen, rings, sets the title, in C0 and in C1 characters; then markup that rich would take.
EVIL = "\x1b[2J\x07\x9b2J\x1b]0;owned\x07 [/b][red]"
#: What rich and our own counters may write: colours and styles, the cursor, lines wiped.
OURS = ("\x1b[0m", "\x1b[1m", "\x1b[32m", "\x1b[1;31m", "\x1b[33m", "\x1b[?25l", "\x1b[2K", "\x1b[?25h")


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """Predictions of two systems with evil words and groups, and a baseline."""
    for name, said in (("a", "one"), ("b", f"two {EVIL}")):
        rows = [
            {
                "audio_filepath": f"{n}{EVIL}.wav".replace("/", ""),
                "id": f"r{n}{EVIL}",
                "duration": 1.0,
                "speaker": f"s{n}{EVIL}",
                "accent": EVIL,
                "text": f"one {EVIL}",
                "pred_text": said,
            }
            for n in range(4)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "short.jsonl").write_text(text.partition("\n")[0] + "\n", encoding="utf-8")
    return tmp_path


def on_a_terminal(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Exit status of the command and everything that its terminal got."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-m", "asr_adapt", *arguments]
    process = subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    found = b""
    while True:
        try:
            block = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        found += block
    os.close(ours)
    return process.wait(60), found.decode("utf-8")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["score", "a.jsonl", "--by", "accent", "--by", "speaker", "--normalise", "none"], 0),
        (["score", "a.jsonl", "--json", "--by", "accent"], 0),
        (["compare", "a.jsonl", "b.jsonl", "--by", "accent", "--normalise", "none"], 0),
        (["compare", "a.jsonl", "short.jsonl"], 4),
        (["gate", "a.jsonl", "--baseline", "base.json", "--by", "accent", "--update"], 0),
        (["manifest", "stats", "a.jsonl", "--by", "accent"], 0),
        (["manifest", "check", "a.jsonl", "--no-cache"], 3),
        (["evaluate", "a.jsonl", "--model", f"nowhere{EVIL}"], 3),
        (["report", "a.jsonl", "-o", f"r{EVIL}.html".replace("/", "")], 0),
        (["--debug", "compare", "a.jsonl", "short.jsonl"], 1),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else None,
)
def test_no_text_of_a_file_moves_the_cursor(folder: Path, arguments: list[str], status: int) -> None:
    found, screen = on_a_terminal(arguments, folder)
    assert found == status, screen
    for code in OURS:
        screen = screen.replace(code, "")
    assert not [c for c in screen if c not in "\r\n\t" and not c.isprintable()], ascii(screen)
    assert "Traceback" not in screen or "--debug" in arguments


def test_markup_in_a_group_is_text(folder: Path) -> None:
    _, screen = on_a_terminal(["score", "a.jsonl", "--by", "accent", "--normalise", "none"], folder)
    assert "[/b][red]" in screen.replace("\r\n", "")


def test_a_pipe_gets_what_was_written(folder: Path) -> None:
    command = [sys.executable, "-m", "asr_adapt", "score", "a.jsonl", "--by", "accent", "--json"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(command, cwd=folder, capture_output=True, env=environment, check=True)
    assert EVIL in json.loads(done.stdout)["groups"]["accent"]


def test_counters_keep_their_carriage_return() -> None:
    assert escaped("\r12 rows") == "\r12 rows" and escaped("a\r\nb\tc") == "a\r\nb\tc"
    assert escaped("12\rrows\x7f\x9b\u2028") == "12\\u000drows\\u007f\\u009b\\u2028"


def test_every_console_is_the_one_that_escapes() -> None:
    for path in PACKAGE.rglob("*.py"):
        made = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Console")
        ]
        assert not made, f"{path}:{made}: use asr_adapt.screen.console"
