"""Where somebody speaks, and who.

Knows voice activity and turns of speakers. Does not know recognisers.
"""
