"""Which files of a folder are taken for sound, and how folders are searched for them.

Knows the one list of endings and what a search does with a folder that cannot be read. Does not open files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NoReturn

from asr_adapt.errors import DataError

#: Endings that are looked for in folders; a file named by itself may end in anything.
AUDIO_SUFFIXES = frozenset(
    [
        *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".wma", ".aif", ".aiff"),
        *(".aifc", ".au", ".caf", ".amr", ".wv", ".mka", ".weba", ".w64", ".sph"),
    ]
)
VIDEO_SUFFIXES = frozenset(
    [".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".mpeg", ".ts", ".3gp", ".flv", ".wmv"]
)
MEDIA_SUFFIXES = AUDIO_SUFFIXES | VIDEO_SUFFIXES


def refuse(error: OSError) -> NoReturn:
    """Raise :class:`DataError` for a folder that cannot be read."""
    raise unreadable(error) from error


def unreadable(error: OSError) -> DataError:
    """The sentence on a folder that cannot be read."""
    return DataError(
        f"this folder cannot be read ({error.strerror or error}): make it readable, or move it away.",
        path=error.filename,
    )


def files_below(
    folder: Path, suffixes: Collection[str], failed: Callable[[OSError], object] = refuse
) -> Iterator[Path]:
    """Files below ``folder`` with one of the suffixes (lower case), folder by folder in a stable order.

    Hidden files and folders are left out. A folder that cannot be read goes to ``failed``, which by default
    raises :class:`DataError`; where it does not, the search goes on.
    """
    for parent, folders, names in os.walk(folder, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith("."):  # noqa: PTH122
                yield Path(parent, name)
