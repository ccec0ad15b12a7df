"""Encoder–decoder families whose decoder is told little: start, text, end; Moonshine and Speech2Text.

Knows how such a text is coded, searched for greedily or by beam, and what must be refused because the family
was never taught it. Does not know networks, features or how a checkpoint was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models.attention.seq2seq import Seq2SeqNetwork, Seq2SeqRecogniser
from asr_adapt.models.contract import Capabilities, DecoderSettings, Hidden, Search
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.checks import Doubt, attempt_with, doubt, most_tokens, transcribed
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken
from asr_adapt.models.stack import LayerStack

#: The longest piece, in seconds: what these models were trained on, roughly.
WINDOW_SECONDS = 30.0


class MaskedNetwork(Seq2SeqNetwork, Protocol):
    """A network that says how its decoder is told which frames are sound."""

    def stack(self) -> LayerStack:
        """Stages from sound to text."""

    def mask(self, states: Tensor, lengths: Tensor) -> Tensor | None:
        """The mask of what the encoder gave, as the decoder takes it; None where nothing is padded."""


class PlainSeq2SeqRecogniser(Seq2SeqRecogniser):
    """Start, text, end; ``title`` is the family's name in messages."""

    title: str
    network: MaskedNetwork
    window_seconds = WINDOW_SECONDS

    def __init__(
        self, model: Any, processor: Any, name: str, network: MaskedNetwork, end: int | None = None
    ) -> None:
        super().__init__(model, processor, name)
        self.network = network
        self.stack = network.stack()
        self.sample_rate = int(processor.feature_extractor.sampling_rate)
        self.end = int(model.config.eos_token_id) if end is None else end
        self.search = Search()
        self._bias: PhraseBias | None = None

    @property
    def capabilities(self) -> Capabilities:
        """As of the other encoder–decoder families, and the languages that the model has."""
        return replace(super().capabilities, languages=tuple(self.languages))

    def written(self, text: str) -> str:
        """A transcript as the tokeniser takes it."""
        return text.strip()

    def spelled(self, text: str) -> list[int]:
        """The tokens of ``text`` inside a transcript; such tokenisers add the space before a word."""
        return self._known_tokens(self.written(text))

    @property
    def languages(self) -> dict[str, Any]:
        """Language code to what the decoder is told, a token's id; empty where there is one language."""
        return {}

    def configure(self, settings: DecoderSettings) -> None:
        """A language, where the model has several; ModelError for what the family was never taught."""
        plain = DecoderSettings()
        self._refuse(
            ("decoder.task", settings.task not in (None, "transcribe")),
            ("decoder.context", settings.context != plain.context),
            ("decoder.timestamps_share", settings.timestamps_share != plain.timestamps_share),
            ("decoder.previous_text_share", settings.previous_text_share != plain.previous_text_share),
            ("decoder.language_from", settings.language_from is not None),
        )
        self.prefix(settings.language)
        self.settings = settings

    def set_search(self, search: Search) -> None:
        """Beams, checks, fallback; raises ModelError for a prompt, which the family was never taught."""
        self._refuse(("a prompt", bool(search.prompt)))
        self.search, self._bias = search, self.bias(search)

    def _refuse(self, *unknown: tuple[str, bool]) -> None:
        asked = [what for what, given in unknown if given]
        if asked:
            raise ModelError(f"{self.title} cannot use {' or '.join(asked)}: remove it.", path=self.name)

    def language_id(self, language: str) -> Any:
        """What the decoder is told for a language; raises :class:`UsageError` for one it has not."""
        if not self.languages:
            raise UsageError(
                f"{self.name} writes one language and cannot write {language!r}: remove the language."
            )
        code = language.strip().lower()
        code = code if code in self.languages else code.partition("-")[0]
        if code not in self.languages:
            known = ", ".join(sorted(self.languages))
            raise UsageError(f"language {language!r} is unknown to {self.name}: use one of {known}.")
        return self.languages[code]

    def prefix(self, language: str | None) -> list[int]:
        """The start token, and the language's where there is one; raises :class:`UsageError`."""
        chosen = language or self.settings.language
        start = int(self.model.config.decoder_start_token_id)
        return [start] if chosen is None else [start, self.language_id(chosen)]

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Start, tokens, end."""
        tokenizer, prefix = self.processor.tokenizer, self.prefix(None)
        coded = [tokenizer(self.written(text), add_special_tokens=False).input_ids for text in texts]
        return [[*prefix, *ids, self.end] for ids in coded]

    def speak(self, heard: Hidden, language: str | None, seconds: Sequence[float]) -> list[Spoken]:
        """Greedily, or by beam, with checks for loops unless the search says otherwise."""
        given = torch.tensor([self.prefix(language)] * len(heard.states), device=heard.states.device)
        mask = self.network.mask(heard.states, heard.lengths)
        before = self.positions_before(heard.states.shape[1])
        ready = EncoderOutput(heard.states, mask, given, most_tokens(seconds), before=before)
        doubted = self._doubted if self.search.fallback else None
        attempt = partial(attempt_with, self.network)
        return transcribed(attempt, ready, self.rules(), self.search, doubted)

    def rules(self) -> Rules:
        """What may be said."""
        most = min(self.model.generation_config.max_length or self.positions, self.positions)
        return Rules(self.end, most, bias=self._bias)

    def positions_before(self, frames: int) -> int:
        """How many positions the decoder puts before what it is given: none beside the sound."""
        del frames
        return 0

    def _doubted(self, row: int, said: Spoken) -> Doubt:
        """Why another temperature should be tried."""
        text = self.processor.tokenizer.decode(said.ids, skip_special_tokens=True)
        return doubt(said, text, self.search)
