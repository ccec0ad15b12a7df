"""What a finished run left, from Python: model, figures, predictions, report.

Knows the files of a result folder. Does not know how they came to be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asr_adapt.errors import DataError

if TYPE_CHECKING:
    from asr_adapt.api.transcriber import Transcriber
    from asr_adapt.scoring import Comparison, Score
    from asr_adapt.training.recipe.schema import Recipe


@dataclass(frozen=True)
class Adapted:
    """A finished run; ``folder`` holds model, ``summary.json``, predictions, recipe, card and report."""

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Adapted:
        """The result in a folder of ``asr-adapt train`` or ``adapt``; DataError where none is whole."""
        given = Path(folder)
        for place in (given, given / "model"):
            if (place / "summary.json").is_file():
                return cls(place)
        raise DataError("holds no finished run: it has no summary.json.", path=given)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds: WER before and after as fractions, steps, seconds, hints."""
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def model(self) -> Transcriber:
        """The adapted model, loaded when it is first asked for."""
        from asr_adapt.api.transcriber import load

        return load(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it was carried out; its manifest paths are absolute."""
        import yaml

        from asr_adapt.training import build_recipe

        path = self.folder / "recipe.yaml"
        return build_recipe(yaml.safe_load(path.read_text(encoding="utf-8")), path=str(path))

    @property
    def report(self) -> Path:
        """The report page."""
        return self.folder / "report.html"

    def predictions(self, when: Literal["before", "after"] = "after", of: str = "target") -> Path:
        """The predictions file of a set (``target`` or ``guard``) before or after."""
        path = self.folder / "predictions" / f"{of}.{when}.jsonl"
        if not path.is_file():
            raise DataError(f"the run did not measure {of} {when}.", path=path)
        return path

    def score(
        self, when: Literal["before", "after"] = "after", *, of: str = "target", by: Sequence[str] = ()
    ) -> Score:
        """WER with its interval of a set, before or after; ``by`` are fields to report apart."""
        from asr_adapt.scoring import score

        return score(self.predictions(when, of), by)

    def compare(self, *, of: str = "target", by: Sequence[str] = ()) -> Comparison:
        """The paired difference between before and after on a set, with its verdict."""
        from asr_adapt.scoring import compare

        return compare(self.predictions("before", of), self.predictions("after", of), by)

    def _repr_html_(self) -> str:
        from asr_adapt.scoring.notebook import show_summary

        return show_summary(self.summary)
