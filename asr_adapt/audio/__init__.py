"""Sound to samples: decoding, resampling, waveform augmentation, and which files are taken for sound.

Knows files and float32 mono arrays. Does not know manifests, transcripts, models or torch.
"""

from asr_adapt.audio.decode import open_decoder, probe, read_audio, stream_audio
from asr_adapt.audio.resample import resample
from asr_adapt.audio.types import AudioError, AudioInfo, Remark, Samples

__all__ = [
    "AudioError",
    "AudioInfo",
    "Remark",
    "Samples",
    "open_decoder",
    "probe",
    "read_audio",
    "resample",
    "stream_audio",
]
