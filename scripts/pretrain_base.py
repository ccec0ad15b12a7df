"""Trains the bundled base model from nothing, with the toolkit's own training loop.

    python scripts/prepare_pretraining.py --output corpus --speechocean ../shared/data/speechocean762
    python scripts/pretrain_base.py --corpus corpus --output runs/nano-en --steps 7000

writes a random wav2vec2-architecture model to ``OUTPUT/start``, trains it (strategy full, feature encoder
included) into ``OUTPUT/model``; run again with ``--resume`` after an interruption. ``--install`` copies the
result, in float16, to ``asr_adapt/assets/NAME``. Deterministic given ``--seed``; CPU or GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Processor

from asr_adapt.files import atomic_directory
from asr_adapt.models import load_recogniser
from asr_adapt.models.heads import character_tokenizer
from asr_adapt.text import PAD, UNKNOWN, WORD_DELIMITER
from asr_adapt.training import adapt, build_recipe

CHARACTERS = (*string.ascii_lowercase, "'")
ASSETS = Path(__file__).resolve().parents[1] / "asr_adapt" / "assets"


def nano_config(vocabulary: int) -> Wav2Vec2Config:
    """5.5 M parameters, 20 ms frames.

    Four convolutions instead of seven: the first takes 4 ms windows every 1 ms, so that nothing runs at the
    3.2 kHz of the usual first layer (on a CPU that is most of the cost). ReLU for the same reason.
    """
    return Wav2Vec2Config(
        vocab_size=vocabulary,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        hidden_act="relu",
        conv_dim=[160, 192, 256, 256],
        conv_kernel=[64, 8, 4, 4],
        conv_stride=[16, 5, 2, 2],
        num_feat_extract_layers=4,
        feat_extract_norm="layer",
        feat_extract_activation="relu",
        conv_bias=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        layerdrop=0.0,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        mask_time_prob=0.05,
        ctc_zero_infinity=True,
        ctc_loss_reduction="mean",
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )


def write_start(folder: Path, seed: int) -> None:
    """A random model with its processor, as a plain transformers directory."""
    tokens = {token: i for i, token in enumerate((PAD, UNKNOWN, WORD_DELIMITER, *CHARACTERS))}
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, do_normalize=True, return_attention_mask=True
    )
    torch.manual_seed(seed)
    with atomic_directory(folder) as work:
        Wav2Vec2ForCTC(nano_config(len(tokens))).save_pretrained(work)
        Wav2Vec2Processor(extractor, character_tokenizer(tokens)).save_pretrained(work)


def recipe_tree(options: argparse.Namespace, start: Path) -> dict[str, object]:
    """The recipe as plain values."""
    corpus: Path = options.corpus
    return {
        "model": str(start),
        "train": [str(corpus / "manifest.jsonl")],
        "dev": [str(corpus / name / "manifest.jsonl") for name in ("dev_us", "dev_mild")],
        "guard": [str(corpus / "dev_mild" / "manifest.jsonl")],
        "test": [str(corpus / "test_us" / "manifest.jsonl")],
        "invalid_rows": "drop",
        "strategy": {"name": "full", "feature_encoder": not options.freeze_features},
        "optimiser": {"kind": options.optimiser, "learning_rate": options.rate, "weight_decay": 0.01},
        "schedule": {
            "kind": options.schedule,
            "steps": options.steps,
            "warmup": options.warmup,
            "hold": options.hold,
            "final": 0.02,
        },
        "batch": {"seconds": options.seconds},
        "regularisation": {
            "spec_augment": {"time_share": options.mask, "time_length": 6, "feature_share": 0.0}
        },
        "evaluation": {"every": options.evaluate_every, "batch_seconds": 200},
        "checkpoint_every": 100,
        "seed": options.seed,
    }


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of prepare_pretraining.py")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="continue from this model (a bundled name or a folder)")
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--seconds", type=float, default=80.0, help="audio seconds of a batch")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--optimiser", choices=("adamw", "muon"), default="muon")
    parser.add_argument(
        "--schedule", choices=("tri_stage", "linear", "cosine", "constant"), default="tri_stage"
    )
    parser.add_argument("--warmup", type=float, default=0.08, help="share of the steps")
    parser.add_argument("--hold", type=float, default=0.42, help="share of the steps")
    parser.add_argument("--mask", type=float, default=0.02, help="expected share of frames masked")
    parser.add_argument("--freeze-features", action="store_true", help="train no convolution (with --start)")
    parser.add_argument("--evaluate-every", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--install", metavar="NAME", help="copy the result to the package's assets")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start = options.start or options.output / "start"
    if options.start is None and not (start / "config.json").is_file():
        write_start(start, options.seed)
    outcome = adapt(
        build_recipe(recipe_tree(options, start)), options.output / "model", resume=options.resume
    )
    print(json.dumps({name: outcome.summary()[name] for name in outcome.tests}, indent=2))
    if options.install:
        install(options.output / "model", options.install)


if __name__ == "__main__":
    main()
