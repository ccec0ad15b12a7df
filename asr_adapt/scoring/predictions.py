"""Reading predictions: manifest rows with ``pred_text``, held as columns, and the settings that made them.

Knows which fields scoring needs and what to say when one is missing, and the profile under which a file was
evaluated. Does not count or resample.
Audio is never opened here: a prediction scores without its sound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import DataError, NotComparableError, UsageError
from asr_adapt.manifest import Manifest, Utterance, default_id
from asr_adapt.scoring.columns import SparseColumns
from asr_adapt.scoring.conversations import Conversation, conversation
from asr_adapt.text import PROFILE_NAMES, PROFILES

#: Fields of a row that hold no groups and are not kept as columns.
_BULKY = {"words", "segments", "text", "pred_text", "id"}
#: Fields that a message lists.
MOST_NAMED = 40


@dataclass(frozen=True)
class Predictions:
    """Columns of a predictions file, all of the same length, in its order.

    ``columns`` holds every other scalar field; ``audio`` resolved audio paths where the rows came from a
    file; ``settings`` what is stored beside it (:func:`read_settings`).
    """

    ids: list[str]
    references: list[str]
    hypotheses: list[str]
    columns: SparseColumns
    audio: list[str]
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: Rows that are conversations, with the words of each speaker.
    conversations: Sequence[Conversation] = ()
    #: Fields that are lists of phrases or of objects with a place in the text: spans.
    lists: SparseColumns = field(default_factory=SparseColumns)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def open(cls, source: str | Path) -> Predictions:
        """Read a predictions file (or several, as a glob); :class:`DataError` names file, line and field."""
        return cls.of(Manifest.open(source), source=str(source), settings=read_settings(source))

    @classmethod
    def of(
        cls,
        rows: Iterable[Utterance | Mapping[str, Any]],
        *,
        source: str = "predictions",
        settings: Mapping[str, Any] | None = None,
    ) -> Predictions:
        """Collect rows: utterances, or plain mappings with at least ``text`` and ``pred_text``."""
        reader = _Collector(source)
        for number, row in enumerate(rows, start=1):
            reader.add(row, number)
        if not reader.ids:
            raise DataError("it contains no predictions: write some with `asr-adapt evaluate`.", path=source)
        return cls(
            reader.ids,
            reader.references,
            reader.hypotheses,
            reader.columns,
            reader.audio,
            source,
            settings or {},
            reader.conversations,
            reader.lists,
        )

    def column(self, name: str) -> list[Any]:
        """Values of a field, ``None`` where absent; :class:`UsageError` when no row has it."""
        if name not in self.columns:
            known = ", ".join(sorted(self.columns)[:MOST_NAMED]) or "none"
            known += f" and {len(self.columns) - MOST_NAMED} more" if len(self.columns) > MOST_NAMED else ""
            raise UsageError(f"{self.source} has no field {name!r} to group by; its fields are: {known}.")
        return self.columns[name]

    @property
    def speakers(self) -> list[str | None] | None:
        """The speaker of each row, or nothing when no row names one."""
        return self.columns.get("speaker")

    def seconds(self, name: str) -> np.ndarray:
        """A numeric field (``duration``, ``time``) as float64, NaN where absent."""
        values = self.columns.get(name) or [None] * len(self)
        return np.array(
            [value if isinstance(value, int | float) else np.nan for value in values], dtype=float
        )

    @property
    def looped(self) -> np.ndarray:
        """Rows on which the decoder looped (field ``looped``), booleans (rows,)."""
        return np.array([value is True for value in self.columns.get("looped") or [None] * len(self)])

    def take(self, rows: Sequence[int] | np.ndarray) -> Predictions:
        """Some rows, in the given order."""
        picked = [int(row) for row in rows]
        return Predictions(
            [self.ids[row] for row in picked],
            [self.references[row] for row in picked],
            [self.hypotheses[row] for row in picked],
            self.columns.take(picked),
            [self.audio[row] for row in picked],
            self.source,
            self.settings,
            lists=self.lists.take(picked),
        )


PredictionSource = str | Path | Predictions | Iterable[Utterance | Mapping[str, Any]]


class _Collector:
    """Turns rows into columns of equal length, whatever fields each row has."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.ids: list[str] = []
        self.references: list[str] = []
        self.hypotheses: list[str] = []
        self.columns = SparseColumns()
        self.lists = SparseColumns()
        self.audio: list[str] = []
        self.conversations: list[Conversation] = []

    def add(self, row: Utterance | Mapping[str, Any], number: int) -> None:
        path, line = self.source, number
        if isinstance(row, Utterance):
            path, line = row.source or path, row.line or number
            self.audio.append(str(row.audio_path))
            row = row.to_row()
        else:
            self.audio.append(str(row.get("audio_filepath") or ""))
        self.references.append(_text(row, "text", path, line))
        self.hypotheses.append(_text(row, "pred_text", path, line))
        self.columns.add({name: value for name, value in row.items() if _scalar(name, value)})
        self.lists.add({name: value for name, value in row.items() if _listed(name, value)})
        self.ids.append(str(row.get("id") or _default_id(row, number)))
        if (found := conversation(row, self.ids[-1], path, line)) is not None:
            self.conversations.append(found)


def _default_id(row: Mapping[str, Any], number: int) -> str:
    name = row.get("audio_filepath")
    channel = row.get("channel")
    channel = channel if isinstance(channel, int) else None
    return default_id(name, row.get("offset") or 0.0, channel) if name else f"row-{number}"


def _scalar(name: str, value: Any) -> bool:
    return name not in _BULKY and isinstance(value, str | int | float | bool)


def _listed(name: str, value: Any) -> bool:
    return name not in _BULKY and isinstance(value, list) and bool(value) and _names_text(value[0])


def _names_text(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, dict) and bool({"text", "start"} & item.keys()))


_MISSING = {
    "text": 'has no reference transcript: scoring needs `text` in every row ("" for silence).',
    "pred_text": "has no prediction: write predictions with `asr-adapt evaluate` or add `pred_text`.",
}


def _text(row: Mapping[str, Any], name: str, path: str, line: int) -> str:
    value = row.get(name)
    if value is None:
        raise DataError(f"the row {_MISSING[name]}", path=path, line=line, field=name)
    if not isinstance(value, str):
        raise DataError(
            f"is {type(value).__name__}, not text: put it in quotes.", path=path, line=line, field=name
        )
    return value


def read_predictions(source: PredictionSource) -> Predictions:
    """Predictions from a path, a glob, a :class:`Manifest`, rows, or as they are."""
    if isinstance(source, Predictions):
        return source
    if isinstance(source, str | Path):
        return Predictions.open(source)
    return Predictions.of(source)


def profile_for(given: str | None, *sources: Predictions, default: str = "basic") -> str:
    """The normalisation profile to score under: ``given``, else the one that the files were evaluated under,
    else the ``default``.

    Raises :class:`NotComparableError` where files were evaluated under different profiles and none is given,
    :class:`DataError` where a file names a profile that this version does not know.
    """
    if given:
        return given
    recorded = {name: source for source in reversed(sources) if (name := _recorded(source)) is not None}
    if len(recorded) > 1:
        told = ", ".join(f"{source.source} under {name}" for name, source in recorded.items())
        raise NotComparableError(
            f"the predictions were evaluated under different profiles ({told}): "
            "choose one for all of them with --normalise."
        )
    return next(iter(recorded), default)


def _recorded(source: Predictions) -> str | None:
    """The profile in the settings of a predictions file."""
    value = source.settings.get("normaliser")
    if value is None:
        return None
    name = value.get("name") if isinstance(value, Mapping) else value
    if name not in PROFILES:
        raise DataError(
            f"names a profile that this version does not know ({name!r}): give one with --normalise, one of "
            f"{PROFILE_NAMES}.",
            path=settings_path(source.source),
            field="normaliser",
        )
    return str(name)


def changed_profile(source: Predictions, name: str) -> str | None:
    """A note where predictions were evaluated under another version of the profile ``name``."""
    value = source.settings.get("normaliser")
    if not isinstance(value, Mapping) or value.get("name") != name:
        return None
    before, now = f"{name}@{value.get('version')}", PROFILES[name].label
    return None if before == now else f"Evaluated under {before}, scored under {now}: figures may differ."


def label_of(source: Predictions) -> str:
    """A short name for a set of predictions: the model that made them, else the file's name."""
    model = source.settings.get("model")
    return str(model) if model else Path(source.source).stem


def settings_path(predictions: str | Path) -> Path:
    """Where the settings of a predictions file are kept: ``x.jsonl`` → ``x.settings.json``."""
    path = Path(predictions)
    return path.with_name(f"{path.stem}.settings.json")


def read_settings(predictions: str | Path) -> dict[str, Any]:
    """What produced a predictions file: ``model``, ``decoding``, ``normaliser``, ``noise_floor`` …; or
    nothing."""
    path = settings_path(predictions)
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"is not JSON ({error}): delete it or evaluate again.", path=path) from None
    if not isinstance(settings, dict):
        raise DataError("must be a JSON object: delete it or evaluate again.", path=path)
    return settings


def iterate_groups(values: Sequence[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Distinct values in order of first appearance, each with its row indices; ``None`` is "unknown"."""
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault("unknown" if value is None else str(value), []).append(row)
    for name, indices in rows.items():
        yield name, np.array(indices)
