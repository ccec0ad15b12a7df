"""The loop and what it needs: schedules, strategies, optimisers, checkpoints, averaging.

Knows gradients and steps. Does not know recipes' files, labels' styles or the command line.
"""
