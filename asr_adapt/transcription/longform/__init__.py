"""Long audio through a recogniser that hears windows and tells when what was said.

Knows how speech is packed into windows, how a window follows from what the one before it said, and what is
heard again. Does not know networks.
"""

from asr_adapt.transcription.longform.hearing import CPU_ROWS, TurnBatches
from asr_adapt.transcription.longform.packing import PackingRules, packed_speech
from asr_adapt.transcription.longform.tracks import track_for
from asr_adapt.transcription.longform.turns import Track, Turn

__all__ = ["CPU_ROWS", "PackingRules", "Track", "Turn", "TurnBatches", "packed_speech", "track_for"]
