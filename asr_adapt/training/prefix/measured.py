"""The frozen prefix of rows that are measured again and again, computed once.

Knows manifests, the store and when it pays. Does not know what is measured or when. States are float32 and
computed as the plain network computes them, so that a transcript is the one that the whole way from the sound
gives. Whatever cannot be kept (long rows, no room) is heard from the sound.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest, Utterance, read_waveform, sound_print
from asr_adapt.models import Costs, Hidden, Recogniser, forward_costs
from asr_adapt.training.callback import Callback
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
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.training.watching import Watch

logger = logging.getLogger(__name__)

LABEL = "frozen prefix of the measured rows"
#: Shards decoded ahead.
AHEAD = 4
#: Clips are kept only if they are surely heard in one piece: seconds of the window left free.
WINDOW_MARGIN = 0.05
#: Shorter clips are padded before they are heard.
SHORTEST_SECONDS = 0.1


@dataclass
class MeasuredPrefix(Callback):
    """States of measured rows; listens to where the frozen prefix ends. Use :meth:`close` behind it.

    ``times`` tells how often a row is measured in a run, about.
    """

    cache: Cache
    times: float
    boundary: int = 0
    watch: Watch = field(default_factory=lambda: Watch(quiet=True))
    #: What was decided, for summary.json.
    decisions: list[dict[str, Any]] = field(default_factory=list)
    _costs: Costs | None = None
    _stores: dict[str, PrefixStore] = field(default_factory=dict)
    _kept: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def boundary_moved(self, boundary: int) -> None:
        """Keep states at ``boundary`` from now on."""
        if boundary != self.boundary:
            self.close()
            self.boundary = boundary

    def close(self) -> None:
        """Let others evict what was read."""
        self._costs = None
        for store in self._stores.values():
            store.close()
        self._stores.clear()
        self._kept.clear()

    def of(self, recogniser: Recogniser, manifest: Manifest) -> KeptStates | None:
        """States of the rows of ``manifest`` as ``recogniser`` hears them now; what is missing is computed.

        None where nothing is kept: no frozen prefix, switched off, or too little room. Every process must
        call this.
        """
        return self.prepare(recogniser, [manifest])

    def prepare(self, recogniser: Recogniser, manifests: Iterable[Manifest]) -> KeptStates | None:
        """The same of several manifests, computed in one pass; each has shards of its own."""
        if self.boundary == 0 or self.cache.mode == "off":
            return None
        key = prefix_key(recogniser, self.boundary, str(torch.float32), "no")
        parts = self._fresh(recogniser, key, manifests)
        total = sum(map(len, parts))
        if total:
            with self.watch.phase("prefix", LABEL, total) as phase:
                if not all([self._add(recogniser, key, part, phase.add) for part in parts]):
                    return None
        places = {name: place for (own, name), place in self._kept.items() if own == key}
        if not places:
            return None

        def anew(row: Utterance) -> Tensor:
            recogniser.model.eval()
            return encoded(recogniser, [read_waveform(row, recogniser.sample_rate)], self.boundary).states[0]

        return KeptStates(self.boundary, self._stores[key], places, anew)

    def _fresh(
        self, recogniser: Recogniser, key: str, manifests: Iterable[Manifest]
    ) -> list[dict[str, Utterance]]:
        """Rows by their sound that are not kept yet, of each manifest; a row of two belongs to the first."""
        seen = {name for own, name in self._kept if own == key}
        parts = []
        for manifest in manifests:
            rows = {sound_print(row): row for row in manifest if _heard_at_once(row, recogniser)}
            fresh = {name: row for name, row in rows.items() if name not in seen}
            seen |= fresh.keys()
            parts.append(fresh)
        return [part for part in parts if part]

    def _add(self, recogniser: Recogniser, key: str, fresh: dict[str, Utterance], told: Told) -> bool:
        names, rows = list(fresh), list(fresh.values())
        durations = np.array([row.duration for row in rows], dtype=np.float64)
        found = self._estimate(recogniser, durations)
        if not found.pays:
            self._decide(found, 0.0)
            return False
        shards = cut_shards(durations, 1, lambda number, _: names[number])

        def encode(_: Shard, waveforms: Sequence[np.ndarray]) -> Hidden:
            return encoded(recogniser, waveforms, self.boundary)

        def load(number: int, _: int) -> np.ndarray:
            return read_waveform(rows[number], recogniser.sample_rate)

        def compute(store: PrefixStore, absent: Sequence[Shard]) -> None:
            compute_shards(store, absent, load, encode, ahead=AHEAD, told=told)

        started = time.perf_counter()
        recogniser.model.eval()
        try:
            if key not in self._stores:
                self._stores[key] = open_store(self.cache, key)
            build(self._stores[key], shards, int(found.gigabytes * GIGABYTE), compute, told)
        except DataError as problem:
            logger.warning("measured rows are not cached but computed from the audio: %s", problem)
            self._decide(replace(found, pays=False, reason=f"the cache cannot be used: {problem}"), 0.0)
            return False
        self._decide(found, time.perf_counter() - started)
        for shard in shards:
            for number in shard.numbers:
                self._kept[key, names[number]] = shard.name, shard.place(number)
        return True

    def _estimate(self, recogniser: Recogniser, durations: np.ndarray) -> PrefixEstimate:
        if self._costs is None:
            self._costs = forward_costs(recogniser, self.boundary)
        use = Use(durations, np.full(len(durations), self.times), 1)
        return estimate(self._costs, use, torch.float32.itemsize, self.cache.gigabytes)

    def _decide(self, found: PrefixEstimate, seconds: float) -> None:
        self.decisions.append({"boundary": self.boundary, "build_seconds": seconds, **found.to_json()})


@dataclass(frozen=True)
class KeptStates:
    """What :mod:`asr_adapt.transcription.known_states` reads; ``places`` holds shard and name by row."""

    boundary: int
    store: PrefixStore
    places: dict[str, tuple[str, str]]
    #: Computes what turns out to be damaged.
    anew: Callable[[Utterance], Tensor]

    def has(self, row: Utterance) -> bool:
        """Whether the row's states are kept."""
        return sound_print(row) in self.places

    def read(self, row: Utterance) -> Tensor:
        """States (frames, width) of the row."""
        found = self.store.read(*self.places[sound_print(row)])
        return self.anew(row) if found is None else found


def _heard_at_once(row: Utterance, recogniser: Recogniser) -> bool:
    return row.duration is not None and (
        SHORTEST_SECONDS <= row.duration <= recogniser.window_seconds - WINDOW_MARGIN
    )
