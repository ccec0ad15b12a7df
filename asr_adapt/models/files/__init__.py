"""A model directory on disk: its files, its weights, its processor.

Knows what transformers and PEFT write. Does not know recognisers.
"""
