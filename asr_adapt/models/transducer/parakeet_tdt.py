"""Parakeet-TDT: Parakeet's encoder below a token-and-duration transducer.

Knows where transformers keeps its modules. Does not know losses, decoding, recipes or files.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor
from transformers import AutoModelForTDT

from asr_adapt.models.ctc.parakeet import ParakeetAnatomy
from asr_adapt.models.registry import Architecture
from asr_adapt.models.stack import HEAD, NORM, Stage
from asr_adapt.models.transducer.recogniser import TransducerRecogniser


class ParakeetTdtAnatomy(ParakeetAnatomy):
    """A ``ParakeetForTDT``: above the encoder a projection, then prediction network and joint."""

    def stages(self) -> list[Stage]:
        """The encoder's; the projection in the place of the norm; the rest needs labels and is the head."""
        encoder = super().stages()[:-2]
        return [
            *encoder,
            Stage("projection", NORM, ("encoder_projector",)),
            Stage("head", HEAD, ("decoder", "joint")),
        ]

    def finish(self, hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output in the width of the joint network."""
        return self.model.encoder_projector(hidden), lengths


ARCHITECTURE = Architecture(AutoModelForTDT, partial(TransducerRecogniser, anatomy=ParakeetTdtAnatomy))
