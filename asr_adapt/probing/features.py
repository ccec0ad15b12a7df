"""Frozen features of whole utterances: the states of any stage of the stack, pooled over time.

Knows the recogniser contract and that only valid frames count. Does not know labels or classifiers.
Pooling the frozen layers over time and classifying linearly is the probe of Alain & Bengio (2016); mean and
standard deviation together are the statistics pooling of x-vectors (Snyder et al. 2018).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from asr_adapt.errors import UsageError
from asr_adapt.manifest import Utterance, read_waveform
from asr_adapt.models import LayerStack, Recogniser
from asr_adapt.models.stack import HEAD

POOLS = ("mean", "mean_std")
BATCH_SECONDS = 60.0  # padded audio that one call of the model gets
READ_AHEAD = 64  # rows that are decoded at a time and sorted by length within

Features = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class _FeatureWindow:
    """A window of row ``row``: float32 samples (samples,)."""

    row: int
    samples: np.ndarray


def choose_stages(stack: LayerStack, names: Sequence[str]) -> list[int]:
    """Stage numbers that ``names`` mean, rising; ``all`` is every stage but the head, digits are layers.

    A stage without parameters of its own computes nothing and is left out of ``all``. Raises
    :class:`UsageError` for a name that the stack does not have.
    """
    known = {stage.name: number for number, stage in enumerate(stack.stages)}
    layers = {str(index): number for index, number in enumerate(stack.layers)}
    chosen: set[int] = set()
    for name in names:
        if name == "all":
            heard = enumerate(stack.stages[: stack.prefix_limit])
            chosen |= {n for n, stage in heard if stage.kind != HEAD and any(stack.parameters_of(n))}
        elif name in known or name in layers:
            chosen.add(known[name] if name in known else layers[name])
        else:
            raise UsageError(f"there is no layer {name!r}: choose all, a number, or {', '.join(known)}.")
    if chosen and max(chosen) >= stack.prefix_limit:
        name = stack.stages[max(chosen)].name
        raise UsageError(f"{name} needs the transcript, not only audio: choose a layer below it, or all.")
    return sorted(chosen)


def pooled_features(
    recogniser: Recogniser, rows: Sequence[Utterance], stages: Sequence[int], pool: str = "mean"
) -> Features:
    """Stage name → float32 (rows, width), or (rows, 2 · width) with ``mean_std``.

    ``stages`` are stage numbers in rising order. Only valid frames are pooled, so a row's features do not
    depend on its batch; a row longer than the recogniser's window is pooled over its windows. Raises
    :class:`DataError` naming the row whose audio cannot be read.
    """
    if pool not in POOLS:
        raise UsageError(f"pooling {pool!r} is unknown: use one of {', '.join(POOLS)}.")
    sums: dict[int, NDArray[np.float64]] = {}
    counts = {stage: np.zeros((len(rows), 1)) for stage in stages}
    recogniser.model.eval()
    for batch in _batches(recogniser, rows):
        for stage, (first, second, frames) in _pooled(recogniser, batch, stages).items():
            if stage not in sums:
                sums[stage] = np.zeros((len(rows), 2 * first.shape[1]))
            for place, piece in enumerate(batch):
                sums[stage][piece.row] += np.concatenate([first[place], second[place]])
                counts[stage][piece.row] += frames[place]
    return {
        recogniser.stack.stages[stage].name: _moments(sums[stage], counts[stage], pool) for stage in stages
    }


def _moments(sums: NDArray[np.float64], counts: NDArray[np.float64], pool: str) -> NDArray[np.float32]:
    width = sums.shape[1] // 2
    mean = sums[:, :width] / counts
    if pool == "mean":
        return mean.astype(np.float32)
    variance = np.maximum(sums[:, width:] / counts - mean**2, 0.0)
    return np.concatenate([mean, np.sqrt(variance)], axis=1).astype(np.float32)


@torch.inference_mode()
def _pooled(
    recogniser: Recogniser, batch: Sequence[_FeatureWindow], stages: Sequence[int]
) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per stage: sums and sums of squares over the valid frames (batch, width), and their number."""
    inputs = recogniser.inputs([piece.samples for piece in batch]).to(recogniser.device)
    found = {}
    outputs = recogniser.encode_each(inputs, [stage + 1 for stage in stages])
    for stage, hidden in zip(stages, outputs, strict=True):
        states = hidden.states.float()
        lengths = recogniser.own_frames(hidden.lengths, [len(piece.samples) for piece in batch])
        valid = torch.arange(states.shape[1], device=states.device)[None, :] < lengths[:, None]
        kept = torch.where(
            valid[..., None], states, torch.zeros((), dtype=states.dtype, device=states.device)
        )
        found[stage] = (kept.sum(1).cpu().numpy(), (kept**2).sum(1).cpu().numpy(), lengths.cpu().numpy())
    return found


def _batches(recogniser: Recogniser, rows: Sequence[Utterance]) -> Iterator[list[_FeatureWindow]]:
    """Pieces in batches of like length; rows are decoded on threads, a block ahead of the model."""
    order = sorted(range(len(rows)), key=lambda number: rows[number].duration or 0.0)
    blocks = [order[start : start + READ_AHEAD] for start in range(0, len(order), READ_AHEAD)]
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode") as threads:

        def submit(block: Iterable[int]) -> list[tuple[int, object]]:
            return [(row, threads.submit(read_waveform, rows[row], recogniser.sample_rate)) for row in block]

        ahead = submit(blocks[0]) if blocks else []
        for following in [*blocks[1:], []]:
            waiting, ahead = ahead, submit(following)
            pieces = [p for row, future in waiting for p in _windows(recogniser, row, future.result())]  # type: ignore[attr-defined]
            yield from _grouped(sorted(pieces, key=lambda p: len(p.samples)), recogniser.sample_rate)


def _windows(recogniser: Recogniser, row: int, samples: np.ndarray) -> Iterator[_FeatureWindow]:
    """Windows of equal length, so that the last is no stub."""
    longest = round(recogniser.window_seconds * recogniser.sample_rate)
    for part in np.array_split(samples, max(1, -(-len(samples) // longest))):
        yield _FeatureWindow(row, part)


def _grouped(pieces: Sequence[_FeatureWindow], rate: int) -> Iterator[list[_FeatureWindow]]:
    batch: list[_FeatureWindow] = []
    for piece in pieces:
        if batch and len(piece.samples) * (len(batch) + 1) > BATCH_SECONDS * rate:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def fingerprint(recogniser: Recogniser, stage: int) -> str:
    """SHA-256 over names and float32 values of all weights up to and including ``stage``.

    Only these make the features of ``stage``: a model whose higher layers were adapted keeps its probes.
    """
    digest = hashlib.sha256()
    kept = recogniser.stack.stages[: stage + 1]
    for name, value in sorted(recogniser.model.state_dict().items()):
        if any(part.owns(name) for part in kept):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
