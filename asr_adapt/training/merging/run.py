"""Merging expert models on manifests, and writing the result: an adapter where it can be one, else a model.

Knows files. Does not know how weights are summed or chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.errors import ModelError, UsageError
from asr_adapt.files import atomic_directory, write_json
from asr_adapt.manifest import Manifest, require_rows
from asr_adapt.models import Recogniser, load_recogniser, portable
from asr_adapt.models.loading import load_adapted
from asr_adapt.models.lora import adapter_in
from asr_adapt.models.lora_sum import Updates, is_exact, updates_of, write_sum
from asr_adapt.models.stack import HEAD
from asr_adapt.scoring.rise import Rise
from asr_adapt.training.measuring.wer import measure
from asr_adapt.training.merging.search import TRIALS, Found, search
from asr_adapt.training.merging.sum import Expert, ExpertSum, Weights, expert_of
from asr_adapt.training.prefix.measured import MeasuredPrefix
from asr_adapt.training.recipe.schema import Cache
from asr_adapt.training.retention.blending import require_same_vocabulary, weights_of
from asr_adapt.transcription.known_states import KnownRows

logger = logging.getLogger(__name__)
KIND = "merge"
#: Seconds of sound in one batch of a measurement.
BATCH_SECONDS = 160.0


@dataclass(frozen=True)
class MergeResult:
    """A finished search; ``recogniser`` holds the chosen weights.

    ``experts`` and ``targets`` are named as they were given, in the order of the weights and of the WERs.
    """

    found: Found
    recogniser: Recogniser
    base: str
    experts: tuple[str, ...]
    targets: tuple[str, ...]
    rise: Rise
    summed: ExpertSum

    @cached_property
    def adapters(self) -> tuple[Updates, ...] | None:
        """The experts' updates, where all are LoRA adapters whose sum is one; else None, and why is said."""
        folders = [adapter_in(expert) for expert in self.experts]
        if any(folder is None for folder in folders):
            return None
        loaded = [updates_of(self._fresh(), folder) for folder in folders if folder is not None]
        if is_exact(loaded, self.summed.changed, frozenset(self._head)):
            return tuple(loaded)
        logger.warning(
            "the experts change more than LoRA's updates: the merged model is written as a full model."
        )
        return None

    def save(self, output: str | Path, *, overwrite: bool = False) -> None:
        """Write the merged adapter (PEFT's layout), or a plain model directory, with ``merge.json``.

        A full folder is refused, but for an earlier merge with ``overwrite``.
        """
        folder = Path(output)
        require_folder(folder, KIND, [self.base, *self.experts], overwrite=overwrite)
        adapters = self.adapters
        with atomic_directory(folder, replace=True) as work:
            if adapters is None:
                self.recogniser.save(work)
            else:
                weights, group_of = self.found.chosen.weights, self.summed.group_of

                def weight(number: int, name: str) -> float:
                    return _weight(weights, group_of, number, f"{name}.weight")

                write_sum(self._fresh(), adapters, weight, portable(self.base), work, self._head)
            (work / "README.md").write_text(self._card(whole=adapters is None), encoding="utf-8")
            write_json(work / "merge.json", self.to_json())
            mark_folder(work, KIND)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = {"base": self.base, "experts": list(self.experts), "targets": list(self.targets)}
        return {**told, "budget": str(self.rise), **self.found.to_json()}

    @property
    def _head(self) -> dict[str, Tensor]:
        """The chosen parameters of the output head, where an expert learnt it."""
        stack = self.recogniser.stack
        names = stack.names_of(stack.kind(HEAD)) & self.summed.changed
        return {n: p.detach() for n, p in self.recogniser.model.named_parameters() if n in names}

    def _fresh(self) -> Recogniser:
        return load_recogniser(self.base, device="cpu", compute_type="float32")

    def _card(self, *, whole: bool) -> str:
        found = self.found
        library = "transformers" if whole else "peft"
        shares = ", ".join(
            f"{w:.2f} × {name}" for w, name in zip(found.chosen.row, self.experts, strict=True)
        )
        wers = "; ".join(
            f"{name} {before:.1%} to {after:.1%}"
            for name, before, after in zip(
                self.targets, found.base.targets, found.chosen.targets, strict=True
            )
        )
        base = "" if whole else f"base_model: {portable(self.base)}\n"
        return (
            f"---\nlibrary_name: {library}\n{base}pipeline_tag: automatic-speech-recognition\n---\n"
            f"# {self.base} + {shares}\n\n"
            f"Task vectors summed by asr_adapt. WER on the sets of the search: {wers}; guard "
            f"{found.base.guard:.1%} to {found.chosen.guard:.1%} (budget {self.rise}). `merge.json` "
            f"holds all {len(found.trials)} weightings that were measured.\n"
        )


@dataclass(frozen=True)
class MergeSettings:
    """How to search: ``rise`` is how much guard WER may rise; ``profile`` normalises both sides of WER.

    Each of at most ``groups`` runs of neighbouring layers gets weights of its own, ``trials`` is the most
    weightings that are measured, and ``batch_seconds`` is how much sound is transcribed at once.
    """

    rise: Rise
    groups: int = 1
    trials: int = TRIALS
    profile: str = "basic"
    device: str = "auto"
    batch_seconds: float = BATCH_SECONDS


def merge_experts(
    base: str,
    experts: Sequence[str],
    targets: Sequence[str | Path],
    guard: str | Path,
    settings: MergeSettings,
) -> MergeResult:
    """Search the weights of ``experts`` (adapters or whole models, adapted from ``base``) on dev manifests.

    ``targets`` are one manifest an accent, ``guard`` is speech that the base knows. The result decodes as the
    base does. Raises :class:`~asr_adapt.errors.ModelError` for models of other shape or vocabulary, and
    :class:`~asr_adapt.errors.UsageError` for too few trials.
    """
    least = 1 + len(experts)
    if settings.trials < least:
        raise UsageError(f"{settings.trials} trials are too few: the base and each expert alone are {least}.")
    rows = [require_rows(Manifest.open(path)) for path in (*targets, guard)]
    recogniser = load_recogniser(base, device=settings.device, compute_type="float32")
    summed = ExpertSum(recogniser, _experts(recogniser, base, experts), settings.groups)
    prefix = MeasuredPrefix(Cache(), settings.trials, summed.boundary)

    def wers() -> tuple[tuple[float, ...], float]:
        found = []
        for manifest in rows:
            known = KnownRows(prefix.of(recogniser, manifest))
            measured = measure(recogniser, manifest, settings.profile, settings.batch_seconds, known)
            found.append(measured.wer)
        return tuple(found[:-1]), found[-1]

    with closing(prefix):
        found = search(summed, wers, settings.rise, trials=settings.trials)
    named = tuple(map(str, targets))
    return MergeResult(found, recogniser, base, tuple(experts), named, settings.rise, summed)


def _experts(recogniser: Recogniser, base: str, names: Sequence[str]) -> list[Expert]:
    """What each expert learnt; one is loaded at a time."""
    weights = weights_of(recogniser)
    experts = []
    for name in names:
        if adapter_in(name) is None:
            adapted = load_recogniser(name, device="cpu", compute_type="float32")
        else:
            adapted = load_adapted(base, name, device="cpu", compute_type="float32")
        require_same_vocabulary(recogniser, adapted)
        experts.append(expert_of(name, weights, adapted, base))
        if not experts[-1].changed:
            logger.warning("%s has the weights of %s: it adds nothing.", name, base)
    if not any(expert.changed for expert in experts):
        raise ModelError(f"every expert has the weights of {base}: there is nothing to merge.", path=names[0])
    return experts


def _weight(weights: Weights, group_of: dict[str, int], number: int, parameter: str) -> float:
    """The weight of an expert in a parameter; one that no expert changes has none."""
    return weights[group_of[parameter]][number] if parameter in group_of else 0.0
