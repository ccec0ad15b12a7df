"""One predictions file under every normalisation profile, by a field: what a profile calls an error.

asr-adapt evaluate alnum/manifest.jsonl --model whisper-tiny.en -o alnum.jsonl
python benchmarks/bench_profiles.py alnum.jsonl --by kind
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from asr_adapt.scoring import count_errors, read_predictions
from asr_adapt.scoring.score import group_rows
from asr_adapt.text import PROFILES


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("predictions", help="rows with text and pred_text")
    parser.add_argument("--by", default="kind", help="field whose values are columns")
    options = parser.parse_args(arguments)
    predictions = read_predictions(options.predictions)
    groups = group_rows(predictions, [options.by])[options.by]
    print(f"| profile | {' | '.join(groups)} |")
    print(f"|---|{'--:|' * len(groups)}")
    for name in PROFILES:
        table = count_errors(predictions.references, predictions.hypotheses, name)
        cells = [f"{table.total(rows).wer:.1%}".replace("%", " %") for rows in groups.values()]
        print(f"| `{name}` | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
