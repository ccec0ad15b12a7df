"""Qwen3-ASR: an encoder on mel frames, whose output stands in the prompt of a Qwen3 language model.

Knows where transformers keeps its modules, how sound and prompt become one row of states, and the words that
name a language before a transcript. Does not know recipes, manifests, or how a checkpoint was found. Source:
Shi et al., arXiv 2601.21337, and transformers' own class. Text looks at sound by the decoder's self-attention
alone, so there are no word times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForSpeechSeq2Seq

from asr_adapt.errors import ModelError
from asr_adapt.models.attention.plain_seq2seq import PlainSeq2SeqRecogniser
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.contract import Capabilities, Hidden
from asr_adapt.models.hypothesis import Hypothesis
from asr_adapt.models.masking import valid_frames
from asr_adapt.models.registry import Architecture
from asr_adapt.models.search.generation import Rules, Spoken
from asr_adapt.models.stack import FRONT_END, HEAD, LAYER, NORM, LayerStack, Stage

#: The longest piece, in seconds: a cut costs a word, and the model was made for minutes.
WINDOW_SECONDS = 180.0
#: What the model writes between the language and the transcript, and for a language that nobody named.
MARK, NO_LANGUAGE = "<asr_text>", "None"
_FRONT = ("conv2d1", "conv2d2", "conv2d3", "conv_out")


class Qwen3AsrNetwork:
    """The modules of a ``Qwen3ASRForConditionalGeneration``; see :class:`plain_seq2seq.MaskedNetwork`.

    ``before`` and ``after`` are the tokens of the prompt around the sound.
    """

    def __init__(self, model: Any, before: Sequence[int], after: Sequence[int]) -> None:
        self.model, self.before, self.after = model, tuple(before), tuple(after)
        self.encoder, self.projector = model.model.audio_tower, model.model.multi_modal_projector
        self.decoder = model.model.language_model
        #: Mel frames of a chunk, which the convolutions see by itself.
        self.chunk = 2 * int(self.encoder.n_window)

    def stack(self) -> LayerStack:
        """Stages from sound to text; positions are fixed or rotary and own no parameter."""
        deep, high = len(self.encoder.layers), len(self.decoder.layers)
        tower, text = "model.audio_tower", "model.language_model"
        stages = [
            Stage("front_end", FRONT_END, tuple(f"{tower}.{name}" for name in _FRONT)),
            *(Stage(f"encoder_{i}", LAYER, (f"{tower}.layers.{i}",)) for i in range(deep)),
            Stage("encoder_norm", NORM, (f"{tower}.ln_post", "model.multi_modal_projector")),
            *(Stage(f"decoder_{i}", LAYER, (f"{text}.layers.{i}",)) for i in range(high)),
            Stage("decoder_norm", NORM, (f"{text}.norm",)),
            Stage("head", HEAD, ("lm_head", f"{text}.embed_tokens")),
        ]
        return LayerStack(self.model, stages, prefix_limit=deep + 2, usual_layers=high)

    def frames(self, mels: Tensor) -> Tensor:
        """Encoder frames of ``mels`` frames: three convolutions halve each chunk by itself."""
        whole, rest = torch.div(mels, self.chunk, rounding_mode="floor"), mels % self.chunk
        return whole * _halved(torch.full_like(mels, self.chunk)) + _halved(rest)

    def front_end(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, mel frames, bands), whole chunks, to (batch, frames, width)."""
        tower = self.encoder
        mels = values.transpose(1, 2).to(tower.conv2d1.weight.dtype)
        chunks = mels.unflatten(2, (-1, self.chunk)).transpose(1, 2).flatten(0, 1)
        states = chunks[:, None]
        for convolution in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
            states = F.gelu(convolution(states))
        states = tower.conv_out(states.permute(0, 3, 1, 2).flatten(2))
        states = states + tower.positional_embedding.positional_embedding[: states.shape[1]].to(states.dtype)
        frames = self.frames(lengths)
        return states.unflatten(0, (len(values), -1)).flatten(1, 2)[:, : int(frames.max())], frames

    def encoder_layers(self, states: Tensor, lengths: Tensor, indices: range, drop: float = 0.0) -> Tensor:
        """Encoder layers ``indices``; attention sees windows of some seconds, rows lie one behind another."""
        valid = valid_frames(lengths, states.shape[1])
        flat, ends = states[valid], self._windows(lengths)
        longest = int((ends[1:] - ends[:-1]).max())
        for index in indices:
            flat = self.encoder.layers[index](flat, ends, max_seqlen=longest)[0]
        found = flat.new_zeros(*states.shape[:2], flat.shape[-1])
        found[valid] = flat
        return found

    def _windows(self, lengths: Tensor) -> Tensor:
        """Where each window of attention ends on the line of all rows, after a 0."""
        ratio = int(self.encoder.n_window_infer) // self.chunk
        window = ratio * int(_halved(torch.tensor(self.chunk)))
        sizes = [0]
        for own in lengths.tolist():
            sizes += [window] * (own // window) + [own % window] * (own % window > 0)
        return torch.tensor(sizes, device=lengths.device).cumsum(0, dtype=torch.int32)

    def encoder_norm(self, states: Tensor) -> Tensor:
        """The normalisation above the encoder, and the projection to the language model's width."""
        found: Tensor = self.projector(self.encoder.ln_post(states))
        return found

    def mask(self, states: Tensor, lengths: Tensor) -> Tensor | None:
        """Boolean (batch, frames): what is sound; None where nothing is padded."""
        if bool((lengths == states.shape[1]).all()):
            return None
        return valid_frames(lengths, states.shape[1])

    def read(self, ids: Tensor, states: Tensor, lengths: Tensor, drop: float = 0.0) -> Tensor:
        """The decoder's normalised states (batch, tokens, width) on whole texts."""
        given = self._prompted(ids, states)
        mask, places = self._told(self.mask(states, lengths), 0, given.shape[1])
        out = self.decoder(inputs_embeds=given, attention_mask=mask, position_ids=places, use_cache=False)
        found: Tensor = out.last_hidden_state[:, -ids.shape[1] :]
        return found

    def head(self, hidden: Tensor) -> Tensor:
        """Output projection."""
        logits: Tensor = self.model.lm_head(hidden)
        return logits

    def step(
        self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: Any, said: Tensor | None = None
    ) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``; the first step also takes in the prompt."""
        own = cache.self_attention_cache
        past = own.get_seq_length()
        given = self.decoder.embed_tokens(ids) if past else self._prompted(ids, states)
        mask, places = self._told(heard, past, past + given.shape[1])
        out = self.decoder(
            inputs_embeds=given, attention_mask=mask, position_ids=places, past_key_values=own, use_cache=True
        )
        return self.head(out.last_hidden_state[:, -1])

    def _prompted(self, ids: Tensor, states: Tensor) -> Tensor:
        """Prompt, sound and ``ids`` as the language model takes them (batch, positions, width)."""
        embed, rows = self.decoder.embed_tokens, len(ids)
        around = [
            torch.tensor(part, device=ids.device).expand(rows, -1) for part in (self.before, self.after)
        ]
        before, behind = embed(around[0]), embed(torch.cat([around[1], ids], 1))
        return torch.cat([before, states.to(before.dtype), behind], 1)

    def _told(self, heard: Tensor | None, past: int, total: int) -> tuple[Tensor | None, Tensor | None]:
        """Mask (batch, ``total``) and places of the positions from ``past`` on; padded sound has no place."""
        if heard is None:
            return None, None
        mask = heard.new_ones(len(heard), total)
        first = len(self.before)
        mask[:, first : first + heard.shape[1]] = heard
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, past:]
        return mask, places

    def set_dropout(self, hidden: float | None, attention: float | None, activation: float | None) -> None:
        """Qwen3-ASR drops attention weights only."""
        for module in self.model.modules():
            if attention is not None and hasattr(module, "attention_dropout"):
                module.attention_dropout = attention


def _halved(frames: Tensor) -> Tensor:
    """Frames behind three convolutions of stride 2; of nothing none."""
    for _ in range(3):
        frames = torch.where(frames > 0, torch.div(frames - 1, 2, rounding_mode="floor") + 1, 0)
    return frames


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
