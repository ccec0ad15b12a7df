"""An encoder–decoder model as three ONNX graphs: encoder, what the decoder keeps of it, one decoder step.

Knows how a network's parts are traced with tensors in place of caches. Does not know how the graphs are used
(``onnx_decoder_runtime``) nor how they are checked.

``encoder.onnx``: features to ``states``. ``heard.onnx``: ``states`` to the keys and values of every layer's
cross-attention, once a clip. ``decoder.onnx``: new tokens, the mask of what is heard, and keys and values so
far, to ``logits`` behind the last token, the new tokens' keys and values, and the cross-attention's
``queries`` of the layers that word times are read from.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.onnx import symbolic_helper
from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache

from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.words.times import alignment_heads, watched

OPSET = 17
ENCODER, HEARD, DECODER = "encoder", "heard", "decoder"
GRAPHS = (ENCODER, HEARD, DECODER)


def graph_name(graph: str, *, int8: bool = False) -> str:
    """The file of one of ``GRAPHS``."""
    return f"{graph}.int8.onnx" if int8 else f"{graph}.onnx"


def layer_names(kind: str, layers: int) -> list[str]:
    """Names of the keys and values of each layer: of what was ``said``, is ``fresh``, or is ``heard``."""
    return [f"{kind}_{part}_{layer}" for layer in range(layers) for part in ("keys", "values")]


def watched_layers(model: Any, decoder: Any) -> list[int]:
    """The decoder's layers that word times are read from, in order."""
    return sorted({layer for layer, _ in alignment_heads(model.generation_config, decoder)})


def write_graphs(recogniser: Seq2SeqRecogniser, folder: Path) -> None:
    """Trace the network into ``folder``, with the plain attention that a graph can hold.

    Raises MissingExtraError without the package ``onnx``.
    """
    model = recogniser.model
    kept = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    torch.onnx.register_custom_op_symbolic(_INTERLEAVED, _interleaved, OPSET)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of the tracer, about Python values that stay constant
            _write(recogniser, folder)
    except ImportError as error:
        raise MissingExtraError("Export to ONNX", "onnx") from error
    finally:
        torch.onnx.unregister_custom_op_symbolic(_INTERLEAVED, OPSET)
        model.config._attn_implementation = kept


#: Rotary positions say each angle twice; the tracer's own form of that loses the number of dimensions.
_INTERLEAVED = "aten::repeat_interleave"


def _interleaved(graph: Any, value: Any, repeats: Any, axis: Any, _: Any = None) -> Any:
    """Each number of the last of four dimensions ``repeats`` times, as operators of ONNX."""
    times, last = (
        symbolic_helper._get_const(repeats, "i", "repeats"),
        symbolic_helper._get_const(axis, "i", "dim"),
    )
    if last not in (-1, 3) or symbolic_helper._get_tensor_rank(value) != 4:
        raise ModelError("repeats numbers along another dimension than the last of four: use torch.")
    column = graph.op("Unsqueeze", value, graph.op("Constant", value_t=torch.tensor([-1])))
    columns = graph.op("Concat", *[column] * times, axis_i=-1)
    shape = graph.op("Constant", value_t=torch.tensor([0, 0, 0, -1]))
    found = graph.op("Reshape", columns, shape)
    sizes = symbolic_helper._get_tensor_sizes(value)
    width = None if sizes is None or sizes[-1] is None else times * sizes[-1]
    found.setType(value.type().with_sizes([None, None, None, width]))
    return found


def _write(recogniser: Seq2SeqRecogniser, folder: Path) -> None:
    network: Any = recogniser.network
    layers = len(network.decoder.layers)
    said, fresh, heard = (layer_names(kind, layers) for kind in ("said", "fresh", "heard"))
    values = recogniser.inputs([np.zeros(recogniser.sample_rate, np.float32)]).states.float()
    encoder, keeper = _Encoder(recogniser), _CrossKeys(network)
    states = encoder(values)
    kept = keeper(states)
    ids = torch.tensor([recogniser.prefix(None)[:1] * 2])
    mask = torch.zeros(1, 1, 1, states.shape[1])
    past = [torch.zeros(1, keys.shape[1], 3, keys.shape[3]) for keys in kept]  # three tokens said
    time = {} if recogniser.capabilities.hears_windows else {1: "time"}
    frames = {0: "batch", 1: "frames"}
    _trace(encoder, (values,), folder / graph_name(ENCODER), ["values"], ["states"], {
        "values": {0: "batch", **time}, "states": frames,
    })  # fmt: skip
    _trace(keeper, (states,), folder / graph_name(HEARD), ["states"], heard, {
        "states": frames, **{name: {0: "batch", 2: "frames"} for name in heard},
    })  # fmt: skip
    _trace(
        _DecoderStep(recogniser),
        (ids, mask, *past, *kept),
        folder / graph_name(DECODER),
        ["ids", "mask", *said, *heard],
        ["logits", "queries", *fresh],
        {
            "ids": {0: "batch", 1: "tokens"},
            "mask": {0: "batch", 3: "frames"},
            "logits": {0: "batch"},
            "queries": {1: "batch", 2: "tokens"},
            **{name: {0: "batch", 2: "said"} for name in said},
            **{name: {0: "batch", 2: "tokens"} for name in fresh},
            **{name: {0: "batch", 2: "frames"} for name in heard},
        },
    )


def _trace(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    given: Sequence[str],
    found: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    torch.onnx.export(
        module.eval(),
        example,
        str(path),
        input_names=list(given),
        output_names=list(found),
        dynamic_axes={name: dict(own) for name, own in axes.items()},
        opset_version=OPSET,
        dynamo=False,
    )


class _Encoder(nn.Module):
    """Features (batch, time, …) of rows that are heard whole, to the encoder's output."""

    def __init__(self, recogniser: Seq2SeqRecogniser) -> None:
        super().__init__()
        self.model = recogniser.model  # whose weights the graph holds
        self.network, self.layers = recogniser.network, recogniser.stack.prefix_limit - 2

    def forward(self, values: Tensor) -> Tensor:
        lengths = torch.full((values.shape[0],), values.shape[1])
        states, lengths = self.network.front_end(values, lengths)
        return self.network.encoder_norm(self.network.encoder_layers(states, lengths, range(self.layers)))


class _CrossKeys(nn.Module):
    """The encoder's output (batch, frames, width) to keys and values (batch, heads, frames, …) by layer."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.layers = network.decoder.layers

    def forward(self, states: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._parts(states))

    def _parts(self, states: Tensor) -> Iterator[Tensor]:
        for layer in self.layers:
            attention = layer.encoder_attn
            for projection in (attention.k_proj, attention.v_proj):
                shape = (states.shape[0], -1, projection.out_features // attention.head_dim)
                yield projection(states).view(*shape, attention.head_dim).transpose(1, 2)


class _DecoderStep(nn.Module):
    """One step of the decoder; its caches come in and go out as tensors."""

    def __init__(self, recogniser: Seq2SeqRecogniser) -> None:
        super().__init__()
        self.model, self.network = recogniser.model, recogniser.network
        self.watched = watched_layers(recogniser.model, recogniser.network.decoder)

    def forward(self, ids: Tensor, mask: Tensor, *kept: Tensor) -> tuple[Tensor, ...]:
        layers = len(self.network.decoder.layers)
        said = [_GrowingKeys(*kept[2 * i : 2 * i + 2]) for i in range(layers)]
        heard = [_GivenKeys(*kept[2 * (layers + i) :][:2]) for i in range(layers)]
        cache = EncoderDecoderCache(_cache(said), _cache(heard))
        cache.is_updated = dict.fromkeys(range(layers), True)
        causal = _causal(ids.shape[1], kept[0].shape[2])
        states = torch.zeros(1, 1, 1)  # what is heard is in the cache: nobody looks at these
        network: Any = self.network
        with watched(network.decoder, [(layer, 0) for layer in self.watched]) as caught:
            logits = network.step(ids, states, mask, cache, said=causal)
        queries = torch.stack([caught[layer]["q_proj"] for layer in self.watched])
        return logits, queries, *(part for layer in said for part in layer.fresh)


def _causal(tokens: int, said: int) -> Tensor:
    """Additive (1, 1, tokens, said + tokens): a token sees what was said, itself and those before it."""
    places = torch.arange(said + tokens)
    own = torch.arange(tokens)[:, None] + said
    least = torch.finfo(torch.float32).min
    return torch.where(places[None] <= own, 0.0, least)[None, None]


def _cache(layers: Sequence[DynamicLayer]) -> DynamicCache:
    cache = DynamicCache()
    cache.layers = list(layers)
    return cache


class _GivenKeys(DynamicLayer):
    """Keys and values that are there before the first call."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True
        self.dtype, self.device = keys.dtype, keys.device


class _GrowingKeys(_GivenKeys):
    """Those of the tokens said; ``fresh`` are those that a step added."""

    fresh: tuple[Tensor, Tensor]

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        assert self.keys is not None and self.values is not None
        self.fresh = (key_states, value_states)
        self.keys = torch.cat([self.keys, key_states], dim=2)
        self.values = torch.cat([self.values, value_states], dim=2)
        return self.keys, self.values
