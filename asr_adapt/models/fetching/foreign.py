"""A model file of another runtime given as ``--model``: converted once, into the cache.

Knows by what a file is recognised again. Does not know formats.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.files import atomic_directory
from asr_adapt.locks import alone
from asr_adapt.models.fetching.locate import vocabulary_for
from asr_adapt.models.importing import KINDS, WhisperCheckpoint, foreign_kind, read_foreign, write_whisper
from asr_adapt.pretrained import store
from asr_adapt.pretrained.progress import tell

#: Raised when what is written for the same file changes, so that old conversions are not used.
_EDITION = 1


def converted(path: Path) -> Path:
    """The transformers directory of the foreign model at ``path``, made in the cache where it is not yet.

    Nothing is written beside the user's file. The file is known again by its path, size and time. Raises
    :class:`~asr_adapt.errors.ModelError` for a damaged file.
    """
    folder = store.place_of_import(_stem(path), files_key(path))
    if store.is_whole(folder):
        return folder
    with store.making(folder, store.ModelOrigin(folder.name, str(path.resolve()))) as work:
        if work is not None:
            tell(f"Converting {path} from {KINDS[foreign_kind(path) or '']} format, once.")
            write_whisper(read_foreign(path, vocabulary_for), work)
    return folder


def import_model(source: Path, target: Path) -> WhisperCheckpoint:
    """Convert the foreign model ``source`` into the new folder ``target``.

    Raises :class:`~asr_adapt.errors.UsageError` where ``target`` holds something already.
    """
    require_folder(target, "models import", [source], option="DIR", instead="remove it")
    with alone(target):
        checkpoint = read_foreign(source, vocabulary_for)
        with atomic_directory(target) as work:
            write_whisper(checkpoint, work)
            mark_folder(work, "models import")
    return checkpoint


def _stem(path: Path) -> str:
    name = path.resolve().name
    return re.sub(r"[^\w.-]+", "-", name.removesuffix(path.suffix) if path.is_file() else name) or "model"


def files_key(path: Path) -> str:
    """What a file or folder is known by: where it lies, and the sizes and times of its files."""
    files = [path] if path.is_file() else sorted(entry for entry in path.iterdir() if entry.is_file())
    parts = [str(path.resolve()), str(_EDITION)]
    for file in files:
        status = file.stat()
        parts.append(f"{file.name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:12]
