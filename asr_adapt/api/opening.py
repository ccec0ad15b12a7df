"""A model by name, opened with the runtime and the decoding that were asked for.

Knows which runtime suits a name and what it cannot do; everything is checked before the weights are read.
Does not decode.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asr_adapt.api.adapters import NO_ADAPTERS, Adapters
from asr_adapt.decoding import Decoding
from asr_adapt.errors import UsageError
from asr_adapt.files import user_path

if TYPE_CHECKING:
    from asr_adapt.models import Recogniser

RuntimeName = Literal["torch", "onnx", "onnx-int8", "ctranslate2", "auto"]
#: Types that every runtime may be asked for.
COMPUTE_TYPES = ("auto", "fast", "float32", "bfloat16", "float16")


class Runtime(StrEnum):
    """What computes the network."""

    torch = "torch"
    onnx = "onnx"
    onnx_int8 = "onnx-int8"
    ctranslate2 = "ctranslate2"
    auto = "auto"

    @classmethod
    def named(cls, name: str) -> Runtime:
        """The runtime of that name; raises UsageError that lists them."""
        try:
            return cls(name)
        except ValueError:
            raise UsageError(f"runtime is one of {', '.join(cls)}, not {name!r}.") from None


@dataclass(frozen=True)
class ChosenModel:
    """A model as it is asked for; nothing is loaded before :meth:`load`.

    What can be refused without the model is refused when this is made.
    """

    name: str
    decoding: Decoding = field(default_factory=Decoding)
    runtime: Runtime = Runtime.torch
    device: str = "auto"
    compute_type: str = "auto"
    #: LoRA adapters to put on the model.
    adapters: Adapters = NO_ADAPTERS

    def __post_init__(self) -> None:
        kind = self.device.partition(":")[0]
        if kind not in ("auto", "cpu", "cuda", "mps"):
            raise UsageError(f"device is auto, cpu, cuda, cuda:1 or mps, not {self.device!r}.")
        if self.adapters and self.runtime is Runtime.ctranslate2:
            raise UsageError(
                "--runtime ctranslate2 does not support adapters: export the merged model first."
            )
        if self.adapters and self.runtime in (Runtime.onnx, Runtime.onnx_int8):
            raise UsageError(f"--runtime {self.runtime.value} does not support adapters: remove --runtime.")
        if self.runtime in (Runtime.onnx, Runtime.onnx_int8):
            self._require_cpu()
        elif self.runtime is Runtime.torch and self.compute_type not in COMPUTE_TYPES:
            raise UsageError(f"compute_type is one of {', '.join(COMPUTE_TYPES)}, not {self.compute_type!r}.")

    def _require_cpu(self) -> None:
        if self.device not in ("auto", "cpu") or self.compute_type not in ("auto", "fast", "float32"):
            raise UsageError(
                f"--runtime {self.runtime.value} runs on the CPU: remove --device and --compute-type."
            )

    def load(self) -> Recogniser:
        """The recogniser; raises UsageError for a device or a task that the runtime lacks."""
        return self.decoding_as_asked(self.load_plain())

    def decoding_as_asked(self, plain: Recogniser) -> Recogniser:
        """What :meth:`load_plain` gave, under the decoding and with the adapters that were asked for."""
        from asr_adapt.transcription.decoding.fusion import with_decoding

        return self.adapters.choosing(plain, with_decoding(plain, self.decoding))

    def load_plain(self) -> Recogniser:
        """The recogniser as its files say it decodes."""
        if self.chosen_runtime is Runtime.torch:
            from asr_adapt.models import load_recogniser

            opened = self.adapters.opener(load_recogniser)
            return opened(self.name, device=self.device, compute_type=self.compute_type)
        if self.chosen_runtime is Runtime.ctranslate2:
            from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_ctranslate2

            return open_ctranslate2(self.name, device=self.device, compute_type=self.compute_type)
        from asr_adapt.transcription.runtimes.onnx_runtime import open_onnx

        return open_onnx(self.name, int8=self.runtime is Runtime.onnx_int8)

    def listening(self) -> Decoding:
        """The decoding with its map of word confidence read: the one named, else the model's own."""
        from asr_adapt.transcription.calibration import with_map

        return with_map(self.decoding, None if self.adapters else self.name)

    def calibration_target(self, output: Path | None) -> Path:
        """Where a new map goes: ``output``, else the model's own directory, if it would be found there."""
        from asr_adapt.models import bundled_models
        from asr_adapt.transcription.calibration import calibration_path

        if output is not None:
            return output
        if self.name in bundled_models() or not user_path(self.name).is_dir():
            raise UsageError(
                f"{self.name} is not in a folder of yours: name the calibration file with --output FILE."
            )
        if not self.decoding.plain:
            raise UsageError("the calibration in a model's folder is for plain decoding: give --output FILE.")
        return calibration_path(self.name)

    def files(self, *, without: Path) -> list[Path]:
        """The files of a model's directory but ``without``, the map of confidences that is fitted anew."""
        from asr_adapt.transcription.calibration import CALIBRATION_FILE

        folder = user_path(self.name)
        found = folder.iterdir() if folder.is_dir() else iter(())
        return [path for path in found if path != without or path.name != CALIBRATION_FILE]

    @cached_property
    def chosen_runtime(self) -> Runtime:
        """The runtime asked for; of auto, CTranslate2 for a Whisper where it is installed, else torch.

        Hot words and adapters take torch: CTranslate2's search cannot be biased.
        """
        if self.runtime is not Runtime.auto:
            return self.runtime
        from asr_adapt.models.loading import is_whisper

        installed = find_spec("ctranslate2") is not None and not (self.decoding.hotwords or self.adapters)
        return Runtime.ctranslate2 if installed and is_whisper(self.name) else Runtime.torch

    @property
    def keeps(self) -> bool:
        """Whether transcripts follow from weights and settings alone, so that they may be kept and reused."""
        plain = self.decoding.told("search").keys() <= {"hallucination_checks"} and not self.adapters.several
        return plain and self.chosen_runtime is Runtime.torch


def found_in(folder: str | None, model: str) -> str:
    """The model of that name in ``folder``, where it is there; else the name as it is."""
    if folder is None:
        return model
    path = user_path(folder) / model
    return str(path) if path.exists() else model
