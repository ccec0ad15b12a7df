"""Damaged and hostile input never ends in anything but the project's own error.

Every importer, the manifest reader, the audio reader and the shards are fed real files with random edits of
bytes and of structure. ``make test`` runs a few hundred cases; the full count is

    ASR_ADAPT_FUZZ_CASES=20000 python -m pytest tests/manifest/test_fuzz.py
"""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from corpora import CORPORA, SPOKEN, audio_bytes, samples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asr_adapt.audio import probe, read_audio, stream_audio
from asr_adapt.audio.health import measure_health
from asr_adapt.errors import AsrAdaptError
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.manifest.check import CheckOptions, Repairer, check_manifest
from asr_adapt.manifest.layouts import LAYOUTS, ImportOptions

AUDIO_FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "float-wav": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
}
TARGETS = len(CORPORA) + len(LAYOUTS) + len(AUDIO_FORMATS) + 3
TOTAL = int(os.environ.get("ASR_ADAPT_FUZZ_CASES", "700"))
CASES = -(-TOTAL // TARGETS)
fuzz = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)

#: Pieces that parsers trip over.
TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n",
    b"\t", b'"', b"'",
    b"{", b"}", b"[", b"]", b",", b":", b"|", b"\\ud800", b"\\u0000", b"null", b"NaN", b"Infinity",
    b"-1", b"1e999",
    b"9" * 400, b"true", b"[]", b"{}", b'""', b"../../../etc/passwd", b"/dev/null", b"file.tar/x",
    b"://", b"s3://x/y",
    b"x" * 300, b"\x1f\x8b", b"PAR1", b"RIFF", b"OggS", b"fLaC", b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00", b"\x7f" * 4,
]  # fmt: skip
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "delete", "cut", "repeat", "flip"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=6)),
    ),
    min_size=1,
    max_size=4,
)


def edited(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, place, piece in edits:
        at = int(place * len(content))
        if kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "replace":
            content = content[:at] + piece + content[at + len(piece) :]
        elif kind == "delete":
            content = content[:at] + content[at + 4 * len(piece) :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "repeat":
            content = content[:at] + content[at : at + 40] * 3 + content[at:]
        else:
            content = (
                content[:at]
                + bytes(b ^ 0x55 for b in content[at : at + len(piece)])
                + content[at + len(piece) :]
            )
    return content


@dataclass(frozen=True)
class Outcome:
    """What an action gave, or what the project's own error says; any other exception fails the test."""

    value: Any = None
    refusal: str | None = None

    @property
    def fair(self) -> bool:
        """Whether it went well, or what was said reads as a sentence and not as a bare exception."""
        return self.refusal is None or (len(self.refusal) > 10 and " " in self.refusal.strip())


def attempt(action: Callable[[], object]) -> Outcome:
    try:
        return Outcome(action())
    except AsrAdaptError as error:
        return Outcome(refusal=str(error))


def usable(rows: list[Utterance] | None) -> bool:
    """Whether every row that was read names its audio, has an id, and no time that is not one."""
    times = [t for row in rows or () for t in (row.offset, row.duration) if t is not None]
    return all(row.audio_filepath and row.id for row in rows or ()) and all(0 <= t < math.inf for t in times)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    return {name: corpus.make(folder / name) for name, corpus in CORPORA.items()}


def files_of(source: Path) -> list[Path]:
    """The files that carry a layout, transcripts before audio."""
    folder = source if source.is_dir() else source.parent
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return sorted(files, key=lambda path: path.suffix in (".wav", ".flac", ".mp3"))


@pytest.mark.parametrize("name", CORPORA)
@fuzz
@given(edits=EDITS, chosen=st.floats(0, 0.999))
def test_importers(corpora: dict[str, Path], name: str, edits: list, chosen: float) -> None:
    source = corpora[name]
    files = files_of(source)
    path = files[int(chosen**3 * len(files))]  # mostly the transcripts
    original = path.read_bytes()
    try:
        path.write_bytes(edited(original, edits))
        for options in (BuildOptions(layout=CORPORA[name].layout), BuildOptions(skip_unreadable=True)):
            found = attempt(lambda options=options: list(open_build(source, options).rows()))
            assert found.fair and usable(found.value)
    finally:
        path.write_bytes(original)


NAMES = [
    "metadata.csv", "metadata.jsonl", "metadata.parquet", "wav.scp", "text", "segments", "utt2spk",
    "spk2age",
    "a.trans.txt", "a.TextGrid", "a.stm", "a.parquet", "cuts.jsonl.gz", "recordings.jsonl",
    "supervisions.jsonl",
    "train.tsv", "manifest.json", "a.wav", "a.txt", "a.lab", "SPEAKERS.TXT",
]  # fmt: skip
LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "path\tsentence", "file_name,text", "a.wav,hello", "a.wav\thello", "u1 a.wav", "u1 s1",
                "u1 0.0 1.0",
                '{"audio_filepath": "a.wav"}', '{"audio_filepath": "a.wav", "shard_id": 0}',
                "a 1 s 0 1 <o> hi",
                '{"id": "r", "sources": [{"type": "file", "source": "a.wav"}], "sampling_rate": 8000}',
                '{"recording_id": "r", "start": 0, "duration": 1, "id": "u"}', '"TextGrid"',
                "<exists>", "0", "1",
                '{"supervisions": [{}], "recording": {}}', '"IntervalTier"', '"utterances"',
                "u1 cat a.wav |",
            ]
        ),
        st.text(max_size=12),
    ),
    max_size=6,
)  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@fuzz
@given(contents=st.dictionaries(st.sampled_from(NAMES), LINES, min_size=1, max_size=4))
def test_folders_of_anything(layout: str, contents: dict[str, list[str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.wav").write_bytes(audio_bytes(SPOKEN[2]))
        for name, lines in contents.items():
            (folder / name).write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
        for source in (folder, *(folder / name for name in contents)):
            job = BuildOptions(layout=layout)
            found = attempt(lambda source=source, job=job: list(open_build(source, job).rows()))
            assert found.fair and usable(found.value)
        options = BuildOptions(source_options=ImportOptions({"text": "speaker"}, "{a}_{text}", "x"))
        found = attempt(lambda: list(open_build(folder, options).rows()))
        assert found.fair and usable(found.value)


def coded(name: str) -> bytes:
    buffer = io.BytesIO()
    container, subtype = AUDIO_FORMATS[name]
    soundfile.write(buffer, samples(SPOKEN[2]), 16_000, format=container, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize("name", AUDIO_FORMATS)
@fuzz
@given(edits=EDITS)
def test_audio_reader(tmp_path_factory, name: str, edits: list) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz.{name.split('-')[-1]}"
    path.write_bytes(edited(coded(name), edits))
    header, health = attempt(lambda: probe(path)), attempt(lambda: measure_health(path))
    assert header.fair and health.fair
    assert header.value is None or (header.value.sample_rate > 0 and header.value.duration >= 0)
    for action in (
        lambda: read_audio(path),
        lambda: read_audio(path, offset=0.2, duration=0.1),
        lambda: np.concatenate([np.empty(0, np.float32), *stream_audio(path, block_seconds=0.1)]),
    ):
        found = attempt(action)
        assert found.fair
        assert found.value is None or (found.value.dtype == np.float32 and found.value.ndim == 1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["audio_filepath", "id", "duration", "text", "offset", "speaker", "lang", "other"]


def use_manifest(path: Path) -> Iterator[Callable[[], object]]:
    manifest = Manifest.open(path)
    yield lambda: list(manifest)
    yield lambda: [manifest[row] for row in range(len(manifest))]
    yield lambda: manifest.durations.sum()
    yield lambda: write_manifest(path.with_suffix(".out"), manifest)
    yield lambda: check_manifest(manifest, CheckOptions()).to_json()
    findings = check_manifest(manifest, CheckOptions()).findings
    yield lambda: write_manifest(path.with_suffix(".out"), Repairer(manifest, findings).rows())


def outcomes(path: Path, content: bytes) -> list[Outcome]:
    """What every use of a manifest with that content comes to; the last is that of opening it at all."""
    path.write_bytes(content)
    found: list[Outcome] = []
    whole = attempt(lambda: found.extend(attempt(action) for action in use_manifest(path)))
    return [*found, whole]


@fuzz
@given(rows=st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6), max_size=4))
@example(rows=[{"audio_filepath": "a", "duration": 1e308, "offset": 5e-324, "text": "\ud800"}])
def test_manifest_rows_of_any_structure(tmp_path_factory, rows: list[dict]) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    lines = [json.dumps({"audio_filepath": "a.wav"} | row) for row in rows]
    found = outcomes(path, "\n".join(lines).encode())
    assert all(outcome.fair for outcome in found)
    assert usable(found[0].value)


@fuzz
@given(edits=EDITS)
def test_manifest_bytes(tmp_path_factory, edits: list) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl"
    rows = [{"audio_filepath": "a.wav", "duration": 1.5, "text": "hé", "x": {"duration": 2}}] * 3
    found = outcomes(path, edited("\n".join(json.dumps(row) for row in rows).encode(), edits))
    assert all(outcome.fair for outcome in found)
    assert usable(found[0].value)


@fuzz
@given(edits=EDITS, member=st.sampled_from(["84-121-0000.flac", "0", "1", "99999999999", "../x", "-1", ""]))
def test_shards(corpora: dict[str, Path], tmp_path_factory, edits: list, member: str) -> None:
    tar = next(corpora["nemo-tarred"].parent.glob("*.tar"))
    parquet = next(corpora["parquet"].rglob("*.parquet"))
    for original in (tar, parquet):
        shard = tmp_path_factory.getbasetemp() / f"shard{original.suffix}"
        shard.write_bytes(edited(original.read_bytes(), edits))
        found = attempt(lambda shard=shard: read_audio(f"{shard}/{member}"))
        assert found.fair
        assert found.value is None or found.value.dtype == np.float32
