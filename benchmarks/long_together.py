"""Several long recordings counted together, and ours beside faster-whisper's on the same speech.

Knows what ``bench_long.py`` measured of each recording. Does not know systems, nor how anything is heard.

Samples that are rounded to 16 bits, or not, shift the WER of a recording of 20 minutes by a point either way,
and faster-whisper draws at random where it doubts. So differences are told with intervals: the blocks that
are drawn are files, or a minute of a whole recording (ten utterances, as far as a window's text depends on
what is beside it).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import jiwer
import numpy as np
from long_audio import LongAudio
from long_systems import MANY, ROWS
from report import hardware, table

from asr_adapt.scoring import word_errors
from asr_adapt.scoring.bootstrap import speaker_blocks
from asr_adapt.scoring.paired import PairedErrors, paired_difference
from asr_adapt.text import normalise

PROFILE = "whisper-en"
#: Part of the benchmark → what the table says of it.
PARTS = {"speech": "whole", "many": "cut into twenty files each"}
#: Utterances of a whole recording that are drawn together.
BLOCK = 10


class Measured(Protocol):
    """The recordings of one seed and where the figures of a row are kept."""

    options: Any
    seed: int

    def recordings(self, part: str) -> list[LongAudio]:
        """What is heard in a part."""

    def kept(self, row: str, part: str) -> Path:
        """Where the figures of a row are kept."""


def together(benches: Sequence[Measured]) -> list[str]:
    """What was measured on the recordings of all ``benches``, counted together; lines of Markdown."""
    model = Path(benches[0].options.model).name
    lines = [
        f"## Long audio, several recordings together: {model}",
        "",
        f"`benchmarks/bench_long.py --more-seeds`: `{model}`, float32 unless said, one core; made as above. "
        f"{hardware()}.",
    ]
    for part, about in PARTS.items():
        cells = [cell for row in rows_of(part) if (cell := _cell(benches, row, part))]
        if cells:
            recordings = [one for bench in benches for one in bench.recordings(part)]
            minutes = sum(one.seconds for one in recordings) / 60
            words = sum(len(one.reference.split()) for one in recordings)
            seeds = ", ".join(str(bench.seed) for bench in benches)
            text = f"Recordings of seeds {seeds}, {about}: {minutes:.0f} min, {words} words."
            heads = ["", ">WER", ">deleted", ">inserted", ">CPU s"]
            lines += ["", text, "", *table(heads, cells), *compared(benches, part)]
    return lines


def rows_of(part: str) -> tuple[str, ...]:
    """The rows that are measured in a part."""
    return tuple(ROWS) if part == "speech" else MANY


def compared(benches: Sequence[Measured], part: str) -> list[str]:
    """WER of ours minus faster-whisper's at the same type and beam, block by block; lines of Markdown."""
    lines = []
    for ours in (row for row in rows_of(part) if row.startswith("ours, CTranslate2")):
        theirs = f"faster-whisper{ours.removeprefix('ours, CTranslate2')}, VAD"
        if _there(benches, ours, part) and _there(benches, theirs, part):
            a, b = (block_errors(benches, row, part) for row in (theirs, ours))
            pairs = PairedErrors(a[:, 0], a[:, 1], b[:, 0], b[:, 1])
            found = paired_difference(pairs, speaker_blocks(None, len(a)))
            span = f"{100 * found.interval.low:+.1f} to {100 * found.interval.high:+.1f}"
            lines.append(f"- {ours}: {100 * found.delta:+.1f} points ({span}).")
    if not lines:
        return []
    return ["", "WER of ours minus faster-whisper's, paired, with the 95 % interval:", "", *lines]


def block_errors(benches: Iterable[Measured], row: str, part: str) -> np.ndarray:
    """Errors and words of each block, of shape (blocks, 2)."""
    found = []
    for bench in benches:
        for recording, text in zip(bench.recordings(part), _texts(bench, row, part), strict=True):
            own = utterance_errors(recording.texts, text)
            size = BLOCK if part == "speech" else len(own)
            found += [own[start : start + size].sum(axis=0) for start in range(0, len(own), size)]
    return np.array(found)


def utterance_errors(said: Sequence[str], heard: str) -> np.ndarray:
    """Word errors and words of each utterance of a recording, of shape (utterances, 2).

    What was inserted counts to the utterance that follows it, or to the last.
    """
    words = [normalise(text, PROFILE).split() for text in said]
    owner = [number for number, own in enumerate(words) for _ in own]
    found = np.zeros((len(said), 2), dtype=np.int64)
    np.add.at(found[:, 1], owner, 1)
    reference = " ".join(word for own in words for word in own)
    for chunk in jiwer.process_words([reference], [normalise(heard, PROFILE)]).alignments[0]:
        if chunk.type == "insert":
            place = owner[min(chunk.ref_start_idx, len(owner) - 1)]
            found[place, 0] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            np.add.at(found[:, 0], owner[chunk.ref_start_idx : chunk.ref_end_idx], 1)
    return found


def _cell(benches: Sequence[Measured], row: str, part: str) -> tuple[str, ...] | None:
    if not _there(benches, row, part):
        return None
    references = [one.reference for bench in benches for one in bench.recordings(part)]
    texts = [text for bench in benches for text in _texts(bench, row, part)]
    errors = word_errors(references, texts, PROFILE)
    seconds = sum(_figures(bench, row, part)["seconds"] for bench in benches)
    return (row, f"{errors.wer:.1%}", str(errors.deletions), str(errors.insertions), f"{seconds:.0f}")


def _there(benches: Iterable[Measured], row: str, part: str) -> bool:
    return all(bench.kept(row, part).is_file() for bench in benches)


def _texts(bench: Measured, row: str, part: str) -> list[str]:
    return list(_figures(bench, row, part)["texts"])


def _figures(bench: Measured, row: str, part: str) -> dict[str, Any]:
    return dict(json.loads(bench.kept(row, part).read_text(encoding="utf-8")))
