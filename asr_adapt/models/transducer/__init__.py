"""Transducers: an encoder, a network that predicts the next token, and a joint of both.

Knows nothing by itself; each architecture has its own file.
"""
