"""What Whisper's decoder is told and says besides words: language, task, timestamps, their token ids.

Knows the special tokens of Whisper's tokenisers and the generation settings that name them. Does not know
networks or audio.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from transformers import AddedToken
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from asr_adapt.errors import ModelError, UsageError

TASKS = ("transcribe", "translate")
#: Seconds between two timestamp tokens.
TIMESTAMP_SECONDS = 0.02
#: Decoders of so many layers gain by the text before (whisper-base: 6, tiny: 4).
CONTEXT_LAYERS = 6
#: The smallest vocabulary of OpenAI's multilingual checkpoints; the English-only ones have one token fewer.
_MULTILINGUAL_VOCABULARY = 51_865


class WhisperTokens:
    """Special tokens of one checkpoint; ``name`` is the model's, for messages."""

    def __init__(self, tokenizer: Any, generation: Any, config: Any, name: str) -> None:
        self.tokenizer, self.generation, self.name = tokenizer, generation, name
        own = tokenizer.get_vocab().get("<|notimestamps|>")
        if own is not None and own != getattr(generation, "no_timestamps_token_id", own):
            raise ModelError(
                "the tokeniser and the weights disagree on their special tokens: one is of an English-only "
                "(.en), the other of a multilingual model; copy the tokeniser of the model that you adapt.",
                path=name,
            )
        self.start = int(generation.decoder_start_token_id or config.decoder_start_token_id)
        self.end = int(tokenizer.convert_tokens_to_ids("<|endoftext|>"))
        known = getattr(generation, "is_multilingual", None)
        self._layers = int(config.decoder_layers)
        self.multilingual = config.vocab_size >= _MULTILINGUAL_VOCABULARY if known is None else bool(known)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Token to id."""
        return dict(self.tokenizer.get_vocab())

    @cached_property
    def languages(self) -> dict[str, int]:
        """Language code to token id; empty for an English-only model."""
        if not self.multilingual:
            return {}
        named = getattr(self.generation, "lang_to_id", None)
        if named:
            return {token[2:-2]: int(index) for token, index in named.items()}
        codes = set(TO_LANGUAGE_CODE.values())
        return {t[2:-2]: i for t, i in self.vocabulary.items() if t[:2] == "<|" and t[2:-2] in codes}

    @cached_property
    def no_timestamps(self) -> int | None:
        """Id of ``<|notimestamps|>``, which every timestamp token follows; None where there is none."""
        return self.vocabulary.get("<|notimestamps|>")

    @property
    def first_timestamp(self) -> int | None:
        """Id of ``<|0.00|>``."""
        return self.vocabulary.get("<|0.00|>", None if self.no_timestamps is None else self.no_timestamps + 1)

    @property
    def says_timestamps(self) -> bool:
        """Whether the checkpoint says timestamps, as its generation settings have it; see ``has_learnt``.

        Settings as they were saved before they were completed: transformers too takes those without
        ``no_timestamps_token_id`` for a model that learnt without.
        """
        never = getattr(self.generation, "suppress_tokens", None) or ()
        told = getattr(self.generation, "says_timestamps", None)
        return self.first_timestamp is not None and self.first_timestamp not in never and told is not False

    @says_timestamps.setter
    def says_timestamps(self, value: bool) -> None:
        self.generation.says_timestamps = value

    @property
    def follows_text(self) -> bool:
        """Whether what was said before is its context unless somebody says otherwise; see ``has_learnt``.

        Decoders of four layers (tiny) gain nothing by it; those of six (base) do (`docs/benchmarks.md`).
        """
        told = getattr(self.generation, "follows_previous_text", None)
        deep = self._layers >= CONTEXT_LAYERS
        return self.previous is not None and (deep if told is None else bool(told))

    @follows_text.setter
    def follows_text(self, value: bool) -> None:
        self.generation.follows_previous_text = value

    @cached_property
    def no_speech(self) -> int | None:
        """Id of the token by which the first step says that nobody speaks."""
        found = self.vocabulary.get("<|nospeech|>", self.vocabulary.get("<|nocaptions|>"))
        return found if found is not None or self.no_timestamps is None else self.no_timestamps - 1

    @property
    def previous(self) -> int | None:
        """Id of ``<|startofprev|>``, behind which a prompt stands."""
        return self.vocabulary.get("<|startofprev|>")

    def language_code(self, language: str) -> str:
        """The code of a language named by code or English name; raises :class:`UsageError`."""
        code = language.strip().lower().removeprefix("<|").removesuffix("|>")
        code = TO_LANGUAGE_CODE.get(code, code)
        if code == "auto":  # heard by the decoder; where it has to be written beforehand, the default stands
            return self.default_language
        if not self.multilingual:
            if code == "en":
                return code
            raise UsageError(
                f"{self.name} is English-only and cannot write language {language!r}: "
                "use a multilingual checkpoint (one without .en)."
            )
        if code not in self.languages:
            short = code.partition("-")[0]
            if short in self.languages:
                return short
            known = ", ".join(sorted(self.languages))
            raise UsageError(f"language {language!r} is unknown to {self.name}: use one of {known}.")
        return code

    def task_id(self, task: str | None) -> int:
        """Id of the task's token; raises :class:`UsageError` for another task."""
        task = task or self.saved_task
        if task not in TASKS:
            raise UsageError(f"task {task!r} is unknown: use {' or '.join(TASKS)}.")
        named = getattr(self.generation, "task_to_id", None) or {}
        return int(named.get(task, self.vocabulary.get(f"<|{task}|>", -1)))

    def prefix(self, language: str | None, task: str | None, *, timestamps: bool = False) -> list[int]:
        """What the decoder is given before the text: start, language, task, and no timestamps unless asked.

        An English-only model has neither language nor task token (:class:`UsageError` for any other).
        """
        ids = [self.start]
        if self.multilingual:
            ids += [self.languages[self.language_code(language or self.default_language)], self.task_id(task)]
        elif task not in (None, "transcribe"):
            raise UsageError(f"{self.name} is English-only and cannot {task}: use a multilingual model.")
        elif language is not None:
            self.language_code(language)
        if not timestamps and self.no_timestamps is not None:
            ids.append(self.no_timestamps)
        return ids

    @property
    def saved_language(self) -> str | None:
        """The language saved with the checkpoint."""
        saved = getattr(self.generation, "language", None)
        return self.language_code(saved) if saved else None

    @property
    def saved_task(self) -> str:
        """The task saved with the checkpoint, else ``transcribe``."""
        saved = getattr(self.generation, "task", None)
        return str(saved) if saved in TASKS else TASKS[0]

    @property
    def default_language(self) -> str:
        """The saved language, else English."""
        return self.saved_language or "en"

    def timestamp(self, seconds: float) -> int:
        """Id of the timestamp token nearest to ``seconds``."""
        assert self.first_timestamp is not None  # asked for only where the checkpoint has them
        return self.first_timestamp + round(seconds / TIMESTAMP_SECONDS)


def add_language(model: Any, tokens: WhisperTokens, language: str, source: str) -> bool:
    """Add a token for an unlisted language to tokeniser and ``model``; False where it is listed already.

    Its embedding starts as that of the language ``source``, or as the ``mean`` of all. Raises
    :class:`UsageError` for an English-only model or an unknown source.
    """
    code = language.strip().lower()
    if code in tokens.languages or not tokens.multilingual:
        return False  # the caller's prefix refuses what an English-only model cannot do
    known = list(tokens.languages.values())
    origin = known if source == "mean" else [tokens.languages[tokens.language_code(source)]]
    token = f"<|{code}|>"
    tokens.tokenizer.add_tokens([AddedToken(token, normalized=False, special=True)], special_tokens=True)
    number = int(tokens.tokenizer.convert_tokens_to_ids(token))
    if number >= model.config.vocab_size:
        model.resize_token_embeddings(number + 1, mean_resizing=False)
    with torch.no_grad():
        weights = model.get_input_embeddings().weight
        weights[number] = weights[origin].mean(0)
    listed = {f"<|{name}|>": index for name, index in tokens.languages.items()}
    model.generation_config.lang_to_id = {**listed, token: number}
    return True
