"""The frozen prefix, computed once and kept on disk.

Knows states of rows and their folder. Does not know the loop or what learns.
"""
