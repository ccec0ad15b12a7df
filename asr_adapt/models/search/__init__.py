"""How tokens follow each other: greedy, sampled and beam search, biased, and checked for loops.

Knows scores of tokens. Does not know which network gives them, nor audio.
"""
