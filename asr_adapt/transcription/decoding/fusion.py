"""A CTC recogniser that decodes with a language model and hotwords.

Knows how beam search, alignment and a recogniser's logits go together, and the file in which tuned weights
lie beside a language model. Does not know how either is computed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_adapt.decoding import BEAMS, TOKEN_BOOST, WORD_BOOST, Decoding, with_boosts
from asr_adapt.errors import DataError, ModelError, UsageError
from asr_adapt.files import write_json
from asr_adapt.models import CtcRecogniser, Hidden, Hypothesis, Recogniser, Search, Word
from asr_adapt.models.ctc.recogniser import require_ctc
from asr_adapt.models.search.phrases import list_mark
from asr_adapt.models.words.viterbi import forced_alignment
from asr_adapt.transcription.decoding.beam import BeamOptions, BeamSearch, Candidate
from asr_adapt.transcription.decoding.ngram import load_language_model

#: What a CTC model may be told of the search; a loop or silence it cannot get wrong, so it needs no checks.
_FUSED = ("language_model", "hotwords", "hotwords_weight", "beam_size", "language_model_weight")
_NEEDLESS = ("hallucination_checks", "task")
#: Fields of :class:`Decoding` and what a decoder's :class:`Search` calls them, with how a value becomes its
#: own.
_SEARCHED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "beam_size": ("beams", int),
    "prompt": ("prompt", str),
    "hallucination_checks": ("hallucination_checks", bool),
    "fallback": ("fallback", bool),
    "temperatures": ("temperatures", tuple),
    "log_prob_threshold": ("mean_score", lambda value: float("-inf") if value is None else value),
    "compression_ratio_threshold": ("compression", lambda value: float("inf") if value is None else value),
    "no_speech_threshold": ("no_speech", lambda value: value),
    "without_timestamps": ("timestamps", lambda value: not value),
    "best_of": ("best_of", int),
    "patience": ("patience", float),
    "length_penalty": ("length_penalty", lambda value: value),
}


class FusionRecogniser(CtcRecogniser):
    """``base`` with another decoder; everything else is the base's own.

    ``weights`` of the beam stand for those that follow from ``decoding`` (:func:`beam_options`).
    """

    def __init__(
        self, base: Recogniser, decoding: Decoding | None = None, weights: BeamOptions | None = None
    ) -> None:
        decoding = decoding or Decoding()
        base = require_ctc(base, "language models and hotwords need")
        super().__init__(base.model, base.processor, base.name, type(base.anatomy))
        if isinstance(base, FusionRecogniser):
            base = base._base
        self._base: CtcRecogniser = base
        self.decoding = decoding
        path = decoding.language_model
        self.options = weights or beam_options(decoding)
        self._boosts = with_boosts(decoding.boosts, decoding.hotwords_weight, WORD_BOOST)
        characters, delimiter = _alphabet(base)
        self.beam = BeamSearch(
            characters,
            self.blank,
            delimiter,
            language_model=load_language_model(path) if path else None,
            hotwords=self._boosts,
        )
        self._token_of = {character: token for token, character in characters.items()} | {" ": delimiter}

    @property
    def device(self) -> torch.device:
        """Where the base computes."""
        return self._base.device

    @property
    def description(self) -> str:
        """How this decodes, for the settings of a predictions file."""
        model = f" {Path(self.decoding.language_model).name}" if self.decoding.language_model else ""
        boosts = tuple(self._boosts.items())
        hot = f" {len(boosts)} hotwords {list_mark(boosts)}" if boosts else ""
        weights = f"weight {self.options.weight:g} bonus {self.options.bonus:g} width {self.options.width}"
        return f"beam{model}{hot} {weights}"

    def transcribe(
        self, waveforms: Sequence[np.ndarray], *, words: bool = False, language: str | None = None
    ) -> list[Hypothesis]:
        """Beam-search transcripts; word times and confidence come from an alignment of the best one."""
        return self._decoded_rows(self.log_probabilities(waveforms))

    def _written(self, out: Hidden, words: bool) -> list[Hypothesis]:
        return self._decoded_rows(_log_probabilities(out))

    def _decoded_rows(self, rows: Sequence[np.ndarray]) -> list[Hypothesis]:
        return [self._decoded(row, self.beam.search(row, self.options)[0]) for row in rows]

    @torch.inference_mode()
    def log_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Log-probabilities ``(frames, vocabulary)`` of each waveform, without its padding."""
        if not waveforms:
            return []
        self.model.eval()
        return _log_probabilities(self._base.logits(self._base.inputs(waveforms).to(self.device)))

    def _decoded(self, frames: np.ndarray, best: Candidate) -> Hypothesis:
        if not best.text:
            return Hypothesis("")
        tokens = [self._token_of[character] for character in best.text]
        silent = frames.copy()  # a delimiter before the first word or behind the last is silence
        silent[:, self.blank] = np.maximum(frames[:, self.blank], frames[:, self._token_of[" "]])
        try:
            spoken = forced_alignment(silent, tokens, self.blank)
        except ModelError:  # a transcript at the very limit of its frames: it stands, without times
            return Hypothesis(best.text)
        second = self.seconds_per_frame
        found, position = [], 0
        for text in best.text.split(" "):
            own = spoken[position : position + len(text)]
            probability = float(np.mean([part.probability for part in own]))
            found.append(Word(text, own[0].start * second, own[-1].end * second, probability))
            position += len(text) + 1
        confidence = float(np.mean([part.probability for part in spoken]))
        return Hypothesis(best.text, tuple(found), confidence)


def _log_probabilities(out: Hidden) -> list[np.ndarray]:
    """Of logits (batch, frames, vocabulary): (frames, vocabulary) of each row, without its padding."""
    scores = out.states.float().log_softmax(-1).cpu().numpy()
    return [scores[i, :length] for i, length in enumerate(out.lengths.tolist())]


def with_decoding(
    recogniser: Recogniser, decoding: Decoding, weights: BeamOptions | None = None
) -> Recogniser:
    """The recogniser itself when ``decoding`` asks nothing of the search, else one that searches so.

    What ``decoding`` leaves at its default stays as the recogniser has it. Raises UsageError for what its
    family cannot be told.
    """
    told = decoding.told("search")
    if not told and weights is None:
        return recogniser
    if recogniser.capabilities.decoder:
        return recogniser.searching(_search(decoding, recogniser.search), decoding.task)
    if told.keys() - {*_FUSED, *_NEEDLESS}:
        raise UsageError(
            f"{recogniser.name} is a CTC model and takes no prompt, no fallback and none of the options for "
            "Whisper's decoding: leave them out."
        )
    if decoding.task is not None:
        recogniser.set_task(decoding.task)  # which raises for what a CTC model cannot
    fused = {name: told[name] for name in _FUSED if name in told}
    if not fused and weights is None:
        return recogniser
    own = recogniser.decoding if isinstance(recogniser, FusionRecogniser) else Decoding()
    return FusionRecogniser(recogniser, own.but(**fused), weights)


def _search(decoding: Decoding, own: Search) -> Search:
    """``own`` with what is asked for, for a model whose decoder is a language model itself."""
    told = decoding.told("search")
    if "language_model" in told:
        raise UsageError("--lm needs a CTC model: this one has its own decoder; use --prompt.")
    changes = {ours: read(told[name]) for name, (ours, read) in _SEARCHED.items() if name in told}
    if decoding.boosts:
        boosts = with_boosts(decoding.boosts, decoding.hotwords_weight, TOKEN_BOOST)
        changes = {"beams": max(own.beams, BEAMS)} | changes | {"hotwords": tuple(boosts.items())}
    return replace(own, **changes)


def beam_options(decoding: Decoding) -> BeamOptions:
    """Width and weights of a CTC beam: those tuned for the language model, but for what ``decoding`` says."""
    path = decoding.language_model
    options = BeamOptions() if path is None else tuned_options(path)
    weight, width = decoding.language_model_weight, decoding.beam_size
    return replace(
        options,
        weight=options.weight if weight is None else weight,
        width=options.width if width is None else width,
    )


def weights_path(language_model: str | Path) -> Path:
    """Where tuned weights lie: ``lm.arpa`` → ``lm.arpa.weights.json``."""
    path = Path(language_model)
    return path.with_name(f"{path.name}.weights.json")


def write_weights(language_model: str | Path, options: BeamOptions, about: Mapping[str, Any]) -> Path:
    """Keep tuned weights beside a language model, with what they were tuned on."""
    path = weights_path(language_model)
    write_json(path, {"options": asdict(options), **about})
    return path


def tuned_options(language_model: str | Path) -> BeamOptions:
    """The weights beside a language model; the defaults when there are none."""
    path = weights_path(language_model)
    if not path.is_file():
        return BeamOptions()
    try:
        return replace(BeamOptions(), **json.loads(path.read_text(encoding="utf-8"))["options"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"holds no weights ({error}); run asr-adapt lm tune again.", path=path) from error


def _alphabet(base: CtcRecogniser) -> tuple[dict[int, str], int]:
    """Token id → character, and the id of the word delimiter."""
    tokenizer = base.processor.tokenizer
    delimiter = base.vocabulary.get(getattr(tokenizer, "word_delimiter_token", None) or "|")
    if delimiter is None:
        raise ModelError("its vocabulary has no word delimiter, so words cannot be scored.", path=base.name)
    characters = {token: text for text, token in base.vocabulary.items() if len(text) == 1}
    characters[delimiter] = " "
    characters.pop(base.blank, None)
    return characters, delimiter
