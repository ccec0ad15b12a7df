"""What a Whisper's decoder is taught: a transcript's tokens, timestamps and the text before it where drawn.

Knows tokens and which rows have timestamps or a prompt. Does not know sound, nor how a loss follows.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import chain

from torch import Tensor

from asr_adapt.manifest.windows import TimedText
from asr_adapt.models.attention.seq2seq import IGNORED
from asr_adapt.models.attention.whisper.windows import WhisperParts


class WhisperLabels(WhisperParts):
    """The part of a Whisper that makes labels; the contract's methods are documented there."""

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Prefix, tokens behind a leading space (as Whisper was trained), end of text; no tokens where the
        text is empty."""
        lengths = seconds if seconds is not None else [None] * len(texts)
        return [
            self._labels([TimedText(text, 0.0, length or 0.0)], timed=length is not None)
            for text, length in zip(texts, lengths, strict=True)
        ]

    def window_labels(self, segments: Sequence[TimedText], previous: str = "") -> list[int]:
        """As in Whisper's own training: some rows with a timestamp before and behind each segment, some with
        the text before them as a prompt. The same rows in every run."""
        found, start = self._labels(segments, timed=True), self.tokens.previous
        drawn = previous and _drawn(f"{previous} {segments[0].text}", self.settings.previous_text_share)
        room = min(self.positions // 2 - 1, self.positions - len(found) - 1)
        if start is None or not drawn or room < 1:
            return found
        ids = self.processor.tokenizer(" " + previous.strip(), add_special_tokens=False).input_ids
        return [start, *ids[-room:], *found]

    def _labels(self, segments: Sequence[TimedText], *, timed: bool) -> list[int]:
        """Of one row; with timestamps where that is asked for and drawn."""
        tokenizer, settings, time = self.processor.tokenizer, self.settings, self.tokens.timestamp
        texts = [part.text.strip() for part in segments]
        coded = [tokenizer(" " + t, add_special_tokens=False).input_ids if t else [] for t in texts]
        timed = timed and any(texts) and _drawn(" ".join(texts), settings.timestamps_share)
        prefix = self.tokens.prefix(settings.language, settings.task, timestamps=timed)
        if timed:
            last = self.window_seconds
            spans = [(time(min(part.start, last)), time(min(part.end, last))) for part in segments]
            coded = [[start, *ids, end] for ids, (start, end) in zip(coded, spans, strict=True)]
        return [*prefix, *chain.from_iterable(coded), self.tokens.end]

    def _padded(self, labels: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """A prompt is given, not learnt. Behind the start, a row without text says that nobody speaks, as in
        Whisper's own training."""
        given, wanted = super()._padded(labels)
        empty = self.tokens.prefix(self.settings.language, self.settings.task)
        silent = [n for n, row in enumerate(labels) if list(row) == [*empty, self.end]]
        if silent and self.tokens.no_speech is not None:
            wanted[silent, 0] = self.tokens.no_speech
        for number, row in enumerate(labels):
            if row[0] == self.tokens.previous:
                wanted[number, : list(row).index(self.tokens.start)] = IGNORED
        return given, wanted


def _drawn(text: str, share: float) -> bool:
    """Whether a row is among ``share`` of all rows; by its text, so that it is in every run."""
    return zlib.crc32(text.encode()) < share * 2**32
