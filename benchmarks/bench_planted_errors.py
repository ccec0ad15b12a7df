"""The planted-error experiment: are shuffled transcripts found among the worst-aligned rows?

    python benchmarks/bench_planted_errors.py M.jsonl [--model nano-en] [--share 0.05] [--worst 0.10] \\
        [--seed 0]

Copies the manifest's rows in memory, permutes the transcripts of a random share of them among each other (no
row keeps its own text), scores every row as `asr-adapt manifest check --align` does, and prints
how many of the planted rows are in the worst share, and where the others rank.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from report import add_write, block_of, publish

from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.manifest.check.findings import Findings
from asr_adapt.manifest.check.suspects import add_suspects, score_rows
from asr_adapt.models import load_recogniser
from asr_adapt.models.alignment import DECODER_SUSPECT, transcript_fits
from asr_adapt.text import normalise


def plant(rows: Sequence[Utterance], share: float, seed: int) -> tuple[list[Utterance], set[int]]:
    """Rows with a share of transcripts permuted, and which rows those are."""
    rng = np.random.default_rng(seed)
    count = max(2, round(share * len(rows)))
    chosen = rng.choice(len(rows), count, replace=False).tolist()
    texts = [rows[n].text for n in chosen]
    for _ in range(1_000):
        order = rng.permutation(count).tolist()
        if all((texts[i] or "").lower() != (texts[j] or "").lower() for i, j in enumerate(order)):
            break
    else:
        raise SystemExit("The transcripts are too alike to be shuffled; use a corpus with more sentences.")
    changed = list(rows)
    for place, source in zip(chosen, order, strict=True):
        changed[place] = rows[place].replace(text=texts[source])
    return changed, set(chosen)


def table(result: dict[str, Any]) -> str:
    """The figures in Markdown."""
    return "\n".join(
        [
            "## Planted transcript errors",
            "",
            f"`benchmarks/bench_planted_errors.py`: {result['rows']:,} rows, {result['audio_hours']:.2f} "
            "hours;",
            f"{result['planted']} transcripts permuted, rows ranked by alignment with `{result['model']}`.",
            "",
            "| | result | target |",
            "|---|--:|---|",
            f"| planted rows in the worst {result['worst_share']:.0%} | {result['found_in_worst']} of "
            f"{result['planted']} ({result['recall']:.0%}) | ≥ 90 % |",
            f"| rank of the deepest planted row | {result['deepest_rank'] + 1} of {result['rows']:,} | |",
            f"| rows reported as `suspect-transcript` | {result['flagged']}, "
            f"{result['flagged_planted']} of them planted | |",
        ]
    )


def main() -> None:
    """Run one experiment and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", nargs="+")
    parser.add_argument("--model", default="nano-en")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--worst", type=float, default=0.10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, help="Take a random sample of this many rows.")
    add_write(parser, "planted")
    options = parser.parse_args()
    manifest = Manifest.open(options.manifest)
    if options.rows is not None and options.rows < len(manifest):
        sample = np.random.default_rng(options.seed).choice(len(manifest), options.rows, replace=False)
        manifest = manifest.select(np.sort(sample))
    changed, planted = plant(list(manifest), options.share, options.seed)
    recogniser = load_recogniser(options.model)
    planted_manifest = Manifest.of(changed)
    start = time.perf_counter()
    suspects = score_rows(
        planted_manifest,
        lambda waves, texts: [(fit.score, fit.heard) for fit in transcript_fits(recogniser, waves, texts)],
        sample_rate=recogniser.sample_rate,
        prepare=lambda text: normalise(text, "basic"),
    )
    seconds = time.perf_counter() - start
    worst = {suspect.row for suspect in suspects[: round(options.worst * len(suspects))]}
    ranks = sorted(rank for rank, suspect in enumerate(suspects) if suspect.row in planted)
    findings = Findings()
    least = DECODER_SUSPECT if recogniser.capabilities.decoder else 0.0
    bound = add_suspects(planted_manifest, suspects, findings, least)
    flagged = set(findings.rows.get("suspect-transcript", ()))
    result = {
        "model": options.model,
        "rows": len(suspects),
        "planted": len(planted),
        "found_in_worst": len(planted & worst),
        "recall": round(len(planted & worst) / len(planted), 4),
        "worst_share": options.worst,
        "deepest_rank": ranks[-1],
        "flagged": len(flagged),
        "flagged_planted": len(flagged & planted),
        "bound": round(bound, 3),
        "seed": options.seed,
        "audio_hours": round(float(np.nansum(manifest.durations)) / 3600, 3),
        "seconds": round(seconds, 1),
    }
    publish(table(result), block_of("planted", options.model), options.write)


if __name__ == "__main__":
    main()
