"""``asr-adapt init``: a commented recipe to start from.

Knows options and questions. Does not know what a recipe says.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import typer

from asr_adapt.cli import panels
from asr_adapt.destinations import require_file
from asr_adapt.errors import UsageError


class Purpose(StrEnum):
    """What the model is adapted to."""

    accent = "accent"
    child_speech = "child-speech"
    new_language = "new-language"
    commands_and_digits = "commands-and-digits"
    phone_calls = "phone-calls"


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "init", init, panel=panels.ADAPT)


def init(
    recipe: Path = typer.Argument(Path("recipe.yaml"), metavar="RECIPE.yaml", help="File to write."),
    purpose: Purpose | None = typer.Option(None, "--for", help="What the model is adapted to."),
    model: str | None = typer.Option(None, "--model", help="Model to adapt. Default: by purpose."),
    train: str | None = typer.Option(None, help="Training manifest."),
    dev: str | None = typer.Option(None, help="Manifest for choosing the best step."),
    test: str | None = typer.Option(None, help="Manifest for WER before and after. Default: that of --dev."),
    guard: str | None = typer.Option(None, help="Manifest of speech that must not get worse."),
    replay: str | None = typer.Option(None, help="Manifest of such speech to replay in training."),
) -> int:
    """Write a commented recipe to start from.

    On a terminal, asks for what is missing. Edit the recipe, check it with asr-adapt train
    RECIPE.yaml --dry-run, and carry it out with asr-adapt train RECIPE.yaml.
    """
    from asr_adapt.files import atomic_write
    from asr_adapt.training.recipe.ready import family_of, filled, seen_from, template

    given = {"train": train, "dev": dev, "test": test, "guard": guard, "replay": replay}
    require_file(recipe, [name for name in given.values() if name], option="RECIPE.yaml")
    if recipe.exists():
        raise UsageError(f"{recipe} already exists: name another file.")
    if purpose is None:
        purpose, model, given = _asked(model, given)
    values = {name: seen_from(path, recipe.parent) for name, path in given.items() if path}
    if "train" in values and "dev" not in values:
        raise UsageError("--train needs --dev: other speakers, who choose the best step.")
    if "train" in values:
        values.setdefault("test", values["dev"])
    if model is not None:
        values["model"] = model
    text = filled(template(purpose.value, family_of(model or "whisper")), values)
    recipe.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(recipe) as handle:
        handle.write(text)
    typer.echo(f"Wrote {recipe}; next: asr-adapt train {recipe} --dry-run", err=True)
    return 0


def _asked(
    model: str | None, given: dict[str, str | None]
) -> tuple[Purpose, str | None, dict[str, str | None]]:
    """What a person answers; raises UsageError where nobody can."""
    from asr_adapt.training.recipe.ready import PURPOSES

    if not sys.stdin.isatty():
        raise UsageError(f"name the purpose: --for {'|'.join(Purpose)}.")
    for name, meaning in PURPOSES.items():
        typer.echo(f"  {name}: {meaning}", err=True)
    purpose = Purpose(_ask("Adapt to", Purpose.accent.value, tuple(Purpose)))
    model = model or _ask("Model", "whisper-tiny.en")
    questions = {
        "train": "Manifest to learn from",
        "dev": "Manifest of other speakers, which chooses the best step",
        "test": "Manifest for WER before and after (empty: the same)",
        "guard": "Manifest of speech that must not get worse (empty: none)",
        "replay": "Manifest of such speech to train on besides (empty: none)",
    }
    for name, question in questions.items():
        if name == "replay" and not given["guard"]:
            continue
        default = f"data/{name}.jsonl" if name in ("train", "dev") else ""
        given[name] = given[name] or _ask(question, default) or None
    return purpose, model, given


def _ask(question: str, default: str, known: tuple[str, ...] = ()) -> str:
    while True:
        answer: str = typer.prompt(question, default=default, show_default=bool(default), err=True)
        if not known or answer in known:
            return answer.strip()
        typer.echo(f"One of {', '.join(known)}, please.", err=True)
