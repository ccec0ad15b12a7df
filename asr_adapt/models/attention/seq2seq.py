"""What encoder–decoder recognisers share: the stack up to the decoder, the loss, transcripts with word times.

Knows a network's parts by what they do (:class:`Seq2SeqNetwork`) and tokens as numbers. Does not know how any
architecture computes, what its prefix means, nor recipes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.manifest import ModelLimits
from asr_adapt.models.contract import Capabilities, Dropout, Hidden, Recogniser, Search
from asr_adapt.models.hypothesis import Hypothesis
from asr_adapt.models.masking import SpecAugment
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.generation import Spoken
from asr_adapt.models.search.phrases import glued_tokens, list_mark, phrase_bias, text_mark
from asr_adapt.models.words.times import alignment_heads, attention_of, token_times, watched, words_of

IGNORED = -100


class Seq2SeqNetwork(Protocol):
    """The modules of an encoder–decoder model in the order in which sound passes them."""

    decoder: Any

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs to the states of layer 0 and their lengths."""

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Some of the encoder's layers."""

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The encoder's last normalisation."""

    def read(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """The decoder's states (batch, tokens, width) on whole texts."""

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (…, vocabulary) of what follows each of the decoder's states (…, width)."""

    def step(self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any) -> Tensor:
        """Logits (batch, vocabulary) behind ``ids``, which follow what ``cache`` holds."""

    def set_dropout(self, hidden: float | None, attention: float | None, activation: float | None) -> None:
        """Put rates into the layers; None keeps a layer's own."""


class Seq2SeqRecogniser(Recogniser):
    """A family of encoder–decoder models; ``end`` is the id of the token that closes a transcript."""

    network: Seq2SeqNetwork
    end: int
    #: Seconds of one encoder frame.
    frame_seconds: float
    _layer_drop = 0.0

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.model, self.processor, self.name = model, processor, name

    @property
    def capabilities(self) -> Capabilities:
        """A decoder that searches, is smoothed, and whose output layer is its input embedding."""
        return Capabilities(decoder=True, hotwords=True, label_smoothing=True, tied_head=True)

    @property
    def description(self) -> str:
        """How this decodes, for the settings of a predictions file."""
        return described(self.search)

    def require_language(self, language: str) -> None:
        """Raises :class:`UsageError` for a language that the decoder cannot be told."""
        self.prefix(language)

    def spelled(self, text: str) -> list[int]:
        """The tokens of ``text`` where it stands inside a transcript; none where it cannot be written."""
        return self._known_tokens(" " + text)

    def _known_tokens(self, text: str) -> list[int]:
        tokenizer = self.processor.tokenizer
        ids = list(tokenizer(text, add_special_tokens=False).input_ids)
        return [] if tokenizer.unk_token_id in ids else ids

    def bias(self, search: Search) -> PhraseBias | None:
        """What favours the listed words of ``search``; None where it lists none."""
        if not search.hotwords:
            return None
        return phrase_bias(search.hotwords, self.spelled, glued_tokens(self.processor.tokenizer))

    @abstractmethod
    def prefix(self, language: str | None) -> list[int]:
        """The tokens given to the decoder before a transcript."""

    @abstractmethod
    def speak(self, heard: Hidden, language: str | None, seconds: Sequence[float]) -> list[Spoken]:
        """What the decoder says about the encoder's output; ``seconds`` are the clips' own."""

    @abstractmethod
    def clip_frames(self, samples: int) -> int:
        """Encoder frames of a clip itself, without what is heard behind it."""

    @property
    @abstractmethod
    def positions(self) -> int:
        """The most tokens that the decoder has positions for."""

    def limits(self) -> ModelLimits:
        """The window and the decoder's positions; every character can be written."""
        return ModelLimits(
            name=self.name,
            max_seconds=self.window_seconds,
            max_labels=self.positions,
            count_labels=lambda text: len(self.labels([text])[0]),
        )

    def set_dropout(self, dropout: Dropout) -> None:
        """Set the layers' rates; layer drop is this object's own."""
        if dropout.layer_drop is not None:
            self._layer_drop = dropout.layer_drop
        self.network.set_dropout(
            dropout.hidden_dropout, dropout.attention_dropout, dropout.activation_dropout
        )

    def encode(self, batch: Hidden, boundary: int) -> Hidden:
        """Run the encoder's stages below ``boundary``."""
        return self._encoder(batch, 0, boundary)

    def encode_each(self, batch: Hidden, boundaries: Sequence[int]) -> Iterator[Hidden]:
        """As the contract says, every stage run once."""
        done = 0
        for boundary in boundaries:
            batch, done = self._encoder(batch, done, boundary), boundary
            yield batch

    def own_frames(self, lengths: Tensor, samples: Sequence[int]) -> Tensor:
        """Encoder frames of the clips, without the silence that fills the window."""
        own = [self.clip_frames(count) for count in samples]
        return torch.minimum(lengths, torch.tensor(own, device=lengths.device)).clamp(min=1)

    def _encoder(self, batch: Hidden, start: int, stop: int) -> Hidden:
        """Stages ``start`` … ``stop`` - 1 of those up to the encoder's norm."""
        states, lengths = batch.states, batch.lengths
        norm = self.stack.prefix_limit - 1
        if start == 0 < stop:
            states, lengths = self.network.front_end(states, lengths)
        first, last = max(start, 1), min(stop, norm)
        if first < last:
            indices = range(first - 1, last - 1)
            states = self.network.encoder_layers(states, lengths, indices, self._layer_drop)
        if start <= norm < stop:
            states = self.network.encoder_norm(states)
        return Hidden(states, lengths)

    def losses(
        self,
        hidden: Hidden,
        boundary: int,
        labels: Sequence[Sequence[int]],
        masking: SpecAugment | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Cross-entropy of each row's labels behind the first, summed."""
        if masking is not None:
            if hidden.states.dim() == 2:  # samples have no frames to mask: those of the front end are masked
                hidden, boundary = self._encoder(hidden, boundary, 1), 1
            hidden = Hidden(masking(hidden.states, hidden.lengths), hidden.lengths)
        heard = self._encoder(hidden, boundary, self.stack.prefix_limit)
        given, wanted = self._padded(labels)
        rows, places = _said(labels, self.device)
        # not self.dtype: frozen weights may be rounded, and gradients of the states add up in their type
        widest = max((p.dtype for p in self.network.decoder.parameters()), key=lambda kind: kind.itemsize)
        read = self.network.read(given, heard.states.to(widest), heard.lengths, self._layer_drop)
        logits = self.network.head(read[rows, places])  # the vocabulary is large, and padding says nothing
        with torch.autocast(logits.device.type, enabled=False):
            losses = F.cross_entropy(
                logits.float(), wanted[rows, places], reduction="none", label_smoothing=label_smoothing
            )
        return losses.new_zeros(len(labels)).index_add(0, rows, losses)

    def _padded(self, labels: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """What the decoder is given and what it must say (batch, tokens)."""
        width = max(len(row) for row in labels) - 1
        given = torch.full((len(labels), width), self.end)
        wanted = torch.full((len(labels), width), IGNORED)
        for number, row in enumerate(labels):
            given[number, : len(row) - 1] = torch.tensor(row[:-1])
            wanted[number, : len(row) - 1] = torch.tensor(row[1:])
        return given.to(self.device), wanted.to(self.device)

    @torch.inference_mode()
    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """Transcripts in ``language``, by default the one saved with the model, else that which is heard."""
        if not waveforms:
            return []
        self.model.eval()
        return self._written(self.heard(waveforms), [len(w) for w in waveforms], words, language)

    def _from_boundary(
        self, hidden: Hidden, boundary: int, samples: Sequence[int], words: bool, language: str | None
    ) -> list[Hypothesis]:
        """What is left of the encoder, then the decoder."""
        heard = self._encoder(hidden, boundary, self.stack.prefix_limit)
        return self._written(heard, samples, words, language)

    def _written(
        self, heard: Hidden, samples: Sequence[int], words: bool, language: str | None
    ) -> list[Hypothesis]:
        """What the decoder says about the encoder's output, with word times where asked."""
        spoken = self.speak(heard, language, [count / self.sample_rate for count in samples])
        if not words:
            return [self._hypothesis(row, []) for row in spoken]
        frames = [self.clip_frames(count) for count in samples]
        aligned = self.aligned(heard, spoken, frames, [self.prefix(language)] * len(spoken))
        return [self._hypothesis(row, own) for row, own in aligned]

    def heard(self, waveforms: Sequence[np.ndarray]) -> Hidden:
        """The encoder's output (batch, frames, width)."""
        return self.encode(self.inputs(waveforms).to(self.device), self.stack.prefix_limit)

    def _hypothesis(self, spoken: Spoken, times: Sequence[float]) -> Hypothesis:
        tokenizer = self.processor.tokenizer
        text = tokenizer.decode(spoken.ids, skip_special_tokens=True).strip()
        confidence = math.exp(spoken.mean_score) if spoken.ids else None
        words = words_of(tokenizer, spoken, times) if times else ()
        return Hypothesis(text, words, confidence, spoken.looped)

    def aligned(
        self,
        heard: Hidden,
        spoken: Sequence[Spoken],
        frames: Sequence[int],
        prefixes: Sequence[Sequence[int]],
    ) -> list[tuple[Spoken, list[float]]]:
        """Each row, and the seconds at which each of its tokens begins and the last ends.

        ``frames`` are the encoder's frames of the clips themselves, ``prefixes`` what the decoder was given.
        """
        rows = zip(prefixes, spoken, strict=True)
        given, _ = self._padded([[*prefix, *row.ids, self.end] for prefix, row in rows])
        decoder = self.network.decoder
        heads = alignment_heads(self.model.generation_config, decoder)
        caught = self.attending(given, heard, heads)
        found = []
        for row, said in enumerate(spoken):
            own = max(1, min(frames[row], heard.states.shape[1]))
            first = len(prefixes[row])
            weights = attention_of(decoder, caught, heads, row, own)[:, : first + len(said.ids)]
            found.append((said, token_times(weights, first - 1, self.frame_seconds)))
        return found

    def attending(
        self, given: Tensor, heard: Hidden, heads: Sequence[tuple[int, int]]
    ) -> dict[int, dict[str, Tensor]]:
        """Queries and keys of cross-attention in the layers of ``heads``, over ``given`` (batch, tokens)."""
        with watched(self.network.decoder, heads) as caught:
            self.network.read(given, heard.states, heard.lengths)
        return caught


def _said(labels: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and place of every label behind the first, in order."""
    found = [(row, place) for row, ids in enumerate(labels) for place in range(len(ids) - 1)]
    rows, places = torch.tensor(found, dtype=torch.long, device=device).reshape(-1, 2).unbind(1)
    return rows, places


def described(search: Search) -> str:
    """How a decoder searches, in a few words; searches that may write other texts are told apart."""
    parts = [
        "greedy" if search.beams == 1 else f"beam {search.beams}",
        "guarded" if search.hallucination_checks else "",  # as older predictions say
        "fallback" if search.fallback else "",
        f"prompt {text_mark(search.prompt)}" if search.prompt else "",
        f"{len(search.hotwords)} hotwords {list_mark(search.hotwords)}" if search.hotwords else "",
    ]
    told = {"beams", "hallucination_checks", "fallback", "prompt", "hotwords"}
    rest = [one.name for one in fields(search) if one.name not in told]
    parts += [f"{n} {getattr(search, n)}" for n in rest if getattr(search, n) != getattr(Search, n)]
    return " ".join(part for part in parts if part)
