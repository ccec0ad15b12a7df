"""Checking a manifest before a GPU hour is spent: findings with file and line, and their repair.

Knows rows, audio measurements and the limits of a model. Changes nothing in place.
"""

from asr_adapt.manifest.check.cache import default_cache_path
from asr_adapt.manifest.check.findings import KINDS, Finding, Findings
from asr_adapt.manifest.check.fix import Action, Repairer
from asr_adapt.manifest.check.run import CheckOptions, Report, check_manifest, measure_rows

__all__ = [
    "KINDS",
    "Action",
    "CheckOptions",
    "Finding",
    "Findings",
    "Repairer",
    "Report",
    "check_manifest",
    "default_cache_path",
    "measure_rows",
]
