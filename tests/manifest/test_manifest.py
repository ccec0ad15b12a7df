"""Rows and manifests: what is read, what is written back, and what is said about broken lines."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest, Utterance, write_manifest

ROWS = [
    {"audio_filepath": "a/one.wav", "duration": 1.5, "text": "one"},
    {"audio_filepath": "/abs/two.wav", "duration": 2, "text": "tŵo", "speaker": 84, "score": {"duration": 9}},
    {"audio_filepath": "three.wav", "offset": 3.25, "duration": None, "text": None, "accent": "mild"},
]


def write_lines(path: Path, rows: list[dict], newline: str = "\n", start: bytes = b"") -> Path:
    content = newline.join(json.dumps(row, ensure_ascii=False) for row in rows) + newline
    path.write_bytes(start + content.encode())
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n", "\n   \n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_rows_are_read_whatever_the_line_ends(tmp_path: Path, newline: str, start: bytes) -> None:
    manifest = Manifest.open(write_lines(tmp_path / "m.jsonl", ROWS, newline, start))
    assert [row.audio_filepath for row in manifest] == ["a/one.wav", "/abs/two.wav", "three.wav"]
    assert manifest[0] == next(iter(manifest))
    assert manifest[-1].offset == 3.25
    assert manifest[2].line == 1 + 2 * newline.count("\n")
    np.testing.assert_array_equal(manifest.durations, [1.5, 2.0, np.nan])


def test_fields_are_typed_and_unknown_ones_kept(tmp_path: Path) -> None:
    manifest = Manifest.open(write_lines(tmp_path / "m.jsonl", ROWS))
    assert manifest[1].speaker == "84"
    assert manifest[1].extra == {"score": {"duration": 9}}
    assert manifest[1].get("score") == {"duration": 9}
    assert manifest[1].get("absent") is None
    assert manifest[0].audio_path == tmp_path / "a/one.wav"
    assert manifest[1].audio_path == Path("/abs/two.wav")
    assert [row.id for row in manifest] == ["a/one", "/abs/two", "three@3250"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"audio_filepath": "x.wav", "text": "a"', r"m\.jsonl:2: the line is not valid JSON at column"),
        (b"[1, 2]", r"m\.jsonl:2: the line holds a list"),
        (b'{"text": "a"}', r"m\.jsonl:2: audio_filepath: the field is missing"),
        (b'{"audio_filepath": 5}', r"m\.jsonl:2: audio_filepath: must be a path, not a number"),
        (b'{"audio_filepath": " "}', r"audio_filepath: must be a path, not an empty string"),
        (b'{"audio_filepath": "a\\u0000b"}', r"NUL"),
        (b'{"audio_filepath": "x", "duration": "3"}', r"m\.jsonl:2: duration: must be a number"),
        (b'{"audio_filepath": "x", "duration": NaN}', r"NaN is not a JSON value"),
        (b'{"audio_filepath": "x", "duration": -1}', r"duration: -1 is not a number of seconds"),
        (b'{"audio_filepath": "x", "offset": true}', r"offset: must be a number of seconds"),
        (b'{"audio_filepath": "x", "text": ["a"]}', r"text: must be a string, not a list"),
        (b'{"audio_filepath": "x", "text": "\\ud800"}', r"text: holds half of a surrogate pair"),
        (b'{"audio_filepath": "x", "speaker": {}}', r"speaker: must be a string, not an object"),
        (b'{"audio_filepath": "\xe9.wav"}', r"byte 21 of the line is not UTF-8"),
        (b"[" * 100_000, r"not valid JSON"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"audio_filepath": "fine.wav"}\n' + line + b"\n")
    manifest = Manifest.open(path)
    assert len(manifest) == 2
    assert manifest[0].audio_filepath == "fine.wav"
    with pytest.raises(DataError, match=message):
        manifest[1]
    with pytest.raises(DataError, match=message):
        list(manifest)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b123", "gzip"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"PAR1....", "parquet"),
        (None, "cannot be opened"),
    ],
)
def test_files_that_are_no_manifest(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "m.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        Manifest.open(path)


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.touch()
    manifest = Manifest.open(path)
    assert len(manifest) == 0
    assert list(manifest) == []
    assert manifest.durations.shape == (0,)


def test_shards_behave_as_one(tmp_path: Path) -> None:
    write_lines(tmp_path / "part-1.jsonl", ROWS[:2])
    (tmp_path / "part-2.jsonl").touch()
    write_lines(tmp_path / "part-3.jsonl", ROWS[2:])
    for source in (str(tmp_path / "part-*.jsonl"), sorted(tmp_path.glob("part-*"))):
        manifest = Manifest.open(source)
        assert [row.text for row in manifest] == ["one", "tŵo", None]
        assert manifest[2].accent == "mild"
        assert [row.accent for row in manifest[1:]] == [None, "mild"]
        assert len(manifest.durations) == 3
    with pytest.raises(UsageError, match="no file matches"):
        Manifest.open(str(tmp_path / "none-*.jsonl"))


def test_selection_shares_the_index_and_survives_pickling(tmp_path: Path) -> None:
    manifest = Manifest.open(write_lines(tmp_path / "m.jsonl", ROWS))
    chosen = pickle.loads(pickle.dumps(manifest.select([2, 0, -1])))
    assert [row.accent for row in chosen] == ["mild", None, "mild"]
    np.testing.assert_array_equal(chosen.durations, [np.nan, 1.5, np.nan])
    with pytest.raises(IndexError):
        manifest.select([3])
    with pytest.raises(IndexError):
        chosen[3]


def test_a_manifest_that_changes_underneath_is_noticed(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", ROWS)
    manifest = Manifest.open(path)
    write_lines(path, ROWS[:1])
    with pytest.raises(DataError, match="changed after it was opened"):
        manifest[0]


def test_relative_paths_hold_from_the_new_folder(tmp_path: Path) -> None:
    source = tmp_path / "corpus"
    source.mkdir()
    manifest = Manifest.open(write_lines(source / "m.jsonl", ROWS))
    target = tmp_path / "out" / "deep" / "m.jsonl"
    assert write_manifest(target, manifest) == 3
    copied = Manifest.open(target)
    for before, after in zip(manifest, copied, strict=True):
        assert after.audio_path.resolve() == before.audio_path.resolve()
        assert after.id == before.id
        assert after.replace(audio_filepath="", root=Path(), source="", line=0) == before.replace(
            audio_filepath="", root=Path(), source="", line=0
        )


def test_relative_paths_hold_through_a_symlinked_folder(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    row = Utterance("a.wav", root=tmp_path)
    write_manifest(tmp_path / "link" / "m.jsonl", [row])
    (tmp_path / "a.wav").write_bytes(b"x")
    assert Manifest.open(tmp_path / "link" / "m.jsonl")[0].audio_path.read_bytes() == b"x"


def test_writing_onto_itself_and_failing_in_the_middle(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", ROWS)
    write_manifest(path, (row.replace(text="new") for row in Manifest.open(path)))
    assert [row.text for row in Manifest.open(path)] == ["new"] * 3
    before = path.read_bytes()
    bad = [*Manifest.open(path), Utterance("x.wav", extra={"score": float("nan")})]
    with pytest.raises(DataError, match="cannot be written"):
        write_manifest(path, bad)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["m.jsonl"]
