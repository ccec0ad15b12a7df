"""``asr-adapt publish``: an adapted model as a folder for a hub, and sent there where asked.

Knows the options and what is printed. Does not know what is written (``asr_adapt.publishing``).
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asr_adapt.cli import options, panels
from asr_adapt.cli.terminal import log_to_stderr
from asr_adapt.destinations import read_mark, require_folder
from asr_adapt.errors import EXIT_OK, UsageError
from asr_adapt.locks import alone

if TYPE_CHECKING:
    from asr_adapt.models import Recogniser
    from asr_adapt.publishing.publish import Plan, Published

_CARD = "The model card"
_HUB = "The hub"


def register(app: typer.Typer) -> None:
    """Add the command."""
    panels.add(app, "publish", publish, panel=panels.SHARE, no_args_is_help=True)


def _card(*names: str, help: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(*names, help=help, rich_help_panel=_CARD)
    return option


def publish(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT", help="Result of train, adapt or demo; or a folder published before."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder to write. Default: RESULT-published.")
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option("--variant", help="Also as ctranslate2, onnx, ggml, adapter; or all that it has."),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option("--check", help="Manifest to compare transcripts on. Default: the result's test rows."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows that each form is compared on.")] = 8,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Leave out report.html, which holds the test's transcripts.")
    ] = False,
    title: Annotated[
        str, _card("--title", help="Name of the model. Default: the base's, with -adapted.")
    ] = "",
    licence: Annotated[
        str | None, _card("--licence", "--license", help="Licence of the model. Default: the base's.")
    ] = None,
    language: Annotated[
        str, _card("--language", help="Languages, comma-separated. Default: those of the rows.")
    ] = "",
    data: Annotated[
        str, _card("--data", help="Data statement: who was recorded, how, with what consent, in a sentence.")
    ] = "",
    dataset: Annotated[str, _card("--dataset", help="Name of the corpus. Default: private recordings.")] = "",
    push: Annotated[
        str | None,
        typer.Option(
            "--push", metavar="OWNER/NAME", help="Send it to this repository.", rich_help_panel=_HUB
        ),
    ] = None,
    public: Annotated[
        bool,
        typer.Option(
            "--public", help="Make a new repository public. Default: private.", rich_help_panel=_HUB
        ),
    ] = False,
    pull_request: Annotated[
        bool,
        typer.Option("--pull-request", help="Propose the change where files are.", rich_help_panel=_HUB),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the card and what would be done; nothing is written or sent."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier publish in OUTPUT.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Make an adapted model ready for others: card, figures, licence.

    The folder holds the model, a card with the figures in the hub's own form, the recipe without paths and
    the report without sound; no recording leaves. Each form of the model is loaded back and compared with
    the result before the command says that it is done.
    """
    log_to_stderr(logging.WARNING if quiet else logging.INFO)
    from asr_adapt.publishing.files import KIND
    from asr_adapt.publishing.push import require_token

    if push is not None and not dry_run:
        require_token()
    if read_mark(result).get("command") == KIND:
        return _pushed(result, push, public, pull_request, dry_run)
    folder = output or result.with_name(f"{result.resolve().name}-published")
    require_folder(folder, KIND, [result, check], overwrite=overwrite)
    plan, recogniser = _planned(
        result, variant or [], (check, rows), (title, language, data, dataset), licence, not no_report, push
    )
    if dry_run:
        _show_plan(plan, folder, push, as_json)
        return EXIT_OK
    from asr_adapt.publishing.publish import publish as write

    with alone(folder):
        made = write(plan, recogniser, folder, replace=overwrite)
    _show(made, as_json, quiet)
    return EXIT_OK if push is None else _pushed(folder, push, public, pull_request, False)


def _planned(
    source: Path,
    variants: list[str],
    hearing: tuple[str | None, int],
    texts: tuple[str, str, str, str],
    licence: str | None,
    report: bool,
    repository: str | None,
) -> tuple[Plan, Recogniser]:
    """Everything that can be refused is refused here, before anything is written."""
    from asr_adapt.publishing.base import base_of
    from asr_adapt.publishing.card import about_of
    from asr_adapt.publishing.check import rows_to_hear
    from asr_adapt.publishing.publish import Plan
    from asr_adapt.publishing.result import open_result
    from asr_adapt.publishing.variants import chosen_variants

    result = open_result(source)
    base = base_of(result.base, licence)
    heard = rows_to_hear(result, *hearing)
    from asr_adapt.models import load_recogniser

    recogniser = load_recogniser(result.folder, device="cpu", compute_type="float32")
    chosen = chosen_variants(variants, recogniser, result, base)
    about = about_of(result, *texts)
    if repository:
        about = replace(about, repository=repository)
    return Plan(result, base, about, chosen, heard, report), recogniser


def _show_plan(plan: Plan, folder: Path, push: str | None, as_json: bool) -> None:
    forms = ["transformers", *(variant.name for variant in plan.variants)]
    if as_json:
        told = {"folder": str(folder), "forms": forms, "rows": len(plan.rows), "push": push}
        print(
            json.dumps(
                told | {"licence": plan.base.licence, "card": plan.card()}, ensure_ascii=False, indent=2
            )
        )
        return
    print(plan.card())
    typer.echo(f"would write {folder}: {', '.join(forms)}; compared on {len(plan.rows)} rows", err=True)
    if plan.report:
        typer.echo(
            "report.html would hold the transcripts of the test rows: --no-report leaves it out", err=True
        )
    if push:
        typer.echo(f"would send it to {push}", err=True)


def _show(made: Published, as_json: bool, quiet: bool) -> None:
    if as_json:
        told = {"folder": str(made.folder), "files": dict(made.files)}
        print(json.dumps(told | {"checks": [check.to_json() for check in made.checks]}, indent=2))
        return
    for name, size in made.files:
        print(f"{size / 1e6:9.2f} MB  {name}")
    if not quiet:
        typer.echo(f"in {made.folder}; look at README.md before you give it away", err=True)


def _pushed(folder: Path, repository: str | None, public: bool, pull_request: bool, dry_run: bool) -> int:
    """Send a folder that is ready."""
    if repository is None:
        raise UsageError(f"{folder} is published already: give --push OWNER/NAME to send it.")
    from asr_adapt.publishing.files import sizes
    from asr_adapt.publishing.push import push

    if dry_run:
        files = sizes(folder)
        megabytes = sum(size for _, size in files) / 1e6
        print(f"would send {len(files)} files, {megabytes:.1f} MB, to {repository}")
        return EXIT_OK
    print(push(folder, repository, private=not public, pull_request=pull_request))
    return EXIT_OK
