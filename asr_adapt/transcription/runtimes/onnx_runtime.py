"""A CTC recogniser whose network onnxruntime computes, and which recogniser a folder of graphs holds.

Knows the folder that ``onnx_export`` writes: a transformers directory without weights, and ``model.onnx``.
Does not know how the graph was made, nor the graphs of models with a decoder (``onnx_decoder_runtime``).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCTC, AutoProcessor

from asr_adapt.errors import ModelError
from asr_adapt.files import user_path
from asr_adapt.models import CtcRecogniser, Hidden, Hypothesis, Recogniser
from asr_adapt.models.ctc.architecture import CtcArchitecture
from asr_adapt.models.registry import architecture
from asr_adapt.transcription.runtimes.onnx_decoder_runtime import is_decoder_export, open_decoder_export
from asr_adapt.transcription.runtimes.onnx_session import open_session

GRAPH = "model.onnx"
GRAPH_INT8 = "model.int8.onnx"


class OnnxRecogniser(CtcRecogniser):
    """Transcribes like the model it was exported from; it cannot be trained.

    Rows are computed one at a time and without padding: on a CPU that is as fast as a batch, and a row's
    transcript then cannot depend on the others.
    """

    def __init__(self, directory: str | Path, *, int8: bool = False, threads: int | None = None) -> None:
        folder = Path(directory)
        graph = folder / (GRAPH_INT8 if int8 else GRAPH)
        if not graph.is_file():
            raise ModelError(
                f"holds no {graph.name}: make one with asr-adapt export{' --int8' if int8 else ''}.",
                path=folder,
            )
        config = AutoConfig.from_pretrained(folder)
        served = architecture(config.model_type, str(folder))
        if not isinstance(served, CtcArchitecture):
            raise ModelError(f"holds no CTC model, but a {config.model_type}.", path=folder)
        with torch.device("meta"):  # shapes without weights: the anatomy counts frames with them
            skeleton = AutoModelForCTC.from_config(config)
        super().__init__(
            skeleton, AutoProcessor.from_pretrained(folder), f"{folder}/{graph.name}", served.anatomy
        )
        self.graph = graph
        self.session = open_session(graph, threads)

    @property
    def device(self) -> torch.device:
        """Always the CPU."""
        return torch.device("cpu")

    @property
    def runtime(self) -> str:
        """onnxruntime and the type of the weights."""
        return "onnxruntime int8" if self.graph.name == GRAPH_INT8 else "onnxruntime float32"

    @cached_property
    def description(self) -> str:
        """The runtime, for the settings of a predictions file."""
        return "greedy, onnxruntime" + (" int8" if self.graph.name == GRAPH_INT8 else "")

    def transcribe_hidden(self, *_: Any, **__: Any) -> list[Hypothesis]:
        """Raises ModelError: the graph begins with the sound."""
        raise ModelError("works on audio only: give waveforms.", path=self.name)

    def logits(self, batch: Hidden) -> Hidden:
        """Logits (batch, frames, vocabulary); frames behind a row's end are zero."""
        rows = []
        for states, length in zip(batch.states, batch.lengths.tolist(), strict=True):
            feed = {self.anatomy.input_name: states[None, :length].float().numpy()}
            rows.append(torch.from_numpy(self.session.run(None, feed)[0][0]))
        lengths = torch.tensor([len(row) for row in rows])
        return Hidden(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths)


def open_onnx(folder: str | Path, *, int8: bool = False) -> Recogniser:
    """The recogniser that a folder of ``asr-adapt export`` holds; raises ModelError where it holds none."""
    place = user_path(str(folder))
    if is_decoder_export(place):
        return open_decoder_export(place, int8=int8)
    return OnnxRecogniser(place, int8=int8)
