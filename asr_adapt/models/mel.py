"""Log-mel spectrograms as Whisper hears them, in batch and on the device, in torch.

Knows samples, the mel filter bank and Whisper's scaling. Does not know models or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

#: log10 of the least power that is told from silence (transformers' and OpenAI's constant).
SILENCE = -10.0
#: How far below its loudest point a clip is heard, in log10 power.
RANGE = 8.0


class LogMel:
    """The features of a ``WhisperFeatureExtractor`` within 1e-4, without computing the padding.

    The extractor pads every clip with zeros to its chunk (30 s) first. Frames inside the padding all have one
    value, which depends on the clip's loudest point alone, so they are filled in instead.
    """

    def __init__(self, extractor: Any) -> None:
        self.sample_rate = int(extractor.sampling_rate)
        self.window = int(extractor.n_fft)
        self.hop = int(extractor.hop_length)
        self.most_frames = int(extractor.nb_max_frames)
        self.bands = int(extractor.feature_size)
        self._filters = torch.from_numpy(np.asarray(extractor.mel_filters)).float()
        self._taper = torch.hann_window(self.window)

    def frames(self, samples: int) -> int:
        """Frames that begin inside a clip of ``samples`` samples."""
        return -(-samples // self.hop)

    def __call__(
        self, waveforms: Sequence[np.ndarray], frames: int, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Features (batch, ``frames``, bands), float32 on ``device``; what lies behind ``frames`` is cut."""
        most = self.most_frames * self.hop
        longest = max((len(w) for w in waveforms), default=0)
        width = min(most, (self.frames(longest) + 2) * self.hop + self.window)
        padded = np.zeros((len(waveforms), width), dtype=np.float32)
        for row, wave in zip(padded, waveforms, strict=True):
            row[: min(len(wave), width)] = wave[:width]
        samples = torch.from_numpy(padded).to(device)
        with torch.autocast(samples.device.type, enabled=False):
            logarithm = self._logarithm(samples)
        floor = logarithm.amax((1, 2), keepdim=True) - RANGE
        heard = torch.maximum(logarithm, floor)[:, :frames]
        rest = torch.clamp(floor, min=SILENCE).expand(-1, frames - heard.shape[1], self.bands)
        return (torch.cat([heard, rest], 1) + 4.0) / 4.0

    def _logarithm(self, samples: Tensor) -> Tensor:
        """log10 of the mel power (batch, frames, bands); the reflection at the end is one of zeros."""
        taper, filters = self._taper.to(samples.device), self._filters.to(samples.device)
        spectrum = torch.stft(samples, self.window, self.hop, window=taper, return_complex=True)[..., :-1]
        power = filters.T @ (spectrum.real**2 + spectrum.imag**2)
        return power.clamp(min=10.0**SILENCE).log10().transpose(1, 2)
