"""Whisper: network, tokens, windows of 30 s, timestamps, silence.

Knows Whisper alone. Does not know other families.
"""
