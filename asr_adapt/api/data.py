"""Manifests from Python: ``build``, ``check`` and ``split``, as the command line does them.

Knows how the manifest room's steps go together. Does not know layouts, findings or leaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.check import Report
    from asr_adapt.manifest.fingerprints import Digests
    from asr_adapt.models import Recogniser

    Rows = str | Path | Sequence[str | Path] | Manifest

#: Shares of the hours.
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def build(
    source: str | Path,
    *,
    layout: str = "auto",
    columns: Mapping[str, str] | None = None,
    root: str | Path | None = None,
    values: Mapping[str, str] | None = None,
    skip_unreadable: bool = False,
) -> Manifest:
    """The rows of a corpus in any common layout: a folder, a table or a manifest.

    ``columns`` maps theirs to ours, such as ``{"sentence": "text"}``; ``values`` are put on every row, such
    as ``{"lang": "ha"}``; ``root`` is where relative audio paths start. Save the result with
    :meth:`Manifest.save`. Raises DataError for a source that no layout fits and, without ``skip_unreadable``,
    for a row whose audio cannot be read.
    """
    from asr_adapt.manifest import Manifest
    from asr_adapt.manifest.build import BuildOptions, open_build
    from asr_adapt.manifest.layouts import ImportOptions

    options = BuildOptions(
        layout=layout,
        root=None if root is None else Path(root),
        source_options=ImportOptions(dict(columns or {})),
        values=dict(values or {}),
        skip_unreadable=skip_unreadable,
    )
    return Manifest.of(open_build(Path(source), options).rows())


def check(
    manifest: Rows,
    *,
    model: str | Path | None = None,
    audio: bool = True,
    normalise: str = "basic",
    workers: int | None = None,
    cache: bool = True,
) -> Report:
    """What is wrong with a manifest: findings with file and line, ``failed`` where any is an error.

    With ``model`` also what that model cannot take: too long rows, characters that it cannot write. ``audio``
    decodes and measures every row; ``cache`` keeps the measurements for the next time.
    """
    from asr_adapt.manifest.check import CheckOptions, check_manifest, default_cache_path

    rows = rows_of(manifest)
    options = CheckOptions(
        audio=audio,
        limits=None if model is None else _loaded(model).limits(),
        profile=normalise,
        workers=workers,
        cache=default_cache_path() if cache else None,
    )
    return check_manifest(rows, options)


def _loaded(model: str | Path) -> Recogniser:
    from asr_adapt.models import load_recogniser

    return load_recogniser(model)


def split(
    manifest: Rows,
    parts: Mapping[str, float] | None = None,
    *,
    by: str | Sequence[str] = "speaker",
    stratify: str | None = None,
    where: Sequence[str] = (),
    shared_text: bool = False,
    audio: bool = True,
    seed: int = 0,
) -> dict[str, Manifest]:
    """Parts that share no speaker (or other field ``by``), sentence or sound, by name.

    ``parts`` are shares of the hours (default: train 0.8, dev 0.1, test 0.1); ``where`` are conditions such
    as ``"accent=heavy"``; ``stratify`` is a field whose values each part gets alike. Rows of a larger part
    that repeat a sentence or sound of a smaller one are in ``leftover``; with ``shared_text`` they stay.
    Write a part with :meth:`Manifest.save`.
    """
    from asr_adapt.manifest.split import SplitOptions, split_manifest

    rows = rows_of(manifest).where(*where)
    fields = (by,) if isinstance(by, str) else tuple(by)
    if not fields:
        raise UsageError("by needs at least one field, such as speaker.")
    options = SplitOptions(dict(parts or SHARES), fields, stratify, seed)
    return split_manifest(
        rows, options, (lambda: sounds_of(rows)) if audio else None, shared_text=shared_text
    )


def sounds_of(rows: Manifest, *, cache: bool = True) -> Digests:
    """A digest of every row's sound, 0 where it cannot be decoded."""
    from asr_adapt.manifest.check import CheckOptions, default_cache_path, measure_rows

    options = CheckOptions(workers=None, cache=default_cache_path() if cache else None)
    return measure_rows(rows, options)[0].sounds


def rows_of(manifest: Rows) -> Manifest:
    """The rows, at least one; raises DataError."""
    from asr_adapt.manifest import Manifest, require_rows

    opened = manifest if isinstance(manifest, Manifest) else Manifest.open(manifest)
    return require_rows(opened)
