"""What the architectures of the CTC family have in common when a checkpoint is opened.

Knows vocabularies, new heads and the languages of MMS. Does not know what is inside an architecture; its
anatomy does.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from transformers import AutoModelForCTC

from asr_adapt.models.contract import Recogniser
from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy
from asr_adapt.models.ctc.heads import take_vocabulary
from asr_adapt.models.ctc.languages import LanguageAdapters
from asr_adapt.models.ctc.recogniser import CtcRecogniser
from asr_adapt.models.files.directory import Checkpoint
from asr_adapt.models.files.processors import EMPTY, ctc_processor, empty_processor, whole_processor
from asr_adapt.models.registry import Architecture
from asr_adapt.pretrained import hub


class CtcArchitecture(Architecture):
    """An architecture with a CTC head, described by its ``anatomy``."""

    def __init__(self, anatomy: type[Wav2Vec2Anatomy]) -> None:
        super().__init__(AutoModelForCTC, partial(CtcRecogniser, anatomy=anatomy))
        self.anatomy = anatomy

    def processor(self, checkpoint: Checkpoint, new_vocabulary: bool) -> tuple[Any, dict[str, Any]]:
        """The processor, and what the network must be told: its vocabulary, where its head is new."""
        if self.anatomy.writes_pieces:
            return whole_processor(checkpoint), {}
        if new_vocabulary and not checkpoint.has_vocabulary:
            return empty_processor(checkpoint), {"vocab_size": len(EMPTY), "pad_token_id": 0}
        processor = ctc_processor(checkpoint)
        if not checkpoint.has_head:  # a self-supervised configuration has no say in these
            tokenizer = processor.tokenizer
            return processor, {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        return processor, {}

    def opened(self, recogniser: Recogniser, checkpoint: Checkpoint, *, remote: bool) -> None:
        """Offer the languages of an MMS checkpoint, whose files are beside it or in its repository."""
        model, tokenizer = recogniser.model, recogniser.processor.tokenizer
        if not isinstance(recogniser, CtcRecogniser) or not LanguageAdapters.carried_by(model, tokenizer):
            return

        def find(name: str) -> Path | None:
            if checkpoint.holds(name):
                return checkpoint.folder / name
            return hub.fetch(checkpoint.shown, checkpoint.folder, name) if remote else None

        recogniser.offer_languages(LanguageAdapters(model, tokenizer, checkpoint.shown, find))

    def adopted(self, recogniser: Recogniser, folder: Path) -> Recogniser:
        """The vocabulary and head of an adapter's folder."""
        return take_vocabulary(recogniser, folder)
