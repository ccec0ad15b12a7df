"""Files are written whole, through links; nothing of killed processes stays; folders keep what they hold."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from asr_adapt import leftovers
from asr_adapt.files import atomic_directory, atomic_write, temporary_folder
from asr_adapt.leftovers import beside, in_process, shortened


def killed_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def left_by(pid: int, name: str, ending: str = "tmp") -> str:
    return f".{name}.{in_process().replace(f'-{os.getpid()}-', f'-{pid}-')}ab12cd34.{ending}"


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    link = tmp_path / "latest.json"
    link.symlink_to("store/real.json")
    for text in ("one", "two"):  # first the link points nowhere yet
        with atomic_write(link) as handle:
            handle.write(text)
        assert link.is_symlink() and (tmp_path / "store" / "real.json").read_text() == text


def test_what_is_no_regular_file_is_written_as_it_is(tmp_path: Path) -> None:
    before = Path(os.devnull).stat()
    with atomic_write(os.devnull) as handle:
        handle.write("gone")
    assert Path(os.devnull).stat().st_rdev == before.st_rdev
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    with atomic_write(pipe) as handle:
        handle.write("through")
    assert reader.communicate(timeout=20)[0] == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_existing_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private.txt"
    path.write_text("old")
    path.chmod(0o600)
    with atomic_write(path) as handle:
        handle.write("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == "new"


def test_a_name_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    for name in ("n" * 251 + ".txt", "é" * 125 + ".txt"):
        with atomic_write(tmp_path / name) as handle:
            handle.write("kept")
        assert (tmp_path / name).read_text() == "kept"
    long, other = beside(tmp_path / ("n" * 255), ".partial"), beside(tmp_path / ("n" * 254 + "m"), ".partial")
    assert len(long.name) <= 255 and long != other
    assert len(os.fsencode(shortened("語" * 200, 100))) <= 100


def test_leftovers_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead = tmp_path / left_by(killed_process(), "model")
    dead.mkdir()
    (dead / "model.onnx").write_bytes(b"x")
    alive = tmp_path / left_by(os.getppid(), "model")
    alive.write_text("")
    elsewhere = tmp_path / ".model.aa00000000-1-abcd.tmp"  # from another machine
    foreign = tmp_path / ".model.tmp"
    for path in (elsewhere, foreign):
        path.write_text("")
    leftovers._swept.clear()
    with atomic_write(tmp_path / "other.txt") as handle:
        handle.write("")
    assert not dead.exists()
    assert alive.exists() and elsewhere.exists() and foreign.exists()


def test_a_folder_that_was_being_replaced_is_put_back(tmp_path: Path) -> None:
    half = tmp_path / left_by(killed_process(), "model", "old")
    (half / "model").mkdir(parents=True)
    (half / "model" / "weights").write_text("mine")
    leftovers._swept.clear()
    with atomic_write(tmp_path / "other.txt") as handle:
        handle.write("")
    assert (tmp_path / "model" / "weights").read_text() == "mine" and not half.exists()


def test_a_full_folder_is_replaced_only_on_request(tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter").write_text("years")
    with pytest.raises(FileExistsError), atomic_directory(target) as work:
        (work / "new").write_text("")
    assert (target / "chapter").read_text() == "years"
    with atomic_directory(target, replace=True) as work:
        (work / "new").write_text("")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_temporary_folders_of_killed_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / f"asr-adapt{left_by(killed_process(), 'x')[2:]}"
    dead.mkdir()
    (dead / "upload").write_bytes(b"a recording")
    leftovers._swept.clear()
    with temporary_folder() as folder:
        assert folder.parent == tmp_path and not dead.exists()
    assert not folder.exists()
