"""``asr-adapt demo``: the whole story, on recorded or synthetic accented speech, in one command.

Knows options, what is shown where no model can be fetched, and how the result looks. Does not know the steps
(`asr_adapt.demo.story`).
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import require_folder
from asr_adapt.errors import UsageError
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.demo.examples import HeardSentence
    from asr_adapt.demo.story import Story

PRETRAINED = "whisper-tiny.en"
BUNDLED = DEFAULT_MODEL
WIDTH = 78


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "demo", demo, panel=panels.ADAPT)


def demo(
    output: Path = typer.Option(Path("demo-output"), "--output", "-o", help="Output folder."),
    accent: str | None = typer.Option(
        None, "--accent", help="Accent to adapt to; 'list' names them.", show_default="mandarin"
    ),
    model: str | None = typer.Option(
        None,
        "--model",
        help="Base model to adapt.",
        show_default=f"{PRETRAINED}, else {BUNDLED}",
    ),
    steps: int | None = typer.Option(
        None, "--steps", min=1, help="Optimiser steps.", show_default="chosen for the model"
    ),
    seed: int = typer.Option(
        1, "--seed", help="Seed of training, and of texts and voices of synthetic speech."
    ),
    recordings: Path | None = typer.Option(
        None, "--recordings", metavar="DIR", help="Only copy the bundled recordings and manifests to DIR."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print summary.json instead of the table."),
) -> int:
    """Show the whole story on real accented speech, in minutes.

    A recogniser is adapted to an accent, and what it gained and what it cost is shown.

    By default Whisper tiny.en is fetched and adapted to recorded English with a Mandarin accent. Where it
    cannot be fetched, the bundled nano-en is adapted to synthetic speech, which needs no network.
    """
    from asr_adapt.demo.recordings import CORPUS_KIND, RECORDED_ACCENT, copy_recordings
    from asr_adapt.demo.synthesis import accents

    if recordings is not None:
        require_folder(recordings, CORPUS_KIND, again=True, option="--recordings")
        copy_recordings(recordings)
        return 0
    known = [RECORDED_ACCENT, *(name for name in accents() if name != "us")]
    if accent == "list":
        print("\n".join(known))
        return 0
    if accent is not None and accent not in known:
        raise UsageError(f"No accent {accent!r} to adapt to: choose one of {', '.join(known)}.")
    from asr_adapt.demo.story import DemoOptions, tell

    recorded = accent in (None, RECORDED_ACCENT)
    chosen = model or (_usual_model() if recorded else BUNDLED)
    options = DemoOptions(accent=accent, model=chosen, seed=seed, steps=steps)
    story = tell(output, options, _say)
    print(json.dumps(story.summary, indent=2) if as_json else _shown(story))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _usual_model() -> str:
    """The pretrained model if it can be had, else the bundled one, said with the reason."""
    from asr_adapt.errors import ModelError
    from asr_adapt.models.fetching import fetch
    from asr_adapt.pretrained.catalogue import find

    model = find(PRETRAINED)
    assert model is not None  # it stands in the table of models
    try:
        fetch(model)
    except ModelError as error:
        _say(
            f"{PRETRAINED} cannot be loaded ({error}); running the synthetic demonstration with "
            f"{BUNDLED} instead."
        )
        return BUNDLED
    return PRETRAINED


def _shown(story: Story) -> str:
    """The result for an 80-column terminal: WER in per cent with intervals, sentences, what to try next."""
    summary = story.summary
    accent = summary["accent"].title()
    rows = [
        ("word error rate (lower is better)", "before", "after"),
        _line(summary["target"], f"{accent} accent, new speakers"),
        _line(summary["guard"], "native English, must not get worse"),
    ]
    table = "\n".join(f"  {label:<36}{before:>20}{after:>20}" for label, before, after in rows)
    said = f"Sentences that {Path(summary['model']).name} got wrong, drawn at random:"
    examples = "\n\n".join(map(_example, story.examples))
    return f"""
{table}
  (in brackets: 95 % confidence interval over speakers)

  {said}

{examples}

  {summary["seconds"]:.0f} seconds. Report: {story.report}
  Next: asr-adapt transcribe YOUR-RECORDING.wav \\
          --model {story.model}
"""


def _line(pair: dict[str, Any], label: str) -> tuple[str, str, str]:
    from asr_adapt.scoring.percentages import rate_with_bounds

    before, after = (rate_with_bounds(pair, when, decimals=0) for when in ("before", "after"))
    return label, before, after


def _example(example: HeardSentence) -> str:
    return "\n".join(
        textwrap.fill(text, WIDTH, initial_indent=f"  {name:<8}", subsequent_indent=" " * 10)
        for name, text in (("said", example.said), ("before", example.before), ("after", example.after))
    )
