"""silero-vad's network in torch: speech probability of each 32 ms of a block, all frames at once.

Knows the weights in silero-vad's wheel and what it computes. Does not know what is done with the scores.
Source of the network: github.com/snakers4/silero-vad (MIT), tinygrad_model.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.errors import MissingExtraError

SILERO_RATE = 16_000
#: Samples of a frame, and of what was before it that the network sees too.
SILERO_FRAME, SILERO_CONTEXT = 512, 64
#: Its short-time transform: hop, mirrored samples behind a frame, bins.
_HOP, _MIRRORED, _BINS = 128, 64, 129
#: Strides of its convolutions.
_STRIDES = (1, 2, 2, 1)
#: Frames computed at once: more take memory and no less time.
_BLOCK = 1_000

State = tuple[Tensor, Tensor]


class SileroNetwork:
    """The network for 16 kHz; raises MissingExtraError where silero-vad is missing."""

    def __init__(self) -> None:
        weights = _weights()
        self._transform = weights["stft.forward_basis_buffer"]
        encoder = [f"encoder.{number}.reparam_conv" for number in range(len(_STRIDES))]
        self._convolutions = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in encoder]
        cell = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self._cell = [weights[f"decoder.rnn.{name}"] for name in cell]
        self._last = weights["decoder.decoder.2.weight"][:, :, 0], weights["decoder.decoder.2.bias"]

    @torch.inference_mode()
    def __call__(self, samples: np.ndarray, state: State | None) -> tuple[np.ndarray, State]:
        """Scores of the frames of ``samples``, which begin with the first one's context; the new state."""
        frames = torch.from_numpy(samples).unfold(0, SILERO_CONTEXT + SILERO_FRAME, SILERO_FRAME)
        width = len(self._cell[1][0])
        state = state or (torch.zeros(1, width), torch.zeros(1, width))
        found = []
        for block in frames.split(_BLOCK):
            states, state = self._recurrent(self._features(block), state)
            found.append(torch.sigmoid(F.linear(states.relu(), *self._last))[:, 0])
        return torch.cat(found).numpy(), state

    def _features(self, frames: Tensor) -> Tensor:
        """(frames, samples) to (frames, width)."""
        padded = F.pad(frames[:, None], (0, _MIRRORED), "reflect")
        waves = F.conv1d(padded, self._transform, stride=_HOP)
        states = (waves[:, :_BINS] ** 2 + waves[:, _BINS:] ** 2).sqrt()
        for (weight, bias), stride in zip(self._convolutions, _STRIDES, strict=True):
            states = F.conv1d(states, weight, bias, stride, padding=1).relu()
        return states[:, :, 0]

    def _recurrent(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """The LSTM over all frames, from ``state``."""
        hidden, cell = (part[:, None] for part in state)
        states, hidden, cell = torch.lstm(
            features[:, None], (hidden, cell), self._cell, True, 1, 0.0, False, False, False
        )
        return states[:, 0], (hidden[:, 0], cell[:, 0])


def _weights() -> dict[str, Tensor]:
    """Weights of the network for 16 kHz by their names in silero-vad's own network."""
    threads = torch.get_num_threads()
    try:
        from silero_vad import load_silero_vad
    except ImportError as error:
        raise MissingExtraError("Voice activity by silero-vad", "vad") from error
    finally:
        torch.set_num_threads(threads)  # importing silero_vad sets it to 1 for the whole process
    network: Any = load_silero_vad()
    named = [*network.named_parameters(), *network.named_buffers()]
    return {name.removeprefix("_model."): value.detach() for name, value in named if "_model_8k" not in name}
