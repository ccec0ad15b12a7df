"""Measurements kept between runs, by the identity of the file: path, size, time of change, segment.

Knows SQLite. Does not know what is measured. A file that changes is measured again; a check that was killed
continues where it stopped.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from asr_adapt.audio.health import HEALTH_VERSION, AudioHealth
from asr_adapt.files import cache_folder
from asr_adapt.manifest.utterance import Utterance

Entry = tuple[str, str]


def default_cache_path() -> Path:
    """``$XDG_CACHE_HOME/asr-adapt/audio-health.sqlite``."""
    return cache_folder() / "audio-health.sqlite"


def file_key(row: Utterance) -> str | None:
    """Names one segment of one state of one file; None for audio that has no plain file."""
    try:
        path = row.audio_path
        status = path.stat()
        place = os.path.realpath(path)
    except (OSError, ValueError):
        return None
    segment = f"{row.offset}:{row.duration}:{row.get('channel')}"
    return f"{HEALTH_VERSION}:{place}:{status.st_size}:{status.st_mtime_ns}:{segment}"


class HealthCache:
    """One SQLite file, read by every worker and written by the parent alone.

    A file that cannot be opened, read or written is said once through ``tell`` and left as it is: then
    everything is measured and nothing kept.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] = lambda _: None) -> None:
        self.path, self._tell = path, tell
        self._database: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS health (key TEXT PRIMARY KEY, value TEXT)")
        except (sqlite3.Error, OSError) as error:
            self._do_without(error)

    def get(self, key: str) -> AudioHealth | None:
        """A kept measurement; None for one that is not there or cannot be read."""
        if self._database is None:
            return None
        try:
            found = self._database.execute("SELECT value FROM health WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            self._do_without(error)
            return None
        return None if found is None else _health(found[0])

    def put(self, entries: Iterable[Entry]) -> None:
        """Keep measurements, all or none."""
        if self._database is None:
            return
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO health VALUES (?, ?)", entries)
        except sqlite3.Error as error:
            self._do_without(error)

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _do_without(self, error: Exception) -> None:
        with suppress(sqlite3.Error):
            self.close()
        self._tell(
            f"{self.path}: measurements cannot be cached ({error}); the check continues without a "
            "cache: delete "
            "the file, make room, or name another with --cache."
        )


def _health(text: str) -> AudioHealth | None:
    try:
        values: dict[str, Any] = json.loads(text)
        return AudioHealth.from_json(values)
    except (ValueError, TypeError, AttributeError):
        return None


def entry(key: str, health: AudioHealth) -> Entry:
    """What :meth:`HealthCache.put` takes."""
    return key, json.dumps(health.to_json())
