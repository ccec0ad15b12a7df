"""The published schema, the sample and the reader agree on what a row is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_adapt.errors import DataError
from asr_adapt.manifest import ROW_FIELDS, Manifest, Place, from_row

FOLDER = Path(__file__).resolve().parents[2] / "manifests"
SCHEMA = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
TYPES = {"string": str, "number": (int, float), "null": type(None), "array": list}


def fits(row: dict) -> bool:
    """The part of JSON Schema that the file uses for row fields."""
    if any(name not in row for name in SCHEMA["required"]):
        return False
    for name, value in row.items():
        rule = SCHEMA["properties"].get(name, {})
        kinds = rule.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        typed = any(isinstance(value, TYPES[kind]) for kind in kinds) and not isinstance(value, bool)
        if kinds and not typed:
            return False
        if isinstance(value, (int, float)) and not rule.get("minimum", value) <= value <= rule.get(
            "maximum", value
        ):
            return False
        if isinstance(value, str) and len(value.strip()) < rule.get("minLength", 0):
            return False
    return True


def test_the_sample_is_read_and_fits() -> None:
    manifest = Manifest.open(FOLDER / "sample.jsonl")
    rows = [json.loads(line) for line in (FOLDER / "sample.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(manifest) == len(rows) == 4
    assert [row.to_row() for row in manifest] == rows
    assert all(fits(row) for row in rows)


def test_the_schema_names_every_field() -> None:
    assert set(ROW_FIELDS) <= set(SCHEMA["properties"])


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"audio_filepath": None},
        {"audio_filepath": " "},
        {"audio_filepath": 3},
        {"duration": "3"},
        {"duration": -1},
        {"duration": True},
        {"duration": 2},
        {"offset": 2e9},
        {"text": 5},
        {"text": None},
        {"speaker": 84},
        {"speaker": ["a"]},
        {"gender": False},
        {"extra": {"any": ["thing"]}},
    ],
)
def test_schema_and_reader_accept_the_same_rows(change: dict) -> None:
    row = {"audio_filepath": "a.wav"} | change
    try:
        from_row(row, Place(Path(), None))
        accepted = True
    except DataError:
        accepted = False
    assert accepted == fits(row)
