"""Stored weights into a network, all of them: what a file lacks is never left to chance.

Knows what transformers reports after loading and which of its gaps are harmless. Does not know families,
processors, or how a checkpoint was found.

transformers draws absent weights at random and says so in a log that users seldom see; the transcripts are
then nonsense with exit status 0.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch

from asr_adapt.errors import ModelError
from asr_adapt.models.files.directory import HEADS, Checkpoint

logger = logging.getLogger(__name__)

#: Last parts of names that may be absent: what SpecAugment writes over masked frames, in training alone.
OPTIONAL = ("masked_spec_embed",)
#: Parts of names that only pretraining uses: quantisers, projections to targets, their codebooks.
PRETRAINING = (
    "quantizer.",
    "project_q.",
    "project_hid.",
    "final_proj.",
    "label_embeddings_concat",
    "ctc_proj.",
)
_NAMED = 3


@dataclass(frozen=True)
class Loaded:
    """A network with all its weights; of ``fresh_head`` the output head is new and has learnt nothing."""

    model: Any
    fresh_head: bool


def load_network(
    loader: Any, checkpoint: Checkpoint, dtype: torch.dtype, *, new_head: bool = False, **arguments: Any
) -> Loaded:
    """The checkpoint's network in ``dtype``, by one of transformers' Auto classes.

    ``new_head`` admits a checkpoint without the output head. Raises :class:`ModelError` naming the tensors
    that the file lacks or that have another shape than ``config.json`` says.
    """
    model, report = loader.from_pretrained(
        checkpoint.folder,
        dtype=dtype,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below, in one sentence
        trust_remote_code=False,
        **arguments,
    )
    missing = {name for name in report["missing_keys"] if not name.endswith(OPTIONAL)}
    wrong = {name: (stored, built) for name, stored, built in report["mismatched_keys"]}
    head = head_names(model)
    fresh = bool(head) and head <= missing | wrong.keys()
    if fresh and new_head:
        missing -= head
        wrong = {name: shapes for name, shapes in wrong.items() if name not in head}
    elif fresh and head == missing and not checkpoint.recognises:
        raise ModelError(
            f"the checkpoint is only pretrained, without an output head ({_some(head)}): adapt it first.",
            path=checkpoint.shown,
        )
    _refuse_wrong(wrong, checkpoint)
    _refuse_missing(missing, len(model.state_dict()), checkpoint)
    _clear_optional(model, report["missing_keys"])
    _tell_unused(report["unexpected_keys"], checkpoint)
    return Loaded(model, fresh)


def head_names(model: Any) -> set[str]:
    """Parameters of a CTC network's output layer; empty for one whose head is its token embedding."""
    return {n for n, _ in model.named_parameters() if n.startswith(HEADS)}


def _refuse_missing(missing: Collection[str], total: int, checkpoint: Checkpoint) -> None:
    if missing:
        raise ModelError(
            f"the weights lack {len(missing)} of the network's {total} tensors ({_some(missing)}), and "
            "random ones would produce nonsense: save or download the model again.",
            path=checkpoint.shown,
        )


def _refuse_wrong(wrong: dict[str, Any], checkpoint: Checkpoint) -> None:
    if wrong:
        name = min(wrong)
        stored, built = (" × ".join(map(str, shape)) for shape in wrong[name])
        more = f", and {len(wrong) - 1} more tensors differ" if len(wrong) > 1 else ""
        raise ModelError(
            f"{name} is {stored} in the weights and {built} by config.json{more}: the two are of different "
            "models; download both again.",
            path=checkpoint.shown,
        )


def _clear_optional(model: Any, missing: Collection[str]) -> None:
    """Zeros, as plain SpecAugment masks with, in the place of a random mask: loading twice gives the same."""
    parameters = dict(model.named_parameters())
    for name in missing:
        if name.endswith(OPTIONAL):
            parameters[name].data.zero_()


def _tell_unused(unexpected: Collection[str], checkpoint: Checkpoint) -> None:
    unused = {name for name in unexpected if not any(part in name for part in PRETRAINING)}
    if unused:
        logger.warning(
            "%s: %d tensors of the weights are not part of the network and are ignored (%s)",
            checkpoint.shown,
            len(unused),
            _some(unused),
        )


def _some(names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    return f"{shown}, …" if len(names) > _NAMED else shown
