"""The recipe: its fields, its file, the values that are filled in, and remarks on it.

Knows settings. Does not know how they are carried out.
"""
