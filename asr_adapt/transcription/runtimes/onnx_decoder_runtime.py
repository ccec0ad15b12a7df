"""Encoder–decoder recognisers whose networks onnxruntime computes: all of torch's search over three graphs.

Knows the graphs that ``onnx_decoder_export`` writes, and where a network's caches take their tensors. Does
not know how the graphs were made, nor searches, long audio or word times, which are those of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSpeechSeq2Seq, GenerationConfig

from asr_adapt.errors import ModelError, UsageError
from asr_adapt.models import Hidden, WhisperRecogniser
from asr_adapt.models.attention.moonshine import MoonshineRecogniser
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.attention.speech2text import Speech2TextRecogniser
from asr_adapt.models.attention.whisper.decoding import WhisperDecoding
from asr_adapt.models.files.directory import CONFIG, Checkpoint
from asr_adapt.models.files.processors import whole_processor
from asr_adapt.models.search.decoder_cache import DecoderCache
from asr_adapt.transcription.runtimes.onnx_decoder_export import (
    DECODER,
    ENCODER,
    GRAPHS,
    HEARD,
    graph_name,
    layer_names,
    watched_layers,
)
from asr_adapt.transcription.runtimes.onnx_session import open_session


class Graphs:
    """The graphs of a folder, and tensors in and out of them."""

    def __init__(self, folder: Path, layers: int, *, int8: bool) -> None:
        self._sessions = {graph: open_session(folder / graph_name(graph, int8=int8)) for graph in GRAPHS}
        self._heard, self._said = layer_names("heard", layers), layer_names("said", layers)

    def encoded(self, values: Tensor) -> Tensor:
        """The encoder's output (batch, frames, width) on features of rows that are heard whole."""
        return self._run(ENCODER, {"values": values.float()})[0]

    def kept(self, states: Tensor) -> list[Tensor]:
        """Keys and values of the cross-attention, layer after layer."""
        return self._run(HEARD, {"states": states})

    def decoded(
        self, ids: Tensor, mask: Tensor, said: Sequence[Tensor], heard: Sequence[Tensor]
    ) -> list[Tensor]:
        """Logits (batch, vocabulary), queries (layers, batch, tokens, width), keys and values of ``ids``."""
        feed = {"ids": ids, "mask": mask}
        feed |= dict(zip(self._said, said, strict=True)) | dict(zip(self._heard, heard, strict=True))
        return self._run(DECODER, feed)

    def _run(self, graph: str, feed: dict[str, Tensor]) -> list[Tensor]:
        arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in feed.items()}
        return [torch.from_numpy(array) for array in self._sessions[graph].run(None, arrays)]


class GraphNetwork:
    """A network of which a graph computes the decoder's steps; all else is asked of its ``skeleton``."""

    def __init__(self, skeleton: Any, graphs: Graphs) -> None:
        self.skeleton, self.graphs = skeleton, graphs
        self._layers = len(skeleton.decoder.layers)
        attention = skeleton.decoder.layers[0].encoder_attn
        self._room = (attention.k_proj.out_features // attention.head_dim, attention.head_dim)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.skeleton, name)

    def step(self, ids: Tensor, states: Tensor, heard: Tensor | None, cache: DecoderCache) -> Tensor:
        """Logits (batch, vocabulary) behind the last of ``ids``, which follow what ``cache`` holds."""
        if not cache.cross_attention_cache.layers:
            _fill(cache.cross_attention_cache, self.graphs.kept(states))
        kept = [part for layer in cache.cross_attention_cache.layers for part in (layer.keys, layer.values)]
        said = [part for layer in cache.self_attention_cache.layers for part in (layer.keys, layer.values)]
        logits, _, *fresh = self.graphs.decoded(
            ids, self.additive(states, heard), said or self._none(ids), kept
        )
        _fill(cache.self_attention_cache, fresh)
        return logits

    def queries(self, ids: Tensor, states: Tensor, heard: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Queries (layers, batch, tokens, width) over all ``ids``, and what ``kept`` gives of ``states``."""
        kept = self.graphs.kept(states)
        return self.graphs.decoded(ids, self.additive(states, heard), self._none(ids), kept)[1], kept

    def additive(self, states: Tensor, heard: Tensor | None) -> Tensor:
        """The mask of what is heard (batch, 1, 1, frames) in numbers; families have it in other forms."""
        if heard is None:
            return torch.zeros(len(states), 1, 1, states.shape[1])
        if heard.dtype != torch.bool:
            return heard.float()
        behind = ~heard.reshape(len(heard), 1, 1, -1)
        return torch.zeros(behind.shape).masked_fill(behind, torch.finfo(torch.float32).min)

    def _none(self, ids: Tensor) -> list[Tensor]:
        """Keys and values of nothing said."""
        heads, width = self._room
        return [torch.zeros(len(ids), heads, 0, width)] * (2 * self._layers)


def _fill(cache: Any, parts: Sequence[Tensor]) -> None:
    for layer in range(len(parts) // 2):
        cache.update(parts[2 * layer], parts[2 * layer + 1], layer)


class _OnGraphs(Seq2SeqRecogniser):
    """What the families share: where the network computes, and what it cannot do."""

    graph: Path

    def use_graphs(self, folder: Path, *, int8: bool) -> None:
        """Compute with the graphs in ``folder``."""
        self.graph = folder / graph_name(DECODER, int8=int8)
        layers = len(self.network.decoder.layers)
        self.graphs = Graphs(folder, layers, int8=int8)
        self.network: Any = GraphNetwork(self.network, self.graphs)

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The type of what goes in and comes out."""
        return torch.float32

    @property
    def runtime(self) -> str:
        """onnxruntime and the type of the weights."""
        return "onnxruntime int8" if ".int8." in self.graph.name else "onnxruntime float32"

    @property
    def description(self) -> str:
        """How this decodes, and with what: transcripts of another runtime are not taken for these."""
        return f"{super().description} {self.runtime}"

    @torch.inference_mode()
    def heard(self, waveforms: Sequence[np.ndarray]) -> Hidden:
        """The encoder's output; rows of different lengths are computed one by one, without padding."""
        batch = self.inputs(waveforms)
        if bool((batch.lengths == batch.states.shape[1]).all()):
            states = self.graphs.encoded(batch.states)
            return Hidden(states, torch.full((len(states),), states.shape[1]))
        pairs = zip(batch.states, batch.lengths.tolist(), strict=True)
        rows = [self.graphs.encoded(row[None, :length])[0] for row, length in pairs]
        lengths = torch.tensor([len(row) for row in rows])
        return Hidden(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths)

    def attending(
        self, given: Tensor, heard: Hidden, heads: Sequence[tuple[int, int]]
    ) -> dict[int, dict[str, Tensor]]:
        """As in torch."""
        layers = watched_layers(self.model, self.network.decoder)
        queries, kept = self.network.queries(given, heard.states, self._mask(heard))
        keys = {layer: kept[2 * layer].transpose(1, 2).flatten(2) for layer in layers}
        return {
            layer: {"q_proj": own, "k_proj": keys[layer]} for layer, own in zip(layers, queries, strict=True)
        }

    def _mask(self, heard: Hidden) -> Tensor | None:
        mask: Tensor | None = self.network.mask(heard.states, heard.lengths)
        return mask

    def encode(self, batch: Hidden, boundary: int) -> NoReturn:
        """Raises ModelError: the graph computes the encoder as a whole."""
        raise ModelError("computes from the sound only, and cannot be trained: use torch.", path=self.name)

    def transcribe_hidden(self, *_: Any, **__: Any) -> NoReturn:
        """Raises ModelError, as :meth:`encode` does."""
        raise ModelError("computes from the sound only: give waveforms.", path=self.name)


class OnnxWhisper(_OnGraphs, WhisperRecogniser):
    """Whisper in the full context."""

    def use_graphs(self, folder: Path, *, int8: bool) -> None:
        """As of the others; attempts at windows are computed so as well."""
        super().use_graphs(folder, int8=int8)
        super().use_context("full")
        self.decoding = WhisperDecoding(self.network, self.tokens, self.model)

    def use_context(self, name: str) -> None:
        """Raises UsageError for another context than the full one: the graph hears whole windows."""
        if name != "full":
            raise UsageError("the ONNX runtime hears whole windows: leave --context out.")


class OnnxMoonshine(_OnGraphs, MoonshineRecogniser):
    """Moonshine."""


class OnnxSpeech2Text(_OnGraphs, Speech2TextRecogniser):
    """Speech2Text."""


#: Architecture → the recogniser that its graphs make.
_FAMILIES: dict[str, type[_OnGraphs]] = {
    "whisper": OnnxWhisper,
    "moonshine": OnnxMoonshine,
    "speech_to_text": OnnxSpeech2Text,
}


def is_decoder_export(folder: Path) -> bool:
    """Whether ``folder`` is of a model with a decoder, as its configuration says."""
    checkpoint = Checkpoint(folder, str(folder))
    return checkpoint.holds(CONFIG) and checkpoint.read(CONFIG).get("model_type") in _FAMILIES


def open_decoder_export(folder: Path, *, int8: bool = False) -> Seq2SeqRecogniser:
    """The recogniser of the graphs in ``folder``; raises ModelError where they are not there."""
    for graph in GRAPHS:
        if not (folder / graph_name(graph, int8=int8)).is_file():
            raise ModelError(
                f"holds no {graph_name(graph, int8=int8)}: make one with asr-adapt export"
                f"{' --int8' if int8 else ''}.",
                path=folder,
            )
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):  # shapes without weights: layers, positions and heads are counted with them
        skeleton = AutoModelForSpeechSeq2Seq.from_config(config)
    skeleton.generation_config = GenerationConfig.from_pretrained(folder)
    processor = whole_processor(Checkpoint(folder, str(folder)))
    found = _FAMILIES[config.model_type](skeleton, processor, f"{folder}/{graph_name(DECODER, int8=int8)}")
    found.use_graphs(folder, int8=int8)
    return found
