"""How Whisper's transcripts are searched for: language, prompt, doubt, silence.

Knows what is given to the decoder and when an attempt is not believed. Does not know how tokens follow each
other (``generation``), what is done about a loop (``checks``) nor audio. Thresholds and their use are
OpenAI's (arXiv 2212.04356, section 4.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from asr_adapt.models.attention.whisper.network import WhisperNetwork
from asr_adapt.models.attention.whisper.tokens import WhisperTokens
from asr_adapt.models.contract import Hidden, Search
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.checks import Doubt, attempt_with, doubt, most_tokens, transcribed
from asr_adapt.models.search.decoder_cache import DecoderCache
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken


@dataclass(frozen=True)
class Opening:
    """Of each row, the probability that nobody speaks (None: the model has no token for it) and those of the
    languages."""

    silence: list[float | None]
    languages: list[dict[str, float]]


class WhisperDecoding:
    """Searches under ``options``, a :class:`Search`, which may be set anew at any time."""

    def __init__(self, network: WhisperNetwork, tokens: WhisperTokens, model: Any) -> None:
        self.network, self.tokens, self.model = network, tokens, model
        self.options = Search()
        #: Favours the listed words of ``options``.
        self.bias: PhraseBias | None = None

    def rules(self, given: int) -> Rules:
        """Which tokens the checkpoint's generation settings admit behind ``given`` tokens."""
        generation, positions = self.model.generation_config, self.model.config.max_target_positions
        most = min((generation.max_length or positions) + given, positions)  # as transformers counts
        never = tuple(generation.suppress_tokens or ())
        not_first = tuple(generation.begin_suppress_tokens or ())
        return Rules(self.tokens.end, most, never, not_first, bias=self.bias)

    def __call__(
        self, hidden: Hidden, language: str | None, task: str, seconds: Sequence[float]
    ) -> list[Spoken]:
        """What is said in each row of the encoder's output, in ``language`` or in that which is heard.

        ``seconds`` are the rows' own, without the silence that fills the window.
        """
        heard = self.begun(hidden, language, task, seconds)
        options, doubted = self.options, self._doubted if self.options.fallback else None
        found = transcribed(self.attempt, heard, self.rules(heard.given.shape[1]), options, doubted)
        return self._without_silence(heard, found) if options.hallucination_checks else found

    def begun(
        self, hidden: Hidden, language: str | None, task: str, seconds: Sequence[float]
    ) -> EncoderOutput:
        """The rows with everything that is given to the decoder before it speaks."""
        heard = self.heard(hidden)
        prefixes = self.prefixes(self._first(heard, language), language, task)
        given = torch.tensor(prefixes, device=hidden.states.device)
        return replace(heard, given=given, most=most_tokens(seconds))

    def _first(self, rows: EncoderOutput | Hidden, language: str | None) -> list[dict[str, float]]:
        """Probabilities of the languages in each row, where ``language`` leaves it to be heard; else none."""
        if not self._detects(language):
            return [{}] * len(rows.states)
        return self.opening(rows if isinstance(rows, EncoderOutput) else self.heard(rows)).languages

    def heard(self, hidden: Hidden) -> EncoderOutput:
        """The rows with the start alone given."""
        states = hidden.states
        start = torch.full((len(states), 1), self.tokens.start, device=states.device)
        return EncoderOutput(states, self.network.mask(states, hidden.lengths), start)

    def attempt(self, heard: EncoderOutput, rules: Rules, search: Search, temperature: float) -> list[Spoken]:
        """Every row once; the one place where a decoder computes a transcript."""
        return attempt_with(self.network, heard, rules, search, temperature)

    def languages(self, hidden: Hidden) -> list[dict[str, float]]:
        """Probability of each language in each row; an English-only model says English."""
        if not self.tokens.multilingual:
            return [{"en": 1.0}] * len(hidden.states)
        return self.opening(self.heard(hidden)).languages

    def opening(self, heard: EncoderOutput) -> Opening:
        """What the token behind the start tells about each row."""
        logits, silence = self._start(heard), self.tokens.no_speech
        quiet: list[float | None] = [None] * len(logits)
        if silence is not None:
            quiet = logits.softmax(-1)[:, silence].tolist()
        if not self.tokens.multilingual:
            return Opening(quiet, [{"en": 1.0}] * len(logits))
        codes, ids = list(self.tokens.languages), list(self.tokens.languages.values())
        shares = logits[:, ids].softmax(-1).tolist()
        return Opening(quiet, [dict(zip(codes, row, strict=True)) for row in shares])

    def prefixes(
        self, shares: Sequence[Mapping[str, float]], language: str | None, task: str
    ) -> list[list[int]]:
        """The tokens given to each row; ``shares`` are its languages' probabilities, where they are asked."""
        prompt = self.prompt_ids()
        if prompt and self.tokens.previous is not None:
            prompt = [self.tokens.previous, *prompt]
        if not self._detects(language):
            return [prompt + self.tokens.prefix(language, task)] * len(shares)
        heard = [max(row, key=row.__getitem__) for row in shares]
        return [prompt + self.tokens.prefix(code, task) for code in heard]

    def _detects(self, language: str | None) -> bool:
        """Whether the language is what is heard: asked for by ``auto``, or because none is given or saved."""
        unknown = language is None and self.tokens.saved_language is None
        return self.tokens.multilingual and (language == "auto" or unknown)

    def prompt_ids(self) -> list[int]:
        """The prompt's last tokens, at most half of what the decoder has room for; none where none is set."""
        text = self.options.prompt.strip()
        if not text or self.tokens.previous is None:
            return []
        ids = self.tokens.tokenizer(" " + text, add_special_tokens=False).input_ids
        return list(ids[-(self.model.config.max_target_positions // 2 - 1) :])

    def _start(self, heard: EncoderOutput) -> Tensor:
        """Logits (batch, vocabulary) behind the start."""
        start = torch.full((len(heard.states), 1), self.tokens.start, device=heard.states.device)
        return self.network.step(start, heard.states, heard.mask, DecoderCache(1, heard.kept)).float()

    def _without_silence(self, heard: EncoderOutput, found: list[Spoken]) -> list[Spoken]:
        """Nothing is said where the text is improbable and the model hears nobody speak."""
        limit = self.options.no_speech
        doubtful = [row for row, said in enumerate(found) if said.mean_score < self.options.mean_score]
        if limit is None or self.tokens.no_speech is None or not doubtful:
            return found
        shares = [found[row].silence for row in doubtful]
        if None in shares:
            shares = self.opening(heard.rows(doubtful)).silence
        for row, share in zip(doubtful, shares, strict=True):
            if share is not None and share > limit:
                found[row] = replace(found[row], ids=(), scores=found[row].scores[-1:])
        return found

    def _doubted(self, row: int, said: Spoken) -> Doubt:
        """Why another temperature should be tried."""
        text = self.tokens.tokenizer.decode(said.ids, skip_special_tokens=True)
        return doubt(said, text, self.options)
