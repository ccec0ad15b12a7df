"""What an n-gram model and hotwords are worth on real speech: speechocean762 test.

The language model reads the transcripts of training speakers only, without those of the tuning speakers; its
weights are tuned on mild and heavy train speakers (the set that also chooses models). Hotwords are the words
of the test part that the language model's text lacks: what a user with a list of names would give.

    python benchmarks/bench_lm.py --data ../shared/data [--model nano-en] [--rows 400] --write
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from accent_corpora import DEV_HEAVY, DEV_MILD, prepare_speechocean
from report import add_write, hardware, publish, table

from asr_adapt import Decoding, evaluate
from asr_adapt.decoding.hotwords import parse_hotwords
from asr_adapt.manifest import Manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.models import load_recogniser
from asr_adapt.scoring import score
from asr_adapt.text import normalise
from asr_adapt.transcription.decoding.beam import BeamOptions
from asr_adapt.transcription.decoding.fusion import with_decoding
from asr_adapt.transcription.decoding.ngram_build import build_ngram
from asr_adapt.transcription.decoding.tuning_run import tune_on_manifest


def evenly(manifest: Manifest, rows: int) -> Manifest:
    """At most ``rows`` rows, evenly spread."""
    return manifest.select(np.unique(np.linspace(0, len(manifest) - 1, min(rows, len(manifest))).astype(int)))


def training_text(data: Path) -> list[list[str]]:
    """Sentences of the train speakers that tune nothing."""
    rows = open_build(data / "speechocean762" / "train", BuildOptions()).rows()
    return [normalise(row.text or "").split() for row in rows if row.speaker not in (*DEV_HEAVY, *DEV_MILD)]


def measure(options: argparse.Namespace, folder: Path) -> str:
    """The table: the same test rows, four ways."""
    parts = prepare_speechocean(options.data, folder)
    sentences = training_text(options.data)
    arpa = folder / "lm.arpa"
    build_ngram(sentences, 3).write(arpa)
    base = load_recogniser(options.model)
    dev = Manifest.open([parts["mild_dev"], parts["heavy_dev"]])
    tuned, tuning_rows = tune_on_manifest(dev, arpa, model=base, rows=options.tuning_rows)
    test = evenly(Manifest.open(parts["test"]), options.rows)
    known = {word for sentence in sentences for word in sentence}
    unseen = {word for row in test for word in normalise(row.text or "").split()} - known
    hotwords = parse_hotwords(sorted(unseen))  # the default boost: nothing is tuned on test
    ways = {
        "greedy": base,
        "beam": with_decoding(base, Decoding(), BeamOptions(bonus=0.0)),
        "beam + 3-gram": with_decoding(base, Decoding(language_model=arpa), tuned.options),
        f"beam + 3-gram + {len(hotwords)} hotwords": with_decoding(
            base, Decoding(language_model=arpa, hotwords=hotwords), tuned.options
        ),
    }
    lines = [
        "## Language model and hotwords",
        "",
        f"`benchmarks/bench_lm.py`; {hardware()}.",
        f"`{options.model}`, {len(test)} rows of speechocean762 test, "
        f"{len({row.speaker for row in test})} speakers. "
        f"3-gram of {len(sentences)} train sentences; weights tuned on {tuning_rows} rows of other train "
        f"speakers (weight {tuned.options.weight:g}, bonus {tuned.options.bonus:g}, unknown "
        f"{tuned.options.unknown:g}).",
        "",
    ]
    rows = []
    for name, recogniser in ways.items():
        found = evaluate(test, model=recogniser)
        result = score(found.rows)
        low, high = 100 * result.interval.low, 100 * result.interval.high
        speed = f"{found.real_time_factor:.0f}"
        rows.append([name, f"{result.wer:.1%}", f"{low:.1f}–{high:.1f}", f"{result.cer:.1%}", speed])
    return "\n".join([*lines, *table(["decoding", ">WER", "95 %", ">CER", ">RTFx"], rows)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--rows", type=int, default=400, help="test rows, evenly spread")
    parser.add_argument("--tuning-rows", type=int, default=150)
    add_write(parser, "lm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = measure(options, Path(folder))
    publish(text, "lm", options.write)


if __name__ == "__main__":
    main()
