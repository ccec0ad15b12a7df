"""How well a base's own transcripts give capitals and punctuation back to text that has lost them.

python benchmarks/bench_labels.py kathleen/manifest.jsonl --model whisper-tiny.en --rows 100
python benchmarks/bench_labels.py predictions.jsonl    # rows with pred_text: nothing is transcribed

The references of a written corpus are put in capitals without punctuation, as in most accent corpora, styled
by the base (`labels.style: model`), and compared with what they were: punctuation F1 and case errors, as the
words are the same by construction. Beside it: the rules of sentence structure alone, and `plain` labels.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from asr_adapt import evaluate
from asr_adapt.manifest import Manifest
from asr_adapt.scoring import written_form
from asr_adapt.text import normalise
from asr_adapt.text.truecase import Style, learn_style, styled, trusted
from asr_adapt.text.written import has_case
from asr_adapt.training.measuring.wer import spread


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifest", help="a manifest whose text has capitals and punctuation")
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--rows", type=int, default=100, help="evenly spread over the manifest")
    options = parser.parse_args(arguments)
    rows = spread(
        Manifest.of(r for r in Manifest.open(options.manifest) if has_case(r.text or "")), options.rows
    )
    written = [row.text or "" for row in rows]
    said = [row.extra["pred_text"] for row in rows if "pred_text" in row.extra]
    if len(said) != len(rows):
        said = evaluate(rows, model=options.model, device="cpu").hypotheses
    bare = [normalise(text).upper() for text in written]
    style = learn_style(said)
    used = [trusted(text, guess) for text, guess in zip(bare, said, strict=True)]
    kinds = {
        "model": [
            styled(text, guess if use else None, style)
            for text, guess, use in zip(bare, said, used, strict=True)
        ],
        "structure alone": [styled(text, None, Style()) for text in bare],
        "plain": [text.lower() for text in bare],
    }
    print(f"{len(written)} rows, {sum(used)} with a hypothesis that was used")
    print("| labels | punctuation F1 | case errors |\n|---|--:|--:|")
    for name, labels in kinds.items():
        form = written_form(written, labels)
        assert form.punctuation is not None and form.case is not None
        print(f"| {name} | {100 * form.punctuation.total.f1:.1f} % | {100 * form.case.rate:.1f} % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
