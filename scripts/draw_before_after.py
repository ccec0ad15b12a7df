"""Draw the README's picture from a demonstration: sentences before and after, and the two word error rates.

    make demo && python scripts/draw_before_after.py demo-output docs/before-after.svg

Knows ``summary.json``, predictions files and SVG. Does not know how anything was trained. Words that differ
from what was said are set in another colour and underlined; the sentences are those that the demonstration
prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import jiwer

from asr_adapt.demo.examples import HeardSentence, examples_of
from asr_adapt.files import atomic_write
from asr_adapt.text import normalise

WIDTH, LEFT, LINE = 840, 24, 26
#: Readable on a white and on a dark page alike: the picture brings its own background.
PAPER, INK, FAINT, WRONG, RIGHT = "#ffffff", "#1f2328", "#59636e", "#c4262e", "#1a7f37"
BAR = 300  # pixels of 100 % WER
LONGEST = 74  # characters of a line


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("svg", type=Path)
    parser.add_argument("--seed", type=int, default=1, help="the demonstration's")
    options = parser.parse_args(arguments)
    summary = json.loads((options.demo / "summary.json").read_text(encoding="utf-8"))
    examples = examples_of(options.demo / "model", options.seed)
    with atomic_write(options.svg) as handle:
        handle.write(picture(summary, examples))


def picture(summary: dict[str, Any], examples: Sequence[HeardSentence]) -> str:
    """The whole SVG."""
    body, y = [], 40
    accent = summary["accent"].title()
    minutes = f"{summary['seconds'] / 60:.0f} minutes on two CPU cores"
    head = f"{summary['model']}, adapted to a {accent} accent in {minutes}"
    body.append(_text(LEFT, y, escape(head), weight="bold", size=17))
    y += 16
    for example in examples:
        for label, text, words in (
            ("said", example.said, None),
            ("before", example.before, example.said),
            ("after", example.after, example.said),
        ):
            y += LINE
            body.append(_text(LEFT, y, label, colour=FAINT))
            body.append(_text(LEFT + 70, y, _marked(text, words)))
        y += 14
    for label, part in (
        (f"{accent} accent, speakers it never heard", "target"),
        ("English it knew", "guard"),
    ):
        y += LINE
        body.append(_text(LEFT, y, f"{label}: word error rate", colour=FAINT))
        for when in ("before", "after"):
            y += LINE
            body.append(_bar(y, when, summary[part]))
        y += 8
    height = y + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(head)}">\n'
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _text(x: int, y: int, content: str, *, colour: str = INK, weight: str = "normal", size: int = 15) -> str:
    family = "ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
    return (
        f'<text x="{x}" y="{y}" font-family="{family}" font-size="{size}" font-weight="{weight}" '
        f'fill="{colour}">{content}</text>'
    )


def _marked(text: str, said: str | None) -> str:
    """The words of ``text``, those that are not what was ``said`` marked."""
    words = text.split()
    wrong = set() if said is None else _wrong(words, said)
    shown, length = [], 0
    for number, word in enumerate(words):
        length += len(word) + 1
        if length > LONGEST:
            shown.append("…")
            break
        mark = f'<tspan fill="{WRONG}" text-decoration="underline">{escape(word)}</tspan>'
        shown.append(mark if number in wrong else escape(word))
    return " ".join(shown)


def _wrong(words: Sequence[str], said: str) -> set[int]:
    """Places of the words that are substituted or inserted, compared without case and punctuation."""
    plain = [
        (number, token) for number, word in enumerate(words) for token in normalise(word, "basic").split()
    ]
    output = jiwer.process_words(normalise(said, "basic"), " ".join(token for _, token in plain))
    return {
        plain[place][0]
        for chunk in output.alignments[0]
        if chunk.type in ("substitute", "insert")
        for place in range(chunk.hyp_start_idx, chunk.hyp_end_idx)
    }


def _bar(y: int, when: str, pair: dict[str, Any]) -> str:
    rate, interval = pair[when], pair[f"{when}_interval"]
    colour = RIGHT if when == "after" else FAINT
    width = max(2, round(min(rate, 1.5) * BAR))
    figure = f"{rate:.1%} ({interval['low']:.0%} to {interval['high']:.0%})"
    return "\n".join(
        [
            _text(LEFT, y, when, colour=FAINT),
            f'<rect x="{LEFT + 70}" y="{y - 13}" width="{width}" height="16" rx="3" fill="{colour}"/>',
            _text(LEFT + 80 + width, y, figure),
        ]
    )


if __name__ == "__main__":
    main()
