"""Predictions kept from run to run: equal weights, equal decoding, equal rows are transcribed once.

Knows a folder of small JSON files, each what one run added, and what makes a prediction that of another run.
Does not know how rows are transcribed. What lies there may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from asr_adapt.decoding import Decoding
from asr_adapt.files import atomic_write, cache_folder
from asr_adapt.manifest import Manifest, Utterance, sound_print
from asr_adapt.models import Recogniser, settings_fingerprint
from asr_adapt.transcription.row_languages import language_of_row

logger = logging.getLogger(__name__)

#: Files that are kept; the least recently used go first.
MOST_FILES = 500


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/asr-adapt/predictions``."""
    return cache_folder() / "predictions"


class KeptPredictions:
    """What ``recogniser``, whose weights have the fingerprint ``weights``, wrote under ``options`` before."""

    def __init__(self, recogniser: Recogniser, options: Decoding, weights: str) -> None:
        self.folder = default_folder()
        self._language = partial(language_of_row, recogniser, options.language)
        parts = {
            "weights": weights,
            "settings": settings_fingerprint(recogniser),
            "decoding": [recogniser.description, repr(recogniser.search)],
            "computed": [str(recogniser.dtype), recogniser.device.type],
            "options": options.key(),
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:24]

    def of(self, rows: Manifest) -> dict[int, Any]:
        """Predictions by row number, as far as they are known; an unreadable file is said, and left out."""
        found: dict[str, Any] = {}
        for path in sorted(self.folder.glob(f"{self.key}-*.json")):
            try:
                found.update(_read(path))
            except (OSError, ValueError) as error:
                text = (
                    "%s: predictions of an earlier run cannot be read (%s); these rows will be "
                    "transcribed again."
                )
                logger.warning(text, path, error)
        if not found:
            return {}
        prints = {number: self._print(row) for number, row in enumerate(rows)}
        known = {number: found[name] for number, name in prints.items() if name in found}
        if known:
            text = "%d of %d rows: transcripts of an earlier run are reused (--fresh disables this)"
            logger.info(text, len(known), len(rows))
        return known

    def add(self, rows: Manifest, found: Mapping[int, Any]) -> None:
        """Keep predictions by row number; a folder that cannot be written is said, and none is kept."""
        if not found:
            return
        prints = {self._print(rows[number]): value for number, value in found.items()}
        name = hashlib.sha256("\n".join(sorted(prints)).encode()).hexdigest()[:16]
        try:
            with atomic_write(self.folder / f"{self.key}-{name}.json") as handle:
                json.dump(prints, handle, ensure_ascii=False, sort_keys=True)
            self._prune()
        except OSError as error:
            logger.warning("%s: predictions cannot be saved for the next run (%s).", self.folder, error)

    def _print(self, row: Utterance) -> str:
        """What a row's prediction is kept under: its sound, as its file is now, and the row's language."""
        return hashlib.sha256(f"{sound_print(row)} {self._language(row)}".encode()).hexdigest()[:32]

    def _prune(self) -> None:
        files = sorted(self.folder.glob("*-*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[MOST_FILES:]:
            path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """What one file holds; raises OSError, or ValueError where that is no set of predictions."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError("no JSON object")
    for value in values.values():
        if not isinstance(value, dict) or not isinstance(value.get("pred_text"), str):
            raise ValueError("an entry without pred_text")
    with suppress(OSError):
        path.touch()  # its place in the order of leaving
    return values
