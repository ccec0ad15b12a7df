"""An adapted model as others get it: a folder for a hub with card, figures and licence, no recordings.

Knows result folders and what may leave the house. Does not train, and does not score anew.
"""
