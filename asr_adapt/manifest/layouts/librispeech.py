"""LibriSpeech: ``speaker/chapter/*.trans.txt`` beside the audio, ``SPEAKERS.TXT`` above.

Knows LibriSpeech's file names (also used by Multilingual LibriSpeech's clones and TTS corpora made from it).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asr_adapt.audio.media import MEDIA_SUFFIXES, files_below
from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.contract import ImportOptions, read_lines
from asr_adapt.manifest.utterance import Place, Utterance, from_row

_TRANSCRIPTS = ".trans.txt"


class LibriSpeechLayout:
    """A LibriSpeech tree, or one of its ``.trans.txt`` files."""

    name = "librispeech"
    description = "LibriSpeech tree (speaker/chapter/*.trans.txt)"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.name.endswith(_TRANSCRIPTS):
            return "it is a .trans.txt file"
        found = next(_transcripts(source), None) if source.is_dir() else None
        return None if found is None else f"it holds {found.relative_to(source)}"

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        folder = source if source.is_dir() else source.parent
        genders = _read_genders(folder)
        for path in _transcripts(source) if source.is_dir() else [source]:
            audio = {p.stem: p for p in path.parent.iterdir() if p.suffix.lower() in MEDIA_SUFFIXES}
            place = Place(folder, str(path))
            for line, content in read_lines(path):
                name, _, text = content.partition(" ")
                if name not in audio:
                    raise DataError(
                        f"utterance {name!r} has no audio file next to the transcript.", path=path, line=line
                    )
                speaker = name.split("-")[0]
                row: dict[str, str | None] = {
                    "audio_filepath": str(audio[name].relative_to(folder)),
                    "id": name,
                    "text": text.strip(),
                }
                row |= {"speaker": speaker, "gender": genders.get(speaker)}
                yield from_row({options.columns.get(k, k): v for k, v in row.items()}, place, line)


def _transcripts(folder: Path) -> Iterator[Path]:
    return (path for path in files_below(folder, {".txt"}) if path.name.endswith(_TRANSCRIPTS))


def _read_genders(folder: Path) -> dict[str, str]:
    """``14 | F | train-clean | …`` lines of SPEAKERS.TXT in the folder or above it."""
    for parent in (folder, *folder.absolute().parents[:2]):
        path = parent / "SPEAKERS.TXT"
        if path.is_file():
            rows = (line.split("|") for _, line in read_lines(path) if not line.startswith(";"))
            return {row[0].strip(): row[1].strip().lower() for row in rows if len(row) > 1}
    return {}
