"""A repository of the Hugging Face hub as a folder on this machine.

Knows which of a repository's files a recogniser needs, and what to do without network. Does not know what is
in them. One question a load: the hub is asked for the newest revision; if it does not answer, the copy in the
cache is used, and that is said.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from asr_adapt.errors import ModelError
from asr_adapt.files import atomic_write

logger = logging.getLogger(__name__)

#: Seconds that the hub may take to name the newest revision.
PATIENCE = 10.0
_SMALL = re.compile(r"[^/]+\.(json|txt|model)")
_SAFE = re.compile(r"(model(-\d+-of-\d+)?|adapter_model)\.safetensors")
_PICKLED = re.compile(r"(pytorch_model(-\d+-of-\d+)?|adapter_model)\.bin")
_TOKENISERS = ("tokenizer.json", "vocab.json", "tokenizer_config.json")
# The hub's client has changed its HTTP library more than once: take the class of failures from its own error.
_HTTPError: type[Exception] = HfHubHTTPError.__mro__[1]


def _remember(folder: Path) -> None:
    """Let the cache call this revision ``main``: its library names none that was asked for by number."""
    reference = folder.parents[1] / "refs" / "main"
    if not reference.is_file() or reference.read_text(encoding="utf-8") != folder.name:
        with atomic_write(reference) as handle:
            handle.write(folder.name)


class HubError(ModelError):
    """The hub gives nothing and neither does its cache; ``reason`` says why in a few words."""

    def __init__(self, repository: str, reason: str, fix: str) -> None:
        self.reason = reason
        super().__init__(
            f"{reason} and the cache holds no copy: {fix}, or give a local directory.", path=repository
        )


def snapshot(repository: str) -> Path:
    """The folder of the newest revision (owner/name), downloaded where the cache lacks it.

    Raises :class:`HubError` for a repository that does not exist, may not be read, or cannot be reached.
    """
    try:
        found = huggingface_hub.model_info(repository, timeout=PATIENCE)
    except HFValidationError as error:
        raise ModelError("is not a hub id: give owner/name.", path=repository) from error
    except OfflineModeIsEnabled as error:
        return _cached(repository, "HF_HUB_OFFLINE is set", error)
    except GatedRepoError as error:
        fix = "ask for access on its page, then run hf auth login"
        return _cached(repository, "the hub requires its conditions to be accepted", error, fix)
    except RepositoryNotFoundError as error:
        fix = "check the spelling, or run hf auth login if it is private"
        return _cached(repository, "the hub has no such model", error, fix)
    except (_HTTPError, OSError) as error:
        return _cached(repository, f"the hub cannot be reached ({type(error).__name__})", error)
    wanted = wanted_files([item.rfilename for item in found.siblings or []])
    try:
        folder = huggingface_hub.snapshot_download(repository, revision=found.sha, allow_patterns=wanted)
    except (_HTTPError, OSError) as error:
        reason = f"the download was interrupted ({type(error).__name__})"
        return _cached(repository, reason, error)
    _remember(Path(folder))
    return Path(folder)


def in_cache(repository: str) -> Path | None:
    """The folder of ``repository`` in the cache; None where weights or tokeniser lack. Asks nobody."""
    found = huggingface_hub.try_to_load_from_cache(repository, "config.json")
    if not isinstance(found, str):
        return None
    names = {path.name for path in Path(found).parent.iterdir() if path.exists()}
    weights = any(_SAFE.fullmatch(name) or _PICKLED.fullmatch(name) for name in names)
    return Path(found).parent if weights and names.intersection(_TOKENISERS) else None


def one_file(repository: str, name: str) -> Path:
    """One file of ``repository`` alone, from the cache or the hub; raises :class:`HubError`."""
    found = huggingface_hub.try_to_load_from_cache(repository, name)
    if isinstance(found, str):
        return Path(found)
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, etag_timeout=PATIENCE))
    except (_HTTPError, OSError) as error:
        reason = "HF_HUB_OFFLINE is set" if huggingface_hub.constants.HF_HUB_OFFLINE else str(error)
        raise HubError(repository, reason.splitlines()[0], "check the network") from error


def wanted_files(names: list[str]) -> list[str]:
    """Of a repository's files those that loading reads: small ones and one set of weights."""
    weights = [name for name in names if _SAFE.fullmatch(name)]
    weights = weights or [name for name in names if _PICKLED.fullmatch(name)]
    return [name for name in names if _SMALL.fullmatch(name)] + weights


def fetch(repository: str, folder: Path, name: str) -> Path | None:
    """One more file of the revision in ``folder``; None where the repository has none of that name."""
    if (folder / name).is_file():
        return folder / name
    try:
        return Path(huggingface_hub.hf_hub_download(repository, name, revision=folder.name))
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not in the cache and the hub cannot be reached: go online once.", path=repository
        ) from error
    except EntryNotFoundError:
        return None
    except (_HTTPError, OSError) as error:
        raise ModelError(
            f"{name} cannot be downloaded ({type(error).__name__}): check the network.", path=repository
        ) from error


def _cached(
    repository: str, reason: str, error: Exception, fix: str = "check the spelling and the network"
) -> Path:
    """The newest revision in the cache; a ModelError with ``reason`` where there is none."""
    for name in ("config.json", "adapter_config.json"):
        found = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            if not isinstance(error, OfflineModeIsEnabled):
                logger.warning("%s: %s; the copy in the cache is used", repository, reason)
            return Path(found).parent
    raise HubError(repository, reason, fix) from error
