"""Folders of audio: with a transcript file beside each clip, with fields in the file names, or bare.

Knows same-named ``.txt``/``.lab`` files and patterns such as ``{text}_{speaker}_{index}``. Does not know
metadata tables; see ``audiofolder``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from asr_adapt.audio.media import MEDIA_SUFFIXES, files_below
from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest.layouts.contract import ImportOptions, first_file, read_text
from asr_adapt.manifest.utterance import Place, Utterance, from_row

TRANSCRIPT_SUFFIXES = (".txt", ".lab")


class SidecarLayout:
    """Audio files, each with its transcript in a text file of the same name."""

    name = "sidecar"
    description = "folder of audio files with same-named .txt or .lab"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        found = first_file(source, MEDIA_SUFFIXES) if source.is_dir() else None
        sidecar = None if found is None else _sidecar(found)
        if found is None or sidecar is None:
            return None
        return f"{found.name} has its transcript in {sidecar.name}"

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`; other clips' fields as in file names."""
        pattern = compile_pattern(options.name_pattern) if options.name_pattern else None
        for path in files_below(source, MEDIA_SUFFIXES):
            sidecar = _sidecar(path)
            row = _named_row(path, source, pattern)
            if sidecar is not None:
                row["text"] = " ".join(read_text(sidecar).split())
            yield from_row(row, Place(source, str(sidecar or path)))


class FileNamesLayout:
    """Audio files whose names carry the fields; without a pattern, rows that name the audio alone."""

    name = "filenames"
    description = "folder of audio files, fields read from file names with --name-pattern"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        found = first_file(source, MEDIA_SUFFIXES) if source.is_dir() else None
        return None if found is None else f"it holds audio such as {found.name} and no transcripts"

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        pattern = compile_pattern(options.name_pattern) if options.name_pattern else None
        for path in files_below(source, MEDIA_SUFFIXES):
            yield from_row(_named_row(path, source, pattern), Place(source, str(path)))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """``{text}_{speaker}_{index}`` to a regular expression for the end of a path without its suffix.

    Each ``{name}`` takes as little as the following literal allows; ``/`` reaches into folders.
    """
    names = re.findall(r"\{(\w*)\}", pattern)
    if not names or any(not name.isidentifier() for name in names) or len(set(names)) != len(names):
        raise UsageError(
            f"--name-pattern {pattern!r} must hold distinct {{field}} names, "
            "such as {text}_{speaker}_{index}."
        )
    parts = re.split(r"\{\w*\}", pattern)
    body = re.escape(parts[0])
    for position, (name, literal) in enumerate(zip(names, parts[1:], strict=True)):
        greedy = "[^/]+" if position == len(names) - 1 else "[^/]+?"
        body += f"(?P<{name}>{greedy}){re.escape(literal)}"
    return re.compile(rf"(?:^|.*/){body}$")


def _named_row(path: Path, folder: Path, pattern: re.Pattern[str] | None) -> dict[str, str]:
    relative = path.relative_to(folder)
    row = {"audio_filepath": relative.as_posix()}
    if pattern is None:
        return row
    match = pattern.match(relative.with_suffix("").as_posix())
    if match is None:
        raise DataError(
            "the file name does not fit --name-pattern; move the file or change the pattern.", path=path
        )
    return row | match.groupdict()


def _sidecar(audio: Path) -> Path | None:
    for suffix in TRANSCRIPT_SUFFIXES:
        if (found := audio.with_suffix(suffix)).is_file():
            return found
    return None
