"""Trains a bundled base model from nothing, with the toolkit's own training loop.

    python pretraining/prepare_pretraining.py --output corpus --speechocean ../shared/data/speechocean762
    python pretraining/pretrain_base.py --corpus corpus --output runs/nano-en --steps 7000
    python pretraining/prepare_pretraining.py --output home --hours 12 --home 0.8 --copies 1 --renderings 1 \\
        --clean 0.4 --speechocean ../shared/data/speechocean762
    python pretraining/pretrain_base.py --family whisper --corpus home --output runs/nano-whisper \\
        --steps 1660 --seconds 36

``--family ctc`` writes a random wav2vec 2.0 model to ``OUTPUT/start`` and trains it (strategy full, feature
encoder included) into ``OUTPUT/model``. ``--family whisper`` writes a random Whisper with a vocabulary of its
own and carries out the stages of `base_stages.WHISPER_STAGES` one after the other, each into
``OUTPUT/stage_NAME``, with an auxiliary CTC loss; it needs a corpus made with ``--home``. Run again with
``--resume`` after an interruption. ``--install`` copies the result, in float16, to ``asr_adapt/assets/NAME``.
Deterministic given ``--seed``; CPU or GPU.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from base_cards import install
from base_stages import WHISPER_STAGES, Stage, ctc_recipe, whisper_recipe
from ctc_start import write_ctc_start
from joint_ctc import JointRecogniser
from whisper_start import write_whisper_start

from asr_adapt.models import Recogniser
from asr_adapt.training import Outcome, adapt, build_recipe

logger = logging.getLogger("pretrain_base")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    model = (_train_whisper if options.family == "whisper" else _train_ctc)(options)
    summary = json.loads((model / "summary.json").read_text(encoding="utf-8"))
    print(json.dumps({name: summary[name] for name in ("target", "guard") if name in summary}, indent=2))
    if options.install:
        install(model, options.install, options.family, options.corpus)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", choices=("ctc", "whisper"), default="ctc")
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
    return parser.parse_args(arguments)


def _train_ctc(options: argparse.Namespace) -> Path:
    """One run from the start, or from ``--start``; the folder of the model."""
    start = _start(options, write_ctc_start)
    model = options.output / "model"
    adapt(build_recipe(ctc_recipe(options, start)), model, resume=options.resume)
    return model


def _train_whisper(options: argparse.Namespace) -> Path:
    """The stages one after the other, finished ones passed over; the folder of the last one's model."""
    model = _start(options, write_whisper_start)
    for stage in WHISPER_STAGES:
        target = options.output / f"stage_{stage.name}"
        if not (options.resume and (target / "summary.json").is_file()):
            outcome = _carry_out(stage, options, model, target)
            logger.info("stage %s: dev WER %.1f%%", stage.name, 100 * outcome.progress.best_wer)
        model = target
    return model


def _carry_out(stage: Stage, options: argparse.Namespace, start: Path, target: Path) -> Outcome:
    def joint(recogniser: Recogniser) -> Recogniser:
        return JointRecogniser(recogniser, share=stage.ctc_share, wide=stage.wide, seed=options.seed)

    recipe = build_recipe(whisper_recipe(options, stage, start))
    return adapt(recipe, target, resume=options.resume, prepare=joint)


def _start(options: argparse.Namespace, write: Callable[[Path, int], None]) -> Path:
    """``--start``, or a random model in ``OUTPUT/start``, which is written when it is not there yet."""
    start: Path = options.start or options.output / "start"
    if options.start is None and not (start / "config.json").is_file():
        write(start, options.seed)
    return start


if __name__ == "__main__":
    main()
