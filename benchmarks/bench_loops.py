"""Real loops of real models: what they cost, and what is best done about a row that loops.

    python benchmarks/bench_loops.py --models whisper-tiny.en whisper-base --manifests heavy.jsonl \\
        --noise SOUNDS

Every row is decoded greedily as transformers does, and guarded as the project does. Rows that loop are also
cut, tried at OpenAI's fallback temperatures, and searched by beam, each from the same encoder output.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path

import torch
from bench_silence import noise_manifest
from report import add_write, hardware, publish, table

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest
from asr_adapt.models import Search, load_recogniser
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.search.checks import REPEATS, STRICTER, attempt_with, cut
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken
from asr_adapt.scoring import Counts, word_errors

PROFILE = "whisper-en"
BATCH = 8
#: What may be done about a row that loops: the rows with their rules and first attempts → what is said.
Remedy = Callable[[WhisperRecogniser, EncoderOutput, Rules, list[Spoken]], list[Spoken]]


@dataclass(frozen=True)
class Row:
    """One row: what was said, heard greedily, heard guarded, and by each remedy where it looped."""

    text: str
    plain: str
    guarded: str
    remedies: dict[str, str]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, and with ``--write`` publish, both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["whisper-tiny.en"])
    parser.add_argument("--manifests", nargs="*", default=[], help="speech with transcripts")
    parser.add_argument("--noise", type=Path, help="folder of sounds in which nobody speaks")
    parser.add_argument("--rows", type=int, help="at most so many rows of each manifest, evenly spread")
    parser.add_argument("--language", default="en")
    add_write(parser, "loops")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        sets = {Path(path).stem: Manifest.open(path) for path in options.manifests}
        if options.noise is not None:
            sets["noise"] = Manifest.open(noise_manifest(options.noise, Path(folder)))
        found = list(measured(options.models, sets, options.rows, options.language))
    publish("\n".join([guard_table(found), "", remedy_table(found), "", hardware()]), "loops", options.write)


def measured(
    models: Sequence[str], sets: dict[str, Manifest], rows: int | None, language: str
) -> Iterator[tuple[str, str, list[Row]]]:
    """Model, set and rows."""
    for model in models:
        recogniser = load_recogniser(model, device="cpu", compute_type="float32")
        assert isinstance(recogniser, WhisperRecogniser), "Whisper only"
        recogniser.model.eval()
        own = language if recogniser.tokens.multilingual else None
        for name, manifest in sets.items():
            step = max(1, len(manifest) // rows) if rows else 1
            chosen = list(manifest)[::step][:rows]
            batches = (chosen[i : i + BATCH] for i in range(0, len(chosen), BATCH))
            yield model, name, [row for batch in batches for row in heard_rows(recogniser, batch, own)]


@torch.inference_mode()
def heard_rows(recogniser: WhisperRecogniser, batch: Sequence, language: str | None) -> list[Row]:
    """Each row in every way."""
    decoding = recogniser.decoding
    waves = [read_audio(row.audio_path, offset=row.offset, duration=row.duration) for row in batch]
    seconds = [len(wave) / recogniser.sample_rate for wave in waves]
    hidden = recogniser.heard(waves)
    heard = decoding.begun(hidden, language, "transcribe", seconds)
    rules = decoding.rules(heard.given.shape[1])
    recogniser.set_search(Search(hallucination_checks=False))
    plain = decoding(hidden, language, "transcribe", seconds)
    recogniser.set_search(Search())
    guarded = decoding(hidden, language, "transcribe", seconds)
    first = attempt_with(decoding.network, heard, replace(rules, repeats=REPEATS), Search(), 0.0)
    looped = [place for place, said in enumerate(first) if said.looped]
    others: dict[int, dict[str, str]] = defaultdict(dict)
    for name, remedy in REMEDIES.items() if looped else ():
        tried = remedy(recogniser, heard.rows(looped), rules, [first[place] for place in looped])
        for place, said in zip(looped, tried, strict=True):
            others[place][name] = written(recogniser, said)
    return [
        Row(row.text or "", written(recogniser, one), written(recogniser, two), others.get(place, {}))
        for place, (row, one, two) in enumerate(zip(batch, plain, guarded, strict=True))
    ]


def written(recogniser: WhisperRecogniser, said: Spoken) -> str:
    """Tokens as text."""
    return recogniser.processor.tokenizer.decode(said.ids, skip_special_tokens=True).strip()


def _cut(ours: WhisperRecogniser, heard: EncoderOutput, rules: Rules, first: list[Spoken]) -> list[Spoken]:
    return [cut(said) for said in first]


def _warmer(ours: WhisperRecogniser, heard: EncoderOutput, rules: Rules, first: list[Spoken]) -> list[Spoken]:
    """The first temperature at which a row does not loop, else cut."""
    found: list[Spoken | None] = [None] * len(first)
    for temperature in Search().temperatures[1:]:
        tried = attempt_with(ours.network, heard, replace(rules, repeats=REPEATS), Search(), temperature)
        found = [
            before if before is not None or said.looped else said
            for before, said in zip(found, tried, strict=True)
        ]
    return [said or cut(before) for said, before in zip(found, first, strict=True)]


def _beam(beams: int, strict: bool) -> Remedy:
    def remedy(
        ours: WhisperRecogniser, heard: EncoderOutput, rules: Rules, first: list[Spoken]
    ) -> list[Spoken]:
        judged = replace(rules, repeats=STRICTER if strict else REPEATS)
        tried = attempt_with(ours.network, heard, judged, Search(beams=beams), 0.0)
        return [cut(before) if said.looped else said for before, said in zip(first, tried, strict=True)]

    return remedy


REMEDIES: dict[str, Remedy] = {
    "cut behind the first repetition": _cut,
    "temperatures 0.2 to 1.0": _warmer,
    "beam 2": _beam(2, strict=False),
    "beam 5": _beam(5, strict=False),
    "beam 5, stricter (the guard's)": _beam(5, strict=True),
}


def guard_table(found: Sequence[tuple[str, str, list[Row]]]) -> str:
    """WER, or words in noise, without and with the guard."""
    rows = []
    for model, name, heard in found:
        changed = sum(row.plain != row.guarded for row in heard)
        looped = sum(bool(row.remedies) for row in heard)
        figures = [_figure(counted(heard, attrgetter(way))) for way in ("plain", "guarded")]
        rows.append([Path(model).name, name, str(len(heard)), str(looped), *figures, str(changed)])
    heads = ["model", "rows of", "rows", "looped", "unguarded", "guarded", "rows changed"]
    return "\n".join(table(heads, rows))


def _remedied(name: str, row: Row) -> str:
    return row.remedies.get(name, row.plain)


def remedy_table(found: Sequence[tuple[str, str, list[Row]]]) -> str:
    """Errors of the rows that loop, by what is done about them."""
    pools: dict[bool, list[Row]] = defaultdict(list)
    for _, _, heard in found:
        for row in heard:
            if row.remedies:
                pools[bool(row.text)].append(row)
    rows = []
    for name in ("unguarded", *REMEDIES):
        cells = [name]
        for speech in (True, False):
            counts = counted(pools[speech], partial(_remedied, name))
            cells += [str(counts.errors), str(counts.hits)] if speech else [str(counts.insertions)]
        rows.append(cells)
    words = counted(pools[True], lambda row: row.plain).words
    heads = [
        "looped rows",
        f"errors on {words} words of {len(pools[True])} rows",
        "words right",
        f"words in {len(pools[False])} rows of noise",
    ]
    return "\n".join(table(heads, rows))


def counted(rows: Sequence[Row], text: Callable[[Row], str]) -> Counts:
    """Word errors of one way of hearing."""
    return word_errors([row.text for row in rows], [text(row) for row in rows], PROFILE)


def _figure(counts: Counts) -> str:
    if counts.words:
        return f"{counts.wer:.1%} WER, {counts.insertions} inserted"
    return f"{counts.insertions} words"


if __name__ == "__main__":
    main()
