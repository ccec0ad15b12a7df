"""Whisper's vocabulary: byte-level word pieces, special tokens and timestamps, as a transformers tokeniser.

Knows which special tokens Whisper has and in which order. Does not know networks or weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from transformers import AddedToken, WhisperTokenizer

from asr_adapt.errors import ModelError

END, START, NO_TIMESTAMPS = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
PREVIOUS = "<|startofprev|>"
TASKS = ("transcribe", "translate")
#: Timestamp tokens: 0.00 to 30.00 in steps of 0.02 s.
TIMESTAMPS = tuple(f"<|{index * 0.02:.2f}|>" for index in range(1501))
_LANGUAGE = re.compile(r"<\|[a-z][\w-]*\|>$")
_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")
_NOT_LANGUAGES = {END, START, NO_TIMESTAMPS, PREVIOUS, "<|startoflm|>", *_NO_SPEECH}
_NOT_LANGUAGES |= {f"<|{task}|>" for task in TASKS}


@dataclass(frozen=True)
class WhisperVocabulary:
    """``pieces`` (byte-level text to id), ``merges`` in order of rank, ``specials`` and ``timestamps`` to id.

    A list that leaves the timestamps out is completed by :meth:`completed`.
    """

    pieces: dict[str, int]
    merges: list[tuple[str, str]]
    specials: dict[str, int]
    multilingual: bool
    timestamps: dict[str, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """Id of the end of the text."""
        return self.specials[END]

    @property
    def start(self) -> int:
        """Id of the start of the transcript."""
        return self.specials[START]

    @cached_property
    def languages(self) -> dict[str, int]:
        """Language tokens to ids."""
        return {t: i for t, i in self.specials.items() if _LANGUAGE.match(t) and t not in _NOT_LANGUAGES}

    def completed(self, size: int, path: Path) -> WhisperVocabulary:
        """With timestamps behind all other tokens, where a network of ``size`` tokens has room for them.

        Raises :class:`ModelError` where ids have gaps, go beyond ``size``, or tokens are missing.
        """
        missing = [token for token in (END, START, NO_TIMESTAMPS) if token not in self.specials]
        if missing:
            raise ModelError(f"the vocabulary lacks {missing[0]}, which Whisper needs.", path=path)
        first, times = len(self.pieces) + len(self.specials), self.timestamps
        if not times and first + len(TIMESTAMPS) <= size:
            times = {token: index for index, token in enumerate(TIMESTAMPS, first)}
        ids = sorted([*self.pieces.values(), *self.specials.values(), *times.values()])
        if ids != list(range(len(ids))) or len(ids) > size:
            raise ModelError(
                f"the vocabulary does not fit the network: {len(ids)} tokens up to number {ids[-1]}, "
                f"and the network speaks {size}.",
                path=path,
            )
        return replace(self, timestamps=times)

    def tokenizer(self) -> WhisperTokenizer:
        """The tokeniser; its ids are those listed."""
        built = WhisperTokenizer(vocab=dict(self.pieces), merges=list(self.merges), pad_token=END)
        added = {**self.specials, **self.timestamps}
        for token in sorted(added, key=added.__getitem__):
            special = token in self.specials
            built.add_tokens(
                [AddedToken(token, normalized=not special, special=special)], special_tokens=special
            )
        return built
