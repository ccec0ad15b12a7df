"""How each base is adapted in the demonstration: accent, steps, batches, rates, as data.

Knows which settings fit each base into minutes on two cores. Does not know corpora or how a recipe is carried
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asr_adapt.demo.recordings import RECORDED_ACCENT


@dataclass(frozen=True, slots=True)
class Tuning:
    """``steps`` of ``seconds`` computed audio (None: the recipe's own default), and the recipe's sections.

    ``sections`` are those that a base wants its own way, ``network`` those that go with the network, whatever
    it is adapted to. ``accent`` is what the model is adapted to unless told otherwise, ``replay`` the share
    of each batch that is the old accent.
    """

    steps: int
    seconds: float | None
    sections: Mapping[str, Any]
    network: Mapping[str, Any] = field(default_factory=dict)
    accent: str = "scottish"
    replay: float = 0.5  # measured on nano-en: 0.2 let the old accent's WER triple, 0.5 keeps it


#: Models that people use know English: the accent is real, and a few small steps are enough. What learns, and
#: how much of it is kept, is what any recipe takes for such a model.
USUAL = Tuning(steps=24, seconds=None, sections={}, accent=RECORDED_ACCENT, replay=0.3)
#: An accent changes the sounds, so nano-whisper's encoder learns as well: all 4 + 3 layers. The window is cut
#: to the clip, which makes a step five times cheaper than one in the 30 s window.
OWN = {
    "nano-en": Tuning(
        steps=600,
        seconds=40.0,
        sections={
            "strategy": {"name": "top_layers", "top_layers": 6},
            "optimiser": {"learning_rate": 6e-4, "layer_decay": 0.9},
        },
    ),
    "nano-whisper": Tuning(
        steps=150,
        seconds=40.0,
        sections={
            "strategy": {"name": "top_layers", "top_layers": 7},
            "optimiser": {"learning_rate": 4e-4, "layer_decay": 0.95},
        },
        network={"decoder": {"context": "dynamic"}},
    ),
}


def tuning_of(model: str) -> Tuning:
    """The tuning of a bundled base; `USUAL` for every other model."""
    return OWN.get(model, USUAL)
