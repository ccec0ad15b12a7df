"""Whisper's vocabulary: byte-level word pieces, special tokens and timestamps, as a transformers tokeniser.

Knows which special tokens Whisper has and in which order. Does not know networks or weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import AddedToken, WhisperTokenizer

from asr_adapt.errors import ModelError

END, START, NO_TIMESTAMPS = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
PREVIOUS = "<|startofprev|>"
TASKS = ("transcribe", "translate")
#: Timestamp tokens: 0.00 to 30.00 in steps of 0.02 s.
TIMESTAMPS = tuple(f"<|{index * 0.02:.2f}|>" for index in range(1501))
_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")
_NOT_LANGUAGES = {END, START, NO_TIMESTAMPS, PREVIOUS, "<|startoflm|>", *_NO_SPEECH}
_NOT_LANGUAGES |= {f"<|{task}|>" for task in TASKS}


@dataclass(frozen=True)
class WhisperVocabulary:
    """``pieces`` (byte-level text to id), ``merges`` in order of rank, ``specials`` to id.

    ``specials`` has neither timestamps nor pieces; their ids follow the pieces' without a gap.
    """

    pieces: dict[str, int]
    merges: list[tuple[str, str]]
    specials: dict[str, int]
    multilingual: bool

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
        return {token: index for token, index in self.specials.items() if token not in _NOT_LANGUAGES}

    def tokenizer(self, size: int) -> WhisperTokenizer:
        """The tokeniser of a network that speaks ``size`` tokens; timestamps are added where they fit."""
        built = WhisperTokenizer(vocab=dict(self.pieces), merges=list(self.merges), pad_token=END)
        ordered = sorted(self.specials, key=self.specials.__getitem__)
        built.add_tokens(
            [AddedToken(token, normalized=False, special=True) for token in ordered], special_tokens=True
        )
        if len(built) + len(TIMESTAMPS) == size:
            built.add_tokens([AddedToken(token, normalized=True, special=False) for token in TIMESTAMPS])
        return built

    def check(self, size: int, path: Path) -> None:
        """Raise :class:`ModelError` where ids have gaps, or do not fit a network of ``size`` tokens."""
        ids = sorted({*self.pieces.values(), *self.specials.values()})
        missing = [token for token in (END, START, NO_TIMESTAMPS) if token not in self.specials]
        if missing:
            raise ModelError(f"the vocabulary lacks {missing[0]}, which Whisper needs.", path=path)
        if ids != list(range(len(ids))) or ids[-1] >= size:
            raise ModelError(
                f"the vocabulary does not fit the network: {len(ids)} tokens up to number {ids[-1]}, "
                f"and the network speaks {size}.",
                path=path,
            )
