"""Qwen3-ASR: sound to transcripts through a language model, and texts to what it learns.

Knows the model's prompt, the words that name a language before a transcript, and which tokens end one. Does
not know its modules (``qwen3_network``), recipes, manifests, or how a checkpoint was found. Source: Shi et
al., arXiv 2601.21337, and transformers' own class. Text looks at sound by the decoder's self-attention alone,
so there are no word times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSpeechSeq2Seq

from asr_adapt.errors import ModelError
from asr_adapt.models.attention.plain_seq2seq import PlainSeq2SeqRecogniser
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.audio_llm.qwen3_network import Qwen3AsrNetwork
from asr_adapt.models.contract import Capabilities, Hidden
from asr_adapt.models.hypothesis import Hypothesis
from asr_adapt.models.registry import Architecture
from asr_adapt.models.search.generation import Rules, Spoken

#: The longest piece, in seconds: a cut costs a word, and the model was made for minutes.
WINDOW_SECONDS = 180.0
#: What the model writes between the language and the transcript, and for a language that nobody named.
MARK, NO_LANGUAGE = "<asr_text>", "None"


@dataclass(frozen=True)
class SeveralEnds(Rules):
    """Tokens that end a row beside ``end``, which stands for the likeliest of them all."""

    others: tuple[int, ...] = ()

    def allowed(self, logits: Tensor, said: Sequence[Sequence[int]]) -> Tensor:
        """As of the other rules."""
        logits = super().allowed(logits, said).clone()
        logits[..., self.end] = logits[..., [self.end, *self.others]].amax(-1)
        logits[..., list(self.others)] = -torch.inf
        return logits


class Qwen3AsrRecogniser(PlainSeq2SeqRecogniser):
    """Qwen3-ASR; the contract's methods are documented there."""

    family = "qwen3_asr"
    title = "Qwen3-ASR"
    network: Qwen3AsrNetwork
    window_seconds = WINDOW_SECONDS
    adaptable = (
        *("q_proj", "k_proj", "v_proj", "o_proj", "out_proj"),
        *("fc1", "fc2", "gate_proj", "up_proj", "down_proj"),
    )

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        tokenizer = processor.tokenizer
        before, after = _prompt(processor)
        #: The last token of the prompt, behind which the answer begins.
        self.start = after[-1]
        network = Qwen3AsrNetwork(model, before, after[:-1])
        super().__init__(model, processor, name, network, end=int(tokenizer.eos_token_id))
        self.mark = tokenizer(MARK, add_special_tokens=False).input_ids
        self.extractor = processor.feature_extractor
        self.frame_seconds = 8 * self.extractor.hop_length / self.sample_rate

    @property
    def capabilities(self) -> Capabilities:
        """A decoder that searches and can be told the language; it tells no word times."""
        codes = tuple(self.languages)
        return replace(super().capabilities, word_times=False, spoken_languages=codes)

    @cached_property
    def languages(self) -> dict[str, Any]:
        """Code to the name that stands before a transcript."""
        from transformers.models.qwen3_asr.processing_qwen3_asr import LANGUAGE_CODE_TO_NAME

        return dict(LANGUAGE_CODE_TO_NAME)

    @property
    def positions(self) -> int:
        """The most tokens that a transcript may have, sound and prompt aside."""
        return int(self.model.config.text_config.max_position_embeddings) // 2

    def prefix(self, language: str | None) -> list[int]:
        """The end of the prompt, and the language where one is chosen; raises :class:`UsageError`."""
        chosen = language or self.settings.language
        return [self.start] if chosen is None else [self.start, *self._opening(self.language_id(chosen))]

    def _opening(self, language: str) -> list[int]:
        words = self.processor.tokenizer(f"language {language}{MARK}", add_special_tokens=False)
        return list(words.input_ids)

    def labels(self, texts: Sequence[str], seconds: Sequence[float] | None = None) -> list[list[int]]:
        """The language, or that none was named, the text, and the end, as the model was taught them."""
        chosen = self.settings.language
        opening = self._opening(NO_LANGUAGE if chosen is None else self.language_id(chosen))
        coded = [self.processor.tokenizer(t.strip(), add_special_tokens=False).input_ids for t in texts]
        return [[self.start, *opening, *ids, self.end] for ids in coded]

    def spelled(self, text: str) -> list[int]:
        """Inside a transcript a word begins with its space."""
        return Seq2SeqRecogniser.spelled(self, text)

    def inputs(self, waveforms: Sequence[np.ndarray], *, seeds: Sequence[int] | None = None) -> Hidden:
        """Features (batch, mel frames, bands) of whole chunks; each row as it is by itself."""
        rows, lengths = [], []
        told: dict[str, Any] = {"padding": True, "return_attention_mask": True, "return_tensors": "pt"}
        for wave in waveforms:
            own = self.extractor(np.asarray(wave, np.float32), sampling_rate=self.sample_rate, **told)
            rows.append(own["input_features"][0].T)
            lengths.append(int(own["attention_mask"].sum()))
        return Hidden(nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor(lengths))

    def clip_frames(self, samples: int) -> int:
        """Encoder frames (about 80 ms) of a clip."""
        shortest = int(self.extractor.min_length)
        mels = max(samples, shortest) // int(self.extractor.hop_length)
        return int(self.network.frames(torch.tensor(mels)))

    def rules(self) -> Rules:
        """Whichever of the model's ends is likeliest ends a row, as in transformers."""
        ends = self.model.config.eos_token_id
        others = {int(e) for e in (ends if isinstance(ends, (list, tuple)) else [ends])} - {self.end}
        return SeveralEnds(self.end, self.positions, bias=self._bias, others=tuple(sorted(others)))

    def positions_before(self, frames: int) -> int:
        """Prompt and sound stand before what is said."""
        return len(self.network.before) + frames + len(self.network.after)

    def _written(
        self, heard: Hidden, samples: Sequence[int], words: bool, language: str | None
    ) -> list[Hypothesis]:
        if words:
            raise ModelError(
                "Qwen3-ASR does not tell when words were said: leave word times out.", path=self.name
            )
        return super()._written(heard, samples, words, language)

    def _hypothesis(self, spoken: Spoken, times: Sequence[float]) -> Hypothesis:
        """The transcript alone, without the language that the model says before it."""
        ids, size = spoken.ids, len(self.mark)
        found = [n + size for n in range(len(ids)) if list(ids[n : n + size]) == self.mark]
        first = found[0] if found else 0
        return super()._hypothesis(replace(spoken, ids=ids[first:], scores=spoken.scores[first:]), times)


def _prompt(processor: Any) -> tuple[list[int], list[int]]:
    """Tokens of the checkpoint's own prompt before and behind the sound."""
    sound = processor.tokenizer.audio_token
    talk = [{"role": "user", "content": [{"type": "audio", "path": ""}]}]
    text = processor.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    before, _, after = text.partition(sound)
    ids = [processor.tokenizer(part, add_special_tokens=False).input_ids for part in (before, after)]
    return list(ids[0]), list(ids[1])


ARCHITECTURE = Architecture(AutoModelForSpeechSeq2Seq, Qwen3AsrRecogniser)
