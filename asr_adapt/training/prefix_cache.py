"""The frozen prefix computed once: which rows share a shard, building what is missing, reading it back.

Knows rows, epochs and the store. Does not know architectures or the loop. A row's states never depend on
which batch asks for them: shards are cut from the corpus sorted by length, and computed whole. So a resumed
run, another run with the same prefix and a run with other batches read the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from filelock import Timeout
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.audio.augment import audio_files
from asr_adapt.errors import DataError
from asr_adapt.models import Hidden, Recogniser, count_costs, prefix_fingerprint
from asr_adapt.models.prefix_store import PrefixStore, default_store
from asr_adapt.training.data import Corpus, Example, prefetched
from asr_adapt.training.prefix_estimate import GIGABYTE, Estimate, Use, estimate
from asr_adapt.training.recipe import Recipe
from asr_adapt.training.throughput import Meter

logger = logging.getLogger(__name__)

#: Seconds of sound in one shard: one batch of the prefix, and what a killed build loses at most.
SHARD_SECONDS = 60.0
#: Frames of a batch are rounded up to a multiple of this, so that few shapes occur.
FRAME_STEP = 16
#: Keeps the seeds of runs, epochs and rows apart.
SEED_STRIDE = 1_000_003
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class PrefixCache:
    """Listens to where the prefix ends; while it pays, rows come from the store.

    ``draws`` tells how often each row of the corpus will be drawn until the boundary moves again.
    """

    recipe: Recipe
    recogniser: Recogniser
    corpus: Corpus
    meter: Meter
    draws: Callable[[], np.ndarray]
    #: What was decided at each boundary, for summary.json.
    decisions: list[dict[str, Any]] = field(default_factory=list)
    _store: PrefixStore | None = None

    def on_boundary(self, boundary: int) -> None:
        """Build, or go without, for the prefix that now ends at ``boundary``."""
        self.close()
        if self.recipe.cache.mode == "off" or boundary == 0:
            return
        found = self._estimate(boundary)
        if (
            self.recipe.cache.mode == "on"
            and not found.pays
            and found.gigabytes <= self.recipe.cache.gigabytes
        ):
            found = Estimate(True, f"asked for, although {found.reason}", found.speed_up, found.gigabytes)
        started = time.perf_counter()
        if found.pays:
            found = self._build(boundary, found)
        seconds = time.perf_counter() - started
        verb = "computed once" if found.pays else "not kept"
        logger.info(
            "frozen prefix %s (%.2f GB, expected ×%.2f): %s",
            verb, found.gigabytes, found.speed_up if found.pays else 1.0, found.reason,
        )  # fmt: skip
        self.decisions.append({"boundary": boundary, "build_seconds": seconds, **found.to_json()})

    def close(self) -> None:
        """Stop reading from the store and let others evict it."""
        self.corpus.prefix = None
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def accelerator(self) -> Accelerator:
        """Devices and processes of the run."""
        return self.meter.accelerator

    @property
    def copies(self) -> int:
        """Versions of each row."""
        return self.recipe.cache.copies if self.varied else 1

    @property
    def varied(self) -> bool:
        """Whether a row sounds different from epoch to epoch."""
        return self.corpus.augmenter is not None or self.recogniser.varies_inputs

    @cached_property
    def _augmentation(self) -> list[Any]:
        """What is done to waveforms, and the state of the files that it takes noises and rooms from."""
        augment = self.recipe.augment
        folders = [Path(part.folder) for part in (augment.noise, augment.room) if part is not None]
        files = [path for folder in folders for path in audio_files(folder)]
        return [augment.model_dump(mode="json"), [_file_print(path) for path in files]]

    @property
    def dtype(self) -> torch.dtype:
        """The type that states are kept in."""
        name = self.recipe.cache.dtype
        if name == "auto":
            name = "bfloat16" if self.accelerator.mixed_precision == "bf16" else "float32"
        return _TYPES[name]

    def _estimate(self, boundary: int) -> Estimate:
        use = Use(self.corpus.durations, self.draws(), self.copies)
        costs = self.meter.costs or count_costs(self.recogniser, boundary)
        return estimate(costs, use, self.dtype.itemsize, self.recipe.cache.gigabytes)

    def _build(self, boundary: int, found: Estimate) -> Estimate:
        """Fill the store and read from it; where it cannot be used, training goes on without."""
        root = Path(self.recipe.cache.folder) if self.recipe.cache.folder else default_store()
        key, cap = self._key(boundary), int(self.recipe.cache.gigabytes * GIGABYTE)
        store: PrefixStore | None = None
        with self._agreed() as opening:
            store = PrefixStore(root, key, cap)
        if opening.problem is None and store is not None:
            shards = cut_shards(self.corpus, self.copies, self._row_print)
            with self._agreed() as filling:
                self._fill(store, shards, found, boundary)
            if filling.problem is None:
                self._store = store
                self.corpus.prefix = _Reader(store, shards, self.copies)
                return found
        if store is not None:
            store.close()
        problem = opening.problem or filling.problem
        logger.warning("the frozen prefix is computed in every step: %s", problem)
        return replace(found, pays=False, reason=f"the cache cannot be used: {problem}")

    @contextmanager
    def _agreed(self) -> Iterator[_Attempt]:
        """A step that may fail on one process: then all know it, and go without the store together."""
        attempt = _Attempt()
        try:
            yield attempt
        except (OSError, DataError, Timeout) as error:
            attempt.problem = str(error)
        attempt.problem = next((p for p in self._gathered([attempt.problem]) if p is not None), None)

    def _gathered(self, values: list[Any]) -> list[Any]:
        """The values of all processes."""
        return gather_object(values) if self.accelerator.num_processes > 1 else values

    def _fill(self, store: PrefixStore, shards: Sequence[Shard], found: Estimate, boundary: int) -> None:
        """Compute what is missing or damaged, each process its share."""
        rank, count = self.accelerator.process_index, self.accelerator.num_processes
        whole = set(self._gathered([shard.name for shard in shards[rank::count] if store.has(shard.name)]))
        absent = [shard for shard in shards if shard.name not in whole]
        share = len(absent) / max(1, len(shards))
        needed = int(share * found.gigabytes * GIGABYTE)
        if not all(self._gathered([rank > 0 or not absent or _makes_room(store, needed)])):
            raise DataError("other runs hold what room there is below the cap (cache.gigabytes).")
        self._compute(store, absent[rank::count], boundary)

    def _compute(self, store: PrefixStore, shards: Sequence[Shard], boundary: int) -> None:
        def load(shard: Shard) -> list[np.ndarray]:
            return [self.corpus.waveform(number, shard.copy) for number in shard.numbers]

        for shard, waveforms in prefetched(shards, load, self.recipe.batch.prefetch):
            seeds = [row_seed(self.recipe.seed, shard.copy, number) for number in shard.numbers]
            with torch.no_grad(), self.accelerator.autocast():
                inputs = self.recogniser.inputs(waveforms, seeds=seeds).to(self.accelerator.device)
                hidden = self.recogniser.encode(inputs, boundary)
            states = hidden.states.to(self.dtype).cpu()
            rows = zip(shard.numbers, states, hidden.lengths.tolist(), strict=True)
            store.write(shard.name, {str(number): row[:length] for number, row, length in rows})

    def _key(self, boundary: int) -> str:
        parts = [prefix_fingerprint(self.recogniser, boundary), str(self.dtype)]
        parts += [str(self.accelerator.mixed_precision), self.accelerator.device.type]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]

    def _row_print(self, number: int, copy: int) -> str:
        """Names the sound of one version of a row."""
        row = self.corpus.rows[number]
        identity: dict[str, Any] = {
            "file": _file_print(row.audio_path),
            "segment": [row.offset, row.duration, row.get("channel")],
        }
        if self.varied:  # with a single copy too: it is not the plain row
            identity |= {"id": row.id, "number": number, "copy": copy, "augment": self._augmentation}
            identity["seed"] = self.recipe.seed
        return json.dumps(identity, sort_keys=True, default=str)


def _makes_room(store: PrefixStore, needed: int) -> bool:
    try:
        return store.make_room(needed)
    except (OSError, Timeout):
        return False


@dataclass
class _Attempt:
    """Why a step failed, on whichever process; None when it went well on all."""

    problem: str | None = None


@dataclass(frozen=True)
class Shard:
    """Rows of the corpus that are computed together, in one version, and the name that says so."""

    name: str
    copy: int
    numbers: tuple[int, ...]


def cut_shards(corpus: Corpus, copies: int, describe: Callable[[int, int], str]) -> list[Shard]:
    """The corpus sorted by length and cut into shards of about :data:`SHARD_SECONDS`, for every copy."""
    order = np.argsort(corpus.durations, kind="stable").tolist()
    groups: list[list[int]] = []
    filled = SHARD_SECONDS
    for number in order:
        if filled >= SHARD_SECONDS:
            groups.append([])
            filled = 0.0
        groups[-1].append(number)
        filled += float(corpus.durations[number])
    return [
        Shard(_shard_name([describe(n, copy) for n in numbers], numbers), copy, tuple(numbers))
        for copy in range(copies)
        for numbers in groups
    ]


def _shard_name(prints: Sequence[str], numbers: Sequence[int]) -> str:
    digest = hashlib.sha256("\n".join(prints).encode())
    digest.update(",".join(map(str, numbers)).encode())  # tensors are named by number
    return digest.hexdigest()[:32]


def _file_print(path: Path) -> list[Any]:
    """Place, size and time of change of the file, or of the shard that holds it; a URL by its name alone."""
    for candidate in (path, *path.parents):
        try:
            status = candidate.stat()
        except (OSError, ValueError):
            continue
        if candidate.is_dir():
            break
        return [os.path.realpath(candidate), str(path.name), status.st_size, status.st_mtime_ns]
    return [str(path)]


class _Reader:
    """What the corpus asks; see :class:`asr_adapt.training.data.PrefixReader`."""

    def __init__(self, store: PrefixStore, shards: Sequence[Shard], copies: int) -> None:
        self._store, self._copies = store, copies
        self._places = {(number, shard.copy): shard.name for shard in shards for number in shard.numbers}

    def read(self, number: int, epoch: int) -> Tensor | None:
        """States of the version that ``epoch`` takes."""
        return self._store.read(self._places[number, epoch % self._copies], str(number))


def row_seed(seed: int, epoch: int, number: int) -> int:
    """The seed of everything random about a row in an epoch, apart from its waveform's augmentation."""
    return ((seed * SEED_STRIDE + epoch) * SEED_STRIDE + number) % 2**63


def _same_shape(hidden: Hidden) -> Hidden:
    """``hidden`` cut or zero-padded to as many frames as :func:`stack_states` would give."""
    frames = _frames(hidden.lengths.tolist())
    states = hidden.states[:, :frames]
    if states.shape[1] < frames:
        states = F.pad(states, (0, 0, 0, frames - states.shape[1]))
    return Hidden(states, hidden.lengths)


def _frames(lengths: Sequence[int]) -> int:
    return -(-max(lengths) // FRAME_STEP) * FRAME_STEP


def stack_states(rows: Sequence[Tensor], device: torch.device) -> Hidden:
    """Rows of states (frames, width) as one zero-padded batch on ``device``, in float32."""
    lengths = [len(row) for row in rows]
    batch = torch.zeros(len(rows), _frames(lengths), *rows[0].shape[1:], dtype=rows[0].dtype)
    for number, row in enumerate(rows):
        batch[number, : len(row)] = row
    return Hidden(batch.float(), torch.tensor(lengths)).to(device)


def prefix_output(
    batch: Sequence[Example], encode: Callable[[Sequence[Example]], Hidden], device: torch.device
) -> Hidden:
    """What the prefix gives for a batch: kept states, and ``encode`` for the rows that have none.

    The shape follows from the rows' lengths alone, so that dropout draws the same masks with and without kept
    states.
    """
    fresh = [example for example in batch if example.states is None]
    if len(fresh) == len(batch):
        return _same_shape(encode(batch))
    computed: list[Tensor] = []
    if fresh:
        hidden = encode(fresh)
        lengths = hidden.lengths.tolist()
        computed = [row[:length].float().cpu() for row, length in zip(hidden.states, lengths, strict=True)]
    rest = iter(computed)
    return stack_states([next(rest) if e.states is None else e.states.float() for e in batch], device)
