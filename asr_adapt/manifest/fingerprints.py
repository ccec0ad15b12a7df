"""What makes two rows the same for a test set: speaker, sentence, near-sentence, sound.

Knows rows as 64-bit digests, so that parts of millions of rows are compared by sorting numbers. Does not
know parts or verdicts.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr_adapt.manifest.utterance import Utterance

Digests = NDArray[np.uint64]
Rows = NDArray[np.int64]

#: Shorter transcripts differ by a word too easily to be near-duplicates of each other.
NEAR_WORDS, NEAR_CHARACTERS = 5, 10


@dataclass(frozen=True, slots=True)
class Prints:
    """Digests of one kind and the row each belongs to; a row may have none, one or several."""

    digests: Digests
    rows: Rows

    def of_rows(self, rows: Rows) -> Prints:
        """Those of the given rows."""
        kept = np.isin(self.rows, rows)
        return Prints(self.digests[kept], self.rows[kept])

    def shared_with(self, other: Prints) -> tuple[Rows, Rows]:
        """Row pairs, one for each digest that both have (the first row of either side)."""
        _, mine, theirs = np.intersect1d(self.digests, other.digests, return_indices=True)
        return self.rows[mine], other.rows[theirs]

    def rows_in(self, other: Prints) -> Rows:
        """Own rows with a digest that ``other`` has too."""
        return np.unique(self.rows[np.isin(self.digests, other.digests)])


def sentence_key(text: str) -> str:
    """A transcript reduced to its letters and digits, so that case and punctuation hide no repetition."""
    kept = "".join(c if c.isalnum() or ord(c) > 0x2FF else " " for c in text.casefold())
    return " ".join(kept.split())


def near_keys(sentence: str) -> list[str]:
    """The sentence with each one of its words left out, and whole.

    Two sentences share a key exactly when one word was inserted, deleted or replaced between them. Scripts
    without spaces are taken by character.
    """
    tokens, joint = sentence.split(), " "
    if len(tokens) == 1 and not sentence.isascii() and len(sentence) >= NEAR_CHARACTERS:
        tokens, joint = list(sentence), ""
    elif len(tokens) < NEAR_WORDS:
        return []
    return [sentence, *[joint.join(tokens[:i] + tokens[i + 1 :]) for i in range(len(tokens))]]


def fingerprint(rows: Iterable[Utterance], sounds: Digests | None = None) -> Mapping[str, Prints]:
    """Prints of all kinds: ``speaker``, ``sentence``, ``near``, ``audio``.

    ``audio`` is the same stretch and channel of the same file, and where ``sounds`` (one digest a row, 0
    unknown) is given, the same sound in any file.
    """
    kinds = {name: (array("Q"), array("q")) for name in ("speaker", "sentence", "near", "audio")}

    def add(kind: str, text: str, row: int) -> None:
        kinds[kind][0].append(digest(text))
        kinds[kind][1].append(row)

    for number, row in enumerate(rows):
        if row.speaker is not None:
            add("speaker", row.speaker, number)
        sentence = sentence_key(row.text) if row.text is not None else ""
        if sentence:
            add("sentence", sentence, number)
            for key in near_keys(sentence):
                add("near", key, number)
        add("audio", f"{row.audio_path}\0{row.offset}\0{row.get('channel')}", number)
    prints = {
        name: Prints(np.frombuffer(digests, dtype=np.uint64), np.frombuffer(numbers, dtype=np.int64))
        for name, (digests, numbers) in kinds.items()
    }
    if sounds is not None:
        heard = np.flatnonzero(sounds)
        files = prints["audio"]
        prints["audio"] = Prints(
            np.concatenate([files.digests, sounds[heard]]), np.concatenate([files.rows, heard])
        )
    return prints


def digest(text: str) -> int:
    """64 bits of a string, equal in every process; never 0."""
    raw = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little") or 1
