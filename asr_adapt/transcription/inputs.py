"""What the user named, as a list of things to transcribe.

Knows files, folders, globs, manifests, lists, URLs, standard input, and the name each output gets. Does not
open any audio beyond its header.
"""

from __future__ import annotations

import glob
import math
import os
import select
import shutil
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr_adapt.audio import AudioInfo, probe
from asr_adapt.audio.media import MEDIA_SUFFIXES, files_below, unreadable
from asr_adapt.errors import DataError, MissingExtraError, writable
from asr_adapt.manifest import Manifest, require_rows
from asr_adapt.transcription.sources import UNSAFE, Failure, Source, failure_of, source_failure, source_of_row

MANIFEST_SUFFIXES = frozenset((".jsonl", ".json", ".ndjson"))
LIST_SUFFIXES = frozenset((".txt", ".lst", ".list", ".m3u", ".m3u8"))
STDIN = "-"
#: How long a named pipe may stay empty.
_PIPE_SECONDS = 10.0


@dataclass
class Expansion:
    """Sources in the order they were named, and inputs that already failed."""

    sources: list[Source]
    failures: list[Failure]

    @property
    def duration(self) -> float:
        """Seconds of audio in all, as far as the headers say."""
        return sum(source.duration or 0.0 for source in self.sources)


def expand(
    names: Sequence[str], *, spool: Path, each_channel: bool = False, track: str | None = None
) -> Expansion:
    """Everything that ``names`` stand for; standard input, pipes and URLs are copied into ``spool``.

    ``each_channel`` makes a source of every channel of ``track``. The same file named twice is transcribed
    once. Inputs that fail here are reported, never dropped.
    """
    sources: list[Source] = []
    failures: list[Failure] = []
    for name in names:
        try:
            for source in _named(name, spool, failures):
                for part, info in _probed(source, track, failures):
                    sources.extend(_channels(part, info) if each_channel else [part])
        except Exception as error:  # whatever one input does to a decoder, the others are transcribed
            failures.append(failure_of(name, error))
    return Expansion(_unique_names(_without_repeats(sources)), failures)


def _probed(
    source: Source, track: str | None, failures: list[Failure]
) -> Iterator[tuple[Source, AudioInfo | None]]:
    """The source with the duration of its header, where that says one; a file that cannot be opened fails."""
    if source.path is None or source.row is not None:
        yield source, None
        return
    try:
        info = probe(source.path, track=track, count=False)
    except Exception as error:  # as in expand
        failures.append(source_failure(source, error))
        return
    duration = info.duration if math.isfinite(info.duration) else None
    yield replace(source, duration=duration), info


def _channels(source: Source, info: AudioInfo | None) -> list[Source]:
    if info is None or info.channels < 2:
        return [source]
    return [
        replace(
            source,
            channel=channel,
            label=f"{source.label} (channel {channel})",
            name=f"{source.name}.channel{channel}",
        )
        for channel in range(info.channels)
    ]


def _named(name: str, spool: Path, failures: list[Failure]) -> Iterator[Source]:
    if name == STDIN:
        yield _standard_input(spool)
    elif _is_pipe(name):
        yield _pipe(name, spool)
    elif "://" in name:
        yield _download(name, spool)
    elif (path := Path(name)).is_dir():
        yield from _folder(path, failures)
    elif not _exists(path) and glob.has_magic(name):
        yield from _glob(name, spool, failures)
    elif path.suffix.lower() in MANIFEST_SUFFIXES:
        # a list, because a manifest with a broken row counts as a whole
        yield from [source_of_row(row) for row in require_rows(Manifest.open(path))]
    elif path.suffix.lower() in LIST_SUFFIXES and _exists(path):
        yield from _list(path, spool, failures)
    else:
        yield Source(label=writable(name), name=path.stem, path=path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or holding a NUL: no such file
        return False


def _folder(folder: Path, failures: list[Failure]) -> Iterator[Source]:
    """Its media files; a folder inside that cannot be read is a failure, and the others are searched."""
    before = len(failures)

    def failed(error: OSError) -> None:
        failures.append(failure_of(str(error.filename), unreadable(error)))

    found = [
        path
        for path in sorted(files_below(folder, MEDIA_SUFFIXES, failed))
        if path.is_file() or path.is_symlink()  # a link to nowhere fails by name, and does not vanish
    ]
    if not found and len(failures) == before:
        raise DataError("contains no audio or video files; name another folder.", path=folder)
    for path in found:
        yield Source(writable(str(path)), str(path.relative_to(folder).with_suffix("")), path)


def _glob(pattern: str, spool: Path, failures: list[Failure]) -> Iterator[Source]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    if not found:
        raise DataError("matches no file; correct the pattern or quote it for the shell.", path=pattern)
    for name in found:
        yield from _named(glob.escape(name) if "://" in name else name, spool, failures)


def _list(path: Path, spool: Path, failures: list[Failure]) -> Iterator[Source]:
    """One path a line, relative to the list; blank lines and ``#`` comments are skipped."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError("is not a UTF-8 list of audio paths, one per line.", path=path) from error
    entries = [(n, line.strip()) for n, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    if not entries:
        raise DataError("lists no audio files; write one path per line.", path=path)
    for number, entry in entries:
        target = path.parent / entry
        if target.suffix.lower() in LIST_SUFFIXES:
            raise DataError(f"lists {entry}, itself a list; name audio files only.", path=path, line=number)
        if "://" in entry:
            yield from _named(entry, spool, failures)
        else:
            yield Source(writable(str(target)), target.stem, target, origin=f"{path}:{number}")


def _standard_input(spool: Path) -> Source:
    """Standard input, copied to a file because decoders seek."""
    target = Path(tempfile.mkstemp(dir=spool, prefix="stdin-")[1])
    with target.open("wb") as handle:
        shutil.copyfileobj(sys.stdin.buffer, handle)
    if target.stat().st_size == 0:
        raise DataError("standard input is empty; pipe an audio file into it.")
    return Source(label="<stdin>", name="stdin", path=target)


def _is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(name).stat().st_mode)
    except (OSError, ValueError):
        return False


def _pipe(name: str, spool: Path) -> Source:
    """A named pipe, such as a shell's ``<(ffmpeg …)``, copied like standard input.

    Raises DataError where nobody writes into it.
    """
    target = Path(tempfile.mkstemp(dir=spool, prefix="pipe-")[1])
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)  # opening would wait for a writer for ever
    with os.fdopen(descriptor, "rb", buffering=0) as pipe, target.open("wb") as handle:
        ready = select.select([pipe], [], [], _PIPE_SECONDS)[0]
        if ready:
            os.set_blocking(descriptor, True)
            shutil.copyfileobj(pipe, handle)
    if target.stat().st_size == 0:
        raise DataError("is an empty pipe; pipe an audio file into it.", path=name)
    return Source(label=writable(name), name=Path(name).name, path=target)


def _download(url: str, spool: Path) -> Source:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"{url}: reading a URL", "url") from error
    target = Path(tempfile.mkstemp(dir=spool, prefix="url-")[1])
    try:
        with fsspec.open(url, "rb") as remote, target.open("wb") as local:
            shutil.copyfileobj(remote, local)
    except Exception as error:  # fsspec's protocols raise errors of their own packages
        raise DataError(
            f"cannot be fetched ({error}); download it and name the local file.", path=url
        ) from error
    return Source(label=url, name=Path(url.partition("?")[0]).stem or "download", path=target)


def _without_repeats(sources: Iterable[Source]) -> list[Source]:
    seen: set[tuple[object, ...]] = set()
    kept = []
    for source in sources:
        place = source.path and source.path.absolute()
        row = source.row and source.row.id
        key = (place, source.offset, source.duration, source.channel, row)
        if key not in seen:
            seen.add(key)
            kept.append(source)
    return kept


def _unique_names(sources: list[Source]) -> list[Source]:
    """Names of outputs that differ, even where a file system takes ``A`` for ``a``.

    ``talk.wav`` beside ``talk.mp3`` give ``talk.wav.txt`` and ``talk.mp3.txt``; ``a/talk.wav`` and
    ``b/talk.wav`` give ``a/talk.txt`` and ``b/talk.txt``; what is still alike gets a number.
    """
    taken: set[str] = set()
    unique = []
    for source, name in zip(sources, _longer_names(sources), strict=True):
        number, stem = 1, name
        while folded(name) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(folded(name))
        unique.append(replace(source, name=name))
    return unique


def _longer_names(sources: list[Source]) -> list[str]:
    """Each source's name, with its ending or folders where another has the same name."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(folded(source.name), []).append(source)
    return [_longer_name(source, groups[folded(source.name)]) for source in sources]


def _longer_name(source: Source, alike: list[Source]) -> str:
    if len(alike) == 1 or source.path is None or source.row is not None:
        return source.name
    folders = [path.absolute().parent.parts for other in alike if (path := other.path) is not None]
    endings = [path.suffix for other in alike if (path := other.path) is not None]
    name = source.name if len(set(endings)) == 1 else f"{source.name}{source.path.suffix}"
    own = source.path.absolute().parent.parts
    others = set(folders)
    if len(others) < 2 or len(Path(source.name).parts) > 1:  # a folder's own names tell places apart
        return name
    for depth in range(1, max(map(len, others)) + 1):
        if len({tuple(part[-depth:]) for part in others}) == len(others):
            return str(Path(*(UNSAFE.sub("_", part) for part in own[-depth:]), name))
    return name


def folded(name: str) -> str:
    """A name as a file system sees it that takes ``A`` for ``a``."""
    return unicodedata.normalize("NFC", name).casefold()
