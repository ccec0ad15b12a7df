"""Words and their times from tokens, pieces and alignments.

Knows tokens, frames and words. Does not know networks.
"""
