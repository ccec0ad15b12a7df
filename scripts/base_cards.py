"""Publishing a bundled base: its model card, its float16 copy in the package's assets.

Knows what a card states and where its figures come from. Does not know how the model was trained.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asr_adapt.files import atomic_directory
from asr_adapt.models import load_recogniser

ASSETS = Path(__file__).resolve().parents[1] / "asr_adapt" / "assets"

CARD = """---
library_name: transformers
pipeline_tag: automatic-speech-recognition
language: en
license: apache-2.0
---
# {name}

A small English recogniser ({parameters:.1f} M parameters, wav2vec 2.0 architecture, CTC over letters, 20 ms
frames) that travels with asr_adapt, so that adaptation can be shown without a network. It is a starting point
to adapt, not a product.

**Data.** Synthetic US English (espeak-ng, 64 voice variants, sentences over 4,893 word forms, digits, spelled
letters; rooms, noise and telephone band mixed in) and the mild-accent speakers of speechocean762 *train*
but four (Apache-2.0, jimbozhang/speechocean762), as they are and in augmented copies: 49.6 hours in all.
Medium and heavy speakers and every test part were never read. No other recordings, no other model.

**Training.** `scripts/prepare_pretraining.py`, then `scripts/pretrain_base.py`; stages in `docs/log.md`.

**Figures.** Unseen sentences and voices, greedy, normalisation `{profile}` version {version}:

| set | utterances | WER | 95 % interval | CER |
|---|--:|--:|---|--:|
| synthetic US English | {utterances} | {wer:.1%} | {low:.1%}–{high:.1%} | {cer:.1%} |

Real speech, by accent band and age: `docs/benchmarks.md`.

**Licence.** Apache-2.0, as the project.
"""


def card(name: str, summary: dict[str, Any]) -> str:
    """The model card, with the figures of the run's own ``summary.json``."""
    target = summary["target"]
    return CARD.format(
        name=name,
        parameters=summary["parameters"] / 1e6,
        utterances=target["utterances"],
        wer=target["after"],
        low=target["after_interval"]["low"],
        high=target["after_interval"]["high"],
        cer=target["after_cer"],
        **summary["normalisation"],
    )


def install(model: Path, name: str) -> None:
    """Copy a trained model to the package's assets in float16, with its card."""
    recogniser = load_recogniser(model, device="cpu")
    recogniser.model.half()
    summary = json.loads((model / "summary.json").read_text(encoding="utf-8"))
    with atomic_directory(ASSETS / name) as work:
        recogniser.save(work)
        (work / "README.md").write_text(card(name, summary), encoding="utf-8")
