"""Where transcripts go: files in a folder, one named file, or standard output.

Knows output names, what is already there, and the order on standard output. Does not know how a format is
written (``writers``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from asr_adapt.destinations import Name, mark_if_new, require_file, require_new_names
from asr_adapt.errors import UsageError, shown
from asr_adapt.files import atomic_write
from asr_adapt.leftovers import beside
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.sources import Source
from asr_adapt.transcription.writing.writers import WRITERS, WriterOptions, needs_words, render

#: What ``all`` stands for; ``jsonl`` is one file for a whole run, not one a source.
ALL_FORMATS = tuple(name for name in WRITERS if name != "jsonl")


def parse_formats(text: str) -> tuple[str, ...]:
    """Formats of a comma-separated list, ``all`` among them; raises UsageError for an unknown one."""
    formats: list[str] = []
    for name in text.lower().split(","):
        chosen = ALL_FORMATS if name.strip() == "all" else (name.strip(),)
        for one in chosen:
            if one not in WRITERS:
                raise UsageError(f"Format {one!r} is not one of {', '.join(WRITERS)}, all.")
            if one not in formats:
                formats.append(one)
    return tuple(formats)


@dataclass
class Outputs:
    """Writes each transcript once it is whole.

    Exactly one of ``directory`` and ``file`` is set, or neither: then everything goes to ``stream`` (default:
    standard output) in the order of the inputs.
    """

    formats: tuple[str, ...]
    directory: Path | None = None
    file: Path | None = None
    writer: WriterOptions = field(default_factory=WriterOptions)
    stream: TextIO | None = None

    @property
    def needs_words(self) -> bool:
        """Whether any format places text by word times."""
        return self.writer.highlight_words or any(map(needs_words, self.formats))

    def check(self, sources: int) -> None:
        """Raise UsageError for a combination that cannot be written, before any work is done."""
        if self.directory is not None:
            if "jsonl" in self.formats:
                raise UsageError("jsonl is one file for all inputs: give -o NAME.jsonl, not a folder.")
            return
        if len(self.formats) > 1:
            raise UsageError("Several formats go into a folder: give -o FOLDER.")
        if sources > 1 and self.file is not None and self.formats != ("jsonl",):
            raise UsageError(f"{self.file} would hold several transcripts: give -o FOLDER.")
        if sources > 1 and self.formats[0] not in ("txt", "json", "jsonl"):
            raise UsageError(f"Several {self.formats[0]} transcripts go into a folder: give -o FOLDER.")

    def require_free(self, sources: Sequence[Source], read: Iterable[Name], *, overwrite: bool) -> None:
        """Raise UsageError where an output would replace something that the run reads, or others' files.

        ``read`` names what is read besides the sources. A folder that is made now is marked as ours.
        """
        inputs = [*read, *(source.path for source in sources)]
        if self.directory is None:
            require_file(self.file, inputs)
            return
        written = [path for source in sources for path in self.paths(source)]
        require_new_names(written, inputs, folder=self.directory, overwrite=overwrite)
        if written:
            mark_if_new(self.directory, "transcribe")

    def paths(self, source: Source) -> list[Path]:
        """The files of one source; none when it goes to a stream or to a common file."""
        if self.directory is not None:
            return [self.directory / f"{source.name}.{name}" for name in self.formats]
        return [self.file] if self.file is not None and self.formats != ("jsonl",) else []

    def exist(self, source: Source) -> bool:
        """Whether every file of ``source`` is there; files are whole because they are written atomically."""
        paths = self.paths(source)
        return bool(paths) and all(path.is_file() for path in paths)

    def journal(self, source: Source) -> Path | None:
        """Where the pieces of an unfinished long source are kept; None when output is not a file."""
        paths = self.paths(source)
        return beside(paths[0].with_name(Path(source.name).name), ".partial.jsonl") if paths else None

    def write_files(self, source: Source, transcript: Transcript) -> None:
        """Write the files of one source, each atomically; raises OSError where that cannot be done."""
        for path, name in zip(self.paths(source), self.formats, strict=False):
            with atomic_write(path) as handle:
                handle.write(render(transcript, name, self.writer))

    @property
    def common(self) -> Path | None:
        """The one file that holds every transcript of the run, where there is one."""
        return self.file if self.formats == ("jsonl",) else None

    def write_in_order(self, texts: Iterable[str]) -> None:
        """Print what :meth:`printed` gave (a common file gets it in one write by :meth:`write_common`)."""
        stream = self.stream or sys.stdout
        stream.writelines(texts)
        stream.flush()

    def write_common(self, texts: Iterable[str]) -> None:
        """Write the one file of a whole run, atomically."""
        assert self.common is not None
        with atomic_write(self.common) as handle:
            handle.writelines(texts)

    def printed(self, transcript: Transcript, sources: int) -> str:
        """One transcript as it stands on standard output, or in the common file, of ``sources`` in all."""
        name = self.formats[0]
        if sources == 1 or name == "jsonl":
            return render(transcript, name, self.writer)
        if name == "json":  # one object a line can be read back; pretty objects in a row cannot
            value = {"source": transcript.source, **transcript.to_json()}
            return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
        return f"==> {shown(transcript.source)} <==\n{render(transcript, name, self.writer)}"
