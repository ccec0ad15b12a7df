"""Names, numbers and addresses of alnum right as a whole: before and after adaptation, from kept predictions.

    python benchmarks/bench_real.py --only 'tiny.en alnum' --output runs/real
    python benchmarks/bench_spans.py --results runs/real --write

What ``bench_real.py`` wrote of the unseen speakers is scored by ``score --spans kind``: each row of alnum
is one name, number or address. Nothing is transcribed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from report import add_write, publish, table

from asr_adapt.scoring import score
from asr_adapt.scoring.percentages import bounds, percent

MODEL = "whisper-tiny.en_alnum"
PROFILE = "alnum-en"
#: What a line is called → its predictions in the folder of results.
PREDICTIONS = {
    "before": f"{MODEL}/predictions/target.before.jsonl",
    "after, all that was learnt": f"{MODEL}/predictions/target.after.jsonl",
    "after, within the guard's budget": f"{MODEL}_blended/target.jsonl",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Score, print, with ``--write`` publish."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="what bench_real.py was given as --output"
    )
    add_write(parser, "spans")
    options = parser.parse_args(arguments)
    rows = []
    for name, place in PREDICTIONS.items():
        found = score(options.results / "models" / place, normalise=PROFILE, spans=["kind"])
        assert found.spans is not None
        for kind, own in found.spans.kinds.items():
            right = own.to_json()["interval"]
            span = bounds(right["low"], right["high"], decimals=0, between="–", unit="%")
            cells = (percent(own.accuracy, decimals=0), span, str(own.spans))
            rows.append((kind, name, *cells, percent(own.wer, decimals=1), str(own.words)))
    rows.sort(key=lambda row: row[0])
    heads = ("kind", "whisper-tiny.en", ">right as a whole", ">95 %", ">of", ">WER inside", ">words")
    lines = [
        "## Names, numbers and addresses",
        "",
        "`benchmarks/bench_spans.py`: the predictions of `bench_real.py` for alnum (Indian accents, 14",
        "unseen speakers), scored by `score --spans kind`; intervals over speakers.",
        "",
        *table(heads, rows),
    ]
    publish("\n".join(lines), "spans", options.write)


if __name__ == "__main__":
    main()
