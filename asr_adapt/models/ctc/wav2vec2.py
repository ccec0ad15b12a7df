"""wav2vec 2.0, and what transformers builds of the same parts: HuBERT, UniSpeech, UniSpeech-SAT.

Knows that they share an anatomy. Does not know what is inside it.
"""

from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy
from asr_adapt.models.ctc.architecture import CtcArchitecture

ARCHITECTURE = CtcArchitecture(Wav2Vec2Anatomy)
