"""Recognisers with a CTC head: wav2vec 2.0 and its kin, conformers on samples or mels, Parakeet-CTC.

Knows how the stack of an :mod:`anatomy <.anatomy>` becomes a CTC loss and greedy transcripts.
Does not know recipes, manifests, beam search or how a checkpoint was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Wav2Vec2PhonemeCTCTokenizer

from asr_adapt.errors import ModelError
from asr_adapt.manifest import ModelLimits
from asr_adapt.models.contract import Capabilities, DecoderSettings, Hidden, Recogniser
from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy
from asr_adapt.models.ctc.languages import LanguageAdapters
from asr_adapt.models.ctc.packed import PackedEncoder
from asr_adapt.models.encoder import EncoderRecogniser
from asr_adapt.models.files.directory import HEADS
from asr_adapt.models.hypothesis import Hypothesis, Word
from asr_adapt.models.masking import SpecAugment
from asr_adapt.models.stack import LayerStack
from asr_adapt.models.words.pieces import piece_characters, words_of_phonemes, words_of_pieces
from asr_adapt.text import WORD_DELIMITER, Spelling, spelling_of


class CtcRecogniser(EncoderRecogniser):
    """Encoder with a CTC head; the contract's methods are documented there."""

    family = "ctc"
    #: The languages of an MMS checkpoint.
    adapters: LanguageAdapters | None = None
    #: The language of an MMS checkpoint that is meant where none is asked for.
    own_language: str = ""

    def __init__(self, model: Any, processor: Any, name: str, anatomy: type[Wav2Vec2Anatomy]) -> None:
        super().__init__(model, processor, name, anatomy)
        if model.config.pad_token_id is None:  # CTC's blank: the tokeniser knows it too
            model.config.pad_token_id = processor.tokenizer.pad_token_id
        if model.config.pad_token_id is None:
            raise ModelError(
                "has no blank token: set pad_token_id in config.json.", path=name, field="pad_token_id"
            )
        self.stack = self._stack()
        #: Whether transcripts are phonemes with spaces between them, as the espeak models write.
        self.writes_phonemes = isinstance(processor.tokenizer, Wav2Vec2PhonemeCTCTokenizer)

    @property
    def capabilities(self) -> Capabilities:
        """Frames that can be aligned; ``concurrent`` on a CPU without padding, where nothing of a batch is
        kept in this object, unless languages change it; the languages of an MMS checkpoint."""
        return Capabilities(
            hotwords=True,
            language_model=True,
            alignment=True,
            extendable_vocabulary=not self.anatomy.writes_pieces and not self.writes_phonemes,
            languages=() if self.adapters is None else self.adapters.codes,
            concurrent=self.anatomy.packable and self.device.type == "cpu" and self.adapters is None,
        )

    def configure(self, settings: DecoderSettings) -> None:
        """The language of an MMS checkpoint; nothing else, as there is no decoder."""
        if settings.language is not None and self.adapters is not None:
            self._use_language(settings.language)
            self.own_language = settings.language
            settings = replace(settings, language=None)
        super().configure(replace(settings, task=None) if settings.task == "transcribe" else settings)

    def offer_languages(self, adapters: LanguageAdapters) -> None:
        """Let users choose among the languages of ``adapters``; the present one is meant by default."""
        self.adapters, self.own_language = adapters, adapters.current

    def _use_language(self, language: str) -> None:
        """Put the adapter, head and vocabulary of ``language`` in place; raises where there is none."""
        adapters = self.adapters
        if adapters is None or language == adapters.current:
            return
        adapters.use(language)
        for name in ("vocabulary", "head_tokens", "spelling"):
            self.__dict__.pop(name, None)
        self.stack = self._stack()

    def _stack(self) -> LayerStack:
        return LayerStack(self.model, self.anatomy.stages(), fixed=self.anatomy.unused)

    @property
    def blank(self) -> int:
        """Id of the CTC blank, which transformers calls the padding token."""
        return int(self.model.config.pad_token_id)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Token to id."""
        return dict(self.processor.tokenizer.get_vocab())

    @property
    def head_size(self) -> int:
        """How many tokens the head says; some tokenisers know more (``<s>`` behind the last, say)."""
        return int(next(p for n, p in self.model.named_parameters() if n.startswith(HEADS)).shape[0])

    @cached_property
    def head_tokens(self) -> dict[str, int]:
        """Token to id, of those that the head can say."""
        return {token: index for token, index in self.vocabulary.items() if index < self.head_size}

    @cached_property
    def spelling(self) -> Spelling:
        """How the vocabulary writes a transcript: letter case, forms of letters, whole phonemes."""
        tokenizer, tokens = self.processor.tokenizer, self.head_tokens
        if self.anatomy.writes_pieces:
            return Spelling(piece_characters(tokenizer))
        if self.writes_phonemes:
            special = {*tokenizer.all_special_tokens, tokenizer.word_delimiter_token}
            return Spelling(frozenset(tokens.keys() - special), whole=True)
        return spelling_of(tokens, tokenizer.word_delimiter_token or WORD_DELIMITER)

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Ids of the transcript as the vocabulary spells it; what the head cannot say is left out."""
        tokenizer, most = self.processor.tokenizer, self.head_size
        if self.writes_phonemes:
            unknown = tokenizer.unk_token_id
            coded = [[self.vocabulary.get(u, unknown) for u in self.spelling.units(t)] for t in texts]
        else:
            coded = [tokenizer(self.spelling(text)).input_ids for text in texts]
        return [[label for label in ids if label is not None and label < most] for ids in coded]

    def logits(self, batch: Hidden) -> Hidden:
        """Logits (batch, frames, vocabulary) of whole inputs."""
        if self.anatomy.packable and batch.states.device.type == "cpu" and not torch.is_grad_enabled():
            return Hidden(*PackedEncoder(self.anatomy).logits(batch.states.to(self.dtype), batch.lengths))
        return self._run(batch, 0, len(self.stack), None)

    def losses(
        self,
        hidden: Hidden,
        boundary: int,
        labels: Sequence[Sequence[int]],
        masking: SpecAugment | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """CTC negative log-likelihood of each row (Graves et al. 2006), infinite ones set to zero."""
        if label_smoothing:
            raise ModelError("a CTC loss has no single target to smooth: set label_smoothing to 0.")
        out = self._run(hidden, boundary, len(self.stack), masking)
        device = out.states.device
        targets = torch.tensor([i for row in labels for i in row], dtype=torch.long, device=device)
        sizes = torch.tensor([len(row) for row in labels], dtype=torch.long, device=device)
        with torch.autocast(device.type, enabled=False):
            scores = out.states.float().log_softmax(-1).transpose(0, 1)
            return F.ctc_loss(
                scores, targets, out.lengths, sizes, self.blank, reduction="none", zero_infinity=True
            )

    @torch.inference_mode()
    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """Greedy transcripts; the best path is taken on the device and only ids are copied to the host."""
        if not waveforms:
            return []
        if self.adapters is not None:
            self._use_language(language or self.own_language)
        self.model.eval()
        return self._written(self.logits(self.inputs(waveforms).to(self.device)), words)

    def _from_boundary(
        self, hidden: Hidden, boundary: int, samples: Sequence[int], words: bool, language: str | None
    ) -> list[Hypothesis]:
        """Greedily."""
        out = self._run(hidden, boundary, len(self.stack), None)
        return self._written(out, words)

    def _written(self, out: Hidden, words: bool) -> list[Hypothesis]:
        """What logits (batch, frames, vocabulary) say."""
        best, ids = out.states.float().log_softmax(-1).max(-1)
        probabilities, table = best.exp().cpu().numpy(), ids.cpu().numpy()
        return [
            self._hypothesis(table[row, :length], probabilities[row, :length], words)
            for row, length in enumerate(out.lengths.tolist())
        ]

    def _hypothesis(self, best: np.ndarray, probabilities: np.ndarray, with_words: bool) -> Hypothesis:
        tokenizer = self.processor.tokenizer
        spoken = probabilities[best != self.blank]
        confidence = float(spoken.mean()) if len(spoken) else None
        if not with_words:
            changes = np.flatnonzero(np.diff(best, prepend=-1))  # the tokeniser groups in Python
            return Hypothesis(tokenizer.decode(best[changes].tolist()), confidence=confidence)
        ids = best.tolist()
        if self.anatomy.writes_pieces:
            spans = list(words_of_pieces(tokenizer, ids, self.blank))
            return Hypothesis(tokenizer.decode(ids), self._words(spans, ids, probabilities), confidence)
        if self.writes_phonemes:
            spans = list(words_of_phonemes(tokenizer, ids, self.blank))
            return Hypothesis(tokenizer.decode(ids), self._words(spans, ids, probabilities), confidence)
        decoded = tokenizer.decode(ids, output_word_offsets=True)
        spans = [(item["word"], item["start_offset"], item["end_offset"]) for item in decoded.word_offsets]
        return Hypothesis(decoded.text, self._words(spans, ids, probabilities), confidence)

    def _words(
        self, spans: list[tuple[str, int, int]], ids: list[int], probabilities: np.ndarray
    ) -> tuple[Word, ...]:
        second, blank = self.seconds_per_frame, self.blank
        found = []
        for word, start, stop in spans:
            span = range(start, stop)
            heard = [probabilities[i] for i in span if ids[i] != blank]
            probability = float(np.mean(heard)) if heard else 0.0
            found.append(Word(word, span.start * second, span.stop * second, probability))
        return tuple(found)

    def limits(self) -> ModelLimits:
        """Characters, frames and longest clip of this model."""
        return ModelLimits(
            name=self.name,
            vocabulary=self.spelling.tokens,
            spelling=self.spelling,
            count_frames=self._frames_needed if self.anatomy.writes_pieces else None,
            frames=lambda seconds: self.frames(int(seconds * self.sample_rate)),
        )

    def _frames_needed(self, text: str) -> int:
        """Frames that a transcript in word pieces needs: one a piece, a blank between equals."""
        ids = self.labels([text])[0]
        return len(ids) + sum(a == b for a, b in pairwise(ids))


def require_ctc(recogniser: Recogniser, what: str = "alignment needs") -> CtcRecogniser:
    """The recogniser itself; raises ModelError when it has no CTC head, which ``what`` a CTC model."""
    if not isinstance(recogniser, CtcRecogniser):
        raise ModelError(f"is of the {recogniser.family} family: {what} a CTC model.", path=recogniser.name)
    return recogniser
