"""Probes: what a recogniser's frozen layers know about a label, and a small classifier made of it.

Knows rows, frozen features and classical classifiers. Does not know training, recipes or how text is scored.
The room lies above ``models`` and ``transcription``, whose inputs it takes, and below ``training``: a probe
never changes a weight, so nothing of training is needed.
"""

from asr_adapt.probing.classifier import Answer, LinearProbe
from asr_adapt.probing.features import POOLS, choose_stages, pooled_features
from asr_adapt.probing.run import ProbeOptions, ProbeResult, apply_probe, probe_features, probe_manifest
from asr_adapt.probing.validation import KINDS

__all__ = [
    "KINDS",
    "POOLS",
    "Answer",
    "LinearProbe",
    "ProbeOptions",
    "ProbeResult",
    "apply_probe",
    "choose_stages",
    "pooled_features",
    "probe_features",
    "probe_manifest",
]
