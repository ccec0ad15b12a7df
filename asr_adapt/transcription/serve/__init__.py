"""A small local web page for transcription.

Knows HTTP and the page. Does not know how audio is transcribed.
"""

from asr_adapt.transcription.serve.server import Settings, make_server

__all__ = ["Settings", "make_server"]
