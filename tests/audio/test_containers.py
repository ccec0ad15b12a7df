"""Audio inside shards and on object stores, read like any other file."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from asr_adapt.audio import AudioError, containers, probe, read_audio
from asr_adapt.manifest import Utterance

RATE = 16_000


def sound(number: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(number).standard_normal(RATE // 4)).astype(np.float32)


def flac(number: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound(number), RATE, format="FLAC")
    return buffer.getvalue()


def tar_bytes(count: int = 4) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(count):
            info = tarfile.TarInfo(f"clips/{number}.flac")
            info.size = len(flac(number))
            archive.addfile(info, io.BytesIO(flac(number)))
    return buffer.getvalue()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    rows = [{"audio": {"bytes": flac(n), "path": f"{n}.flac"}, "text": str(n)} for n in range(6)]
    path = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=2)
    return path


def test_members_of_a_tar(tmp_path: Path) -> None:
    (tmp_path / "audio_0.tar").write_bytes(tar_bytes())
    path = tmp_path / "audio_0.tar" / "clips" / "2.flac"
    np.testing.assert_allclose(read_audio(path), sound(2), atol=1e-4)
    np.testing.assert_allclose(read_audio(path, offset=0.1, duration=0.1), sound(2)[1600:3200], atol=1e-4)
    assert probe(path).path == str(path)
    assert containers.audio_exists(path)
    with pytest.raises(AudioError, match=r"audio_0\.tar: the shard has no member 'clips/9\.flac'"):
        read_audio(tmp_path / "audio_0.tar" / "clips" / "9.flac")


def test_a_rewritten_shard_is_indexed_again(tmp_path: Path) -> None:
    shard = tmp_path / "a.tar"
    shard.write_bytes(tar_bytes(1))
    assert len(read_audio(shard / "clips/0.flac")) == RATE // 4
    shard.write_bytes(tar_bytes(5))
    np.testing.assert_allclose(read_audio(shard / "clips/4.flac"), sound(4), atol=1e-4)


def test_rows_of_a_parquet_shard_read_each_row_group_once(parquet: Path) -> None:
    containers._parquet_group.cache_clear()
    for number in range(6):
        np.testing.assert_allclose(read_audio(parquet / str(number)), sound(number), atol=1e-4)
    assert containers._parquet_group.cache_info().misses == 3
    with pytest.raises(AudioError, match="the shard has no row 6; it has 6"):
        read_audio(parquet / "6")
    with pytest.raises(AudioError, match="not a row number"):
        read_audio(parquet / "clip.flac")


def test_object_stores(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/one.flac", flac(1))
    store.pipe_file("/bucket/shard.tar", tar_bytes())
    np.testing.assert_allclose(read_audio("memory://bucket/one.flac"), sound(1), atol=1e-4)
    member = Utterance("memory://bucket/shard.tar/clips/3.flac", root=tmp_path)
    np.testing.assert_allclose(read_audio(member.audio_path), sound(3), atol=1e-4)
    with pytest.raises(AudioError, match=r"memory://bucket/none\.flac"):
        read_audio("memory://bucket/none.flac")
    with pytest.raises(AudioError, match="cannot be opened"):
        read_audio("nosuchscheme://bucket/one.flac")


def test_broken_shards_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"not a tar at all" * 64)
    with pytest.raises(AudioError, match=r"a\.tar: is not a readable tar file"):
        read_audio(tmp_path / "a.tar" / "x.wav")
    (tmp_path / "cut.tar").write_bytes(tar_bytes()[:3_000])
    with pytest.raises(AudioError, match=r"cut\.tar"):
        read_audio(tmp_path / "cut.tar" / "clips" / "0.flac")
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + b"\0" * 50 + b"PAR1")
    with pytest.raises(AudioError, match=r"a\.parquet: row 0 cannot be read"):
        read_audio(tmp_path / "a.parquet" / "0")
