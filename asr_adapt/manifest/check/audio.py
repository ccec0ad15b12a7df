"""From measurements of a recording to findings.

Knows the thresholds, each with its reason. Does not decode; see ``asr_adapt.audio.health``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from asr_adapt.audio.health import AudioHealth
from asr_adapt.manifest.utterance import Utterance

#: Seconds by which decoded and promised lengths may differ: MP3 padding and rounding stay below.
LENGTH_TOLERANCE = 0.1
#: dB; the quietest of 2,000 real digits has −51, a muted recording is below −70.
SILENT_LEVEL = -60.0
#: dB above 4.3 kHz relative to below: the lowest of 720 real wide-band clips has −56, upsampled −59 to −88.
NARROW_BAND_LEVEL = -57.0
CLIPPED_SHARE = 0.001
OFFSET_LEVEL = 0.02
#: dB of the channels' difference relative to their sum: more is not one talker recorded twice.
CHANNEL_GAP = -10.0
#: dB; two independent signals have about 0, one signal inverted far more.
OPPOSITE_GAP = 6.0


def audio_findings(row: Utterance, health: AudioHealth) -> Iterator[tuple[str, str]]:
    """Codes and sentences for one row's audio."""
    yield from _length_findings(row, health)
    if health.invalid_samples:
        yield "invalid-samples", f"{health.invalid_samples} samples are NaN or infinite; replace the file."
    if health.level < SILENT_LEVEL or not health.loud_seconds:
        yield "silent", f"the level is {health.level:.0f} dB; nothing is audible."
        return
    if health.clipped > CLIPPED_SHARE:
        yield "clipped", f"{100 * health.clipped:.1f} % of the samples are clipped."
    if abs(health.offset) > OFFSET_LEVEL:
        yield "dc-offset", f"the samples average {health.offset:+.3f} instead of 0."
    if health.high_band < NARROW_BAND_LEVEL:
        yield (
            "narrow-band",
            f"claims {health.sample_rate} Hz but holds nothing above 4 kHz ({health.high_band:.0f} dB).",
        )
    if health.channel_gap > OPPOSITE_GAP:
        yield "opposite-channels", "the channels cancel each other when averaged; the first is used."
    elif health.channel_gap > CHANNEL_GAP and health.channels > 1:
        yield "different-channels", f"the {health.channels} channels carry different sound."


def _length_findings(row: Utterance, health: AudioHealth) -> Iterator[tuple[str, str]]:
    if health.missing_bytes:
        yield "truncated-audio", f"{health.missing_bytes:,} bytes that the header promises are missing."
    elif _whole_file(row, health) and health.duration < health.claimed - LENGTH_TOLERANCE:
        yield (
            "truncated-audio",
            f"the header promises {health.claimed:.2f} s, {health.duration:.2f} s can be decoded.",
        )
    if row.duration is None:
        return
    if row.duration > health.duration + LENGTH_TOLERANCE and row.offset:
        yield (
            "segment-past-end",
            f"the segment is {row.duration:.2f} s long, the file has {health.duration:.2f} s of it.",
        )
    elif not row.offset and abs(row.duration - health.claimed) > max(LENGTH_TOLERANCE, 0.02 * health.claimed):
        yield "duration-mismatch", f"duration says {row.duration:.2f} s, the file has {health.claimed:.2f} s."


def _whole_file(row: Utterance, health: AudioHealth) -> bool:
    return not row.offset and (
        row.duration is None or math.isclose(row.duration, health.claimed, abs_tol=0.1)
    )
