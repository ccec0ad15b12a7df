"""Manifests to predictions, kept from run to run.

Knows rows and their transcripts. Does not know windows of long audio.
"""
