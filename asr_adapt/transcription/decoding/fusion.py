"""A CTC recogniser that decodes with a language model and hotwords.

Knows how beam search, alignment and a recogniser's logits go together, and the file in which tuned weights
lie beside a language model. Does not know how either is computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr_adapt.errors import DataError, ModelError, UsageError
from asr_adapt.files import write_json
from asr_adapt.models import CtcRecogniser, Hidden, Hypothesis, Recogniser, Search, Word
from asr_adapt.models.ctc.recogniser import require_ctc
from asr_adapt.models.search.phrases import list_mark
from asr_adapt.models.words.viterbi import forced_alignment
from asr_adapt.transcription.decoding.beam import BeamOptions, BeamSearch, Candidate
from asr_adapt.transcription.decoding.hotwords import (
    BEAMS,
    TOKEN_BOOST,
    WORD_BOOST,
    Listed,
    parse_hotwords,
    with_boosts,
)
from asr_adapt.transcription.decoding.ngram import load_language_model


@dataclass(frozen=True)
class Decoding:
    """What a beam search uses: a language model's path, hotwords with their own boosts, and weights.

    ``prompt``, ``fallback`` (improbable text is tried again) and ``guard`` (loops end, silence is empty) are
    for encoder–decoder models; a CTC model cannot loop. ``search`` has the
    rest of what they may be told. ``hotwords_weight`` is the boost of hotwords without one of their own.
    ``options`` None takes the weights tuned for the language model where they lie beside it.
    """

    language_model: str | Path | None = None
    hotwords: Listed = field(default_factory=dict)
    options: BeamOptions | None = None
    prompt: str = ""
    fallback: bool = False
    guard: bool = True
    search: Search = field(default_factory=Search)
    hotwords_weight: float | None = None


class FusionRecogniser(CtcRecogniser):
    """``base`` with another decoder; everything else is the base's own."""

    def __init__(self, base: Recogniser, decoding: Decoding) -> None:
        base = require_ctc(base, "language models and hotwords need")
        super().__init__(base.model, base.processor, base.name, type(base.anatomy))
        if isinstance(base, FusionRecogniser):
            base = base._base
        self._base: CtcRecogniser = base
        self.decoding = decoding
        path = decoding.language_model
        self.options = decoding.options or (tuned_options(path) if path else BeamOptions())
        self._boosts = with_boosts(decoding.hotwords, decoding.hotwords_weight, WORD_BOOST)
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


def with_decoding(recogniser: Recogniser, decoding: Decoding) -> Recogniser:
    """The recogniser itself when ``decoding`` asks for nothing, else one that decodes so."""
    if decoding == Decoding():
        return recogniser
    if recogniser.capabilities.decoder:
        return recogniser.searching(_search(decoding))
    if decoding.prompt or decoding.fallback or decoding.search != Search():
        raise UsageError(
            f"{recogniser.name} is a CTC model and takes no prompt, no fallback and none of the options for "
            "Whisper's decoding: leave them out."
        )
    if replace(decoding, guard=True) == Decoding():
        return recogniser
    return FusionRecogniser(recogniser, decoding)


def _search(decoding: Decoding) -> Search:
    """The same for a model whose decoder is a language model itself."""
    if decoding.language_model is not None:
        raise UsageError("--lm needs a CTC model: this one writes with its own decoder; use --prompt.")
    usual = BEAMS if decoding.hotwords else 1
    beams = usual if decoding.options is None else decoding.options.width
    hotwords = tuple(with_boosts(decoding.hotwords, decoding.hotwords_weight, TOKEN_BOOST).items())
    if decoding.fallback and not decoding.guard:
        raise UsageError("--fallback tries again what the guard doubts: leave --fallback or --no-guard out.")
    return replace(
        decoding.search,
        beams=beams,
        prompt=decoding.prompt,
        guard=decoding.guard,
        fallback=decoding.fallback,
        hotwords=hotwords,
    )


def with_hotwords(
    recogniser: Recogniser, hotwords: Sequence[str] | Listed, weight: float | None = None
) -> Recogniser:
    """A recogniser that decodes as before, but favours ``hotwords``; itself where there are none.

    An encoder–decoder model searches by a beam of at least five.
    """
    found = parse_hotwords(hotwords)
    if not found:
        return recogniser
    if recogniser.capabilities.decoder:
        boosts = with_boosts(found, weight, TOKEN_BOOST)
        search = recogniser.search
        beams = max(search.beams, BEAMS)
        return recogniser.searching(replace(search, beams=beams, hotwords=tuple(boosts.items())))
    own = recogniser.decoding if isinstance(recogniser, FusionRecogniser) else Decoding()
    return FusionRecogniser(recogniser, replace(own, hotwords=found, hotwords_weight=weight))


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
