"""Kill a training run with SIGKILL at random moments, resume it each time, and compare the end bit for bit.

Knows what a run leaves on disk, which is how it times its kills and tells afterwards where each fell: the
product has no hook for it. Does not know what is trained: a recipe is given, or a tiny random model learns
noise. A child is forked from this process, which has imported everything, so a kill costs no new start of
Python; ``--fresh`` starts each from nothing instead.

    python benchmarks/soak_resume.py --kills 50 [--cache] [--recipe recipe.yaml] [--write docs/scale-out.md]

With ``--cache`` each run has a prefix cache of its own, which loses half of its shards before a start that is
to be killed while it writes them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from report import publish
from safetensors.torch import load_file

from asr_adapt.cli.app import run as asr_adapt
from asr_adapt.training import load_recipe

PHASES = ("startup", "step", "evaluation", "checkpoint write", "cache write")
MARK = "soak"
CACHE = "cache"
PATIENCE_SECONDS = 120.0


def main() -> int:
    """Soak and say what was found; 1 where an end differs."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        root = Path(name)
        recipe = options.recipe or synthetic_recipe(root / "data", options.cache, options.seed)
        soak = Soak(recipe, root, random.Random(options.seed), options.fresh)
        soak.undisturbed()
        for number in range(options.runs):
            share = options.kills // options.runs + (number < options.kills % options.runs)
            soak.disturbed(root / f"run{number}", share)
        report = table(soak, options)
    publish(report, "soak-cache" if options.cache else "soak", options.write)
    return 0 if soak.equal == options.runs and sum(soak.fell.values()) == options.kills else 1


class Soak:
    """One recipe, killed again and again; ``fell`` counts the kills by the phase that they met."""

    def __init__(self, recipe: Path, root: Path, chance: random.Random, fresh: bool) -> None:
        self.recipe, self.root, self.chance, self.fresh = recipe, root, chance, fresh
        loaded = load_recipe(recipe)
        self.every = loaded.evaluation.every
        self.cached = loaded.cache.mode == "on"
        self.phases = PHASES if self.cached else PHASES[:4]
        self.fell: Counter[str] = Counter()
        self.equal = 0
        self.seconds = 0.0

    def undisturbed(self) -> None:
        """The run that the others must equal; its length in seconds bounds the random waits."""
        started = time.monotonic()
        code = self._wait(self._start(self.root / "whole"))
        self.seconds = time.monotonic() - started
        if code != 0:
            raise SystemExit(f"the undisturbed run failed: {self._log()}")

    def disturbed(self, folder: Path, kills: int) -> None:
        """Kill ``kills`` times, each time at another kind of moment, resume, and compare the end."""
        done = 0
        while done < kills:
            wanted = self.chance.choice(self.phases)
            if wanted == "cache write":
                self._evict(folder / CACHE)
            child = self._start(folder, resume=folder.exists())
            phase = self._kill(child, folder, wanted)
            if phase is None:  # it ended first: its checkpoints are gone, a further kill needs a new run
                self._compare(folder)
                folder = folder.with_name(folder.name + "x")
                continue
            self.fell[phase] += 1
            done += 1
        if self._wait(self._start(folder, resume=True)) != 0:
            raise SystemExit(f"a resumed run failed: {self._log()}")
        self.equal += self._compare(folder)

    def _evict(self, cache: Path) -> None:
        """Lose some of the shards, as if another run had needed the room: so there is something to write."""
        shards = sorted(path for path in cache.glob("*/*") if path.suffix == ".safetensors")
        for path in self.chance.sample(shards, (len(shards) + 1) // 2):
            path.unlink()

    def _own(self, folder: Path) -> Path:
        """The recipe, with a prefix cache that only the run in ``folder`` uses."""
        if not self.cached:
            return self.recipe
        recipe = yaml.safe_load(self.recipe.read_text(encoding="utf-8"))
        recipe["cache"] |= {"folder": str(folder / CACHE)}
        path = self.root / f"{folder.name}.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return path

    def _start(self, folder: Path, resume: bool = False) -> int:
        recipe = str(self._own(folder))
        call = ["train", recipe, "-o", str(folder), "--quiet", *(["--resume"] if resume else [])]
        if self.fresh:
            with (self.root / "log").open("w") as log:
                command = [sys.executable, "-m", "asr_adapt", *call]
                return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log).pid
        child = os.fork()
        if child == 0:
            with (self.root / "log").open("w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                os._exit(asr_adapt(call))
        return child

    def _kill(self, child: int, folder: Path, wanted: str) -> str | None:
        """Wait for a random moment of the phase ``wanted``, kill, and name the phase that it was in truth."""
        before = lines(folder)
        target = len(before) + self.chance.randint(1, 12)
        moment: dict[str, Callable[[], bool]] = {
            "startup": lambda: False,
            "step": lambda: len(lines(folder)) >= target,
            "evaluation": lambda: len(lines(folder)) > len(before) and evaluating(folder, self.every),
            "checkpoint write": lambda: bool(unfinished(folder / "checkpoints")),
            "cache write": lambda: bool(unfinished(folder / CACHE)),
        }
        limit = self.chance.uniform(0.0, 0.5) if wanted == "startup" else PATIENCE_SECONDS
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not moment[wanted]():
            if os.waitpid(child, os.WNOHANG)[0]:
                return None
            time.sleep(0.0002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return self._phase(folder, before)

    def _phase(self, folder: Path, before: list[str]) -> str:
        """What the killed process was doing, from what it left behind."""
        now = lines(folder)
        if unfinished(folder / "checkpoints"):
            phase = "checkpoint write"
        elif unfinished(folder / CACHE):
            phase = "cache write"
        elif not [line for line in now if line not in set(before)]:
            phase = "startup"
        else:
            phase = "evaluation" if evaluating(folder, self.every) else "step"
        for path in unfinished(folder / "checkpoints") + unfinished(folder / CACHE):
            path.rename(path.with_name(f"{path.name}.{MARK}"))  # seen: the next kill must not count it again
        return phase

    def _wait(self, child: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _compare(self, folder: Path) -> bool:
        whole, other = (load_file(f / "model.safetensors") for f in (self.root / "whole", folder))
        losses = [
            [(m["step"], m["loss"]) for m in map(json.loads, lines(f)) if m["kind"] == "step"]
            for f in (self.root / "whole", folder)
        ]
        same = whole.keys() == other.keys() and all(torch.equal(whole[name], other[name]) for name in whole)
        if not same or losses[0] != losses[1]:
            print(f"{folder.name} ended differently from the undisturbed run.", file=sys.stderr)
        return same and losses[0] == losses[1]

    def _log(self) -> str:
        return (self.root / "log").read_text(encoding="utf-8")[-2000:]


def lines(folder: Path) -> list[str]:
    """Whole lines of metrics.jsonl."""
    with contextlib.suppress(FileNotFoundError):
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
        return text[: text.rfind("\n") + 1].splitlines()
    return []


def evaluating(folder: Path, every: int) -> bool:
    """Whether the last thing written is a step that an evaluation follows."""
    found = lines(folder)
    last: dict[str, Any] = json.loads(found[-1]) if found else {"kind": "none", "step": 0}
    return bool(last["kind"] == "step" and last["step"] % every == 0)


def unfinished(folder: Path) -> list[Path]:
    """Temporary files and folders of a write under way, anywhere below ``folder``."""
    found = []
    for place, folders, files in os.walk(folder):
        found += [Path(place) / n for n in (*folders, *files) if n.startswith(".") and n.endswith(".tmp")]
        folders[:] = [n for n in folders if not n.startswith(".")]
    return found


def synthetic_recipe(folder: Path, cache: bool, seed: int) -> Path:
    """A tiny random wav2vec 2.0 and a minute of noise with made-up words: quick, and all of it is learnt."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Processor

    from asr_adapt.models.files.processors import character_tokenizer

    torch.manual_seed(seed)
    tokens = {token: i for i, token in enumerate(("<pad>", "<unk>", "|", *"abcdefgh"))}
    config = Wav2Vec2Config(
        vocab_size=len(tokens), hidden_size=64, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=128, conv_dim=(32, 32, 32), conv_kernel=(16, 8, 4), conv_stride=(8, 8, 5),
        feat_extract_norm="layer", num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2, pad_token_id=0, layerdrop=0.1,
    )  # fmt: skip
    Wav2Vec2ForCTC(config).save_pretrained(folder / "model")
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    Wav2Vec2Processor(extractor, character_tokenizer(tokens)).save_pretrained(folder / "model")
    noise, chance = np.random.default_rng(seed), random.Random(seed)
    for part, rows in (("train", 40), ("dev", 16)):
        with (folder / f"{part}.jsonl").open("w", encoding="utf-8") as manifest:
            for number in range(rows):
                seconds = chance.uniform(0.8, 2.0) * (3 if cache else 1)  # several shards to be written
                wave = noise.normal(0.0, 0.1, round(seconds * 16_000)).astype(np.float32)
                soundfile.write(folder / f"{part}{number}.wav", wave, 16_000)
                text = " ".join("".join(chance.choices("abcdefgh", k=3)) for _ in range(3))
                row = {"audio_filepath": f"{part}{number}.wav", "duration": len(wave) / 16_000, "text": text}
                manifest.write(json.dumps(row) + "\n")
    recipe: dict[str, Any] = {
        "model": str(folder / "model"),
        "train": str(folder / "train.jsonl"),
        "dev": str(folder / "dev.jsonl"),
        "strategy": {"name": "top_layers", "top_layers": 2},
        "schedule": {"steps": 120},
        "batch": {"seconds": 8.0},
        "evaluation": {"every": 10},
        "regularisation": {"hidden_dropout": 0.1},
        "checkpoint_every": 5,
        "precision": "float32",
        "device": "cpu",
    }
    if cache:
        recipe["cache"] = {"mode": "on"}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def table(soak: Soak, options: argparse.Namespace) -> str:
    """The result as Markdown, with what it was measured on."""
    rows = [f"| {phase} | {soak.fell[phase]} |" for phase in soak.phases]
    return "\n".join(
        [
            f"{sum(soak.fell.values())} SIGKILLs over {options.runs} runs, each resumed; "
            f"{soak.equal} of {options.runs} runs ended with the losses and weights of the undisturbed one, "
            "bit for bit.",
            "",
            "| killed during | kills |",
            "|---|---:|",
            *rows,
            "",
            f"Recipe: {options.recipe or 'tiny random model on noise'}"
            f"{', frozen prefix from the cache' if soak.cached else ''}; seed {options.seed}; "
            f"undisturbed run {soak.seconds:.1f} s; {platform.machine()}, {torch.get_num_threads()} "
            f"thread(s), torch {torch.__version__}.",
        ]
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs in all")
    parser.add_argument("--runs", type=int, default=5, help="runs that they are spread over")
    parser.add_argument("--recipe", type=Path, help="recipe to train; default: a tiny synthetic one")
    parser.add_argument(
        "--cache", action="store_true", help="with the frozen-prefix cache (synthetic recipe)"
    )
    parser.add_argument("--fresh", action="store_true", help="a new Python for each start, not a fork")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="PATH", help="update the block in this document")
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
