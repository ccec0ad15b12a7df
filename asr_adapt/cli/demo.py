"""``asr-adapt demo``: the whole story on synthetic accented speech, in one command.

Knows options and how the result is shown. Does not know the steps (`asr_adapt.demo.story`).
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from asr_adapt.demo.story import Story


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    output: Path = typer.Option(
        Path("demo-output"), "--output", "-o", help="Folder for everything it makes."
    ),
    accent: str = typer.Option("scottish", "--accent", help="Accent to adapt to; 'list' names them."),
    model: str = typer.Option("nano-en", "--model", help="Base model to adapt."),
    steps: int | None = typer.Option(
        None, "--steps", min=1, help="Optimiser steps.", show_default="600; nano-whisper 150"
    ),
    seed: int = typer.Option(1, "--seed", help="Fixes texts, voices and training."),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json instead of the table."),
) -> int:
    """Speak an accent, adapt the bundled base to it, and show gain and price. No network needed."""
    from asr_adapt.demo.synthesis import accents

    if accent == "list":
        print("\n".join(name for name in accents() if name != "us"))
        return 0
    from asr_adapt.demo.story import DemoOptions, tell

    options = DemoOptions(accent=accent, model=model, seed=seed, steps=steps)
    story = tell(output, options, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(story.summary, indent=2) if as_json else _table(story))
    return 0


def _table(story: Story) -> str:
    """The result for an 80-column terminal: WER in per cent, one transcribed file, what to try next."""
    summary = story.summary
    rows = [("word error rate (WER)", "before", "after"), *(_line(summary, *row) for row in _ROWS)]
    table = "\n".join(f"  {label:<46}{before:>9}{after:>9}" for label, before, after in rows)
    heard = "\n".join(
        textwrap.fill(text.lower(), 78, initial_indent=f"  {name:<8}", subsequent_indent=" " * 10)
        for name, text in (("said", story.reference), ("before", story.before), ("after", story.after))
    )
    return f"""
{table}

{heard}

  {summary["seconds"]:.0f} seconds. Report: {story.report}
  Next: asr-adapt transcribe {story.audio} \\
          --model {story.model}
"""


_ROWS = (("{} accent, unseen voices and sentences", "target"), ("US accent, not to be forgotten", "guard"))


def _line(summary: dict[str, Any], label: str, part: str) -> tuple[str, str, str]:
    before, after = (f"{summary[part][when]:.1%}" for when in ("before", "after"))
    return label.format(summary["accent"]), before, after
