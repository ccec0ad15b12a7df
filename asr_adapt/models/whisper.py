"""The Whisper family: encoder and decoder on log-mel spectrograms, behind the recogniser contract.

Knows how the stack becomes a loss and transcripts, and how much of the 30 s window is heard. Does not know
recipes, manifests, or how a checkpoint was found.

Source of the method: Radford et al., arXiv 2212.04356; the trimmed context is that of FUTO's whisper-acft.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.manifest import ModelLimits
from asr_adapt.models.contract import DecoderSettings, Dropout, Hidden, Hypothesis, Recogniser
from asr_adapt.models.generation import Rules, greedy
from asr_adapt.models.masking import SpecAugment
from asr_adapt.models.mel import LogMel
from asr_adapt.models.whisper_network import STRIDE, WhisperNetwork, heard_mask
from asr_adapt.models.whisper_tokens import WhisperTokens

CONTEXTS = ("full", "dynamic")
#: Encoder frames (20 ms) heard behind a clip's end under ``context: dynamic``; fewer cost accuracy.
MARGIN = 64
#: In training the margin varies by up to this many frames, so that no one length is learnt.
JITTER = 64
#: Encoder frames that a dynamic context is rounded up to a multiple of: few distinct shapes.
MULTIPLE = 16
IGNORED = -100


class WhisperRecogniser(Recogniser):
    """Whisper; the contract's methods are documented there."""

    family = "whisper"
    smooths_labels = True

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.model, self.processor, self.name = model, processor, name
        self.network = WhisperNetwork(model)
        self.stack = self.network.stack()
        self.mels = LogMel(processor.feature_extractor)
        self.sample_rate = self.mels.sample_rate
        self.window_seconds = self.mels.most_frames * self.mels.hop / self.sample_rate
        self.tokens = WhisperTokens(processor.tokenizer, model.generation_config, model.config, name)
        self.settings = DecoderSettings()
        self._layer_drop = 0.0

    def configure(self, settings: DecoderSettings) -> None:
        """Language and task are saved in the generation settings, so that a plain pipeline follows them."""
        if settings.context not in CONTEXTS:
            raise UsageError(f"context {settings.context!r} is unknown: use {' or '.join(CONTEXTS)}.")
        if settings.timestamps_share and self.tokens.first_timestamp is None:
            raise ModelError("has no timestamp tokens: leave timestamps_share out.", path=self.name)
        self.tokens.prefix(settings.language, settings.task)
        self.settings = settings
        generation = self.model.generation_config
        generation._from_model_config = False  # else transformers forgets the settings when it loads them
        if self.tokens.multilingual:
            code = self.tokens.language_code(settings.language or self.tokens.default_language)
            generation.language, generation.task = f"<|{code}|>", settings.task
            generation.forced_decoder_ids = None

    def set_dropout(self, dropout: Dropout) -> None:
        """Set the layers' rates; layer drop is this object's own."""
        if dropout.layer_drop is not None:
            self._layer_drop = dropout.layer_drop
        self.network.set_dropout(dropout.hidden, dropout.attention, dropout.activation)

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Log-mels (batch, frames, bands) on the model's device; ``lengths`` is what each row hears of them.

        Under ``context: dynamic`` that is its own length and a margin, which varies with ``seeds``.
        """
        lengths = [
            self._context(len(w), None if seeds is None else seeds[i]) for i, w in enumerate(waveforms)
        ]
        mels = self.mels(waveforms, max(lengths, default=self.mels.most_frames), self.device)
        return Hidden(mels, torch.tensor(lengths, device=mels.device))

    def _context(self, samples: int, seed: int | None) -> int:
        """Mel frames that a clip of ``samples`` samples is heard with."""
        most = self.mels.most_frames
        if self.settings.context == "full":
            return most
        frames = math.ceil(self.mels.frames(samples) / STRIDE) + MARGIN
        if seed is not None:
            frames += int(np.random.default_rng((seed, _JITTER_STREAM)).integers(-JITTER, JITTER + 1))
        return min(most, math.ceil(frames / MULTIPLE) * MULTIPLE * STRIDE)

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """Prefix, tokens behind a leading space (as Whisper was trained), end of text."""
        tokenizer, settings = self.processor.tokenizer, self.settings
        prefix = self.tokens.prefix(settings.language, settings.task)
        coded = [tokenizer(" " + text.strip(), add_special_tokens=False).input_ids for text in texts]
        return [[*prefix, *ids, self.tokens.end] for ids in coded]

    def encode(self, batch: Hidden, boundary: int) -> Hidden:
        """Run the encoder's stages below ``boundary``."""
        return self._encoder(batch, 0, boundary)

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
            hidden = Hidden(masking(hidden.states, hidden.lengths), hidden.lengths)
        heard = self._encoder(hidden, boundary, self.stack.prefix_limit)
        given, wanted = self._padded(labels)
        logits = self.network.decode(given, heard.states.to(self.dtype), heard.lengths, self._layer_drop)
        with torch.autocast(logits.device.type, enabled=False):
            losses = F.cross_entropy(
                logits.float().transpose(1, 2),
                wanted,
                ignore_index=IGNORED,
                reduction="none",
                label_smoothing=label_smoothing,
            )
        return losses.sum(1)

    def _padded(self, labels: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """What the decoder is given and what it must say (batch, tokens)."""
        width = max(len(row) for row in labels) - 1
        given = torch.full((len(labels), width), self.tokens.end)
        wanted = torch.full((len(labels), width), IGNORED)
        for number, row in enumerate(labels):
            given[number, : len(row) - 1] = torch.tensor(row[:-1])
            wanted[number, : len(row) - 1] = torch.tensor(row[1:])
        return given.to(self.device), wanted.to(self.device)

    @torch.inference_mode()
    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """Greedy transcripts in ``language``, by default the one saved with the model."""
        if not waveforms:
            return []
        if words:
            raise ModelError("does not give word times: transcribe pieces of at most 30 s.", path=self.name)
        self.model.eval()
        heard = self.encode(self.inputs(waveforms).to(self.device), self.stack.prefix_limit)
        mask = heard_mask(heard.states, heard.lengths)
        prefix = self.tokens.prefix(language or self.settings.language, self.settings.task)
        spoken = greedy(self.network, heard, mask, prefix, self.rules())
        decode = self.processor.tokenizer.decode
        return [
            Hypothesis(decode(row.ids, skip_special_tokens=True).strip(), confidence=math.exp(row.mean_score))
            for row in spoken
        ]

    def rules(self) -> Rules:
        """Which tokens the checkpoint's generation settings admit."""
        generation = self.model.generation_config
        given = len(self.tokens.prefix(self.settings.language, self.settings.task))
        most = min((generation.max_length or self.longest) + given, self.longest)  # as transformers counts
        never = tuple(generation.suppress_tokens or ())
        return Rules(self.tokens.end, most, never, tuple(generation.begin_suppress_tokens or ()))

    @property
    def longest(self) -> int:
        """The most tokens that the decoder has positions for."""
        return int(self.model.config.max_target_positions)

    def limits(self) -> ModelLimits:
        """30 s and the decoder's positions; every character can be written."""
        return ModelLimits(
            name=self.name,
            max_seconds=self.window_seconds,
            max_labels=self.longest,
            count_labels=lambda text: len(self.labels([text])[0]),
        )


#: Keeps the draw of the context apart from that of the masks, which starts from the same seed.
_JITTER_STREAM = 7_919
