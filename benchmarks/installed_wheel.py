"""The wheel of this repository, built and installed in a new environment outside it.

Knows pip and venv. Does not know what is done there. Dependencies are those of the environment that calls.
"""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "asr_adapt")


def build(folder: Path) -> Path:
    """The wheel in the new ``folder``; built from a copy, so that no earlier build interferes."""
    folder.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    _pip("wheel", "--no-build-isolation", "--no-index", "--no-deps", "-w", "dist", ".", where=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, *more: str) -> Path:
    """The programs of a new virtual environment at ``folder`` with ``wheel`` and the packages ``more``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    _install(python, "--no-index", str(wheel))
    if more:
        _install(python, *more)
    return python.parent


def _install(python: Path, *what: str) -> None:
    _pip("--python", str(python), "install", "--no-deps", "--ignore-installed", *what)


def _pip(*arguments: str, where: Path | None = None) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", *arguments], cwd=where, check=True)
