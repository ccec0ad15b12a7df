"""Whether somebody speaks, frame by frame, while sound comes in.

Knows detectors' scores and their hysteresis. Does not know what is done with speech, nor recognisers. Frames
are counted from the first sample, so that it does not matter in which blocks the sound comes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asr_adapt.decoding import Decoding
from asr_adapt.transcription.voice.speech import Detector, EnergyDetector, SileroDetector, Thresholds

#: Samples of a frame where nobody looks for speech.
FRAME = 512


class Activity:
    """Cuts sound into frames and says of each whether somebody speaks; without a detector always."""

    def __init__(self, detector: Detector | None, thresholds: Thresholds = Thresholds()) -> None:
        self.detector, self.thresholds = detector, thresholds
        self.frame = FRAME if detector is None else detector.frame
        self._held = np.empty(0, np.float32)
        self._speaking = False

    def frames(self, samples: np.ndarray, *, last: bool = False) -> Iterator[tuple[np.ndarray, bool]]:
        """Whole frames with what is left of earlier calls in front; at the ``last``, the rest too."""
        held = np.concatenate([self._held, samples])
        whole = len(held) - (0 if last else len(held) % self.frame)
        self._held = held[whole:].copy()
        found = held[:whole]
        if not len(found):
            return
        for place, speaks in enumerate(self._decided(found)):
            yield found[place * self.frame : (place + 1) * self.frame], speaks

    def _decided(self, samples: np.ndarray) -> list[bool]:
        count = -(-len(samples) // self.frame)
        if self.detector is None:
            return [True] * count
        padded = np.pad(samples, (0, count * self.frame - len(samples)))
        decided = []
        for score in self.detector.scores(padded):
            self._speaking = self.thresholds.speech(float(score), speaking=self._speaking)
            decided.append(self._speaking)
        return decided


def activity_for(rate: int, options: Decoding) -> Activity:
    """What ``options`` say; ``auto`` is silero-vad for every recogniser: what is heard then begins and ends
    where speech does, and silence costs nothing."""
    if options.segmenter == "windows":
        return Activity(None)
    detector = EnergyDetector(rate) if options.segmenter == "energy" else SileroDetector(rate)
    return Activity(detector, Thresholds.of(options))
