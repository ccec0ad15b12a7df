"""Whisper's encoder on a clip in its 30 s window, without computing the silence behind the clip.

Knows the encoder's layers and what the frames of silence give them. Does not know text or decoding.

An untouched Whisper that hears a clip cut short is lost: it was trained on windows of 30 s, most of them with
silence at the end, and takes what is missing for speech that goes on. So the silence stays. But what its
frames give to the others (keys and values of every layer, and the states that the decoder hears) hardly
depends on what was said before: it is computed once, as the mean over a few short reference clips, for each
level of silence, and only the clip and a margin behind it go through the layers. Ours; figures: docs/log.md.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_adapt.audio import read_audio
from asr_adapt.models.attention.mel import LogMel
from asr_adapt.models.attention.whisper.network import STRIDE, WhisperNetwork
from asr_adapt.models.attention.window_layer import encode_layer

#: Encoder frames (20 ms) computed behind a clip's end; fewer cost exactness.
MARGIN = 128
#: Frames are rounded up to a multiple of this: few distinct shapes.
MULTIPLE = 16
#: Where clip and margin fill more of the window than this, the whole window is computed.
MOST = 0.8
#: Levels of silence (mel values; they follow from a clip's loudest point) are rounded to multiples of this.
LEVEL = 0.25
#: Levels whose silence is kept in memory: for tiny 18 MB each.
LEVELS = 8
#: Short clips of our demonstration set, of three speakers: they stand for what is said before the silence.
REFERENCES = ("arctic_a0030_1592747865.ogg", "000480010.ogg", "000050049.ogg")


@dataclass(frozen=True)
class SilenceStates:
    """What frames of silence give: keys and values (1, heads, frames, size) by layer, and last states."""

    heard: list[tuple[Tensor, Tensor]]
    states: Tensor


class KeptSilence:
    """Encodes windows with ``network``, whose weights may change: the silence is then computed anew."""

    def __init__(self, network: WhisperNetwork, mels: LogMel) -> None:
        self.network, self.mels = network, mels
        self._kept: OrderedDict[int, SilenceStates] = OrderedDict()
        self._weights: Any = None

    def __call__(self, mels: Tensor) -> Tensor:
        """The encoder's output (batch, frames, width) of log-mels (batch, 2 · frames, bands), normalised.

        A row does not depend on the others: those of like length and silence are computed together.
        """
        frames = mels.shape[1] // STRIDE
        self._forget_where_changed(mels)
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        levels = (mels[:, -1, 0] / LEVEL).round().int().tolist()
        for row, (own, level) in enumerate(zip(self._own(mels), levels, strict=True)):
            groups[(own if own <= MOST * frames else frames, level)].append(row)
        found: list[Tensor] = [mels] * len(mels)
        for (own, level), rows in groups.items():
            part = mels[rows]
            states = (
                self._whole(part)[0] if own == frames else self._clip(part, own, self._silence(level, mels))
            )
            for row, one in zip(rows, states, strict=True):
                found[row] = one
        return torch.stack(found)

    def _own(self, mels: Tensor) -> list[int]:
        """Encoder frames up to the last that is no silence, and a margin, rounded up."""
        sounds = (mels != mels[:, -1:, :1]).any(2)
        places = torch.arange(1, mels.shape[1] + 1, device=mels.device)
        last = (sounds * places).amax(1)
        return [-(-(-(-end // STRIDE) + MARGIN) // MULTIPLE) * MULTIPLE for end in last.tolist()]

    def _clip(self, mels: Tensor, own: int, silence: SilenceStates) -> Tensor:
        """The states of clips of ``own`` frames, and those of silence behind them."""
        count = STRIDE * (own + 2)  # two frames more, because the convolutions reach over the end
        lengths = torch.full((len(mels),), count, device=mels.device)
        states = self.network.front_end(mels[:, :count], lengths)[0][:, :own]
        for layer, (keys, values) in zip(self.network.encoder.layers, silence.heard, strict=True):
            states = encode_layer(layer, states, keys[:, :, own:], values[:, :, own:])[0]
        behind = silence.states[:, own:].expand(len(states), -1, -1)
        return torch.cat([self.network.encoder_norm(states), behind], 1)

    def _whole(self, mels: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """States of whole windows, and the keys and values of every layer."""
        lengths = torch.full((len(mels),), mels.shape[1], device=mels.device)
        states, heard = self.network.front_end(mels, lengths)[0], []
        for layer in self.network.encoder.layers:
            states, own = encode_layer(layer, states)
            heard.append(own)
        return self.network.encoder_norm(states), heard

    def _silence(self, level: int, like: Tensor) -> SilenceStates:
        """The silence of a level, which the references lie before; computed when it is first met."""
        if level not in self._kept:
            value = level * LEVEL
            mels = torch.full((len(REFERENCES), *like.shape[1:]), value, device=like.device)
            for row, wave in zip(mels, references(self.mels.sample_rate), strict=True):
                heard = self.mels([wave], self.mels.frames(len(wave)), like.device)[0]
                row[: len(heard)] = heard.clamp(min=value)
            states, layers = self._whole(mels)
            kept = [tuple(part.mean(0, keepdim=True) for part in layer) for layer in layers]
            self._kept[level] = SilenceStates(kept, states.mean(0, keepdim=True))  # type: ignore[arg-type]
        self._kept.move_to_end(level)
        while len(self._kept) > LEVELS:
            self._kept.popitem(last=False)
        return self._kept[level]

    def _forget_where_changed(self, like: Tensor) -> None:
        """Drop what other weights gave: told by every parameter's version, place and first number."""
        own = list(self.network.encoder.parameters())
        firsts = torch.stack([p.detach().reshape(-1)[0].float() for p in own]).tolist()
        precise = torch.is_autocast_enabled(like.device.type), like.shape[1:], like.device
        now = [(p._version, p.data_ptr(), p.dtype) for p in own], firsts, precise
        if now != self._weights:
            self._kept.clear()
            self._weights = now


@cache
def references(rate: int) -> tuple[np.ndarray, ...]:
    """The reference clips at ``rate`` samples a second."""
    folder = resources.files("asr_adapt.assets") / "demo-speech" / "audio"
    found = []
    for name in REFERENCES:
        with resources.as_file(folder / name) as path:
            found.append(read_audio(path, sample_rate=rate))
    return tuple(found)
