"""Models in the user's cache folder: one folder each, with a marker that says where it came from.

Knows the layout of the cache, its locks, and what may be removed. Does not know how a model is made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from asr_adapt.errors import UsageError
from asr_adapt.files import atomic_directory, cache_folder, write_json
from asr_adapt.leftovers import beside
from asr_adapt.locks import in_turn

#: In every folder that we made; nothing without it is ever removed.
MARKER = "asr-adapt-model.json"
_IMPORTED = "imported"


@dataclass(frozen=True)
class ModelOrigin:
    """The name of a cached model, and where it came from, in words."""

    name: str
    source: str


@dataclass(frozen=True)
class Cached:
    """A model in the cache."""

    origin: ModelOrigin
    folder: Path

    @property
    def megabytes(self) -> float:
        """Size on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e6


def models_folder() -> Path:
    """Where fetched and converted models lie."""
    return cache_folder() / "models"


def place_of(name: str) -> Path:
    """The folder of a fetched model; it need not exist."""
    return models_folder() / name


def place_of_import(stem: str, key: str) -> Path:
    """The folder of a model converted from a file of the user's, known by ``key``."""
    return models_folder() / _IMPORTED / f"{stem}-{key}"


def is_whole(folder: Path) -> bool:
    """Whether a model of ours lies there; folders are renamed into place whole."""
    return (folder / MARKER).is_file()


@contextmanager
def making(folder: Path, origin: ModelOrigin) -> Iterator[Path | None]:
    """Yield a temporary folder that becomes ``folder``, or None where another process has made it meanwhile.

    Two processes that want the same model wait for each other; the second finds it whole.
    """
    with in_turn(beside(folder, ".lock")):
        if is_whole(folder):
            yield None
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} was not made by asr-adapt and is in the way: move it elsewhere.")
        with atomic_directory(folder) as work:
            yield work
            write_json(work / MARKER, asdict(origin))


def cached_models() -> list[Cached]:
    """All models in the cache, fetched ones first."""
    root = models_folder()
    found = []
    for marker in [*sorted(root.glob(f"*/{MARKER}")), *sorted(root.glob(f"{_IMPORTED}/*/{MARKER}"))]:
        try:
            tree = json.loads(marker.read_text(encoding="utf-8"))
            origin = ModelOrigin(marker.parent.name, str(tree["source"]))
        except (OSError, ValueError, KeyError, TypeError):
            origin = ModelOrigin(marker.parent.name, "unknown: its marker cannot be read")
        found.append(Cached(origin, marker.parent))
    return found


def remove(name: str) -> Path:
    """Delete the cached model ``name``, return where it was; raises :class:`UsageError` for another."""
    found = [model for model in cached_models() if model.origin.name == name]
    if not found:
        known = ", ".join(model.origin.name for model in cached_models()) or "none"
        raise UsageError(f"no model {name!r} is in the cache of asr-adapt: it holds {known}.")
    folder = found[0].folder
    with in_turn(beside(folder, ".lock")):
        (folder / MARKER).unlink(missing_ok=True)  # so that no one loads what is half gone
        if folder.is_dir():
            shutil.rmtree(folder)
    return folder
