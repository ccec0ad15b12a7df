"""Any layout to manifest rows whose audio is found and measured.

Knows where audio may lie relative to a source, and reads headers in parallel. Does not know any layout's
format, and writes nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from asr_adapt.audio import AudioError, probe
from asr_adapt.audio.containers import audio_exists
from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest.layouts import LAYOUTS, ImportOptions, Layout, recognise
from asr_adapt.manifest.utterance import ROW_FIELDS, Place, Utterance, from_row

#: Headers read ahead of the writer.
_PROBES_IN_FLIGHT = 256
_FIELDS = frozenset(ROW_FIELDS)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a source becomes a manifest.

    ``layout`` is a name in ``LAYOUTS`` or ``auto``; ``root`` is where relative audio paths start (None: the
    source's folder and, where the file is not there, its parents); ``values`` sets fields on every row;
    ``replacements`` maps a field's values to others (``{"text": {"0": "zero"}}``).
    """

    layout: str = "auto"
    root: Path | None = None
    source_options: ImportOptions = field(default_factory=ImportOptions)
    values: Mapping[str, str] = field(default_factory=dict)
    replacements: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    skip_unreadable: bool = False


@dataclass(slots=True)
class Build:
    """A build in progress: iterate ``rows()``; ``left_out`` fills with the reasons rows were dropped."""

    source: Path
    layout: Layout
    reason: str
    options: BuildOptions
    left_out: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[Utterance]:
        """Rows with audio found and ``duration`` filled in. Raises DataError at the first unusable one,
        unless ``skip_unreadable`` says that such rows are left out and listed."""
        finder = AudioFinder(self.source, self.options.root, self.layout.folders)
        rows = (self._finished(row) for row in self.layout.read(self.source, self.options.source_options))
        with ThreadPoolExecutor(max_workers=4) as pool:
            waiting: deque[Future[Utterance]] = deque()
            for row in rows:
                waiting.append(pool.submit(measure, row, finder))
                if len(waiting) >= _PROBES_IN_FLIGHT:
                    yield from self._collect(waiting.popleft())
            while waiting:
                yield from self._collect(waiting.popleft())

    def _collect(self, future: Future[Utterance]) -> Iterator[Utterance]:
        try:
            yield future.result()
        except DataError as error:
            if not self.options.skip_unreadable:
                raise
            self.left_out.append(str(error))

    def _finished(self, row: Utterance) -> Utterance:
        changes: dict[str, str] = {}
        for name, mapping in self.options.replacements.items():
            value = row.get(name)
            if isinstance(value, str) and value in mapping:
                changes[name] = mapping[value]
        changes |= self.options.values
        return with_fields(row, changes) if changes else row


def open_build(source: Path, options: BuildOptions) -> Build:
    """Recognise the layout of ``source``. Raises DataError or UsageError."""
    if options.layout == "auto":
        if options.source_options.name_pattern and source.is_dir():
            return Build(source, LAYOUTS["filenames"], "--name-pattern was given", options)
        layout, reason = recognise(source)
        return Build(source, layout, reason, options)
    if options.layout not in LAYOUTS:
        raise UsageError(f"--format {options.layout!r} is not one of auto, {', '.join(LAYOUTS)}.")
    if not source.exists():
        raise DataError("does not exist; correct the path.", path=source)
    return Build(source, LAYOUTS[options.layout], "--format says so", options)


def reading(rows: Iterable[Utterance], output: str) -> Iterator[Utterance]:
    """The rows. Raises UsageError at the first one that comes from ``output``: it must not be replaced."""
    target = Path(output) if output != "-" and Path(output).is_file() else None
    seen: set[str | None] = set()
    for row in rows:
        if target is not None and row.source not in seen:
            seen.add(row.source)
            if row.source and Path(row.source).is_file() and target.samefile(row.source):
                raise UsageError(f"{output} is an input of this command: name another file with --output.")
        yield row


def with_fields(row: Utterance, changes: Mapping[str, str]) -> Utterance:
    """The row with fields set, known or extra. Raises DataError for a value the field cannot hold."""
    place = Place(row.root, row.source)
    numbers = {
        name: _number(name, value) for name, value in changes.items() if name in ("duration", "offset")
    }
    return from_row({**row.to_row(), **changes, **numbers}, place, row.line)


class AudioFinder:
    """Turns a source's audio paths into existing files, remembering where the last one was found."""

    def __init__(self, source: Path, root: Path | None, folders: tuple[str, ...]) -> None:
        base = source if source.is_dir() else source.parent
        starts = [root] if root is not None else [base, *_parents(base)]
        self._roots = [start / folder if folder else start for start in starts for folder in folders]
        self._last = self._roots[0]
        self._given = root is not None

    def __call__(self, row: Utterance) -> Utterance:
        """The row with its path relative to ``root``, both holding. Raises DataError when it is nowhere."""
        name = row.audio_filepath
        if "://" in name:
            return row
        if Path(name).is_absolute():
            if audio_exists(Path(name)):
                return row
            raise row.error(f"{name} does not exist; correct the path.", "audio_filepath")
        for root in (self._last, *self._roots):
            if audio_exists(root / name):
                self._last = root
                return row if row.root == root else row.replace(root=root)
        where = f"under {self._roots[0]}" + ("" if self._given else " or the folders above it")
        raise row.error(f"{name} is not {where}; use --root FOLDER.", "audio_filepath")


def measure(row: Utterance, finder: AudioFinder) -> Utterance:
    """The row with audio found and its duration read from the header where the source gave none."""
    row = finder(row)
    if row.duration is not None:
        return row
    try:
        whole = _duration(str(row.audio_path))
    except AudioError as error:
        raise row.error(f"{error}", "audio_filepath") from error
    rest = whole - row.offset
    if rest <= 0:
        raise row.error(f"starts at {row.offset:g} s but the audio ends at {whole:.3f} s.", "offset")
    return row.replace(duration=round(rest, 6))


@lru_cache(maxsize=4096)
def _duration(path: str) -> float:
    """Seconds; cached because many segments share one recording."""
    return probe(path).duration


def _parents(folder: Path) -> Iterable[Path]:
    """The folders above, as written where possible, so that manifests keep short relative paths."""
    absolute = folder.absolute()
    return absolute.parents


def _number(name: str, value: str) -> float:
    if not re.fullmatch(r"\d+(\.\d*)?", value):
        raise UsageError(f"{name}={value!r} must be a number of seconds.")
    return float(value)
