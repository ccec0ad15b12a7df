"""The one-command demonstration: synthetic accented speech, adaptation, proof.

Knows English word lists, espeak-ng and the order of the story. Does not know how training, transcription
and scoring work inside, nor the terminal.
"""
