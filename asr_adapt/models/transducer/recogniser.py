"""Transducers behind the contract: their loss, greedy transcripts and word times.

Knows how an encoder's output, the prediction network and the joint become a loss and words. Does not know
recipes, manifests or how a checkpoint was found. Sources: Graves, arXiv 1211.3711; token-and-duration
transducers, Xu et al., arXiv 2304.06795. The loss is transformers' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.loss.loss_tdt import tdt_loss

from asr_adapt.errors import ModelError
from asr_adapt.manifest import ModelLimits
from asr_adapt.models.contract import Capabilities, Hidden
from asr_adapt.models.encoder import EncoderRecogniser
from asr_adapt.models.hypothesis import Hypothesis, Word
from asr_adapt.models.masking import SpecAugment
from asr_adapt.models.stack import LayerStack
from asr_adapt.models.transducer.greedy import Emitted, search
from asr_adapt.models.words.pieces import WORD_MARK, piece_characters
from asr_adapt.text import Spelling

#: What stands behind a word without sounding.
MARKS = frozenset("?!.,:;-%/¡¿'")


class TransducerRecogniser(EncoderRecogniser):
    """A token-and-duration transducer; the contract's methods are documented there."""

    family = "transducer"

    def __init__(self, model: Any, processor: Any, name: str, anatomy: Any) -> None:
        super().__init__(model, processor, name, anatomy)
        stages = self.anatomy.stages()
        self.stack = LayerStack(model, stages, prefix_limit=len(stages) - 1)

    @property
    def capabilities(self) -> Capabilities:
        """Word times and confidence; neither a beam nor a language model."""
        return Capabilities()

    @property
    def blank(self) -> int:
        """Id of the blank, which is not the padding token."""
        return int(self.model.config.blank_token_id)

    @cached_property
    def spelling(self) -> Spelling:
        """The characters of the word pieces."""
        return Spelling(piece_characters(self.processor.tokenizer))

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Word pieces of the transcript as the vocabulary spells it, without special tokens."""
        tokenizer = self.processor.tokenizer
        coded = [tokenizer(self.spelling(text), add_special_tokens=False).input_ids for text in texts]
        return [[label for label in ids if label < self.blank] for ids in coded]

    def losses(
        self,
        hidden: Hidden,
        boundary: int,
        labels: Sequence[Sequence[int]],
        masking: SpecAugment | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Negative log-likelihood of each row over all alignments, durations included.

        A row whose tokens need more frames than it has counts nothing.
        """
        if label_smoothing:
            raise ModelError("a transducer's loss has no single target to smooth: set label_smoothing to 0.")
        out = self._run(hidden, boundary, len(self.stack) - 1, masking)
        device, config = out.states.device, self.model.config
        sizes = torch.tensor([len(row) for row in labels], device=device)
        given = torch.full((len(labels), 1 + max(map(len, labels))), self.blank, device=device)
        for number, row in enumerate(labels):
            given[number, 1 : 1 + len(row)] = torch.tensor(list(row), dtype=torch.long, device=device)
        said = self.model.decoder(given)
        logits = self.model.joint(said[:, None], out.states[:, :, None])
        with torch.autocast(device.type, enabled=False):
            losses = tdt_loss(
                logits[..., : config.vocab_size],
                logits[..., config.vocab_size :],
                given[:, 1:],
                out.lengths,
                sizes,
                self.blank,
                list(config.durations),
                reduction="none",
            )
        return torch.where(losses.isfinite(), losses, torch.zeros_like(losses))

    @torch.inference_mode()
    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """Greedy transcripts; times follow from the predicted durations."""
        if not waveforms:
            return []
        return self.transcribe_hidden(
            self.inputs(waveforms).to(self.device), 0, [len(w) for w in waveforms], words=words
        )

    def _from_boundary(
        self, hidden: Hidden, boundary: int, samples: Sequence[int], words: bool, language: str | None
    ) -> list[Hypothesis]:
        """Greedily."""
        out = self._run(hidden, boundary, len(self.stack) - 1, None)
        most = torch.tensor([self._most_steps(count) for count in samples], device=out.lengths.device)
        return [self._hypothesis(row, words) for row in search(self.model, out.states, out.lengths, most)]

    def _most_steps(self, samples: int) -> int:
        """Steps after which transformers cuts a clip that never ends; it also counts a last, empty frame."""
        mels = samples // int(self.processor.feature_extractor.hop_length) + 1
        return int(self.model.config.max_symbols_per_step) * self.anatomy.frames(mels) - 1

    def _hypothesis(self, said: Emitted, words: bool) -> Hypothesis:
        tokenizer = self.processor.tokenizer
        text = tokenizer.decode(said.tokens, skip_special_tokens=True, group_tokens=False).strip()
        confidence = float(np.mean(said.probabilities)) if said.tokens else None
        return Hypothesis(text, tuple(self._words(said)) if words else (), confidence)

    def _words(self, said: Emitted) -> list[Word]:
        """Words from a piece with the mark to the next; what does not sound ends no later than what does."""
        tokenizer, second = self.processor.tokenizer, self.seconds_per_frame
        pieces = tokenizer.convert_ids_to_tokens(said.tokens)
        starts = [n for n, piece in enumerate(pieces) if n == 0 or piece.startswith(WORD_MARK)]
        found = []
        for start, stop in zip(starts, [*starts[1:], len(pieces)], strict=True):
            text = tokenizer.decode(
                said.tokens[start:stop], skip_special_tokens=True, group_tokens=False
            ).strip()
            if not text:
                continue
            own = range(start, stop)
            sounding = [n for n in own if not MARKS.issuperset(pieces[n].removeprefix(WORD_MARK))] or [start]
            end = max(said.frames[n] + said.spans[n] for n in sounding)
            probability = float(np.mean([said.probabilities[n] for n in own]))
            found.append(Word(text, said.frames[sounding[0]] * second, end * second, probability))
        return found

    def limits(self) -> ModelLimits:
        """Characters and frames; several tokens may be said at one frame, so one frame is enough."""
        return ModelLimits(
            name=self.name,
            vocabulary=self.spelling.tokens,
            spelling=self.spelling,
            count_frames=lambda text: 1,
            frames=lambda seconds: self.frames(int(seconds * self.sample_rate)),
        )
