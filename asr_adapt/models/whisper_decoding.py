"""How Whisper's transcripts are searched for: language, prompt, beams, fallback, silence.

Knows what is given to the decoder and when an attempt is not believed. Does not know how tokens follow each
other (``generation``) nor audio. Thresholds and their use are OpenAI's (arXiv 2212.04356, section 4.5).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from asr_adapt.models.contract import Hidden, Search
from asr_adapt.models.generation import Heard, Rules, Spoken, search, speak
from asr_adapt.models.whisper_network import WhisperNetwork
from asr_adapt.models.whisper_tokens import WhisperTokens

#: A loop is a phrase of at most so many tokens …
LOOP_LENGTH = 12
#: … said so many times in a row.
LOOP_TIMES = 4


class WhisperDecoding:
    """Searches under ``options``, a :class:`Search`, which may be set anew at any time."""

    def __init__(self, network: WhisperNetwork, tokens: WhisperTokens, model: Any) -> None:
        self.network, self.tokens, self.model = network, tokens, model
        self.options = Search()

    def rules(self, given: int) -> Rules:
        """Which tokens the checkpoint's generation settings admit behind ``given`` tokens."""
        generation, positions = self.model.generation_config, self.model.config.max_target_positions
        most = min((generation.max_length or positions) + given, positions)  # as transformers counts
        never = tuple(generation.suppress_tokens or ())
        return Rules(self.tokens.end, most, never, tuple(generation.begin_suppress_tokens or ()))

    def __call__(self, hidden: Hidden, language: str | None, task: str) -> list[Spoken]:
        """What is said in each row of the encoder's output, in ``language`` or in that which is heard."""
        mask = self.network.mask(hidden.states, hidden.lengths)
        first = self._first(hidden, mask)
        given = torch.tensor(self.prefixes(first, language, task), device=hidden.states.device)
        heard = Heard(hidden.states, mask, given)
        silence = self._silence(first)
        found = self._attempt(heard, self.options.temperatures[0])
        for temperature in self.options.temperatures[1:]:
            doubtful = [i for i, said in enumerate(found) if self._doubted(said, silence[i])]
            if not doubtful:
                break
            again = self._attempt(heard.rows(doubtful), temperature)
            for row, said in zip(doubtful, again, strict=True):
                found[row] = said
        return [self._settled(said, quiet) for said, quiet in zip(found, silence, strict=True)]

    def languages(self, hidden: Hidden) -> list[dict[str, float]]:
        """Probability of each language in each row; an English-only model says English."""
        if not self.tokens.multilingual:
            return [{"en": 1.0}] * len(hidden.states)
        logits = self._start(hidden, self.network.mask(hidden.states, hidden.lengths))
        codes, ids = list(self.tokens.languages), list(self.tokens.languages.values())
        shares = logits[:, ids].softmax(-1).tolist()
        return [dict(zip(codes, row, strict=True)) for row in shares]

    def prefixes(self, first: Tensor, language: str | None, task: str) -> list[list[int]]:
        """The tokens given to each row; ``first`` (batch, vocabulary) are the logits behind the start."""
        prompt = self._prompt()
        if language is not None or not self._detects:
            return [prompt + self.tokens.prefix(language, task)] * len(first)
        codes, ids = list(self.tokens.languages), list(self.tokens.languages.values())
        heard = [codes[best] for best in first[:, ids].argmax(-1).tolist()]
        return [prompt + self.tokens.prefix(code, task) for code in heard]

    @property
    def _detects(self) -> bool:
        return self.tokens.multilingual and self.tokens.saved_language is None

    def _prompt(self) -> list[int]:
        text, previous = self.options.prompt.strip(), self.tokens.previous
        if not text or previous is None:
            return []
        ids = self.tokens.tokenizer(" " + text, add_special_tokens=False).input_ids
        return [previous, *ids[-(self.model.config.max_target_positions // 2 - 1) :]]

    def _first(self, hidden: Hidden, mask: Tensor | None) -> Tensor:
        """Logits behind the start, which tell language and silence; empty rows where neither is asked."""
        if self._detects or self.options.no_speech is not None:
            return self._start(hidden, mask)
        return torch.zeros(len(hidden.states), 0, device=hidden.states.device)

    def _start(self, hidden: Hidden, mask: Tensor | None) -> Tensor:
        ids = torch.full((len(hidden.states), 1), self.tokens.start, device=hidden.states.device)
        return self.network.decode(ids, hidden.states, hidden.lengths)[:, -1].float()

    def _silence(self, first: Tensor) -> list[float]:
        """Probability of each row that nobody speaks; 0 where it is not asked for."""
        if self.options.no_speech is None or self.tokens.no_speech is None:
            return [0.0] * len(first)
        return first.softmax(-1)[:, self.tokens.no_speech].tolist()

    def _attempt(self, heard: Heard, temperature: float) -> list[Spoken]:
        rules = self.rules(heard.given.shape[1])
        if temperature == 0 and self.options.beams > 1:
            return search(self.network, heard, rules, self.options.beams)
        return speak(self.network, heard, rules, temperature)

    def _quiet(self, said: Spoken, silence: float) -> bool:
        limit = self.options.no_speech
        return limit is not None and silence > limit and said.mean_score < self.options.mean_score

    def _doubted(self, said: Spoken, silence: float) -> bool:
        """Whether another temperature should be tried."""
        if self._quiet(said, silence):
            return False
        text = self.tokens.tokenizer.decode(said.ids, skip_special_tokens=True)
        improbable = said.mean_score < self.options.mean_score
        return improbable or compression(text) > self.options.compression or loop(said.ids) is not None

    def _settled(self, said: Spoken, silence: float) -> Spoken:
        """Nothing where nobody speaks, and a loop said once, where guards are asked for."""
        if self._quiet(said, silence):
            return Spoken((), said.scores[-1:])
        end = loop(said.ids) if len(self.options.temperatures) > 1 else None
        return said if end is None else replace(said, ids=said.ids[:end], scores=said.scores[: end + 1])


def compression(text: str) -> float:
    """Bytes of the text over bytes after compression; far above 2 where it repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def loop(ids: Sequence[int]) -> int | None:
    """Where a phrase that a row ends with, over and over, ends for the first time; None where none does."""
    for length in range(1, LOOP_LENGTH + 1):
        phrase, start = tuple(ids[-length:]), len(ids)
        while start >= length and tuple(ids[start - length : start]) == phrase:
            start -= length
        if len(ids) - start >= LOOP_TIMES * length:
            return start + length
    return None
