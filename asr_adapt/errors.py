"""The project's own errors and their exit status.

Knows which exit status each kind of failure has and how a sentence names a file, line and field.
Does not know what any of the rooms does; every room raises these and only the command line prints them.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INVALID = 3
EXIT_NOT_COMPARABLE = 4


def writable(name: str) -> str:
    """A file's name as any output can hold it: bytes that are no UTF-8 become ``\\xe9`` and so on."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character, which only Windows lets a name hold
        raw = name.encode("utf-8", "surrogatepass")
    return raw.decode("utf-8", "backslashreplace")


def shown(name: str) -> str:
    """A name as it may be printed: control characters escaped too, so that none moves the cursor."""
    name = writable(name)
    return name if name.isprintable() else "".join(map(_shown_character, name))


def _shown_character(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Zl", "Zp")
    return character.encode("unicode_escape").decode("ascii") if hidden else character


class AsrAdaptError(Exception):
    """Base of every error a user can cause; ``str(error)`` is one sentence with the fix."""

    exit_status = EXIT_FAILED


class UsageError(AsrAdaptError):
    """The call itself is wrong: an option, a name, a missing extra (exit status 2)."""

    exit_status = EXIT_USAGE


class DataError(AsrAdaptError):
    """Invalid data: audio, manifest row, table (exit status 3).

    ``path``, ``line`` (1-based) and ``field`` are put in front of the message as ``path:line: field: …``
    and stay readable as attributes.
    """

    exit_status = EXIT_INVALID

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
    ) -> None:
        self.message = message
        self.path = None if path is None else str(path)
        self.line = line
        self.field = field
        super().__init__(_located(message, self.path, line, field))


class RecipeError(DataError):
    """A recipe that cannot be carried out as written (exit status 3)."""


class ModelError(DataError):
    """A model that cannot be found, loaded or used for what was asked (exit status 3)."""


class NotComparableError(AsrAdaptError):
    """Two runs whose scores must not be compared (exit status 4)."""

    exit_status = EXIT_NOT_COMPARABLE


class MissingExtraError(UsageError):
    """An optional dependency is absent; the sentence carries the install command."""

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs an optional package: run pip install 'asr-adapt[{extra}]'.")


def _located(message: str, path: str | None, line: int | None, field: str | None) -> str:
    name = "" if path is None else shown(path)
    place = "" if path is None else f"{name}:{line}: " if line is not None else f"{name}: "
    return f"{place}{field}: {message}" if field else f"{place}{message}"
