"""Several clips in one window, for a network that computes 30 s whatever is said.

Knows examples, their order in a window and the pauses between them. Does not know batches, recipes or models.
Windows are filled to a random share, so that single clips in silence and full windows are both learnt. What
is joined depends on seed, epoch and rows alone, so a resumed run joins the same clips. A clip without text,
in which nobody speaks, has a window of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from asr_adapt.manifest import Utterance
from asr_adapt.manifest.windows import TimedText, previous_text, segments_of
from asr_adapt.training.data.corpus import Example

#: Shortest and longest pause before a clip that is not a window's first, in seconds.
PAUSES = (0.1, 0.8)
#: Keeps the draws apart from others that start from the same seed.
_STREAM = 104_729

#: Texts and times of a window, and what was said before it → its label ids.
Label = Callable[[Sequence[TimedText], str], list[int]]


@dataclass(frozen=True)
class Packing:
    """Joins the examples of a micro-batch into windows of at most ``window`` seconds and ``most_labels``."""

    window: float
    sample_rate: int
    label: Label
    seed: int
    most_labels: int | None = None

    def heard(self, seconds: float) -> float:
        """Seconds that the network computes for a clip, about: windows are half full on average."""
        return min(self.window, 2.0 * (seconds + sum(PAUSES) / 2.0))

    def __call__(self, examples: Sequence[Example], rows: Sequence[Utterance], epoch: int) -> list[Example]:
        """Every example is in exactly one window; examples of kept states stay as they are."""
        if any(example.waveform is None for example in examples):
            return list(examples)
        random = np.random.default_rng((self.seed, epoch, examples[0].number, _STREAM))
        order = random.permutation(len(examples)).tolist()
        windows = []
        while order:
            windows.append(self._window(examples, rows, order, random))
        return windows

    def _window(
        self,
        examples: Sequence[Example],
        rows: Sequence[Utterance],
        order: list[int],
        random: np.random.Generator,
    ) -> Example:
        """Take clips off the end of ``order`` until the window's share is full."""
        place = order.pop()
        first, parts, labels = examples[place], [examples[place].samples], examples[place].labels
        said = segments_of(rows[place])
        others: list[int] = []
        most = int(random.uniform(0.0, self.window) * self.sample_rate)
        while order and rows[place].text:
            pause = np.zeros(int(random.uniform(*PAUSES) * self.sample_rate), dtype=np.float32)
            following, row = examples[order[-1]], rows[order[-1]]
            start = sum(map(len, parts)) + len(pause)
            if not row.text or start + len(following.samples) > most:
                break
            shift = start / self.sample_rate
            later = [TimedText(p.text, p.start + shift, p.end + shift) for p in segments_of(row)]
            joined = self.label([*said, *later], previous_text(rows[place]))
            if self.most_labels is not None and len(joined) > self.most_labels:
                break
            order.pop()
            parts += [pause, following.samples]
            said, labels = [*said, *later], joined
            others.append(following.number)
        sound = np.concatenate(parts) if others else parts[0]
        return Example(first.number, labels, len(sound) / self.sample_rate, sound, others=tuple(others))
