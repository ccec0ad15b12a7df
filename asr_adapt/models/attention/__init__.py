"""Encoder–decoder recognisers, and what they share: features, layers, losses, decoding.

Knows networks whose decoder attends to an encoder. Does not know CTC.
"""
