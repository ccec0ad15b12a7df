"""Rows to batches of training examples.

Knows waveforms, label ids, lengths and order. Does not know networks or losses.
"""
