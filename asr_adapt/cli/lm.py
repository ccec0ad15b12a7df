"""``asr-adapt lm build`` and ``lm tune``: language models for CTC decoding.

Knows the options. Does not know how a model is estimated or tuned.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from asr_adapt.cli import options, panels
from asr_adapt.destinations import expanded, require_file
from asr_adapt.errors import DataError
from asr_adapt.pretrained import DEFAULT_MODEL


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = panels.new_group("Build and tune language models for CTC decoding.")
    panels.add(group, "build", build, no_args_is_help=True)
    panels.add(group, "tune", tune_lm, no_args_is_help=True)
    app.add_typer(group, name="lm", rich_help_panel=panels.TUNE)
    panels.add(app, "tune-lm", tune_lm, hidden=True, no_args_is_help=True)  # the former name of lm tune


def build(
    text: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Text files, manifests (.jsonl), or - for stdin.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="ARPA file to write.")],
    order: Annotated[int, typer.Option(min=1, max=6, help="Length of the longest n-gram.")] = 3,
    normalise: options.Normalise = "basic",
) -> None:
    """Build a word n-gram language model from text.

    Interpolated modified Kneser-Ney, in ARPA format.
    """
    from asr_adapt.transcription.decoding.ngram_build import build_ngram

    require_file(output, expanded(*text))
    model = build_ngram(_sentences(text, normalise), order)
    model.write(output)
    sizes = ", ".join(f"{len(table)} of length {length}" for length, table in enumerate(model.grams, 1))
    print(f"{output}: {sizes}.", file=sys.stderr)


def tune_lm(
    manifest: Annotated[str, typer.Argument(metavar="DEV_MANIFEST", help="Rows with audio and text.")],
    lm: Annotated[Path, typer.Option("--lm", help="Language model to tune (ARPA).")],
    model: options.Model = DEFAULT_MODEL,
    rows: Annotated[int, typer.Option(min=1, help="Maximum rows to use, evenly spread.")] = 200,
    beam_width: Annotated[int, typer.Option(min=1, help="Width of the beam.")] = 32,
    normalise: options.Normalise = "basic",
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Find the weight of a language model on a dev manifest.

    The weights that give the least WER are written beside the language model, where --lm finds them.
    """
    from dataclasses import asdict

    from asr_adapt.models import load_recogniser
    from asr_adapt.transcription.decoding.fusion import write_weights
    from asr_adapt.transcription.decoding.tuning_run import tune_on_manifest

    recogniser = load_recogniser(model, device=device)
    found, used = tune_on_manifest(
        manifest, lm, model=recogniser, rows=rows, width=beam_width, profile=normalise
    )
    about = {
        "model": model,
        "manifest": manifest,
        "rows": used,
        "wer": found.after,
        "wer_without": found.before,
    }
    path = write_weights(lm, found.options, about)
    if as_json:
        print(json.dumps({"options": asdict(found.options), **about, "path": str(path)}, indent=2))
        return
    best = found.options
    print(
        f"WER on {used} rows: {100 * found.before:.2f} % without, {100 * found.after:.2f} % with {lm.name}."
    )
    print(f"weight {best.weight:g}, word bonus {best.bonus:g}, unknown word {best.unknown:g}: {path}")


def _sentences(names: list[str], profile: str) -> Iterator[list[str]]:
    from asr_adapt.text import normalise

    for name in names:
        for line in _lines(name):
            yield normalise(line, profile).split()


def _lines(name: str) -> Iterator[str]:
    if name.endswith((".jsonl", ".ndjson")):
        from asr_adapt.manifest import Manifest

        yield from (row.text or "" for row in Manifest.open(name))
    elif name == "-":
        yield from sys.stdin
    else:
        try:
            with Path(name).open(encoding="utf-8") as handle:
                yield from handle
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8 text; convert it.", path=name) from error
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror}); correct the path.", path=name) from error
