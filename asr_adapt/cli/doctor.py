"""The checks behind ``asr-adapt doctor``: Python, packages, codecs, devices, cache, write permission.

Knows what a healthy installation looks like and the fix for each fault. Does not print. Every check runs the
real thing (decodes, multiplies, writes), because an import that works proves little.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

State = Literal["good", "warning", "broken"]

#: What an extra is for, by its name; one that is not named here is listed all the same.
USES = {
    "vad": "speech detection (--vad)",
    "plots": "plots",
    "lora": "LoRA (strategy lora)",
    "small-gpu": "8- and 4-bit weights and optimiser states (strategy.quantise, adamw_8bit)",
    "speech2text": "Speech2Text models",
    "parquet": "corpora in parquet shards",
    "onnx": "export to ONNX (--runtime onnx)",
    "ctranslate2": "export to CTranslate2, for faster-whisper",
    "ggml": "whisper.cpp, to verify an export (export --to ggml --verify)",
    "lm": "KenLM binaries (--lm)",
    "url": "inputs from the web (https://…)",
    "diarize": "speakers (transcribe --diarize)",
    "meetings": "cpWER of conversations (score)",
    "live": "the microphone (asr-adapt transcribe --live)",
    "serve": "web page and OpenAI-compatible server (asr-adapt serve)",
    "torchaudio": "a second resampler",
}
#: Extras for who works on asr-adapt itself.
FOR_DEVELOPERS = {"dev"}
CODECS = (
    ("WAV", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)
OLDEST_PYTHON = (3, 11)
LEAST_FREE_GB = 2.0


@dataclass(frozen=True)
class Diagnosis:
    """One check: its subject, its state, what was seen, and the fix where one is needed."""

    subject: str
    state: State
    seen: str
    fix: str = ""

    def line(self) -> str:
        """One line for people."""
        sign = {"good": "ok  ", "warning": "note", "broken": "BAD "}[self.state]
        return f"{sign} {self.subject}: {self.seen}" + (f" Fix: {self.fix}" if self.fix else "")

    def to_json(self) -> dict[str, str]:
        """The same for programs."""
        return {"subject": self.subject, "state": self.state, "seen": self.seen, "fix": self.fix}


def examine() -> list[Diagnosis]:
    """Run every check; one that fails in an unforeseen way is itself a finding."""
    checks: list[Callable[[], Iterator[Diagnosis]]] = [
        _python, _packages, _torch, _torchaudio, _devices, _codecs, _speech_synthesis, _extras, _models,
        _own_cache, _cache, _writing,
    ]  # fmt: skip
    findings: list[Diagnosis] = []
    for check in checks:
        try:
            findings.extend(check())
        except Exception as error:  # the doctor reports, it does not fall ill
            name = check.__name__.strip("_").replace("_", " ")
            findings.append(
                Diagnosis(name, "broken", f"{type(error).__name__}: {error}", "reinstall asr-adapt")
            )
    return findings


def _python() -> Iterator[Diagnosis]:
    seen = f"{sys.version.split()[0]} at {sys.executable}"
    if tuple(sys.version_info) < OLDEST_PYTHON:
        yield Diagnosis("Python", "broken", seen, "use Python 3.11 or newer")
    else:
        yield Diagnosis("Python", "good", seen)


def _packages() -> Iterator[Diagnosis]:
    """Every package that the installation says it needs, and its version."""
    required = _requirements("")
    faults = [finding for one in required if (finding := _fault(one, "broken")) is not None]
    yield from faults
    if not required:
        yield Diagnosis("asr-adapt", "warning", "not installed as a package", "pip install asr-adapt")
    elif not faults:
        yield Diagnosis("packages", "good", f"all {len(required)} required packages are installed")


def _requirements(extra: str) -> list[Requirement]:
    """What the installed asr-adapt needs by itself, or for an extra."""
    try:
        listed = [Requirement(text) for text in requires("asr-adapt") or ()]
    except PackageNotFoundError:
        return []
    without = [one for one in listed if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return without
    wanted = [one for one in listed if one.marker is not None and one.marker.evaluate({"extra": extra})]
    return [one for one in wanted if one not in without]


def _fault(needed: Requirement, state: State) -> Diagnosis | None:
    """What is wrong with a required package; None where it is there in a version that does."""
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        found = ""
    if found and needed.specifier.contains(found.split("+")[0], prereleases=True):
        return None
    wanted = str(needed.specifier) or "any version"
    seen = f"{found or 'not installed'}, {wanted} is needed"
    return Diagnosis(needed.name, state, seen, f"pip install '{needed.name}{needed.specifier}'")


def _torch() -> Iterator[Diagnosis]:
    import torch

    product = float((torch.ones(8, 8) @ torch.ones(8, 8)).sum())
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    seen = f"{torch.__version__} ({build}), {torch.get_num_threads()} threads"
    if product != 512.0:
        yield Diagnosis("torch", "broken", f"{seen}: 8 x 8 ones multiply to {product}", "reinstall torch")
    elif not torch.version.cuda and shutil.which("nvidia-smi"):
        yield Diagnosis("torch", "warning", f"{seen}, but there is a GPU", "install torch's CUDA build")
    else:
        yield Diagnosis("torch", "good", seen)


def _torchaudio() -> Iterator[Diagnosis]:
    """A torchaudio that cannot load also breaks ``import transformers``; a child process tells safely."""
    if find_spec("torchaudio") is None:
        yield Diagnosis("torchaudio", "good", "not installed (it is optional)")
        return
    child = subprocess.run(
        [sys.executable, "-c", "import torchaudio"], capture_output=True, text=True, check=False
    )
    if child.returncode == 0:
        yield Diagnosis("torchaudio", "good", version("torchaudio"))
    else:
        reason = (child.stderr.strip().splitlines() or ["it does not load"])[-1]
        yield Diagnosis(
            "torchaudio", "broken", reason, "pip uninstall torchaudio (asr-adapt does not need it)"
        )


def _devices() -> Iterator[Diagnosis]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            seen = f"{torch.cuda.get_device_name(index)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
            yield Diagnosis(f"cuda:{index}", "good", seen)
    elif torch.backends.mps.is_available():
        yield Diagnosis("mps", "good", "Apple GPU")
    else:
        yield Diagnosis("devices", "good", f"CPU with {os.cpu_count()} cores; no GPU")


def _codecs() -> Iterator[Diagnosis]:
    """Encode and decode a short tone in each format, then one through FFmpeg's libraries."""
    import numpy as np
    import soundfile

    tone = np.sin(np.arange(4800) / 10).astype(np.float32)
    missing = []
    for container, encoding in CODECS:
        buffer = io.BytesIO()
        try:
            soundfile.write(buffer, tone, 48_000, format=container, subtype=encoding)
            buffer.seek(0)
            soundfile.read(buffer)
        except (soundfile.LibsndfileError, ValueError, TypeError):
            missing.append(f"{container}/{encoding}")
    if missing:
        yield Diagnosis("libsndfile", "warning", f"no {', '.join(missing)}", "pip install -U soundfile")
    else:
        names = ", ".join(sorted({container.lower() for container, _ in CODECS}))
        yield Diagnosis("libsndfile", "good", f"{soundfile.__libsndfile_version__}: {names}, opus")
    av = importlib.import_module("av")
    lacking = [name for name in ("aac", "opus", "mp3", "vorbis") if name not in av.codecs_available]
    if lacking:
        yield Diagnosis("FFmpeg", "warning", f"no {', '.join(lacking)} decoder", "pip install -U av")
    else:
        yield Diagnosis("FFmpeg", "good", f"PyAV {version('av')}: m4a, mp4, webm and the rest")


def _speech_synthesis() -> Iterator[Diagnosis]:
    if find_spec("espeakng_loader") is None:
        yield Diagnosis("espeak-ng", "warning", "not installed, so no demo", "pip install espeakng-loader")
        return
    loader = importlib.import_module("espeakng_loader")
    there = Path(loader.get_library_path()).is_file() and Path(loader.get_data_path()).is_dir()
    if there:
        yield Diagnosis("espeak-ng", "good", version("espeakng-loader"))
    else:
        yield Diagnosis("espeak-ng", "warning", "its library is missing", "pip install -U espeakng-loader")


def _extras() -> Iterator[Diagnosis]:
    """Every extra: there, in part, or not, with what it is for."""
    try:
        names = metadata("asr-adapt").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return
    present, absent = [], []
    for name in sorted(set(names) - FOR_DEVELOPERS):
        needed = _requirements(name)
        faults = [fault for one in needed if (fault := _fault(one, "warning")) is not None]
        if not faults:
            present.append(name)
            continue
        use = f": no {USES[name]}" if name in USES else ""
        seen = "; ".join(f"{fault.subject} {fault.seen}" for fault in faults)
        absent.append(
            Diagnosis(f"extra {name}", "warning", f"{seen}{use}", f"pip install 'asr-adapt[{name}]'")
        )
    yield Diagnosis("extras", "good", ", ".join(present) or "none installed")
    yield from absent


def _models() -> Iterator[Diagnosis]:
    from asr_adapt.cli.model_list import bundled

    names = [row["name"] for row in bundled()]
    if names:
        yield Diagnosis("models", "good", f"bundled: {', '.join(names)}")
    else:
        yield Diagnosis("models", "broken", "no bundled model", "reinstall asr-adapt")


def _own_cache() -> Iterator[Diagnosis]:
    """The folder of fetched and converted models: what it holds, and whether it can be written."""
    from asr_adapt.pretrained.store import cached_models, models_folder

    folder, subject = models_folder(), "fetched models"
    held = cached_models()
    size = sum(model.megabytes for model in held)
    names = ", ".join(model.origin.name for model in held) or "none"
    seen = f"{names} ({size:.0f} MB) in {folder}" if held else f"none in {folder}"
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(nearest, os.W_OK):
        yield Diagnosis(
            subject, "warning", f"{seen}, not writable", "set XDG_CACHE_HOME to a writable folder"
        )
    else:
        yield Diagnosis(subject, "good", seen)


def _cache() -> Iterator[Diagnosis]:
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    folder = Path(HF_HUB_CACHE)
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(nearest).free / 1e9
    seen = f"{folder}, {free:.1f} GB free" + (", offline by HF_HUB_OFFLINE" if HF_HUB_OFFLINE else "")
    if not os.access(nearest, os.W_OK):
        yield Diagnosis("hub cache", "warning", f"{seen}, not writable", "set HF_HOME to a writable folder")
    elif free < LEAST_FREE_GB:
        yield Diagnosis("hub cache", "warning", seen, "free some space or set HF_HOME to another disk")
    else:
        yield Diagnosis("hub cache", "good", seen)


def _writing() -> Iterator[Diagnosis]:
    for subject, folder in (
        ("working folder", Path.cwd()),
        ("temporary folder", Path(tempfile.gettempdir())),
    ):
        try:
            with tempfile.NamedTemporaryFile(dir=folder):
                yield Diagnosis(subject, "good", f"{folder} can be written")
        except OSError as error:
            yield Diagnosis(subject, "broken", f"{folder}: {error.strerror}", "change to a writable folder")
