"""Praat TextGrids beside the audio: each non-empty interval of one tier is an utterance.

Knows the long and short text formats in UTF-8 and UTF-16, whose contents are the same stream of numbers and
quoted strings. Does not know Praat's binary format or point tiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asr_adapt.audio.media import MEDIA_SUFFIXES, files_below
from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.contract import ImportOptions, first_file, read_text
from asr_adapt.manifest.utterance import Place, Utterance, from_row

_SUFFIXES = frozenset({".textgrid"})
#: Tier names that hold whole utterances, best first; otherwise the first interval tier is taken.
_UTTERANCE_TIERS = ("utterance", "utterances", "sentence", "sentences", "transcript", "transcription", "text")
_STRING = r'"(?:[^"]|"")*"'
#: Not the index in ``item [1]``.
_NUMBER = r"(?<![\w\[.])-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w\]])"
_TOKEN = re.compile(f"{_STRING}|<exists>|<absent>|{_NUMBER}")


class TextGridLayout:
    """A folder of audio with same-named ``.TextGrid`` files, or one such file."""

    name = "textgrid"
    description = "Praat TextGrids beside the audio, one interval an utterance (--tier NAME)"
    folders: tuple[str, ...] = ("",)

    def recognise(self, source: Path) -> str | None:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`."""
        if source.is_dir():
            found = first_file(source, _SUFFIXES)
            return None if found is None else f"it holds {found.relative_to(source)}"
        return "it is a TextGrid" if source.suffix.lower() in _SUFFIXES else None

    def read(self, source: Path, options: ImportOptions) -> Iterator[Utterance]:
        """See :class:`~asr_adapt.manifest.layouts.contract.Layout`; the id is file name and number."""
        folder = source if source.is_dir() else source.parent
        for path in files_below(source, _SUFFIXES) if source.is_dir() else [source]:
            audio = _audio_beside(path).relative_to(folder).as_posix()
            tier = _choose(parse_textgrid(path), options.tier, path)
            for number, interval in enumerate(tier.intervals, start=1):
                if interval.text.strip():
                    row = {
                        "audio_filepath": audio,
                        "id": f"{path.relative_to(folder).with_suffix('').as_posix()}-{number:04d}",
                        "offset": interval.start,
                        "duration": round(interval.end - interval.start, 6),
                        "text": interval.text.strip(),
                    }
                    yield from_row(row, Place(folder, str(path)))


@dataclass(frozen=True, slots=True)
class TierInterval:
    """``start`` and ``end`` in seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Tier:
    """One interval tier."""

    name: str
    intervals: tuple[TierInterval, ...]


def parse_textgrid(path: Path) -> list[Tier]:
    """The interval tiers of a TextGrid. Raises DataError when it is not one or breaks off."""
    content = read_text(path)
    tokens = [match.group() for match in _TOKEN.finditer(content)]
    if '"TextGrid"' not in tokens[:3]:
        raise DataError("is not a TextGrid in Praat's text format; save it as text.", path=path)
    reader = _Tokens(tokens[tokens.index('"TextGrid"') + 1 :], path)
    reader.number(), reader.number()
    if reader.take() != "<exists>":
        return []
    tiers: list[Tier] = []
    for _ in range(reader.count()):
        kind, name = reader.string(), reader.string()
        reader.number(), reader.number()
        if kind == "IntervalTier":
            tiers.append(Tier(name, tuple(reader.interval() for _ in range(reader.count()))))
        else:
            for _ in range(reader.count()):
                reader.number(), reader.string()
    return tiers


class _Tokens:
    """The stream of values; every shortage or wrong kind is a DataError."""

    def __init__(self, tokens: list[str], path: Path) -> None:
        self._tokens, self._path, self._next = tokens, path, 0

    def take(self) -> str:
        if self._next >= len(self._tokens):
            raise DataError("the TextGrid breaks off before its last interval.", path=self._path)
        self._next += 1
        return self._tokens[self._next - 1]

    def number(self) -> float:
        token = self.take()
        try:
            return float(token)
        except ValueError as error:
            raise DataError(f"the TextGrid has {token[:40]} in place of a time.", path=self._path) from error

    def count(self) -> int:
        value = self.number()
        if not 0 <= value <= len(self._tokens) or value != int(value):
            raise DataError(f"the TextGrid claims {value:g} entries, more than it holds.", path=self._path)
        return int(value)

    def string(self) -> str:
        token = self.take()
        if not token.startswith('"'):
            raise DataError(f"the TextGrid has {token[:40]} in place of a text.", path=self._path)
        return token[1:-1].replace('""', '"')

    def interval(self) -> TierInterval:
        start, end, text = self.number(), self.number(), self.string()
        if not 0 <= start <= end < 1e9:
            raise DataError(f"the interval {start:g} to {end:g} s runs backwards.", path=self._path)
        return TierInterval(start, end, text)


def _choose(tiers: list[Tier], wanted: str | None, path: Path) -> Tier:
    names = [tier.name for tier in tiers]
    if wanted is not None:
        if wanted not in names:
            raise DataError(f"has no interval tier {wanted!r} (tiers: {', '.join(names)}).", path=path)
        return tiers[names.index(wanted)]
    if not tiers:
        raise DataError("has no interval tier.", path=path)
    lowered = [name.strip().lower() for name in names]
    known = next((lowered.index(name) for name in _UTTERANCE_TIERS if name in lowered), 0)
    return tiers[known]


def _audio_beside(path: Path) -> Path:
    found = [p for p in path.parent.glob(f"{_escape(path.stem)}.*") if p.suffix.lower() in MEDIA_SUFFIXES]
    if not found:
        raise DataError(f"there is no audio file named {path.stem}.* beside the TextGrid.", path=path)
    return sorted(found)[0]


def _escape(stem: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", stem)
