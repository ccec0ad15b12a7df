"""Log-mel spectrograms as Whisper and Speech2Text hear them, in batch and on the device, in torch.

Knows samples, mel filter banks and each model's scaling. Does not know models or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, window_function

from asr_adapt.models.masking import valid_frames

#: log10 of the least power that is told from silence (transformers' and OpenAI's constant).
SILENCE = -10.0
#: How far below its loudest point a clip is heard, in log10 power.
RANGE = 8.0


def padded_samples(waveforms: Sequence[np.ndarray], shortest: int = 0) -> tuple[Tensor, Tensor]:
    """Zero-padded samples (batch, samples), float32, and lengths (batch,); none is less than ``shortest``."""
    lengths = [max(len(wave), shortest) for wave in waveforms]
    padded = torch.zeros(len(waveforms), max(lengths, default=0))
    for row, wave in zip(padded, waveforms, strict=True):
        row[: len(wave)] = torch.from_numpy(np.ascontiguousarray(wave))
    return padded, torch.tensor(lengths, dtype=torch.long)


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
        samples, _ = padded_samples([wave[:width] for wave in waveforms], width)
        samples = samples.to(device)
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


class NormalisedFilterBank:
    """The features of a ``Speech2TextFeatureExtractor``: Kaldi's filter bank, normalised over the clip.

    transformers computes them with torchaudio where it is there, else in numpy, frame by frame; these are
    within 1e-3 of numpy's. A band that never changes (digital silence) is 0 here and not a number there.
    Dither, by default 0, is left out: it is noise.
    """

    window, hop, transform = 400, 160, 512
    emphasis, floor = 0.97, 1.192092955078125e-07

    def __init__(self, extractor: Any) -> None:
        rate, self.bands = int(extractor.sampling_rate), int(extractor.num_mel_bins)
        normalised = bool(extractor.do_ceptral_normalize)
        self._means = normalised and bool(extractor.normalize_means)
        self._deviations = normalised and bool(extractor.normalize_vars)
        filters = mel_filter_bank(
            self.transform // 2 + 1,
            self.bands,
            min_frequency=20,
            max_frequency=rate // 2,
            sampling_rate=rate,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        self._filters = torch.from_numpy(filters).float()
        self._taper = torch.from_numpy(window_function(self.window, "povey", periodic=False)).float()

    def frames(self, samples: int) -> int:
        """Frames that lie whole inside a clip of ``samples`` samples."""
        return max(0, (samples - self.window) // self.hop + 1)

    def __call__(
        self, waveforms: Sequence[np.ndarray], device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, bands), float32 on ``device``, zero behind a row's end, and lengths."""
        samples, lengths = padded_samples(waveforms, self.window)
        with torch.autocast(torch.device(device).type, enabled=False):
            logarithm = self._logarithm(samples.to(device))
        frames = ((lengths - self.window) // self.hop + 1).to(device)
        return self._normalised(logarithm, frames), frames

    def _logarithm(self, samples: Tensor) -> Tensor:
        """Natural logarithm of the mel power (batch, frames, bands) on the scale of 16-bit samples."""
        taper, filters = self._taper.to(samples.device), self._filters.to(samples.device)
        cut = samples.unfold(1, self.window, self.hop) * 2.0**15
        cut = cut - cut.mean(-1, keepdim=True)
        cut = cut - self.emphasis * torch.cat([cut[..., :1], cut[..., :-1]], -1)
        spectrum = torch.fft.rfft(cut * taper, self.transform)
        power = (spectrum.real**2 + spectrum.imag**2) @ filters
        return power.clamp(min=self.floor).log()

    def _normalised(self, features: Tensor, frames: Tensor) -> Tensor:
        valid = valid_frames(frames, features.shape[1])[..., None]
        counts = frames[:, None, None]
        if self._means:
            features = features - (features * valid).sum(1, keepdim=True) / counts
        if self._deviations:
            mean = (features * valid).sum(1, keepdim=True) / counts
            variance = ((features - mean) ** 2 * valid).sum(1, keepdim=True) / counts
            features = features / variance.sqrt().clamp(min=1e-5)
        return features * valid
