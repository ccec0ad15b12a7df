"""The gate on real speech: an adapted model by group, a planted regression and a null change.

    python benchmarks/bench_gate.py TEST.jsonl --adapted runs/heavy/model --by accent --by age_group

Three parts, written to docs/scoring-real.md: (1) the base compared with the adapted model per group; (2) the
adapted model's predictions as baseline, then the rows of one group replaced by the base's output: the gate
must name this group while all rows together stay within the allowed rise; (3) batch 1 against batch 8 of the
same model: nothing may be flagged. Predictions are kept under OUTPUT and not computed again.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from asr_adapt import Decoding, evaluate
from asr_adapt.files import atomic_write
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.scoring import GateRules, compare, gate, make_baseline, read_predictions
from asr_adapt.scoring.gate_output import markdown
from asr_adapt.scoring.rise import parse_rise


def predictions(manifest: Path, model: str, output: Path, batch_size: int | None = None) -> Path:
    """The predictions file of a model, computed once."""
    if not output.is_file():
        evaluate(manifest, model=model, output=output, decoding=Decoding(batch_size=batch_size))
    return output


def comparison(base: Path, adapted: Path, by: list[str]) -> Iterator[str]:
    """Base against adapted, per group."""
    result = compare(base, adapted, by)
    yield "| group | rows | base | adapted | change | 95 % | p (Holm) | verdict |"
    yield "|---|---:|---:|---:|---:|---|---:|---|"
    groups = [("all rows", result.overall)]
    groups += [
        (f"{name}={value}", g) for name, values in result.groups.items() for value, g in values.items()
    ]
    for name, group in groups:
        d = group.difference
        interval = f"{100 * d.interval.low:+.1f} … {100 * d.interval.high:+.1f}"
        rates = f"{d.wer_a:.1%} | {d.wer_b:.1%} | {100 * d.delta:+.1f}"
        yield f"| {name} | {group.rows} | {rates} | {interval} | {group.p_adjusted:.3f} | {group.verdict} |"


def planted(base: Path, adapted: Path, by: str, value: str) -> list[Utterance]:
    """The adapted model's rows, those of one group replaced by the base's output."""
    old = {row.id: row for row in Manifest.open(base)}
    return [old[row.id] if str(row.get(by)) == value else row for row in Manifest.open(adapted)]


def worst_gain(base: Path, adapted: Path, by: str) -> str:
    """The group that gained most from adaptation: losing that gain is the regression to plant."""
    groups = compare(base, adapted, [by]).groups[by]
    return min(groups, key=lambda value: groups[value].difference.delta)


def without_transcripts(text: str) -> str:
    """The corpus' transcripts stay out of the project: the fold with the worst rows is left out."""
    return re.sub(r"<details>.*?</details>\n*", "", text, flags=re.DOTALL)


def main() -> None:
    """Run the three parts and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--base", default="nano-en")
    parser.add_argument("--adapted", required=True)
    parser.add_argument("--by", action="append", required=True)
    parser.add_argument("--rise", default="10%", help="allowed rise of every group in part 2 [10%%]")
    parser.add_argument("--value", help="group of the first --by to spoil [the one that gained most]")
    parser.add_argument("--output", type=Path, default=Path("runs/gate"))
    parser.add_argument("--page", type=Path, default=Path("docs/scoring-real.md"))
    options = parser.parse_args()
    base = predictions(options.manifest, options.base, options.output / "test.base.jsonl")
    adapted = predictions(options.manifest, options.adapted, options.output / "test.adapted.jsonl", 8)
    single = predictions(options.manifest, options.adapted, options.output / "test.batch1.jsonl", 1)
    first = options.by[0]
    value = options.value or worst_gain(base, adapted, first)
    rules = GateRules(by=tuple(options.by[:1]), rise=parse_rise(options.rise))
    stored = make_baseline(read_predictions(adapted), "basic")
    spoiled = gate(planted(base, adapted, first, value), stored, rules)
    same = gate(read_predictions(single), stored, GateRules(by=tuple(options.by)))
    lines = [
        "# The gate on real speech",
        "",
        f"Written by `{Path(__file__).name}`: {len(stored.ids)} test rows, base `{options.base}`.",
        "",
        "## Base against adapted",
        "",
        *comparison(base, adapted, options.by),
        "",
        f"## Planted: rows of {first}={value} replaced by the base's output, allowed rise {options.rise}",
        "",
        without_transcripts(markdown(spoiled)),
        "## Batch size 1 against 8, no rise allowed",
        "",
        without_transcripts(markdown(same)),
    ]
    with atomic_write(options.page) as handle:
        handle.write("\n".join(lines))
    print(options.page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
