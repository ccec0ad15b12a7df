"""A Whisper whose network CTranslate2 computes: long audio, words and checks are those of torch.

Knows CTranslate2's calls and what they leave out. Does not know how windows follow each other or what is
believed (:mod:`asr_adapt.models.search.checks`): only how one attempt at a window is made differs.

CTranslate2 gives one score for a whole attempt, so a phrase's confidence is that of its window unless words
are asked for, which costs another pass of the decoder. It draws from one stream of random numbers for each
engine, so that draws depend on what was drawn before: doubtful windows are tried again by beam first, which
draws nothing, and then at few temperatures, each window by an engine of its own that begins at the same
number.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.files import temporary_folder
from asr_adapt.models import Hidden, Search, WhisperRecogniser
from asr_adapt.models.attention.whisper.decoding import Opening, WhisperDecoding
from asr_adapt.models.attention.whisper.network import STRIDE
from asr_adapt.models.attention.whisper.timestamps import TimedRules
from asr_adapt.models.search.biasing import PhraseBias
from asr_adapt.models.search.checks import STRICTER, usual_tokens
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken
from asr_adapt.transcription.runtimes.ctranslate2_cache import Prepared, prepared
from asr_adapt.transcription.runtimes.ctranslate2_engine import (
    device_named,
    open_engine,
    tensor_of,
    type_named,
    view_of,
)
from asr_adapt.transcription.runtimes.ctranslate2_export import require_package
from asr_adapt.transcription.runtimes.ctranslate2_results import best, bounds
from asr_adapt.transcription.runtimes.skeleton import skeleton_in, write_settings

#: Frames of the median filter over attention, as in openai-whisper.
_FILTER = 7
#: An attempt that is not made: it never stands, and the next temperature is tried.
_NOTHING = Spoken((), (-math.inf,), looped=True)


class Ctranslate2Recogniser(WhisperRecogniser):
    """Transcribes like the model it was converted from; it cannot be trained."""

    def __init__(self, files: Prepared, name: str, *, device: str, compute_type: str) -> None:
        super().__init__(*skeleton_in(files.settings, name), name)
        super().use_context("full")
        self.compute_type = compute_type
        self.fresh_engine = partial(open_engine, files.weights, device, compute_type)
        self.engine = self.fresh_engine()
        self.decoding = _CTranslate2Decoding(self)

    @property
    def device(self) -> torch.device:
        """Where sound is turned into mels: the CPU. CTranslate2 moves them to its own device."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The type of what goes in and comes out."""
        return torch.float32

    @property
    def runtime(self) -> str:
        """CTranslate2 and the type in which it computes."""
        return f"ctranslate2 {self.compute_type}"

    @property
    def description(self) -> str:
        """How this decodes, and with what: transcripts of another runtime are not taken for these."""
        return f"{super().description} {self.runtime}"

    def use_context(self, name: str) -> None:
        """Raises UsageError for the trimmed context: CTranslate2 hears whole windows."""
        if name != "full":
            raise UsageError("the CTranslate2 runtime has one context only: remove --context.")

    def bias(self, search: Search) -> PhraseBias | None:
        """None; raises UsageError for hot words: CTranslate2 lets nobody change the scores of its search."""
        if search.hotwords:
            raise UsageError(
                "the CTranslate2 runtime cannot favour hot words: use --runtime torch, or --prompt."
            )
        return None

    def heard(self, waveforms: Sequence[np.ndarray]) -> Hidden:
        """The encoder's output (batch, frames, width)."""
        mels = self.inputs(waveforms).states.transpose(1, 2).contiguous().numpy()
        rows = 1 if self.engine.device == "cpu" else len(mels)  # one window fills a core's cache
        parts = [mels[first : first + rows] for first in range(0, len(mels), rows)]
        states = torch.cat([tensor_of(self.engine.encode(view_of(part), to_cpu=True)) for part in parts])
        return Hidden(states, torch.full((len(states),), states.shape[1]))

    def encode(self, batch: Hidden, boundary: int) -> NoReturn:
        """Raises ModelError: CTranslate2 computes the encoder as a whole."""
        raise ModelError("works on audio only and cannot be trained: use torch.", path=self.name)

    def transcribe_hidden(self, *_: Any, **__: Any) -> NoReturn:
        """Raises ModelError, as :meth:`encode` does."""
        raise ModelError("works on audio only: give waveforms.", path=self.name)

    def aligned(
        self,
        heard: Hidden,
        spoken: Sequence[Spoken],
        frames: Sequence[int],
        prefixes: Sequence[Sequence[int]],
    ) -> list[tuple[Spoken, list[float]]]:
        """As in torch, and with the probability of each token, which attempts do not give."""
        found = [(said, [0.0] * (len(said.ids) + 1)) for said in spoken]
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for row, said in enumerate(spoken):
            if said.ids:
                groups[tuple(prefixes[row])].append(row)
        for prefix, rows in groups.items():
            own = [STRIDE * max(1, min(frames[row], heard.states.shape[1])) for row in rows]
            texts = [list(spoken[row].ids) for row in rows]
            view = view_of(heard.states[rows].numpy())
            start = [token for token in prefix if token != self.tokens.no_timestamps]  # which align adds
            results = self.engine.align(view, start, texts, own, median_filter_width=_FILTER)
            for row, result in zip(rows, results, strict=True):
                found[row] = self._aligned_row(spoken[row], result)
        return found

    def _aligned_row(self, said: Spoken, result: Any) -> tuple[Spoken, list[float]]:
        """From pairs of token and frame: a token begins where it is first named."""
        pairs = np.array(result.alignments)
        first = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
        times = [float(frame) * self.frame_seconds for frame in pairs[first, 1]]
        scores = [math.log(max(share, 1e-10)) for share in result.text_token_probs]
        return replace(said, scores=(*scores, said.scores[-1])), times[: len(said.ids) + 1]


class _CTranslate2Decoding(WhisperDecoding):
    """Attempts by CTranslate2."""

    def __init__(self, recogniser: Ctranslate2Recogniser) -> None:
        super().__init__(recogniser.network, recogniser.tokens, recogniser.model)
        self.engine, self.fresh_engine = recogniser.engine, recogniser.fresh_engine

    def opening(self, heard: EncoderOutput) -> Opening:
        """Languages; attempts tell silence."""
        count = len(heard.states)
        if not self.tokens.multilingual:
            return Opening([None] * count, [{"en": 1.0}] * count)
        known = self.tokens.languages
        rows = self.engine.detect_language(view_of(heard.states.numpy()))
        return Opening(
            [None] * count,
            [{token[2:-2]: share for token, share in row if token[2:-2] in known} for row in rows],
        )

    def attempt(self, heard: EncoderOutput, rules: Rules, search: Search, temperature: float) -> list[Spoken]:
        """Every row once; doubtful ones by beam, then drawn: see the module."""
        ladder = search.temperatures
        if temperature == ladder[0] or temperature == 0:
            if rules.repeats is STRICTER and search.beams == self.options.beams:
                return [_NOTHING] * len(heard.states)  # all of that beam looped: it ends no loop early
            return self._generated(self.engine, heard, rules, search, temperature)
        if temperature == ladder[1]:
            if search.beams >= search.best_of:  # that beam is what the first attempt was
                return [_NOTHING] * len(heard.states)
            return self._generated(self.engine, heard, rules, replace(search, beams=search.best_of), 0.0)
        if temperature not in ladder[3::2]:  # draws at every temperature cost more than they find
            return [_NOTHING] * len(heard.states)
        found = []
        for row in range(len(heard.states)):
            found += self._generated(self.fresh_engine(), heard.rows([row]), rules, search, temperature)
        return found

    def _generated(
        self, engine: Any, heard: EncoderOutput, rules: Rules, search: Search, temperature: float
    ) -> list[Spoken]:
        """By beam, or the best of several drawn at a ``temperature`` above 0.

        A search cannot be stopped where a loop begins, so it gets the room that usual speech needs first.
        """
        most = max(heard.room(rules))
        likely = self._likely(heard, most) if temperature == 0 else most
        found = self._searched(engine, heard, rules, search, temperature, likely)
        cut = [row for row, said in enumerate(found) if len(said.ids) >= likely - 1 and not said.looped]
        if cut and likely < most:
            again = self._searched(engine, heard.rows(cut), rules, search, temperature, most)
            for row, said in zip(cut, again, strict=True):
                found[row] = said
        return found

    def _likely(self, heard: EncoderOutput, most: int) -> int:
        """Tokens of at most ``most`` that are enough for English of the longest row; ``most`` for others."""
        english = not self.tokens.multilingual or self.tokens.languages.get("en") in heard.given[0].tolist()
        return min(most, usual_tokens(max(heard.most))) if english and heard.most else most

    def _searched(
        self,
        engine: Any,
        heard: EncoderOutput,
        rules: Rules,
        search: Search,
        temperature: float,
        most: int,
    ) -> list[Spoken]:
        """One call of CTranslate2 for all rows, of which each may say ``most`` tokens."""
        draws = temperature > 0
        penalty = 1.0 if search.length_penalty is None else search.length_penalty
        results = engine.generate(
            view_of(heard.states.numpy()),
            heard.given.tolist(),
            beam_size=1 if draws else search.beams,
            patience=search.patience,
            num_hypotheses=search.best_of if draws else search.beams,
            length_penalty=penalty,
            max_length=max(2 * most, most + heard.given.shape[1] - 1),  # half of it may be said
            return_scores=True,
            return_no_speech_prob=True,
            max_initial_timestamp_index=rules.latest_start if isinstance(rules, TimedRules) else 50,
            suppress_blank=bool(rules.not_first),
            suppress_tokens=[token for token in rules.never if token != self.tokens.no_timestamps],
            sampling_topk=0 if draws else 1,
            sampling_temperature=temperature if draws else 1.0,
        )
        found = [
            best(result, rules, bound, penalty)
            for result, bound in zip(results, bounds(heard, most), strict=True)
        ]
        shares = self._silence(engine, heard, [result.no_speech_prob for result in results])
        return [
            replace(said, temperature=temperature, silence=share)
            for said, share in zip(found, shares, strict=True)
        ]

    def _silence(self, engine: Any, heard: EncoderOutput, told: list[float]) -> list[float]:
        """The probability behind the start alone: where text stands before it, CTranslate2 tells another."""
        if self.tokens.previous is None or heard.given[0, 0] != self.tokens.previous:
            return told
        results = engine.generate(
            view_of(heard.states.numpy()),
            [[self.tokens.start]] * len(told),
            beam_size=1,
            max_length=2,
            return_no_speech_prob=True,
        )
        return [float(result.no_speech_prob) for result in results]


def open_ctranslate2(source: str, *, device: str = "auto", compute_type: str = "auto") -> WhisperRecogniser:
    """The Whisper ``source`` computed by CTranslate2; a CTranslate2 folder or any Whisper that torch loads.

    ``compute_type``: ``auto`` is float32 on a CPU and float16 on CUDA, ``fast`` int8 and int8_float16; else a
    type of CTranslate2's. Raises MissingExtraError without the package, UsageError for a device or type that
    this machine has not, ModelError for another model.
    """
    require_package("The CTranslate2 runtime")
    place = device_named(device)
    return Ctranslate2Recogniser(
        prepared(source), source, device=place, compute_type=type_named(compute_type, place)
    )


def open_export(folder: Path, source: WhisperRecogniser, quantisation: str) -> WhisperRecogniser:
    """The export of ``source`` in ``folder``, on the CPU, in the type of its weights where that has it."""
    import ctranslate2

    require_package("The CTranslate2 runtime")
    known = ctranslate2.get_supported_compute_types("cpu")
    kind = quantisation if quantisation in known else "int8" if "int8" in quantisation else "float32"
    with temporary_folder() as settings:
        write_settings(source, Path(settings))
        return Ctranslate2Recogniser(
            Prepared(folder, Path(settings)), str(folder), device="cpu", compute_type=kind
        )
