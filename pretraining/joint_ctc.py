"""A Whisper that is taught by CTC beside attention, so that its decoder soon knows where to listen.

Knows the auxiliary head, the two losses and how diagonal cross-attention is. Does not know steps, recipes or
where rows come from; the loop sees one more recogniser. Source: Kim, Hori & Watanabe, arXiv 1609.06773.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor, nn
from torch.nn import functional as F

from asr_adapt.models import Hidden, Recogniser, SpecAugment
from asr_adapt.models.attention.seq2seq import IGNORED
from asr_adapt.models.attention.whisper.decoding import WhisperDecoding
from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
from asr_adapt.models.search.generation import Rules

logger = logging.getLogger(__name__)

HEAD_FILE = "joint_ctc.safetensors"
REPORT_EVERY = 50  # batches between two lines of the log
REPORT_ROWS = 8
BYTES = 256
TOKEN_STEP = 8
MOST_TOKENS = 80  # of a transcript while training; the longest sentence has 80 characters


class EarlyDecoding(WhisperDecoding):
    """The family's, for a decoder that has learnt nothing yet: it does not stop, so at most 80 tokens; and at
    least one, because the first steps do not reach the WER of empty transcripts (100 %)."""

    def rules(self, given: int) -> Rules:
        """Which tokens may follow ``given`` ones."""
        rules = super().rules(given)
        most = min(rules.most, given + MOST_TOKENS)
        return replace(rules, most=most, not_first=(*rules.not_first, rules.end))


class JointRecogniser(WhisperRecogniser):
    """A `WhisperRecogniser` whose loss is ``share`` · CTC + (1 - ``share``) · cross-entropy.

    The CTC head spells bytes, whatever the decoder's tokens are: tokens of several letters are rare among the
    frames, and blanks would be most of what CTC learns. It hangs under the output projection, so that the
    stack counts it to the head, and is written beside the model, never into it. ``wide`` is the share of the
    batches that hear any length of window up to 30 s, so that the decoder learns to pass over silence.
    """

    def __init__(self, recogniser: Recogniser, *, share: float, wide: float, seed: int) -> None:
        super().__init__(recogniser.model, recogniser.processor, recogniser.name)
        self.decoding = EarlyDecoding(self.network, self.tokens, self.model)
        self.share, self.wide = share, wide
        self.spelling = _spelling(self.tokens.vocabulary, self.tokens.end)
        self.blank = BYTES
        self.head = _head(self.model.config.d_model, BYTES + 1, Path(recogniser.name), seed)
        self.model.proj_out.ctc = self.head.to(self.device)
        self._sums: dict[str, float] = {}
        self._batches = 0
        self._margin = 0

    def save(self, directory: str | Path) -> None:
        """The Whisper alone as a transformers directory, and the auxiliary head in a file of its own."""
        del self.model.proj_out.ctc
        try:
            super().save(directory)
        finally:
            self.model.proj_out.ctc = self.head
        weights = {name: value.detach().cpu().contiguous() for name, value in self.head.state_dict().items()}
        save_file(weights, Path(directory) / HEAD_FILE)

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """As the family's, but a share of the batches hears more silence behind its clips."""
        batch = super().inputs(waveforms, seeds=seeds)
        if seeds is None or self.settings.context == "full":
            return batch
        chance = np.random.default_rng((seeds[0], _WIDE_STREAM))
        if chance.random() >= self.wide:
            return batch
        longest = int(batch.lengths.max())
        most = self.mels.most_frames
        width = round(longest * (most / longest) ** chance.random() / _STEP) * _STEP
        mels = self.mels(waveforms, min(most, max(width, longest)), self.device)
        return Hidden(mels, torch.full_like(batch.lengths, mels.shape[1]))

    def losses(
        self,
        hidden: Hidden,
        boundary: int,
        labels: Sequence[Sequence[int]],
        masking: SpecAugment | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Both losses of each row in nats, weighted."""
        if masking is not None:
            hidden = Hidden(masking(hidden.states, hidden.lengths), hidden.lengths)
        top = self.stack.prefix_limit
        heard = self._encoder(hidden, boundary, top)
        attention = super().losses(heard, top, labels, label_smoothing=label_smoothing)
        ctc = self._ctc(heard, labels) if self.share else torch.zeros_like(attention)
        self._report(heard, labels, ctc, attention)
        return self.share * ctc + (1.0 - self.share) * attention

    def _padded(self, labels: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """The family's, a multiple of eight tokens wide: a CPU compiles its kernels anew for each shape."""
        given, wanted = super()._padded(labels)
        more = -given.shape[1] % TOKEN_STEP
        return F.pad(given, (0, more), value=self.tokens.end), F.pad(wanted, (0, more), value=IGNORED)

    def _ctc(self, heard: Hidden, labels: Sequence[Sequence[int]]) -> Tensor:
        texts = [[byte for token in row for byte in self.spelling.get(token, ())] for row in labels]
        targets = torch.tensor([byte for row in texts for byte in row], device=heard.states.device)
        sizes = torch.tensor([len(row) for row in texts], device=heard.states.device)
        scores = self.head(heard.states)
        with torch.autocast(scores.device.type, enabled=False):
            scores = scores.float().log_softmax(-1).transpose(0, 1)
            return F.ctc_loss(
                scores, targets, heard.lengths, sizes, self.blank, reduction="none", zero_infinity=True
            )

    def _report(self, heard: Hidden, labels: Sequence[Sequence[int]], ctc: Tensor, attention: Tensor) -> None:
        """Every so many batches: both losses (nats a label) since the last, and diagonality of this batch."""
        for name, value in (("ctc", ctc), ("attention", attention)):
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach().sum())
        self._sums["labels"] = self._sums.get("labels", 0.0) + sum(map(len, labels))
        self._batches += 1
        if self._batches % REPORT_EVERY:
            return
        few = slice(0, REPORT_ROWS)
        diagonal = self.diagonality(Hidden(heard.states[few].detach(), heard.lengths[few]), labels[few])
        count = self._sums.pop("labels")
        logger.info(
            "batch %d: ctc %.3f, attention %.3f nats a label, diagonality %.2f",
            self._batches, self._sums["ctc"] / count, self._sums["attention"] / count, diagonal,
        )  # fmt: skip
        self._sums.clear()

    @torch.no_grad()
    def diagonality(self, heard: Hidden, labels: Sequence[Sequence[int]]) -> float:
        """Correlation of a text token's number with the frame that it attends to on average, best head.

        1 is attention that moves through the sound as the text does, 0 none of it. Mean over the rows.
        """
        caught: list[tuple[nn.Module, Tensor]] = []
        hooks = [
            layer.encoder_attn.register_forward_pre_hook(
                lambda module, given, named: caught.append((module, _first(given, named))), with_kwargs=True
            )
            for layer in self.network.decoder.layers
        ]
        try:
            given, _ = self._padded(labels)
            self.network.read(given, heard.states.to(self.dtype), heard.lengths)
        finally:
            for hook in hooks:
                hook.remove()
        weights = torch.cat([_attention(module, queries, heard.states) for module, queries in caught], 1)
        frames = torch.arange(weights.shape[-1], dtype=weights.dtype)
        places = (weights * frames).sum(-1)  # (batch, heads, tokens)
        found = []
        for row, ids in zip(places, labels, strict=True):
            text = [number for number, token in enumerate(ids[:-1]) if ids[number + 1] in self.spelling]
            if len(text) > 2:
                numbers = torch.arange(len(text), dtype=row.dtype).expand(len(row), -1)
                found.append(max(_correlation(numbers[h], row[h, text]) for h in range(len(row))))
        return float(np.mean(found)) if found else 0.0


#: Keeps the draw of wide windows apart from the other draws of a row.
_WIDE_STREAM = 104_729
#: Mel frames that a wide window is rounded to: few shapes.
_STEP = 256


def _spelling(vocabulary: dict[str, int], end: int) -> dict[int, list[int]]:
    """Text token (they lie below ``end``) → its bytes, numbered in the order of the byte-level alphabet."""
    number = {letter: place for place, letter in enumerate(sorted(ByteLevel.alphabet()))}
    return {i: [number[letter] for letter in token] for token, i in vocabulary.items() if i < end}


def _head(width: int, units: int, source: Path, seed: int) -> nn.Linear:
    """The head of an earlier stage where ``source`` holds one, else a new one."""
    torch.manual_seed(seed)
    head = nn.Linear(width, units)
    if (source / HEAD_FILE).is_file():
        head.load_state_dict(load_file(source / HEAD_FILE))
    return head


def _first(given: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    return (given[0] if given else named["hidden_states"]).detach()


def _attention(module: Any, queries: Tensor, states: Tensor) -> Tensor:
    """Softmax weights (batch, heads, tokens, frames) of one cross-attention, in float32."""
    with torch.autocast(states.device.type, enabled=False):
        q = module.q_proj(queries.to(module.q_proj.weight.dtype)).unflatten(-1, (module.num_heads, -1))
        k = module.k_proj(states.to(module.k_proj.weight.dtype)).unflatten(-1, (module.num_heads, -1))
        scores = torch.einsum("bthd,bfhd->bhtf", q, k) * module.head_dim**-0.5
        return scores.float().softmax(-1).cpu()


def _correlation(one: Tensor, other: Tensor) -> float:
    if float(other.std()) == 0.0:
        return 0.0
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])
