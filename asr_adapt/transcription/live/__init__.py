"""Transcribing sound that has not ended: a microphone, a pipe, or any stream of blocks.

``stream`` turns sound into words, ``settling`` says which are certain, ``activity`` where somebody speaks,
``clock`` how late words are, ``sound`` where it comes from, ``kept_sound`` what may be heard again,
``lines`` what is given back, ``run`` puts them together.
"""

from asr_adapt.transcription.live.clock import LiveClock
from asr_adapt.transcription.live.lines import LiveUpdate
from asr_adapt.transcription.live.run import LiveReport, LiveRun
from asr_adapt.transcription.live.stream import LiveStream

__all__ = ["LiveClock", "LiveReport", "LiveRun", "LiveStream", "LiveUpdate"]
