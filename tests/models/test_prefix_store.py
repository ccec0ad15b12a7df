"""The store of prefix outputs: what it may delete, what it notices, and several processes at once."""

from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from asr_adapt.training.prefix.store import PrefixStore


def filled(root: Path, key: str, cap: int = 10_000_000) -> PrefixStore:
    store = PrefixStore(root, key, cap)
    store.write("shard", {"0": torch.arange(3000.0).reshape(-1, 3), "1": torch.ones(4, 3)})
    return store


def test_eviction_takes_only_what_the_store_wrote(tmp_path: Path) -> None:
    mine = tmp_path / "holiday"
    mine.mkdir()
    (mine / "model.safetensors").write_bytes(b"x" * 20_000)
    os.utime(mine, (0, 0))
    filled(tmp_path, "old").close()
    (tmp_path / "old" / "notes.txt").write_text("keep me")
    asking = PrefixStore(tmp_path, "new", cap=13_000)
    assert asking.make_room(11_000)
    assert (mine / "model.safetensors").stat().st_size == 20_000
    assert (tmp_path / "old" / "notes.txt").read_text() == "keep me"
    assert not list((tmp_path / "old").glob("*.safetensors"))


def test_a_store_of_an_earlier_version_is_evicted_too(tmp_path: Path) -> None:
    former = tmp_path / ("a1" * 12)
    former.mkdir()
    (former / "in-use.lock").write_bytes(b"")
    (former / "s.safetensors").write_bytes(b"x" * 9_000)
    assert PrefixStore(tmp_path, "new", cap=10_000).make_room(5_000)
    assert not former.exists()


@pytest.mark.parametrize("harm", ["flipped", "truncated", "emptied", "text", "endless header"])
def test_changed_bytes_are_as_good_as_absent(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, "key").close()
    path = tmp_path / "key" / "shard.safetensors"
    data = bytearray(path.read_bytes())
    if harm == "flipped":
        data[-30] ^= 1
    harmed = {
        "flipped": bytes(data),
        "truncated": bytes(data[:-100]),
        "emptied": b"",
        "text": b"this is not a shard at all",
        "endless header": b"\xff" * 8 + bytes(data),
    }
    path.write_bytes(harmed[harm])
    store = PrefixStore(tmp_path, "key", cap=10_000_000)
    assert not store.has("shard")
    assert store.read("shard", "0") is None
    assert str(path) in caplog.text and not path.exists()
    store.write("shard", {"0": torch.ones(2, 2)})
    assert store.has("shard")


def test_damage_while_a_run_reads_is_noticed(tmp_path: Path) -> None:
    store = filled(tmp_path, "key")
    assert store.has("shard")
    os.truncate(tmp_path / "key" / "shard.safetensors", 500)  # a mapped file would end the process here
    assert store.read("shard", "0") is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_read_is_what_was_written(tmp_path: Path, dtype: torch.dtype) -> None:
    states = torch.randn(7, 5).to(dtype)
    store = PrefixStore(tmp_path, "key", cap=10_000)
    store.write("s", {"3": states, "4": states[:0]})
    found, empty = store.read("s", "3"), store.read("s", "4")
    assert found is not None and torch.equal(found, states)
    assert empty is not None and empty.shape == (0, 5)


def _fill_and_evict(root: str, seed: int) -> int:
    torch.set_num_threads(1)
    for turn in range(25):
        store = PrefixStore(Path(root), f"key{(seed + turn) % 4}", 100_000)
        store.make_room(40_000)
        store.write(f"s{turn % 3}", {"0": torch.full((3_000,), float(turn))})
        assert store.has(f"s{turn % 3}")
        store.close()
    return seed


def test_processes_that_share_a_full_store_do_not_disturb_each_other(tmp_path: Path) -> None:
    with get_context("spawn").Pool(3) as pool:
        assert pool.starmap(_fill_and_evict, [(str(tmp_path), n) for n in range(3)]) == [0, 1, 2]
