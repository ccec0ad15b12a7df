"""Recognisers behind one contract: families, layer stack, freezing, masking, heads.

Knows networks and processors. Does not know recipes, manifests' origins, or how text is scored.
"""

from asr_adapt.startup import uncollected

with uncollected():
    from asr_adapt.models.attention.whisper.recogniser import WhisperRecogniser
    from asr_adapt.models.contract import Capabilities, DecoderSettings, Dropout, Hidden, Recogniser, Search
    from asr_adapt.models.ctc.heads import set_vocabulary
    from asr_adapt.models.ctc.recogniser import CtcRecogniser
    from asr_adapt.models.fingerprint import prefix_fingerprint, settings_fingerprint, weights_fingerprint
    from asr_adapt.models.flops import Costs, count_costs, forward_costs, peak_flops
    from asr_adapt.models.hypothesis import Decoded, HeardWindow, Hypothesis, Phrase, Window, Word
    from asr_adapt.models.loading import bundled_models, choose_device, load_recogniser, portable
    from asr_adapt.models.masking import SpecAugment
    from asr_adapt.models.stack import LayerStack, Stage
    from asr_adapt.pretrained import DEFAULT_MODEL

__all__ = [
    "DEFAULT_MODEL",
    "Capabilities",
    "Costs",
    "CtcRecogniser",
    "Decoded",
    "DecoderSettings",
    "Dropout",
    "HeardWindow",
    "Hidden",
    "Hypothesis",
    "LayerStack",
    "Phrase",
    "Recogniser",
    "Search",
    "SpecAugment",
    "Stage",
    "WhisperRecogniser",
    "Window",
    "Word",
    "bundled_models",
    "choose_device",
    "count_costs",
    "forward_costs",
    "load_recogniser",
    "peak_flops",
    "portable",
    "prefix_fingerprint",
    "set_vocabulary",
    "settings_fingerprint",
    "weights_fingerprint",
]
