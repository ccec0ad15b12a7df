"""What this computer can hold and how long it takes: batch size, speed-ups, forecast.

Knows memory and arithmetic. Does not know what the numbers mean.
"""
