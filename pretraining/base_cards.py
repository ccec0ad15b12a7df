"""Publishing a bundled base: its model card, its float16 copy in the package's assets.

Knows what a card states and where its figures come from. Does not know how the model was trained.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr_adapt import evaluate
from asr_adapt.files import atomic_directory
from asr_adapt.manifest import Manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring import wer_with_interval
from asr_adapt.scoring.estimate import Estimate
from asr_adapt.text import profile

ASSETS = Path(__file__).resolve().parents[1] / "asr_adapt" / "assets"

PROFILE = "basic"
FRAME = """---
library_name: transformers
pipeline_tag: automatic-speech-recognition
language: en
license: apache-2.0
---
# {name}

{about}

{training}

**Figures.** Unseen sentences and voices, greedy, normalisation `{profile}` version {version}:

| set | utterances | WER | 95 % interval | CER |
|---|--:|--:|---|--:|
{figures}

Real speech, by accent band and age: `docs/benchmarks.md`.

**Licence.** Apache-2.0, as the project.
"""

CTC_ABOUT = """A small English recogniser ({parameters:.1f} M parameters, wav2vec 2.0 architecture, CTC over
letters, 20 ms frames) that travels with asr_adapt, so that adaptation can be shown without a network. It is a
starting point to adapt, not a product.

**Data.** Synthetic US English (espeak-ng, 64 voice variants, sentences over 4,893 word forms, digits, spelled
letters; rooms, noise and telephone band mixed in) and the mild-accent speakers of speechocean762 *train*
but four (Apache-2.0, jimbozhang/speechocean762), as they are and in augmented copies: 49.6 hours, then 24.5
hours of mostly clean speech.
Medium and heavy speakers and every test part were never read. No other recordings, no other model."""

WHISPER_ABOUT = """A small English recogniser ({parameters:.1f} M parameters, Whisper architecture: 4 encoder
and 3 decoder layers of width 256, byte-level BPE of 400 text tokens) that travels with asr_adapt, so that
adapting an encoder–decoder model can be shown without a network. It is a starting point to adapt, not a
product: it knows voice commands for the home and digit strings, about 190 words; of open English it knows
little. It was taught English transcripts without timestamps and nothing else: no translation, no other
language, no silence.

**Data.** {hours:.1f} hours: synthetic US English (espeak-ng, 64 voice variants; four fifths of the sentences
from the home domain, the rest over 4,893 word forms; rooms, noise and telephone band mixed into most of it)
and the mild-accent speakers of speechocean762 *train* but four (Apache-2.0, jimbozhang/speechocean762), as
they are, in one augmented copy, and their texts spoken by espeak-ng. Medium and heavy speakers and every test
part were never read. No other recordings, no other model."""

TRAINING = """**Training.** `pretraining/prepare_pretraining.py`, then `pretraining/pretrain_base.py`;
stages in `docs/log.md`."""
WHISPER_TRAINING = """**Training.** `pretraining/prepare_pretraining.py --home 0.8`, then
`pretraining/pretrain_base.py --family whisper`: short clips first, mostly through an auxiliary CTC loss
(Kim et al., arXiv 1609.06773), then all clips, in windows cut to their length and now and then in longer ones
up to 30 s. Steps and times in `docs/log.md`."""

OPEN = "open domain (4,893 word forms), synthetic US English"
#: Family → what the card says of model and data, of training, and the corpus' test sets with their titles.
CARDS = {
    "ctc": (CTC_ABOUT, TRAINING, {"test_us": OPEN}),
    "whisper": (
        WHISPER_ABOUT,
        WHISPER_TRAINING,
        {"test_home": "home domain, synthetic US English", "test_us": OPEN},
    ),
}
#: How much an encoder–decoder model hears, and what the card calls it; the last is what is saved.
CONTEXTS = {"dynamic": ", window cut to the clip", "full": ", 30 s window"}


@dataclass(frozen=True)
class Figure:
    """One row of the card's table."""

    title: str
    utterances: int
    estimate: Estimate


def install(model: Path, name: str, family: str, corpus: Path) -> None:
    """Copy a trained model to the package's assets in float16, with its card; measures the sets first."""
    recogniser = load_recogniser(model, device="cpu", compute_type="float32")
    sets = CARDS[family][2]
    figures = [
        _measured(
            recogniser, f"{title}{CONTEXTS.get(context, '')}", corpus / folder / "manifest.jsonl", context
        )
        for folder, title in sets.items()
        for context in (CONTEXTS if family == "whisper" else ("",))
    ]
    summary = json.loads((model / "summary.json").read_text(encoding="utf-8"))
    recogniser.model.half()
    with atomic_directory(ASSETS / name) as work:
        recogniser.save(work)
        (work / "README.md").write_text(card(name, family, summary, figures), encoding="utf-8")


def _measured(recogniser: Recogniser, title: str, path: Path, context: str) -> Figure:
    if context:
        recogniser.use_context(context)
    rows = evaluate(Manifest.open(path), model=recogniser)
    speakers = [row.speaker for row in rows.rows]
    return Figure(
        title, len(rows.rows), wer_with_interval(rows.references, rows.hypotheses, speakers, PROFILE)
    )


def card(name: str, family: str, summary: dict[str, Any], figures: Sequence[Figure]) -> str:
    """The model card: size and hours from the run's own ``summary.json``, and the figures."""
    about, training, _ = CARDS[family]
    facts = {"parameters": summary["parameters"] / 1e6, "hours": summary["hours"]}
    return FRAME.format(
        name=name,
        about=about.format(**facts),
        training=training,
        figures="\n".join(map(_line, figures)),
        profile=PROFILE,
        version=profile(PROFILE).version,
    )


def _line(figure: Figure) -> str:
    wer, cer, interval = figure.estimate.wer, figure.estimate.cer, figure.estimate.interval
    cells = (figure.title, figure.utterances, f"{wer:.1%}", f"{interval.low:.1%}–{interval.high:.1%}")
    return "| " + " | ".join(map(str, cells)) + f" | {cer:.1%} |"
