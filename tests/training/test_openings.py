"""A run opens each of its manifests once: indexing a corpus of millions of rows takes a while."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from asr_adapt.manifest import manifest
from asr_adapt.manifest.index import LineIndex
from asr_adapt.training import adapt, build_recipe


@pytest.fixture
def opened(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each manifest of the corpus was opened, by file name."""
    found: Counter[str] = Counter()
    index_lines = manifest.index_lines

    def counted(path: str | Path) -> LineIndex:
        if Path(path).parent == corpus:  # the run's own predictions are none of its manifests
            found[Path(path).name] += 1
        return index_lines(path)

    monkeypatch.setattr(manifest, "index_lines", counted)
    return found


def test_a_run_opens_each_manifest_once(tree: dict[str, Any], tmp_path: Path, opened: Counter[str]) -> None:
    replay = {"manifest": tree["guard"], "share": 0.25}
    short = {"schedule": {"steps": 4, "kind": "constant"}, "evaluation": {"every": 2, "rows": 2}}
    adapt(build_recipe(tree | short | {"replay": replay}), tmp_path / "run", quiet=True)
    # guard.jsonl is two sets of this recipe: the guard, and the corpus that is replayed
    assert opened == {"train.jsonl": 1, "dev.jsonl": 1, "guard.jsonl": 2}
