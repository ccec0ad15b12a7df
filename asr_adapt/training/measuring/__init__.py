"""WER of the recipe's sets during and after training.

Knows which sets are measured and in which encoder context. Does not know the loop.
"""
