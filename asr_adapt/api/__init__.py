"""What ``import asr_adapt`` offers: every command of the command line as a typed function, and its results.

Knows what a caller may pass and gets back, and refuses what cannot be before any model is loaded. Does not
know how anything is computed; the rooms below do. Heavy rooms are imported inside the functions that need
them.
"""
