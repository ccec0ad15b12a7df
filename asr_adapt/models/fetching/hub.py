"""Whisper models on the Hugging Face hub and in its cache.

Knows which files are needed and what a hub that cannot be reached looks like. Does not know other sources.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FILES = ["*.json", "*.txt", "model*.safetensors"]
#: Small files are in the cache too where someone loaded the tokeniser alone, so the weights must be there.
_NEEDED = ("config.json", "tokenizer.json")


class HubUnreachable(Exception):
    """The hub gave nothing; the text says why, in a few words."""


def in_hub_cache(repository: str) -> Path | None:
    """The folder of ``repository`` in the hub's cache; None where files are missing."""
    try:
        folder = _snapshot(repository, local_files_only=True)
    except (OSError, ValueError):
        return None
    whole = all((folder / name).is_file() for name in _NEEDED) and any(folder.glob("model*.safetensors"))
    return folder if whole else None


def hub_is_off() -> bool:
    """Whether the environment forbids the hub (``HF_HUB_OFFLINE``)."""
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return bool(HF_HUB_OFFLINE)


def download(repository: str) -> Path:
    """Fetch ``repository`` into the hub's cache; its bars go to stderr. Raises :class:`HubUnreachable`."""
    if hub_is_off():
        raise HubUnreachable("HF_HUB_OFFLINE is set")
    try:
        return _snapshot(repository)
    except (OSError, ValueError) as error:
        raise HubUnreachable(_reason(error)) from error


def download_file(repository: str, name: str) -> Path:
    """One file of ``repository``, from the hub's cache or the hub. Raises :class:`HubUnreachable`."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, local_files_only=hub_is_off()))
    except (OSError, ValueError) as error:
        raise HubUnreachable(_reason(error)) from error


def _snapshot(repository: str, **options: Any) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repository, allow_patterns=_FILES, **options))


def _reason(error: BaseException) -> str:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
