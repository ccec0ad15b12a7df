"""The sound of a row: its segment and channel, decoded, with errors that name the row.

Knows where a row says its sound is. Does not know decoders, models or what the samples are for.
"""

from __future__ import annotations

import numpy as np

from asr_adapt.audio import read_audio
from asr_adapt.errors import DataError
from asr_adapt.manifest.utterance import Utterance


def read_waveform(row: Utterance, sample_rate: int) -> np.ndarray:
    """The float32 mono samples (samples,) of one row; raises :class:`DataError` naming its line."""
    try:
        return read_audio(
            row.audio_path,
            sample_rate=sample_rate,
            offset=row.offset,
            duration=row.duration,
            channel=row.channel,
        )
    except DataError as error:
        raise row.error(f"{error}", "audio_filepath") from error
