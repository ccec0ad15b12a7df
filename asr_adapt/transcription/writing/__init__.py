"""Transcripts as files: formats, names, and which source each file is of.

Knows finished transcripts. Does not know how they were heard.
"""
