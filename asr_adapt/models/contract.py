"""The contract that every recogniser family fulfils.

Knows what a recogniser can be asked: inputs, labels, the stack of its parts, loss, transcripts.
Does not know any architecture, recipe or file layout; a family's own file does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_adapt.errors import ModelError
from asr_adapt.manifest import ModelLimits
from asr_adapt.manifest.windows import TimedText
from asr_adapt.models.capabilities import Capabilities
from asr_adapt.models.hypothesis import HeardWindow, Hypothesis, Window
from asr_adapt.models.masking import SpecAugment
from asr_adapt.models.settings import DecoderSettings, Dropout, Search
from asr_adapt.models.stack import LayerStack


@dataclass
class Hidden:
    """A batch on its way through the stack.

    ``states`` is (batch, samples) before the front end and (batch, frames, width) above it;
    ``lengths`` (batch,) counts the valid samples or frames of each row.
    """

    states: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> Hidden:
        """The same batch on ``device``."""
        return Hidden(self.states.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))


class Recogniser(ABC):
    """A model with its processor; everything above ``models/`` speaks to this only."""

    family: str
    name: str
    model: Any
    processor: Any
    stack: LayerStack
    sample_rate: int
    #: The longest piece that one call should be fed, in seconds.
    window_seconds: float
    #: Own names of the linear maps inside a layer that LoRA may adapt: attention and feed-forward.
    adaptable: tuple[str, ...] = ()
    #: Whether the output head was drawn at random: only pretrained, it writes nonsense.
    fresh_head: bool = False
    #: What an encoder–decoder family was told; see :meth:`configure`.
    settings: DecoderSettings = DecoderSettings()
    #: How an encoder–decoder family searches; see :meth:`set_search`.
    search: Search = Search()

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this recogniser can do, as it is loaded and set now."""

    @property
    def description(self) -> str:
        """How this decodes, in words, for the settings of a predictions file: equal ones decode alike."""
        return "greedy"

    @property
    def varies_inputs(self) -> bool:
        """Whether :meth:`inputs` draws something from its seeds, so that epochs differ."""
        return False

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.model.parameters()).dtype

    @property
    def runtime(self) -> str:
        """What computes the network, and in which type, in words."""
        return f"torch {str(self.dtype).removeprefix('torch.')}"

    def save(self, directory: str | Path) -> None:
        """Write a plain transformers directory: safetensors and processor files."""
        self.model.save_pretrained(directory)
        self.processor.save_pretrained(directory)

    def configure(self, settings: DecoderSettings) -> None:
        """Follow ``settings`` from now on; raises ModelError where the family has no decoder."""
        if settings != DecoderSettings():
            raise ModelError(
                f"has no decoder (family {self.family}): remove decoder from the recipe.",
                path=self.name,
            )

    @contextmanager
    def as_published(self) -> Iterator[None]:
        """Within, transcripts follow the settings that the model came with, whatever :meth:`has_learnt`
        changed in them."""
        yield

    def has_learnt(self, names: Collection[str], *, silence: bool = False) -> None:
        """Told, before it is saved, which parameters (transformers' names) learnt under its settings, and
        whether rows of ``silence`` were among what they learnt from."""
        del names, silence  # for families whose saved settings follow from it

    def require_language(self, language: str) -> None:
        """Raise :class:`~asr_adapt.errors.UsageError` for a language that it cannot be told to write.

        Families that are told none accept any.
        """
        del language

    def use_context(self, name: str) -> None:
        """Hear clips in the context ``name`` from now on, and save that.

        Raises ModelError where there is no choice, and UsageError for a context that was not learnt.
        """
        raise ModelError(
            f"has no context {name!r}, because it always sees whole clips: remove --context.", path=self.name
        )

    def set_search(self, search: Search) -> None:
        """Decode under ``search`` from now on; raises ModelError where the family has no decoder."""
        if search != Search():
            raise ModelError(
                f"has no decoder (family {self.family}): remove prompt and fallback.",
                path=self.name,
            )

    def searching(self, search: Search, task: str | None = None) -> Recogniser:
        """The same weights under another search and task; this object stays as it is."""
        other = copy(self)
        other.set_search(search)
        if task is not None:
            other.set_task(task)
        return other

    def set_task(self, task: str) -> None:
        """``transcribe``, or ``translate`` into English; raises ModelError or UsageError where it cannot."""
        if task != "transcribe":
            raise ModelError(f"cannot {task}: use a multilingual Whisper.", path=self.name)

    @abstractmethod
    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Model inputs of float32 mono waveforms at ``sample_rate``, padded.

        ``seeds``, one a row, are given in training; what a family varies at random follows from them.
        """

    @abstractmethod
    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Label ids of each transcript, unpadded; ``seconds`` are the clips' lengths, where known."""

    def window_labels(self, segments: Sequence[TimedText], previous: str = "") -> list[int]:
        """Label ids of a row that holds ``segments``; ``previous`` is what was said before it.

        The segments' texts as one, unless a family learns times and what was said before.
        """
        del previous
        return self.labels([" ".join(part.text for part in segments)], [segments[-1].end])[0]

    @abstractmethod
    def encode(self, batch: Hidden, boundary: int) -> Hidden:
        """Run the stages ``0 … boundary - 1`` of the stack; ``boundary`` 0 gives the inputs back."""

    def encode_each(self, batch: Hidden, boundaries: Sequence[int]) -> Iterator[Hidden]:
        """What :meth:`encode` gives for each of the strictly rising ``boundaries``.

        A family that can go on from one boundary to the next overrides this and runs every stage once.
        """
        for boundary in boundaries:
            yield self.encode(batch, boundary)

    def heard_seconds(self, seconds: float) -> float:
        """How much sound the network hears for a clip of ``seconds``: the clip, or a window around it."""
        return seconds

    def own_frames(self, lengths: Tensor, samples: Sequence[int]) -> Tensor:
        """How many of each row's frames ``lengths`` (batch,) hold the clip itself: all, unless a family hears
        a window longer than the clip. ``samples`` counts each clip's samples."""
        return lengths

    def learns_in_part(self, boundary: int) -> bool:
        """Whether :meth:`learnt_states` gives less than :meth:`encode` at ``boundary``."""
        del boundary
        return False

    def learnt_states(self, inputs: Hidden, boundary: int, samples: Sequence[int]) -> Hidden:
        """The states at ``boundary`` that training hears: those of :meth:`encode`, unless a family hears a
        window longer than the clip, whose silence teaches little. ``samples`` counts each clip's samples.
        What is measured hears everything.
        """
        del samples
        return self.encode(inputs, boundary)

    @abstractmethod
    def losses(
        self,
        hidden: Hidden,
        boundary: int,
        labels: Sequence[Sequence[int]],
        masking: SpecAugment | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Negative log-likelihood (nats, float32) of each row (batch,), from what :meth:`encode` gave.

        ``label_smoothing`` is the share of the target spread over all labels; families without
        :attr:`Capabilities.label_smoothing` raise :class:`~asr_adapt.errors.ModelError` for any other than 0.
        """

    @abstractmethod
    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """Transcribe one batch; a row's text does not depend on the other rows."""

    def hear_windows(self, windows: Sequence[Window], *, words: bool = False) -> list[HeardWindow]:
        """What is said in each window and when, for families that hear windows (:class:`Capabilities`)."""
        raise ModelError("has no timestamps (see Capabilities.hears_windows).", path=self.name)

    @torch.inference_mode()
    def transcribe_hidden(
        self,
        hidden: Hidden,
        boundary: int,
        samples: Sequence[int],
        *,
        words: bool = False,
        language: str | None = None,
    ) -> list[Hypothesis]:
        """What :meth:`transcribe` gives, from what :meth:`encode` gave at ``boundary``.

        ``boundary`` is at most the stack's ``prefix_limit``; ``samples`` counts each clip's samples.
        """
        self.model.eval()
        states = hidden.states if boundary == 0 else hidden.states.to(self.dtype)
        return self._from_boundary(Hidden(states, hidden.lengths), boundary, samples, words, language)

    @abstractmethod
    def _from_boundary(
        self, hidden: Hidden, boundary: int, samples: Sequence[int], words: bool, language: str | None
    ) -> list[Hypothesis]:
        """:meth:`transcribe_hidden` once the network is in eval mode and the states have its type."""

    @abstractmethod
    def set_dropout(self, dropout: Dropout) -> None:
        """Put dropout rates into the modules of this object; what :meth:`save` writes stays as it was."""

    @abstractmethod
    def limits(self) -> ModelLimits:
        """What a manifest row must satisfy for this model; needs no torch to be used."""
