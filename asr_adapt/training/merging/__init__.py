"""Experts of several accents in one model: weights of task vectors, searched within the guard's budget.

Knows experts, their weighted sum, the search, and what a merge leaves behind. Does not know how an expert was
trained.
"""

from asr_adapt.training.merging.run import MergeResult, MergeSettings, merge_experts
from asr_adapt.training.merging.search import Found, MixtureTrial, search
from asr_adapt.training.merging.sum import Expert, ExpertSum

__all__ = [
    "Expert",
    "ExpertSum",
    "Found",
    "MergeResult",
    "MergeSettings",
    "MixtureTrial",
    "merge_experts",
    "search",
]
