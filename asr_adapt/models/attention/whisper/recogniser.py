"""The Whisper family: encoder and decoder on log-mel spectrograms, behind the recogniser contract.

Knows how the stack becomes a loss and transcripts, and how much of the 30 s window is heard. Does not know
recipes, manifests, or how a checkpoint was found.

Source of the method: Radford et al., arXiv 2212.04356; the trimmed context is that of FUTO's whisper-acft.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSpeechSeq2Seq

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models.attention.mel import LogMel
from asr_adapt.models.attention.seq2seq import described
from asr_adapt.models.attention.whisper.decoding import WhisperDecoding
from asr_adapt.models.attention.whisper.labels import WhisperLabels
from asr_adapt.models.attention.whisper.network import STRIDE, WhisperNetwork
from asr_adapt.models.attention.whisper.settings import complete_settings
from asr_adapt.models.attention.whisper.silence import KeptSilence
from asr_adapt.models.attention.whisper.tokens import WhisperTokens, add_language
from asr_adapt.models.attention.whisper.windows import WhisperWindows
from asr_adapt.models.contract import Capabilities, DecoderSettings, Hidden, Search
from asr_adapt.models.hypothesis import HeardWindow, Window
from asr_adapt.models.registry import Architecture
from asr_adapt.models.search.generation import Spoken

logger = logging.getLogger(__name__)

CONTEXTS = ("full", "dynamic", "silence")
#: Those that a model which learnt to hear less chooses between, dearest first.
LEARNT = ("full", "dynamic")
#: Encoder frames (20 ms) heard behind a clip's end under ``context: dynamic``; fewer cost accuracy.
MARGIN = 64
#: In training the margin varies by up to this many frames, so that no one length is learnt.
JITTER = 64
#: Encoder frames that a dynamic context is rounded up to a multiple of: few distinct shapes.
MULTIPLE = 16


class WhisperRecogniser(WhisperLabels):
    """Whisper; the contract's methods are documented there."""

    family = "whisper"
    network: WhisperNetwork
    adaptable = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        super().__init__(model, processor, name)
        self.network = WhisperNetwork(model)
        self.stack = self.network.stack()
        self.mels = LogMel(processor.feature_extractor)
        self.sample_rate = self.mels.sample_rate
        self.window_seconds = self.mels.most_frames * self.mels.hop / self.sample_rate
        self.tokens = WhisperTokens(processor.tokenizer, model.generation_config, model.config, name)
        complete_settings(model, self.tokens)
        self.end = self.tokens.end
        self.frame_seconds = STRIDE * self.mels.hop / self.sample_rate
        self.silence = KeptSilence(self.network, self.mels)
        self.decoding = WhisperDecoding(self.network, self.tokens, model)
        context = getattr(model.config, "audio_context", CONTEXTS[0])
        self.settings = DecoderSettings(context=context, task=self.tokens.saved_task)
        self._layer_drop = 0.0
        self._told_untimed = False
        self._published_first = model.generation_config.begin_suppress_tokens
        self._offered = self.settings.context == "dynamic"

    def configure(self, settings: DecoderSettings) -> None:
        """Language and task are saved in the generation settings, so that a plain pipeline follows them."""
        if settings.context not in CONTEXTS:
            raise UsageError(f"context {settings.context!r} is unknown: use {' or '.join(CONTEXTS)}.")
        if settings.timestamps_share and self.tokens.first_timestamp is None:
            raise ModelError("has no timestamp tokens: remove timestamps_share.", path=self.name)
        if settings.previous_text_share and self.tokens.previous is None:
            raise ModelError("has no token for earlier text: remove previous_text_share.", path=self.name)
        if settings.language and settings.language_from:
            self._learn_language(settings.language, settings.language_from)
        settings = replace(settings, task=settings.task or self.tokens.saved_task)
        self.tokens.prefix(settings.language, settings.task)
        self.settings = settings
        self._offered |= settings.context == "dynamic"  # it is going to be learnt
        self.use_context(settings.context)
        generation = self.model.generation_config
        if self.tokens.multilingual:
            code = self.tokens.language_code(settings.language or self.tokens.default_language)
            generation.language, generation.task = f"<|{code}|>", settings.task

    def has_learnt(self, names: Collection[str], *, silence: bool = False) -> None:
        """A decoder that learnt without timestamps has unlearnt them; one that learnt silence may end before
        the first word, which published settings forbid. The generation settings say both."""
        if not any(".decoder." in name for name in names):
            return
        self.tokens.says_timestamps = bool(self.settings.timestamps_share)
        self.tokens.follows_text = bool(self.settings.previous_text_share)
        if silence and self._published_first:
            kept = [token for token in self._published_first if token != self.end]
            self.model.generation_config.begin_suppress_tokens = kept or None

    @contextmanager
    def as_published(self) -> Iterator[None]:
        """See the contract."""
        generation = self.model.generation_config
        before = generation.begin_suppress_tokens
        generation.begin_suppress_tokens = self._published_first
        try:
            yield
        finally:
            generation.begin_suppress_tokens = before

    def _learn_language(self, language: str, source: str) -> None:
        """Give an unlisted language a token, as ``add_language`` in :mod:`.tokens` does."""
        if add_language(self.model, self.tokens, language, source):
            tokenizer, generation = self.processor.tokenizer, self.model.generation_config
            self.tokens = WhisperTokens(tokenizer, generation, self.model.config, self.name)
            self.decoding.tokens = self.tokens

    @property
    def capabilities(self) -> Capabilities:
        """Windows, prompts and timestamps; the languages that the generation settings list; both contexts
        where the trimmed one was learnt, or is about to be."""
        languages = tuple(self.tokens.languages)
        return replace(
            super().capabilities,
            prompt=True,
            hears_windows=True,
            timestamps=self.tokens.first_timestamp is not None,
            previous_text=self.tokens.follows_text,
            silence=self.tokens.no_speech is not None,
            languages=languages,
            spoken_languages=languages,
            contexts=LEARNT if self._offered else (),
        )

    def use_context(self, name: str) -> None:
        """Hear the whole window (``full``) or the clip and a margin (``dynamic``), or the window with silence
        that was computed once (``silence``, see :mod:`.silence`), which is not saved.

        Raises UsageError for ``dynamic`` where the checkpoint was not trained with it: an untouched Whisper
        takes the missing silence for speech that is cut off, and loops.
        """
        if name == "dynamic" and not self._offered:
            raise UsageError(
                f"{self.name} has not learnt the dynamic context (its config.json names no audio_context: "
                "dynamic) and would write loops: leave --context out, or train with decoder.context: dynamic."
            )
        self.settings = replace(self.settings, context=name)
        self.model.config.audio_context = "dynamic" if name == "dynamic" else "full"

    def set_search(self, search: Search) -> None:
        """Decode under ``search``: beams, checks, fallback, silence, prompt."""
        self.decoding = copy(self.decoding)  # another object with the same weights may search otherwise
        self.search = self.decoding.options = search
        self.decoding.bias = self.bias(search)

    def set_task(self, task: str) -> None:
        """Write ``transcribe`` or ``translate`` from now on; what is saved with the model stays."""
        self.tokens.prefix(None, task)
        self.settings = replace(self.settings, task=task)

    @property
    def description(self) -> str:
        """How this decodes, for the settings of a predictions file."""
        context, task = self.settings.context, self.settings.task
        changed = "" if task == self.tokens.saved_task else f" {task}"
        return described(self.search) + changed + ("" if context == "full" else f" {context} context")

    @property
    def varies_inputs(self) -> bool:
        """A dynamic context is jittered in training."""
        return self.settings.context == "dynamic"

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Log-mels (batch, frames, bands) on the model's device; ``lengths`` is what each row hears of them.

        Under ``context: dynamic`` that is its own length and a margin, which varies with ``seeds``.
        """
        longest = max((len(w) for w in waveforms), default=0) / self.sample_rate
        if longest > self.window_seconds:
            raise ModelError(
                f"hears {self.window_seconds:.0f} s at a time, not {longest:.1f} s: cut the audio first.",
                path=self.name,
            )
        lengths = [
            self._context(len(w), None if seeds is None else seeds[i]) for i, w in enumerate(waveforms)
        ]
        mels = self.mels(waveforms, max(lengths, default=self.mels.most_frames), self.device)
        return Hidden(mels, torch.tensor(lengths, device=mels.device))

    def heard_seconds(self, seconds: float) -> float:
        """The whole window, or the clip and its margin."""
        return self._context(round(seconds * self.sample_rate), None) * self.mels.hop / self.sample_rate

    def _context(self, samples: int, seed: int | None) -> int:
        """Mel frames that a clip of ``samples`` samples is heard with."""
        most = self.mels.most_frames
        if self.settings.context != "dynamic":
            return most
        frames = math.ceil(self.mels.frames(samples) / STRIDE) + MARGIN
        if seed is not None:
            frames += int(np.random.default_rng((seed, _JITTER_STREAM)).integers(-JITTER, JITTER + 1))
        return min(most, math.ceil(frames / MULTIPLE) * MULTIPLE * STRIDE)

    def encode(self, batch: Hidden, boundary: int) -> Hidden:
        """Run the encoder's stages below ``boundary``; the whole encoder as the context says."""
        if self.settings.context != "silence" or boundary != self.stack.prefix_limit:
            return super().encode(batch, boundary)
        states = self.silence(batch.states)
        return Hidden(states, torch.full_like(batch.lengths, states.shape[1]))

    def learns_in_part(self, boundary: int) -> bool:
        """Where the whole encoder is frozen; layers that learn were pretrained on whole windows."""
        chosen = self.settings
        whole = boundary == self.stack.prefix_limit and chosen.context != "dynamic"
        return whole and chosen.learnt_silence is not None

    def learnt_states(self, inputs: Hidden, boundary: int, samples: Sequence[int]) -> Hidden:
        """The clip and ``learnt_silence`` seconds behind it; on a CPU the silence is that computed once."""
        if not self.learns_in_part(boundary):
            return self.encode(inputs, boundary)
        if inputs.states.device.type == "cpu":
            states = self.silence(inputs.states)
        else:  # few clips have like lengths: whole windows fill an accelerator better
            states = self.encode(inputs, boundary).states
        frames = torch.full_like(inputs.lengths, states.shape[1])
        behind = round((self.settings.learnt_silence or 0.0) / self.frame_seconds)
        lengths = torch.minimum(frames, self.own_frames(frames, samples) + behind)
        return Hidden(states[:, : int(lengths.max())], lengths)

    def prefix(self, language: str | None) -> list[int]:
        """Start, language, task and no timestamps."""
        return self.tokens.prefix(language or self.settings.language, self.settings.task)

    def speak(self, heard: Hidden, language: str | None, seconds: Sequence[float]) -> list[Spoken]:
        """Search under the options set, in ``language``, the one saved, or that which is heard."""
        return self.decoding(
            heard, language or self.settings.language, self.settings.task or self.tokens.saved_task, seconds
        )

    def hear_windows(self, windows: Sequence[Window], *, words: bool = False) -> list[HeardWindow]:
        """Timed phrases under the search set; see :mod:`asr_adapt.models.attention.whisper.windows`."""
        if self.search.timestamps and not self.tokens.says_timestamps and not self._told_untimed:
            self._told_untimed = True
            logger.warning(
                "%s says no timestamps (its generation_config.json has it so; decoder.timestamps_share keeps "
                "them in training): long audio is transcribed without them.",
                self.name,
            )
        self.model.eval()
        return WhisperWindows(self)(windows, words=words)

    def clip_frames(self, samples: int) -> int:
        """Encoder frames (20 ms) of the clip itself."""
        return math.ceil(self.mels.frames(samples) / STRIDE)

    @property
    def positions(self) -> int:
        """448 tokens, in every published checkpoint."""
        return int(self.model.config.max_target_positions)


ARCHITECTURE = Architecture(AutoModelForSpeechSeq2Seq, WhisperRecogniser)
#: Keeps the draw of the context apart from that of the masks, which starts from the same seed.
_JITTER_STREAM = 7_919
