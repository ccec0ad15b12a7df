"""Which anatomy serves which CTC architecture.

Knows transformers' names of architectures. Does not know what is inside any of them.
"""

from __future__ import annotations

from asr_adapt.models.ctc.anatomy import (
    Data2VecAnatomy,
    Wav2Vec2Anatomy,
    Wav2Vec2BertAnatomy,
    WavLmAnatomy,
)
from asr_adapt.models.ctc.parakeet import ParakeetAnatomy

ANATOMIES: dict[str, type[Wav2Vec2Anatomy]] = {
    "wav2vec2": Wav2Vec2Anatomy,
    "hubert": Wav2Vec2Anatomy,
    "data2vec-audio": Data2VecAnatomy,
    "unispeech": Wav2Vec2Anatomy,
    "wavlm": WavLmAnatomy,
    "wav2vec2-bert": Wav2Vec2BertAnatomy,
    "parakeet_ctc": ParakeetAnatomy,
}
