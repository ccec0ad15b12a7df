"""Systems other than the one that tests run on: nothing that only POSIX has is needed to begin."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import asr_adapt

PACKAGE = Path(asr_adapt.__file__).parent
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
#: What Windows does not have in ``os`` and ``signal``.
WITHOUT = """
import os, signal, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("pread", "fork", "getuid", "geteuid", "killpg", "mkfifo", "O_NONBLOCK", "statvfs", "setsid"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGALRM"):
    delattr(signal, name)
from asr_adapt.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def test_no_module_imports_what_only_posix_has() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}: {name}" for name in names if name.partition(".")[0] in POSIX]
    assert not found


def test_manifests_are_read_and_scored_without_posix(tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": f"{n}.wav", "duration": 1.0, "text": "a b", "pred_text": "a c"} for n in range(9)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for command in (["manifest", "stats"], ["score"]):
        arguments = [sys.executable, "-c", WITHOUT, *command, "rows.jsonl", "--json"]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "9" in done.stdout
