"""What ``transcribe``, ``evaluate`` and ``calibrate`` load: rows, a recogniser, a map of word confidence.

Knows how options become these. Does not decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from asr_adapt.cli.adapters import NO_ADAPTERS, Adapters
from asr_adapt.errors import UsageError
from asr_adapt.files import user_path

if TYPE_CHECKING:
    from asr_adapt.manifest import Manifest
    from asr_adapt.models import Recogniser
    from asr_adapt.scoring.calibration import Calibration
    from asr_adapt.transcription.decoding.fusion import Decoding


class Runtime(StrEnum):
    """What computes the network."""

    torch = "torch"
    onnx = "onnx"
    onnx_int8 = "onnx-int8"
    ctranslate2 = "ctranslate2"
    auto = "auto"


@dataclass(frozen=True)
class ChosenModel:
    """A model as the options ask for it; nothing is loaded before :meth:`load`."""

    name: str
    decoding: Decoding
    runtime: Runtime = Runtime.torch
    device: str = "auto"
    compute_type: str = "auto"
    #: None: the one saved with the model.
    task: str | None = None
    #: LoRA adapters to put on the model; see :mod:`asr_adapt.cli.adapters`.
    adapters: Adapters = NO_ADAPTERS

    def load(self) -> Recogniser:
        """The recogniser; raises UsageError for a device or a task that the runtime lacks."""
        from asr_adapt.models import load_recogniser
        from asr_adapt.transcription.decoding.fusion import with_decoding

        if self._chosen_runtime in (Runtime.torch, Runtime.ctranslate2):
            ctranslate2 = self._chosen_runtime is Runtime.ctranslate2
            if ctranslate2 and self.adapters:
                raise UsageError("--runtime ctranslate2 takes no adapter: export the merged model first.")
            opened = _open_ctranslate2 if ctranslate2 else self.adapters.opener(load_recogniser)
            plain = opened(self.name, device=self.device, compute_type=self.compute_type)
            if self.task is not None:
                plain.set_task(self.task)
            return self.adapters.choosing(plain, with_decoding(plain, self.decoding))
        if self.adapters:
            raise UsageError(f"--runtime {self.runtime.value} takes no adapter: leave --runtime out.")
        if self.device not in ("auto", "cpu") or self.compute_type not in ("auto", "fast", "float32"):
            raise UsageError(
                f"--runtime {self.runtime.value} computes on the CPU: leave --device and --compute-type."
            )
        if self.task not in (None, "transcribe"):
            raise UsageError(f"--runtime {self.runtime.value} cannot {self.task}: leave --runtime out.")
        from asr_adapt.transcription.runtimes.onnx_runtime import OnnxRecogniser

        return with_decoding(OnnxRecogniser(self.name, int8=self.runtime is Runtime.onnx_int8), self.decoding)

    def calibration(self, chosen: str | None) -> Calibration | None:
        """The map of word confidence in the file ``chosen``; of None the model's own, for plain decoding.

        ``none`` asks for confidences as the model gives them. Raises DataError for a file that holds no map.
        """
        from asr_adapt.scoring.calibration import Calibration
        from asr_adapt.transcription.calibration import calibration_beside

        if chosen == "none":
            return None
        if chosen is not None:
            return Calibration.read(chosen)
        return calibration_beside(self.name) if self._plain and not self.adapters else None

    def calibration_target(self, output: Path | None) -> Path:
        """Where a new map goes: ``output``, else the model's own directory, if it would be found there."""
        from asr_adapt.models import bundled_models
        from asr_adapt.transcription.calibration import calibration_path

        if output is not None:
            return output
        if self.name in bundled_models() or not user_path(self.name).is_dir():
            raise UsageError(
                f"{self.name} has no directory of yours: say where the map goes with --output FILE."
            )
        if not self._plain:
            raise UsageError("the map in a model's directory is for plain decoding: give --output FILE.")
        return calibration_path(self.name)

    def files(self, *, without: Path) -> list[Path]:
        """The files of a model's directory but ``without``, the map of confidences that is fitted anew."""
        from asr_adapt.transcription.calibration import CALIBRATION_FILE

        folder = user_path(self.name)
        found = folder.iterdir() if folder.is_dir() else iter(())
        return [path for path in found if path != without or path.name != CALIBRATION_FILE]

    @cached_property
    def _chosen_runtime(self) -> Runtime:
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
        from asr_adapt.transcription.decoding.fusion import Decoding

        return (
            self._chosen_runtime is Runtime.torch
            and not self.adapters.several
            and replace(self.decoding, guard=Decoding().guard) == Decoding()
        )

    @property
    def _plain(self) -> bool:
        from asr_adapt.transcription.decoding.fusion import Decoding

        return self.decoding == Decoding()


def _open_ctranslate2(name: str, *, device: str, compute_type: str) -> Recogniser:
    from asr_adapt.transcription.runtimes.ctranslate2_runtime import open_ctranslate2

    return open_ctranslate2(name, device=device, compute_type=compute_type)


def found_in(folder: str | None, model: str) -> str:
    """The model of that name in ``folder``, where it is there; else the name as it is."""
    if folder is None:
        return model
    path = user_path(folder) / model
    return str(path) if path.exists() else model


def decoding_from(
    lm: Path | None,
    hotwords: Sequence[str] | None,
    weight: float | None,
    width: int | None,
    prompt: str = "",
    fallback: bool = False,
    guard: bool = True,
    hotwords_weight: float | None = None,
) -> Decoding:
    """The decoding that the options ask for; without any, the best path is taken."""
    from asr_adapt.transcription.decoding.beam import BeamOptions
    from asr_adapt.transcription.decoding.fusion import Decoding, tuned_options
    from asr_adapt.transcription.decoding.hotwords import parse_hotwords

    options = None
    if weight is not None or width is not None:
        options = tuned_options(lm) if lm is not None else BeamOptions()
        options = replace(options, weight=options.weight if weight is None else weight)
        options = replace(options, width=options.width if width is None else width)
    return Decoding(
        lm,
        parse_hotwords(hotwords or ()),
        options,
        prompt,
        fallback,
        guard,
        hotwords_weight=hotwords_weight if hotwords else None,
    )


def scorable(manifest: str) -> Manifest:
    """The manifest; raises DataError for the first row without text, before any work is done."""
    from asr_adapt.manifest import Manifest, require_rows

    rows = require_rows(Manifest.open(manifest))
    for row in rows:
        if row.text is None:
            raise row.error('missing: add the reference transcript ("" for silence).', "text")
    return rows


def seconds_of(rows: Manifest) -> float:
    """Seconds of audio in all; 0 when any duration is unknown."""
    total = float(rows.durations.sum())
    return total if total == total else 0.0
