"""Transcription over HTTP: a page, and the interface of OpenAI's speech-to-text service.

Knows HTTP and the page. Does not know how audio is transcribed.
"""

from __future__ import annotations

from asr_adapt.errors import MissingExtraError
from asr_adapt.transcription.serve.settings import ServerSettings

__all__ = ["ServerSettings", "make_server"]

try:
    from asr_adapt.transcription.serve.running import make_server
except ModuleNotFoundError as missing:
    if missing.name not in ("fastapi", "starlette", "uvicorn", "python_multipart"):
        raise
    raise MissingExtraError("The server", "serve") from missing
