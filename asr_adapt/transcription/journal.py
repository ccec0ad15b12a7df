"""What has been heard of an unfinished long file, kept so that a killed run goes on where it was.

Knows one JSON-lines file a source: a key that must match, then a line for each finished piece. Does not know
how pieces are cut; a piece is recognised again by its first and last sample, which are the same on each run
with the same key.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr_adapt.decoding import Decoding
from asr_adapt.models import Decoded, Hypothesis, Phrase, Recogniser, Word, bundled_models
from asr_adapt.transcription.sources import Source

Span = tuple[int, int]


class Journal:
    """Finished pieces of one source, by (first sample, sample behind the last)."""

    def __init__(self, path: Path, key: dict[str, Any]) -> None:
        self.path = path
        self._key = key
        self.heard: dict[Span, Hypothesis] = _read(path, key)
        self._kept: set[Span] = set(self.heard)

    def append(self, pieces: dict[Span, Hypothesis]) -> None:
        """Add pieces that are not in the file yet, in one write; a torn last line is harmless."""
        new = {span: hypothesis for span, hypothesis in pieces.items() if span not in self._kept}
        if not new:
            return
        fresh = not self._kept
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w" if fresh else "a", encoding="utf-8") as handle:
            lines = [self._key] if fresh else []
            lines += [{"span": span, **asdict(hypothesis)} for span, hypothesis in new.items()]
            front = "" if fresh else "\n"  # ends a line that a kill tore
            handle.write(front + "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        self._kept |= new.keys()

    def remove(self) -> None:
        """Forget the file; the transcript is complete."""
        self.path.unlink(missing_ok=True)


def journal_key(source: Source, recogniser: Recogniser, options: Decoding) -> dict[str, Any]:
    """Whatever changes the pieces or their texts: the file, the recogniser, the options that cut."""
    assert source.path is not None
    status = source.path.stat()
    return {
        "file": [str(source.path.absolute()), status.st_size, status.st_mtime_ns],
        "segment": [source.offset, source.duration, source.channel],
        **recogniser_key(recogniser),
        "options": options.key(),
    }


def recogniser_key(recogniser: Recogniser) -> dict[str, Any]:
    """Whatever of a recogniser changes its texts: the model's files, how it decodes, and in which type."""
    return {
        "model": recogniser.name,
        "files": _model_files(recogniser.name),
        "decoding": recogniser.description,
        "dtype": str(recogniser.dtype),
    }


def _model_files(name: str) -> list[list[Any]]:
    """Name, size and time of a model's files; none for a name or hub id, whose revision is its cache's."""
    place = bundled_models().get(name, Path(name))
    if not place.exists():
        return []
    entries = [place] if place.is_file() else sorted(place.iterdir())
    files = [(path.name, path.stat()) for path in entries if path.is_file()]
    return [[name, status.st_size, status.st_mtime_ns] for name, status in files]


def whole_lines(path: Path) -> list[Any]:
    """The JSON values of a journal's lines; none where there is no such file, and none of a torn line."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:  # an empty line, or the one that was being written when the run was killed
            continue
    return rows


def _read(path: Path, key: dict[str, Any]) -> dict[Span, Hypothesis]:
    """The pieces in a journal with this key; none when it is absent or was written for another key."""
    rows = whole_lines(path)
    if not rows or rows[0] != json.loads(json.dumps(key)):
        return {}
    heard = {}
    for row in rows[1:]:
        if not isinstance(row, dict) or "span" not in row:  # the beginning of another run at the same time
            continue
        phrases = tuple(_phrase(phrase) for phrase in row["phrases"])
        looped, unclear = row.get("looped", False), row.get("unclear", 0.0)
        found = Hypothesis(row["text"], _words(row), row["confidence"], looped, phrases, unclear)
        heard[(row["span"][0], row["span"][1])] = found
    return heard


def _words(row: dict[str, Any]) -> tuple[Word, ...]:
    return tuple(Word(**word) for word in row["words"])


def _phrase(row: dict[str, Any]) -> Phrase:
    decoded, tokens = Decoded(**row["decoded"]), tuple(row["tokens"])
    return Phrase(**{**row, "words": _words(row), "tokens": tokens, "decoded": decoded})
