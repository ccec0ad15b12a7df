"""The files of a published folder: model, card, recipe without places, report without sound.

Knows what must not leave: recordings, names of speakers, places on this machine. Does not know variants.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from asr_adapt.files import atomic_write, temporary_folder, write_json
from asr_adapt.manifest import Utterance
from asr_adapt.models import Recogniser
from asr_adapt.publishing.result import Result
from asr_adapt.scoring.predictions import settings_path
from asr_adapt.scoring.report import write_report
from asr_adapt.transcription.calibration import calibration_path

#: Fields of a row that the report may group by; others may tell who spoke.
_FIELDS = ("accent", "lang")
#: Parts of the summary that name rows or places.
#: Endings of files that a recipe names.
_FILES = (".jsonl", ".json", ".yaml", ".yml", ".csv", ".tsv", ".txt", ".arpa")
_PRIVATE = ("dropped_rows", "prefix_cache", "measured_prefix", "time", "batch_size")


def write_model(recogniser: Recogniser, result: Result, folder: Path) -> None:
    """The transformers files, and the map of word confidence where the result has one."""
    recogniser.save(folder)
    known = calibration_path(str(result.folder))
    if known.is_file():
        value = json.loads(known.read_text(encoding="utf-8"))
        write_json(calibration_path(str(folder)), without_places(value))


def write_about(result: Result, folder: Path, *, report: bool) -> None:
    """``recipe.yaml``, ``results.json`` and, where asked for, ``report.html``."""
    with atomic_write(folder / "recipe.yaml") as handle:
        yaml.safe_dump(without_places(result.recipe), handle, sort_keys=False, allow_unicode=True)
    write_json(folder / "results.json", shown_summary(result))
    if report:
        write_silent_report(result, folder / "report.html")


def shown_summary(result: Result) -> dict[str, Any]:
    """The summary without names of rows and places."""
    kept = {name: value for name, value in result.summary.items() if name not in _PRIVATE}
    return dict(without_places(kept)) | {"dropped_rows": len(result.summary.get("dropped_rows") or ())}


def without_places(value: Any) -> Any:
    """The same tree with the last part of every path alone, wherever a text is one."""
    if isinstance(value, Mapping):
        return {name: without_places(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    return last_part(value) if isinstance(value, str) else value


def last_part(text: str) -> str:
    """``corpus/train.jsonl`` as ``train.jsonl``; a hub id and a sentence stay as they are."""
    parts = text.replace("\\", "/").rstrip("/").split("/")
    if " " in text or len(parts) < 2:
        return text
    absolute = text.startswith(("/", "~", ".")) or text[1:3] in (":\\", ":/")
    file = text.endswith(_FILES) or Path(text).exists()
    return parts[-1] if absolute or len(parts) > 2 or file else text


def write_silent_report(result: Result, page: Path) -> None:
    """The report of the run without sound; rows and speakers are numbered, other fields left out."""
    with temporary_folder() as work:
        files: list[Path] = []
        for name in result.sets:
            for when in ("before", "after"):
                path = result.predictions(name, when)
                if path.is_file():
                    files.append(_anonymous(path, work / f"{name}.{when}.jsonl", name))
        if not files:
            return
        metrics = result.folder / "metrics.jsonl"
        write_report(
            page,
            files,
            metrics if metrics.is_file() else None,
            title=f"{Path(result.base).name} adapted",
            normalise=result.summary["normalisation"]["profile"],
            audio="none",
            summary=shown_summary(result) | {"dropped_rows": []},
        )


def _anonymous(source: Path, target: Path, name: str) -> Path:
    from asr_adapt.manifest import Manifest

    speakers: dict[str, str] = {}
    lines = []
    for number, row in enumerate(Manifest.open(source), 1):
        kept = _kept(row, f"{name}-{number}", speakers)
        lines.append(json.dumps(kept, ensure_ascii=False) + "\n")
    target.write_text("".join(lines), encoding="utf-8")
    settings = settings_path(source)
    if settings.is_file():
        value = json.loads(settings.read_text(encoding="utf-8"))
        write_json(settings_path(target), without_places(value))
    return target


def _kept(row: Utterance, name: str, speakers: dict[str, str]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "id": name,
        "audio_filepath": name,
        "text": row.text,
        "pred_text": row.get("pred_text"),
    }
    if row.duration is not None:
        kept["duration"] = row.duration
    if row.speaker:
        kept["speaker"] = speakers.setdefault(row.speaker, f"speaker {len(speakers) + 1}")
    if row.get("looped"):
        kept["looped"] = True
    return kept | {field: row.get(field) for field in _FIELDS if row.get(field)}
