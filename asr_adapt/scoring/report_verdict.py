"""What a report says first: one sentence for each set and system, and the groups that got worse.

Knows comparisons and plain English. Does not count, resample or draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asr_adapt.scoring.compare import GroupComparison
from asr_adapt.scoring.percentages import bounds
from asr_adapt.scoring.report_data import EvaluationSet

#: How each verdict of a comparison reads behind "after is".
_WORDS = {
    "better": "better",
    "worse": "worse",
    "no evidence": "no clear difference",
    "underpowered": "no clear difference; too few rows to see a small one",
}


def verdicts(test_set: EvaluationSet) -> Iterator[dict[str, str]]:
    """``kind`` (the verdict) and ``text`` for each system that is compared with the first."""
    pairs = zip(test_set.systems[1:], test_set.changes, test_set.group_changes, strict=True)
    for system, change, groups in pairs:
        name = f"{test_set.name}, {system.label}" if len(test_set.systems) > 2 else test_set.name
        yield {"kind": change.verdict, "text": f"{name}: {_sentence(change)}{_worse_groups(groups)}"}


def _sentence(change: GroupComparison) -> str:
    difference = change.difference
    relative = "" if difference.relative is None else f" ({100 * difference.relative:+.0f} %)"
    between = bounds(
        difference.interval.low, difference.interval.high, sign=True, decimals=1, between=" and "
    )
    rates = f"WER {100 * difference.wer_a:.1f} → {100 * difference.wer_b:.1f} %{relative}"
    return f"{rates}, {_WORDS[change.verdict]}; the change is between {between} points (95 %)."


def _worse_groups(groups: Mapping[str, Mapping[str, GroupComparison]]) -> str:
    """The groups that got clearly worse, or that none did; nothing where there are no groups."""
    if not groups:
        return ""
    worse = [
        f"{field} {value} ({100 * found.difference.delta:+.1f} points)"
        for field, values in groups.items()
        for value, found in values.items()
        if found.verdict == "worse"
    ]
    return f" Worse: {', '.join(worse)}." if worse else " No group is clearly worse."
