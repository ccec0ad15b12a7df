"""The recordings that travel with the package: English read with a Mandarin accent, and a native guard.

Knows where they lie and how a demonstration gets its own copy. Does not know how they were chosen
(``pretraining/make_demo_speech.py``), models or scores.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from asr_adapt.demo.corpus import CORPUS_KIND, AccentCorpus
from asr_adapt.destinations import mark_folder
from asr_adapt.files import atomic_directory

#: The accent's name in commands and on screen.
RECORDED_ACCENT = "mandarin"
FOLDER = "demo-speech"


def copy_recordings(output: str | Path) -> AccentCorpus:
    """Copy manifests, audio and NOTICE to ``output``, which appears only when it is complete."""
    source = Path(str(resources.files("asr_adapt.assets"))) / FOLDER
    with atomic_directory(output) as work:
        shutil.copytree(source, work, dirs_exist_ok=True)
        mark_folder(work, CORPUS_KIND)
    return AccentCorpus(Path(output), RECORDED_ACCENT)
