"""Help at 80 columns, ``--version``, completion in a real bash, and names as other tools spell them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import asr_adapt
from asr_adapt.cli.app import COMMAND_MODULES, build_app, run
from asr_adapt.cli.grouped import summary
from asr_adapt.cli.listing import COMMANDS
from asr_adapt.cli.panels import PANELS
from asr_adapt.cli.spellings import OURS, ours

TREE = get_command(build_app())


def _commands(command=TREE, path=()):
    """Every command and group with the words that call it, hidden ones too."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _commands(child, (*path, name))


ALL = dict(_commands())


def _help(path, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    TREE(args=[*path, "--help"], prog_name="asr-adapt", standalone_mode=False)
    return capfd.readouterr().out


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_eighty_columns(path, capfd, monkeypatch):
    text = _help(path, capfd, monkeypatch)
    lines = text.splitlines()
    assert lines[0].startswith(f"Usage: asr-adapt {' '.join(path)}".rstrip())
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if re.search(r"[a-z]\.\.\.$", line)], "nothing is cut"
    assert not [line for line in lines if re.search(r"\w-$", line)], "no word is broken at its hyphen"
    assert not [line for line in lines if line.count("[default:") > line.count("]")], "brackets stay whole"
    assert "<str>" not in text and "list[" not in text, "types are said in a reader's words"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_everything_is_explained(path):
    command = ALL[path]
    assert command.help
    told = {param.name: param.help for param in command.params}
    assert all(told.values()), [name for name, text in told.items() if not text]


def test_every_command_has_its_line_in_a_group(capfd, monkeypatch):
    text = _help((), capfd, monkeypatch)
    shown = [name for name, command in TREE.commands.items() if not command.hidden]
    for name in shown:
        assert TREE.commands[name].rich_help_panel in PANELS, f"{name} has no group: see cli/panels.py"
        (line,) = re.findall(rf"^  {name} .*$", text, re.MULTILINE)
        assert len(line) <= 80
    listed = text.partition("\nOptions:")[0].split("\n\n", 2)[2].splitlines()
    assert len(listed) == len(shown) + 2 * len(PANELS) - 1, "one line each, a heading and a space a group"
    assert [line[:-1] for line in listed if line.endswith(":")] == list(PANELS)


@pytest.mark.parametrize(
    "path", [path for path, found in ALL.items() if path and isinstance(found, TyperGroup)]
)
def test_every_command_of_a_group_has_one_line(path, capfd, monkeypatch):
    listed = _help(path, capfd, monkeypatch).partition("\nCommands:\n")[2].partition("\n\n")[0].splitlines()
    shown = [name for name, command in ALL[path].commands.items() if not command.hidden]
    assert [line.split()[0] for line in listed] == shown


def test_what_is_listed_is_what_the_commands_say_of_themselves():
    own = {
        name: (summary(command), None if command.hidden else command.rich_help_panel)
        for name, command in TREE.commands.items()
    }
    assert {entry.name: (entry.summary, entry.panel) for entry in COMMANDS} == own
    assert [entry.name for entry in COMMANDS] == list(TREE.commands)


def test_help_imports_no_command_and_says_the_same(capfd, monkeypatch):
    text = _help((), capfd, monkeypatch)
    shown = "import sys; from asr_adapt.cli.app import run; run(['--help']); print(*sys.modules)"
    command = [sys.executable, "-c", shown]
    environment = {**os.environ, "COLUMNS": "80"}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    *listed, modules = found.splitlines()
    assert listed == text.splitlines()
    assert not set(COMMAND_MODULES) & set(modules.split())


def test_the_page_that_says_which_command_when_names_them_all():
    page = (Path(__file__).parents[2] / "docs/which-command.md").read_text()
    shown = [name for name, command in TREE.commands.items() if not command.hidden]
    assert not [name for name in shown if f"`{name}" not in page]


def test_version(capfd):
    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"asr-adapt {asr_adapt.__version__}\n"


def test_spellings_of_the_field_are_understood(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"id": "a", "audio_filepath": "a.wav", "text": "One", "pred_text": "one", "accent": "us"}
    Path("p.jsonl").write_text(json.dumps(row) + "\n")
    assert run(["wer", "p.jsonl", "--normalizer", "basic", "--group_by", "accent", "--json"]) == 0
    assert '"wer": 0.0' in capfd.readouterr().out
    known = {name.lstrip("-") for command in ALL.values() for p in command.params for name in p.opts}
    known |= {path[-1] for path in ALL if path}
    assert not set(OURS.values()) - known, "each stands for something that there is"
    assert ours("--batch_size") == "--batch-size"


def test_the_former_name_of_lm_tune_still_works(capfd):
    assert run(["tune-lm", "--help"]) == 0
    former = capfd.readouterr().out
    assert run(["lm", "tune", "--help"]) == 0
    assert former.replace("tune-lm", "lm tune").split() == capfd.readouterr().out.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_installs_and_completes_in_bash(tmp_path):
    command = tmp_path / "bin/asr-adapt"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m asr_adapt "$@"\n')
    command.chmod(0o755)
    places = {"HOME": str(tmp_path), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    environment = {**os.environ, **places, "PYTHONPATH": str(Path(asr_adapt.__file__).parents[1])}

    def bash(script):
        return subprocess.run(
            ["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert "bash completion installed" in bash("asr-adapt --install-completion; true")
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert str(script) in (tmp_path / ".bashrc").read_text()
    asking = (
        f'source {script}; ask() {{ COMP_WORDS=(asr-adapt "$@"); COMP_CWORD=$#; '
        '_asr_adapt_completion asr-adapt; echo "${COMPREPLY[@]}"; }; '
    )
    assert bash(f"{asking} ask tra").split() == ["train", "transcribe"]
    assert bash(f"{asking} ask lm ''").split() == ["build", "tune"]
    assert "--word-timestamps" in bash(f"{asking} ask transcribe --word").split()
