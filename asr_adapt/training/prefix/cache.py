"""The frozen prefix of the training rows computed once: whether that pays, building it, reading it back.

Knows the corpus, its versions and epochs. Does not know architectures, the loop, or how shards are cut and
computed (:mod:`asr_adapt.training.prefix.shards`). A resumed run, another run with the same prefix and a run
with other batches read the same numbers.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from asr_adapt.audio.augment import audio_files
from asr_adapt.errors import DataError
from asr_adapt.manifest import file_print, sound_fields, sound_print
from asr_adapt.models import Costs, Hidden, Recogniser, count_costs
from asr_adapt.models.states import same_shape, stack_states
from asr_adapt.training.callback import Callback
from asr_adapt.training.data.corpus import Corpus, Example
from asr_adapt.training.precision import TYPES
from asr_adapt.training.prefix.estimate import GIGABYTE, PrefixEstimate, Use, estimate
from asr_adapt.training.prefix.shards import (
    Shard,
    Told,
    build,
    compute_shards,
    cut_shards,
    encoded,
    open_store,
    prefix_key,
)
from asr_adapt.training.prefix.store import PrefixStore
from asr_adapt.training.recipe.schema import Recipe
from asr_adapt.training.watching import Watch

logger = logging.getLogger(__name__)

LABEL = "frozen prefix of the training rows"
#: Keeps the seeds of runs, epochs and rows apart.
SEED_STRIDE = 1_000_003
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class PrefixCache(Callback):
    """Listens to where the prefix ends; while it pays, rows come from the store.

    ``costs`` gives the arithmetic counted so far (None: it is counted here), ``draws`` how often each row of
    the corpus will be drawn until the boundary moves again.
    """

    recipe: Recipe
    recogniser: Recogniser
    corpus: Corpus
    accelerator: Accelerator
    costs: Callable[[], Costs | None]
    draws: Callable[[], np.ndarray]
    watch: Watch = field(default_factory=lambda: Watch(quiet=True))
    #: What was decided at each boundary, for summary.json.
    decisions: list[dict[str, Any]] = field(default_factory=list)
    _store: PrefixStore | None = None
    _boundary: int | None = None

    def training(self) -> AbstractContextManager[object]:
        """Rows come from the store until training ends."""
        return closing(self)

    def boundary_moved(self, boundary: int) -> None:
        """Build, or go without, for the prefix that now ends at ``boundary``."""
        if boundary == self._boundary:
            return
        self.close()
        self._boundary = boundary
        if self.recipe.cache.mode == "off" or boundary == 0 or self.corpus.pack is not None:
            return  # states of single clips cannot be joined
        found = self._estimate(boundary)
        if (
            self.recipe.cache.mode == "on"
            and not found.pays
            and found.gigabytes <= self.recipe.cache.gigabytes
        ):
            found = replace(found, pays=True, reason=f"asked for, although {found.reason}")
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
        folders = [part.folder for part in (augment.noise, augment.room) if part is not None]
        files = [path for folder in folders for path in audio_files(folder)]
        return [augment.model_dump(mode="json"), [file_print(path) for path in files]]

    @property
    def dtype(self) -> torch.dtype:
        """The type that states are kept in."""
        name = self.recipe.cache.dtype
        if name == "auto":
            return TYPES[str(self.accelerator.mixed_precision)]
        return _TYPES[name]

    def _estimate(self, boundary: int) -> PrefixEstimate:
        kept = np.concatenate([np.arange(part.start, part.stop) for part in self._parts()])
        use = Use(self.corpus.durations[kept], self.draws()[kept], self.copies)
        costs = self.costs() or count_costs(self.recogniser, boundary)
        return estimate(costs, use, self.dtype.itemsize, self.recipe.cache.gigabytes)

    def _build(self, boundary: int, found: PrefixEstimate) -> PrefixEstimate:
        """Fill the store and read from it; where it cannot be used, training goes on without."""
        computed = [str(self.dtype), str(self.accelerator.mixed_precision)]
        if self.recogniser.learns_in_part(boundary):
            computed.append("in part")  # measured rows keep whole states
        key = prefix_key(self.recogniser, boundary, *computed)
        shards, room = self._shards(), int(found.gigabytes * GIGABYTE)
        store = None
        try:
            store = open_store(self.recipe.cache, key)
            with self.watch.phase("prefix", LABEL, sum(len(s.numbers) for s in shards)) as phase:
                build(store, shards, room, self._compute(boundary, phase.add), phase.add)
        except DataError as problem:
            if store is not None:
                store.close()
            logger.warning("the frozen prefix is not cached but computed in every step: %s", problem)
            return replace(found, pays=False, reason=f"the cache cannot be used: {problem}")
        self._store = store
        self.corpus.prefix = _CachedStates(store, shards, self.copies)
        return found

    def _parts(self) -> list[range]:
        """Rows of the manifests that are kept: rows that are drawn less than once are computed when they are.

        All of them where the recipe asks for it, and where none is drawn so often.
        """
        parts, draws = [part for part in self.corpus.parts if part], self.draws()
        often = [part for part in parts if draws[part.start : part.stop].mean() >= 1.0]
        return parts if self.recipe.cache.mode == "on" or not often else often

    def _shards(self) -> list[Shard]:
        """Those of each manifest apart, so that another replay set leaves the training rows' as they are."""
        durations = self.corpus.durations
        return [
            shard
            for part in self._parts()
            for shard in cut_shards(durations, self.copies, self._row_print, part)
        ]

    def _compute(self, boundary: int, told: Told) -> Callable[[PrefixStore, Sequence[Shard]], None]:
        def encode(shard: Shard, waveforms: Sequence[np.ndarray]) -> Hidden:
            seeds = [row_seed(self.recipe.seed, shard.copy, number) for number in shard.numbers]
            with self.accelerator.autocast():
                hidden = encoded(self.recogniser, waveforms, boundary, seeds, learnt=True)
            return Hidden(hidden.states.to(self.dtype), hidden.lengths)

        return lambda store, shards: compute_shards(
            store, shards, self.corpus.waveform, encode, ahead=self.recipe.batch.prefetch, told=told
        )

    def _row_print(self, number: int, copy: int) -> str:
        """Names the sound of one version of a row."""
        row = self.corpus.rows[number]
        if not self.varied:
            return sound_print(row)
        own = {"id": row.id, "number": number, "copy": copy, "augment": self._augmentation}
        identity = sound_fields(row) | own | {"seed": self.recipe.seed}  # a single copy is not the plain row
        return json.dumps(identity, sort_keys=True, default=str)


class _CachedStates:
    """What the corpus asks; see :class:`asr_adapt.training.data.corpus.PrefixReader`."""

    def __init__(self, store: PrefixStore, shards: Sequence[Shard], copies: int) -> None:
        self._store, self._copies = store, copies
        self._places = {
            (number, shard.copy): (shard.name, shard.place(number))
            for shard in shards
            for number in shard.numbers
        }

    def read(self, number: int, epoch: int) -> Tensor | None:
        """States of the version that ``epoch`` takes; None where they are not kept."""
        place = self._places.get((number, epoch % self._copies))
        return None if place is None else self._store.read(*place)


def row_seed(seed: int, epoch: int, number: int) -> int:
    """The seed of everything random about a row in an epoch, apart from its waveform's augmentation."""
    return ((seed * SEED_STRIDE + epoch) * SEED_STRIDE + number) % 2**63


def prefix_output(
    batch: Sequence[Example], encode: Callable[[Sequence[Example]], Hidden], device: torch.device
) -> Hidden:
    """What the prefix gives for a batch: kept states, and ``encode`` for the rows that have none.

    The shape follows from the rows' lengths alone, so that dropout draws the same masks with and without kept
    states.
    """
    fresh = [example for example in batch if example.states is None]
    if len(fresh) == len(batch):
        return same_shape(encode(batch))
    computed: list[Tensor] = []
    if fresh:
        hidden = encode(fresh)
        lengths = hidden.lengths.tolist()
        computed = [row[:length].float().cpu() for row, length in zip(hidden.states, lengths, strict=True)]
    rest = iter(computed)
    return stack_states([next(rest) if e.states is None else e.states.float() for e in batch], device)
