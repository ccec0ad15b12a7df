"""Measurements kept between runs, by the identity of the file: path, size, time of change, segment.

Knows SQLite. Does not know what is measured. A file that changes is measured again; a check that was killed
continues where it stopped.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asr_adapt.audio.health import HEALTH_VERSION, AudioHealth
from asr_adapt.errors import DataError
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
    """One SQLite file, read by every worker and written by the parent alone."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("CREATE TABLE IF NOT EXISTS health (key TEXT PRIMARY KEY, value TEXT)")
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"the check cache cannot be used ({error}); say --no-cache.", path=path
            ) from error

    def get(self, key: str) -> AudioHealth | None:
        """A kept measurement."""
        found = self._database.execute("SELECT value FROM health WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        values: dict[str, Any] = json.loads(found[0])
        return AudioHealth.from_json(values)

    def put(self, entries: Iterable[Entry]) -> None:
        """Keep measurements, all or none."""
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO health VALUES (?, ?)", entries)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def entry(key: str, health: AudioHealth) -> Entry:
    """What :meth:`HealthCache.put` takes."""
    return key, json.dumps(health.to_json())
