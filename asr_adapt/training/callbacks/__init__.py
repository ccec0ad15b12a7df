"""What a run tells and keeps while it trains: metrics, trackers, rates, the best weights, early stopping.

Knows the moments of training. Does not know how a step is computed.
"""
