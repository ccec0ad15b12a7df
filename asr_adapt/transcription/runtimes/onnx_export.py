"""A model as ONNX graphs, checked against torch before anyone relies on them.

Knows the graph of a CTC model, int8 quantisation and the check. Does not know the graphs of a model with a
decoder (``onnx_decoder_export``), nor how graphs are used (``onnx_runtime``).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForCTC

from asr_adapt.destinations import mark_folder, require_folder
from asr_adapt.errors import MissingExtraError, ModelError
from asr_adapt.files import atomic_directory
from asr_adapt.models import CtcRecogniser, Recogniser, WhisperRecogniser
from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.search.decoder_cache import DecoderCache, HeardCache
from asr_adapt.transcription.runtimes.onnx_decoder_export import (
    DECODER,
    GRAPHS,
    OPSET,
    graph_name,
    write_graphs,
)
from asr_adapt.transcription.runtimes.onnx_runtime import GRAPH, GRAPH_INT8, open_onnx

#: Largest difference of log-probabilities that float32 rounding in another order explains.
TOLERANCE = 1e-2


@dataclass(frozen=True)
class GraphCheck:
    """An exported graph against torch: clips, equal transcripts, largest difference of log-probabilities."""

    graph: str
    clips: int
    same_text: int
    largest_difference: float


class _Logits(nn.Module):
    """The model as a function of one tensor, which is what a graph is."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, values: Tensor) -> Tensor:
        return self.model(values).logits


def export_onnx(
    recogniser: Recogniser, directory: str | Path, clips: Sequence[np.ndarray] = (), *, int8: bool = False
) -> list[GraphCheck]:
    """Write a folder with the graph, its int8 form where asked, and the processor; check each on ``clips``.

    ``clips`` are float32 mono waveforms at the recogniser's rate; without any, noise of several lengths is
    taken. A CTC model is one graph, one with a decoder three. Raises ModelError for a family that is not
    exported, and when the float32 graphs differ from torch: then nothing is left behind.
    """
    if not isinstance(recogniser, (CtcRecogniser, Seq2SeqRecogniser)):
        raise ModelError("its family is not exported to ONNX: use the torch runtime.", path=recogniser.name)
    require_folder(directory, "export", [recogniser.name], again=True)
    clips = list(clips) or _noise(recogniser.sample_rate)
    with atomic_directory(directory, replace=True) as folder, _full_context(recogniser):
        _write(recogniser, folder)
        checks = [_check(recogniser, folder, clips)]
        if checks[0].largest_difference > TOLERANCE:
            raise ModelError(
                f"the exported graph differs from torch by {checks[0].largest_difference:.3g}; "
                "use the torch runtime for this architecture.",
                path=recogniser.name,
            )
        if int8:
            for graph, small in _graphs(recogniser):
                _quantise(folder / graph, folder / small)
            checks.append(_check(recogniser, folder, clips, int8=True))
        mark_folder(folder, "export")
    return checks


@contextmanager
def _full_context(recogniser: Recogniser) -> Iterator[None]:
    """Within, a Whisper hears whole windows: a graph has one length of them."""
    if not isinstance(recogniser, WhisperRecogniser):
        yield
        return
    before = recogniser.settings.context
    recogniser.use_context("full")
    try:
        yield
    finally:
        recogniser.use_context(before)


def _graphs(recogniser: Recogniser) -> list[tuple[str, str]]:
    """Files of the graphs of such a recogniser, and of their int8 forms."""
    if isinstance(recogniser, CtcRecogniser):
        return [(GRAPH, GRAPH_INT8)]
    return [(graph_name(graph), graph_name(graph, int8=True)) for graph in GRAPHS]


def _write(recogniser: CtcRecogniser | Seq2SeqRecogniser, folder: Path) -> None:
    """The graphs, and everything of the model's directory but its weights."""
    if isinstance(recogniser, CtcRecogniser):
        _write_graph(recogniser, folder)
    else:
        recogniser.save(folder)
        write_graphs(recogniser, folder)
    for weights in folder.glob("*.safetensors*"):
        weights.unlink()


def _write_graph(recogniser: CtcRecogniser, folder: Path) -> None:
    """A fresh copy of the model is traced, with the plain attention that a graph can hold."""
    recogniser.save(folder)
    model = AutoModelForCTC.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    example = recogniser.inputs([np.zeros(recogniser.sample_rate, np.float32)]).states.float()
    name = recogniser.anatomy.input_name
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # of the tracer, about Python values that stay constant
            torch.onnx.export(
                _Logits(model).eval(),
                (example,),
                str(folder / GRAPH),
                input_names=[name],
                output_names=["logits"],
                dynamic_axes={name: {0: "batch", 1: "time"}, "logits": {0: "batch", 1: "frames"}},
                opset_version=OPSET,
                dynamo=False,
            )
    except ImportError as error:
        raise MissingExtraError("Export to ONNX", "onnx") from error


def _quantise(graph: Path, small: Path) -> None:
    """Matrix products in int8, activations scaled at run time; convolutions stay in float32."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingExtraError("Quantisation to int8", "onnx") from error
    with _silent_root():
        quantize_dynamic(
            graph,
            small,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
        )


@contextmanager
def _silent_root() -> Iterator[None]:
    """Within, what is logged on the root logger, which is onnxruntime's advice, is not printed and makes no
    handler, which would put level and name before every later warning of ours."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        yield
    finally:
        root.removeHandler(silent)


def _check(
    recogniser: CtcRecogniser | Seq2SeqRecogniser,
    folder: Path,
    clips: Sequence[np.ndarray],
    *,
    int8: bool = False,
) -> GraphCheck:
    exported = open_onnx(folder, int8=int8)
    assert isinstance(exported, (CtcRecogniser, Seq2SeqRecogniser))  # as the one that it was made of
    shown = (
        (GRAPH_INT8 if int8 else GRAPH)
        if isinstance(exported, CtcRecogniser)
        else (graph_name(DECODER, int8=int8))
    )
    largest, same = 0.0, 0
    for clip in clips:
        ours, theirs = _log_probabilities(recogniser, clip), _log_probabilities(exported, clip)
        if ours.shape != theirs.shape:
            return GraphCheck(shown, len(clips), 0, float("inf"))
        largest = max(largest, float((ours - theirs).abs().max()))
        same += recogniser.transcribe([clip])[0].text == exported.transcribe([clip])[0].text
    return GraphCheck(shown, len(clips), same, largest)


@torch.inference_mode()
def _log_probabilities(recogniser: CtcRecogniser | Seq2SeqRecogniser, clip: np.ndarray) -> Tensor:
    """Of each frame's tokens, or of those behind a decoder's prefix (1, vocabulary)."""
    recogniser.model.eval()
    if isinstance(recogniser, CtcRecogniser):
        out = recogniser.logits(recogniser.inputs([clip]).to(recogniser.device))
        return out.states[0, : int(out.lengths[0])].float().log_softmax(-1).cpu()
    heard, given = recogniser.heard([clip]), torch.tensor([recogniser.prefix(None)], device=recogniser.device)
    cache = DecoderCache(given.shape[1], HeardCache())
    return recogniser.network.step(given, heard.states, None, cache).float().log_softmax(-1).cpu()


def _noise(rate: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [
        (0.1 * generator.standard_normal(int(rate * seconds))).astype(np.float32)
        for seconds in (0.3, 1.0, 3.7, 12.0)
    ]
