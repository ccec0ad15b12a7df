"""The learning curve: one recipe on growing parts of the data.

Knows parts, WERs and a power law. Does not know how a part is trained.
"""
