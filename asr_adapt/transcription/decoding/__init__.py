"""Beyond the best path: n-gram language models, hotwords, prefix beam search, alignment.

Knows log-probabilities of characters and of words. Does not know audio or how log-probabilities come about.
"""
