"""Rows cut into shards for the prefix store, and what is missing computed.

Knows rows, versions of them, their names in the store and batches of the frozen prefix. Does not know
whether keeping them pays, epochs or the loop. A row's states never depend on which batch asks for them:
shards are cut from rows sorted by length, and computed whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from filelock import Timeout
from torch import nn

from asr_adapt.errors import DataError
from asr_adapt.models import Hidden, Recogniser, prefix_fingerprint
from asr_adapt.training.data.corpus import prefetched
from asr_adapt.training.prefix.estimate import GIGABYTE
from asr_adapt.training.prefix.store import PrefixStore, default_store
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.transcription import Processes

Result = TypeVar("Result")

#: Seconds of sound in one shard: one batch of the prefix, and what a killed build loses at most.
SHARD_SECONDS = 60.0
#: Seconds of sound, as the network hears it, that are computed at once: on a CPU, on an accelerator. On a CPU
#: two windows of Whisper at a time take half as long as sixteen.
ENCODED_SECONDS = 60.0, 600.0
#: Told of so many more rows that are done.
Told = Callable[[int], None]


@dataclass(frozen=True)
class Shard:
    """Rows, by number, that are computed together in one version, and the name that says so."""

    name: str
    copy: int
    numbers: tuple[int, ...]

    def place(self, number: int) -> str:
        """The name of a row's tensor in the shard."""
        return str(self.numbers.index(number))


def cut_shards(
    durations: np.ndarray, copies: int, describe: Callable[[int, int], str], part: range | None = None
) -> list[Shard]:
    """Rows sorted by length, in shards of about :data:`SHARD_SECONDS`, for every copy.

    ``durations`` are seconds of all rows, of which those numbered ``part`` (None: all) are cut. ``describe``
    names the sound of a row in a version: equal names stand for equal sound.
    """
    part = range(len(durations)) if part is None else part
    order = [part[i] for i in np.argsort(durations[part.start : part.stop], kind="stable")]
    groups: list[list[int]] = []
    filled = SHARD_SECONDS
    for number in order:
        if filled >= SHARD_SECONDS:
            groups.append([])
            filled = 0.0
        groups[-1].append(number)
        filled += float(durations[number])
    return [
        Shard(_shard_name([describe(n, copy) for n in numbers]), copy, tuple(numbers))
        for copy in range(copies)
        for numbers in groups
    ]


def compute_shards(
    store: PrefixStore,
    shards: Sequence[Shard],
    load: Callable[[int, int], np.ndarray],
    encode: Callable[[Shard, Sequence[np.ndarray]], Hidden],
    *,
    ahead: int,
    told: Told,
) -> None:
    """Write ``shards``: ``load`` gives the waveform of a row in a version, ``encode`` the states of a shard.

    States are kept as ``encode`` gives them, cut to each row's own length.
    """

    def waveforms(shard: Shard) -> list[np.ndarray]:
        return [load(number, shard.copy) for number in shard.numbers]

    for shard, loaded in prefetched(shards, waveforms, ahead):
        hidden = encode(shard, loaded)
        rows = zip(hidden.states.cpu(), hidden.lengths.tolist(), strict=True)
        store.write(shard.name, {str(place): row[:length] for place, (row, length) in enumerate(rows)})
        told(len(shard.numbers))


def open_store(cache: Cache, key: str) -> PrefixStore:
    """The store at ``key``; raises :class:`DataError` on every process where one of them cannot use it."""
    root = Path(cache.folder) if cache.folder else default_store()
    return _together(lambda: PrefixStore(root, key, int(cache.gigabytes * GIGABYTE)))


def build(
    store: PrefixStore,
    shards: Sequence[Shard],
    room: int,
    compute: Callable[[PrefixStore, Sequence[Shard]], None],
    told: Told,
) -> None:
    """Have ``compute`` write the shards that are missing or damaged, each process its share.

    ``told`` hears of the rows that are there already. ``room`` is the bytes that all shards take. Raises
    :class:`DataError` on every process where there is too little, or where one fails.
    """
    processes = Processes.current()
    found = processes.gather({s.name for s in processes.share(shards) if store.has(s.name)})
    absent = [shard for shard in shards if not any(shard.name in whole for whole in found)]
    told(sum(len(shard.numbers) for shard in shards) - sum(len(shard.numbers) for shard in absent))
    needed = int(room * len(absent) / max(1, len(shards)))

    def make_room() -> None:
        if processes.main and absent and not store.make_room(needed):
            raise DataError("other runs use all space below the limit (cache.gigabytes).")

    _together(make_room)
    _together(lambda: compute(store, processes.share(absent)))


def _together(step: Callable[[], Result]) -> Result:
    """A step that may fail on one process: then all know it, and :class:`DataError` is raised on all."""
    results, problem = [], None
    try:
        results.append(step())
    except (OSError, DataError, Timeout) as error:
        problem = str(error)
    problems = [p for p in Processes.current().gather(problem) if p is not None]
    if problems:
        raise DataError(problems[0])
    return results[0]


@torch.no_grad()
def encoded(
    recogniser: Recogniser,
    waveforms: Sequence[np.ndarray],
    boundary: int,
    seeds: Sequence[int] | None = None,
    *,
    learnt: bool = False,
) -> Hidden:
    """States of a shard at ``boundary``, a few rows at a time: small batches stay in a CPU's cache.

    ``learnt``: as training hears them (:meth:`Recogniser.learnt_states`).
    """
    lengths = [len(waveform) for waveform in waveforms]
    most = ENCODED_SECONDS[recogniser.device.type != "cpu"]
    rows = max(1, int(most / recogniser.heard_seconds(max(lengths) / recogniser.sample_rate)))
    parts = []
    for start in range(0, len(waveforms), rows):
        part = slice(start, start + rows)
        inputs = recogniser.inputs(waveforms[part], seeds=None if seeds is None else seeds[part])
        inputs = inputs.to(recogniser.device)
        if learnt:
            parts.append(recogniser.learnt_states(inputs, boundary, lengths[part]))
        else:
            parts.append(recogniser.encode(inputs, boundary))
    states = [row for part in parts for row in part.states]
    return Hidden(nn.utils.rnn.pad_sequence(states, batch_first=True), torch.cat([p.lengths for p in parts]))


def prefix_key(recogniser: Recogniser, boundary: int, *computed: str) -> str:
    """The store's key: weights and settings below ``boundary``, device, how states are computed and kept."""
    parts = [prefix_fingerprint(recogniser, boundary), *computed, recogniser.device.type]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _shard_name(prints: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(prints).encode()).hexdigest()[:32]
