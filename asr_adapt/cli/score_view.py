"""Scores, comparisons and gate results as tables on screen, readable at 80 columns.

Knows how a result is laid out for a person: percentages, labelled. Does not compute anything.
Imported by the score commands only when they print, since rich is not free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from asr_adapt.scoring.percentages import interval, percent
from asr_adapt.screen import console

if TYPE_CHECKING:
    from rich.console import Console

    from asr_adapt.scoring import Comparison, Estimate, Score
    from asr_adapt.scoring.compare import GroupComparison
    from asr_adapt.scoring.conversations import SpeakerErrors
    from asr_adapt.scoring.gate import GateResult
    from asr_adapt.scoring.history import HistoryPoint
    from asr_adapt.scoring.spans import SpanScores

_STYLES = {
    "better": "green",
    "worse": "bold red",
    "passed": "green",
    "failed": "bold red",
    "not compared": "yellow",
    "underpowered": "yellow",
}


def show_score(result: Score) -> None:
    """Overall rates, groups with their gap, frequent confusions, notes."""
    out = console()
    counts = result.counts
    name = f"{result.normaliser['name']}@{result.normaliser['version']}"
    wer = Text(f"WER {percent(counts.wer)}", style="bold")
    out.print(wer.append(f"  (95 %: {interval(result.interval)})   normaliser {name}", style="not bold"))
    out.print(
        f"CER {percent(counts.cer)}   sentences with errors {percent(counts.ser)}   "
        f"{counts.rows} rows, {counts.words} words"
    )
    out.print(
        f"{counts.errors} errors: {counts.substitutions} substituted, {counts.deletions} deleted, "
        f"{counts.insertions} inserted; {counts.hits} hits"
    )
    if result.speakers is not None:
        out.print(spoken_by(result.speakers))
    if counts.looped_rows:
        out.print(loops(counts.looped_rows), style="yellow")
    print_lines(out, result.written.sentences())
    if result.spans is not None:
        out.print(_span_table(result.spans))
    if result.rtfx is not None:
        out.print(f"{result.rtfx:.1f} × real time")
    for by, groups in result.groups.items():
        out.print(_group_table(by, groups))
        if gap := result.gaps.get(by):
            bounds = interval(gap.interval, sign=True)
            out.print(f"  gap {gap.worst} − {gap.best}: {percent(gap.gap)} absolute (95 %: {bounds})")
    _confusions(out, result)
    for note in result.notes:
        out.print(f"* {note}")


def spoken_by(found: SpeakerErrors) -> str:
    """cpWER, and whether the speakers were as many as they are."""
    amiss = f", {found.missed_speakers} speakers missed" if found.missed_speakers else ""
    amiss += f", {found.invented_speakers} invented" if found.invented_speakers else ""
    return f"cpWER {percent(found.cpwer)} of {found.conversations} conversations{amiss}"


def loops(rows: int) -> str:
    """How many rows looped, in words."""
    return f"{rows} {'row' if rows == 1 else 'rows'} looped: the decoder repeated itself over and over"


def _span_table(found: SpanScores) -> Table:
    """Spans by kind; the last line is everything outside of them."""
    table = _table("spans", "right", "95 % interval", "of", "WER inside", "words")
    for kind, own in found.kinds.items():
        bounds = interval(replace(own.interval, low=1 - own.interval.high, high=1 - own.interval.low))
        table.add_row(kind, percent(own.accuracy), bounds, str(own.spans), percent(own.wer), str(own.words))
    if found.outside_words:
        table.add_row("outside", "", "", "", percent(found.outside_wer), str(found.outside_words))
    return table


def _group_table(by: str, groups: Mapping[str, Estimate]) -> Table:
    looping = any(group.counts.looped_rows for group in groups.values())
    extra = ("looped",) if looping else ()
    table = _table(by, "WER", "95 % interval", "CER", "rows", "words", "speakers", *extra)
    for value, group in groups.items():
        counts, bounds = group.counts, group.interval
        speakers = str(bounds.blocks) if bounds.unit == "speaker" else "–"
        table.add_row(
            value, percent(counts.wer), interval(bounds), percent(counts.cer), str(counts.rows),
            str(counts.words), speakers, *([str(counts.looped_rows)] if looping else []),
        )  # fmt: skip
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _confusions(out: Console, result: Score, top: int = 5) -> None:
    kinds = result.confusions
    pairs = [f"{c['reference']} → {c['hypothesis']} ({c['count']})" for c in kinds["substitutions"][:top]]
    for label, texts in (
        ("substituted", pairs),
        ("deleted", [f"{c['word']} ({c['count']})" for c in kinds["deletions"][:top]]),
        ("inserted", [f"{c['word']} ({c['count']})" for c in kinds["insertions"][:top]]),
    ):
        if texts:
            out.print(f"most {label}: {', '.join(texts)}")


def show_comparison(result: Comparison) -> None:
    """Overall and per group: both WERs, the difference with interval and p, the verdict."""
    out = console()
    out.print(f"A: {result.name_a}\nB: {result.name_b}")
    table = _table("group", "A", "B", "B − A", "95 % interval", "p", "verdict")
    _comparison_row(table, "all rows", result.overall)
    for by, groups in result.groups.items():
        for value, group in groups.items():
            _comparison_row(table, f"{by}={value}", group)
    out.print(table)
    parts = [f"all rows {percent(result.overall.difference.detectable)}"]
    parts += [
        f"{v} {percent(g.difference.detectable)}" for gs in result.groups.values() for v, g in gs.items()
    ]
    out.print(f"smallest difference detectable with 80 % power: {', '.join(parts)}")
    for name, form in (("A", result.written_a), ("B", result.written_b)):
        print_lines(out, [f"{name}: {sentence}" for sentence in form.sentences()])
    for label, changes in (("worse", result.worse_words), ("better", result.better_words)):
        if changes:
            words = [f"{c.word} ({c.missed_a} → {c.missed_b} of {c.occurrences})" for c in changes[:5]]
            out.print(f"words {label} in B: {', '.join(words)}")
    for name, rows in zip("AB", result.looped_rows, strict=True):
        if rows:
            out.print(f"{name}: {loops(rows)}")
    if result.overall.difference.interval.unit == "utterance":
        out.print("* over utterances: says nothing about other speakers")


def _comparison_row(table: Table, name: str, group: GroupComparison) -> None:
    difference = group.difference
    table.add_row(
        name,
        f"{100 * difference.wer_a:.2f}",
        f"{100 * difference.wer_b:.2f}",
        f"{100 * difference.delta:+.2f}",
        interval(difference.interval, sign=True),
        p_value(group.p_adjusted),
        styled(group.verdict),
    )


def p_value(p: float) -> str:
    """A p-value with three decimals."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def styled(verdict: str) -> Text:
    """A verdict in its colour."""
    return Text(verdict, style=_STYLES.get(verdict, ""))


def show_gate(result: GateResult) -> None:
    """Every rule that was checked, failed ones first, then one line that says the outcome."""
    out = console()
    table = _table("group", "baseline", "now", "change", "p", "rule", "outcome")
    for check in sorted(result.checks, key=lambda check: check.passed):
        table.add_row(
            check.group,
            "–" if check.baseline is None else percent(check.baseline),
            percent(check.value),
            "–" if check.baseline is None else percent(check.value - check.baseline, sign=True),
            "–" if check.p is None else p_value(check.p),
            check.rule,
            styled("passed" if check.passed else "failed"),
        )
    out.print(table)
    print_lines(out, [f"* {note}" for note in result.notes])
    failed = sum(not check.passed for check in result.checks)
    counted = f": {failed} of {len(result.checks)} checks failed"
    out.print(Text.assemble("gate ", styled("failed" if failed else "passed"), counted))


def show_history(points: Sequence[HistoryPoint]) -> None:
    """A line a version, oldest first, then one sentence."""
    from asr_adapt.scoring.history_page import lines, sentence

    out = console()
    table = _table("date", "WER", "change", "rows", "commit")
    table.add_column("what", overflow="ellipsis", no_wrap=True, ratio=1)
    table.expand = True
    for cells in lines(points):
        table.add_row(*cells)
    out.print(table)
    out.print(sentence(points))


def print_lines(out: Console, lines: Iterable[str]) -> None:
    """Plain lines, square brackets included."""
    for line in lines:
        out.print(line)
