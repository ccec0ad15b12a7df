"""Experts of four accents: each alone, merged, chosen clip by clip, and one model that learnt from all.

    python benchmarks/bench_experts.py --data ../shared/data --output runs/experts --write
    python benchmarks/bench_experts.py --device cpu --rows 4 --steps 2 --trials 7 --output runs/experts-dry

Every expert is a LoRA adapter of the same base with the recipe's own values, old speech replayed, no guard:
what it forgets is for the merge to mend. *One for all* learns from all rows together, for as many steps as
the experts had between them. *Merged* is what ``asr-adapt merge`` finds within the guard's budget on the
dev sets; the same search on *one for all* alone is *one for all, within the budget*. *Surest* is
``transcribe --adapter auto``. Speakers of the tests were in no part that taught or chose; of FSDD the
speakers are the same (it has one of each accent) and the recordings differ. Every adapter, search and
predictions file is kept under OUTPUT and not made again, so that a run that was cut off goes on; how long
each took is said on stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import real_corpora as corpora
from report import add_write, hardware_on, publish, table
from side_by_side import add_workers, side_by_side, told

from asr_adapt import Decoding, evaluate
from asr_adapt.errors import ModelError
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.models.expert_choice import changed_weights, choosing
from asr_adapt.models.loading import load_adapted
from asr_adapt.scoring import score
from asr_adapt.scoring.rise import parse_rise
from asr_adapt.training import adapt, build_recipe
from asr_adapt.training.merging import MergeSettings, merge_experts

SEED = 1
BUDGET = "10% or 0.01"
#: Accent → the task that has its rows, and which of the task's test rows are that accent.
ACCENTS: dict[str, tuple[Callable[[Path, Path], corpora.Task], Callable[[Utterance], bool]]] = {
    "mandarin": (corpora.speechocean, lambda row: row.accent == "heavy"),
    "indian": (corpora.alnum, lambda row: True),
    "german": (
        lambda data, out: corpora.digits(data, out, "yweweler"),
        lambda row: row.speaker == "yweweler",
    ),
    "french": (lambda data, out: corpora.digits(data, out, "nicolas"), lambda row: row.speaker == "nicolas"),
}
GUARD = "guard"
#: The adapter that learnt from all accents, and the two searches.
JOINT, SEARCHES = "joint", ("merged", "joint_kept")
#: Tested system → the search that makes it.
SEARCHED = {"merged": "merged", "one for all, within the budget": "joint_kept"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what is missing and print, with ``--write`` publish, the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/experts"))
    parser.add_argument("--model", default="whisper-tiny.en", help="name or directory of the base")
    parser.add_argument("--accents", nargs="+", choices=list(ACCENTS), default=list(ACCENTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, help="steps of each expert [the recipe's own]")
    parser.add_argument("--trials", type=int, default=36, help="weightings that each search measures")
    parser.add_argument("--groups", type=int, default=4, help="groups of layers with weights of their own")
    parser.add_argument(
        "--rows", type=int, help="only so many rows of each part, to show that all of it runs"
    )
    parser.add_argument(
        "--batch-seconds", type=float, help="sound transcribed at once [800 on cuda, else 160]"
    )
    parser.add_argument("--only", help="make only this adapter, 'search NAME' or 'test NAME'")
    add_workers(parser)
    add_write(parser, "experts")
    options = parser.parse_args(arguments)
    options.batch_seconds = options.batch_seconds or (800.0 if "cuda" in options.device else 160.0)
    bench = Bench(options)
    if options.only:
        return bench.make(options.only)
    if options.workers > 1:
        bench.side_by_side()
    results = bench.run()
    write_json(options.output / "results.json", results)
    return publish(written(results, options), "experts", options.write)


class Bench:
    """The parts of one run, each made when it is not there."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.output = options, options.output
        self.manifests = self.output / "manifests"
        self.accents = {name: ACCENTS[name] for name in options.accents}
        self.tasks = {name: make(options.data, self.manifests) for name, (make, _) in self.accents.items()}
        self.native = corpora.native(options.data, self.manifests)
        self.test = self._test_rows()

    def run(self) -> dict[str, Any]:
        """Scores of every system: part → what :func:`score` gives."""
        for name in (*self.accents, JOINT):
            self.expert(name)
        found = {name: self.merged(name) for name in SEARCHES}
        names = [name for name in self.systems() if found.get(SEARCHED.get(name, name), True)]
        return {
            "scores": {name: self.scored(name) for name in names},
            "searches": {n: json.loads((p / "merge.json").read_text()) for n, p in found.items() if p},
        }

    def make(self, name: str) -> None:
        """One adapter, search or test, whose own parts are there."""
        if name.startswith("search "):
            self.merged(name.removeprefix("search "))
        elif name.startswith("test "):
            self.scored(name.removeprefix("test "))
        else:
            self.expert(name)

    def side_by_side(self) -> None:
        """What is missing, each in a process: adapters; searches and tests; tests of what was found."""
        last = {f"test {name}" for name in SEARCHED}
        tests = [f"test {name}" for name in self.systems()]
        second = [*(f"search {name}" for name in SEARCHES), *(name for name in tests if name not in last)]
        until = time.monotonic() + self.options.seconds
        for parts in ([*self.accents, JOINT], second, sorted(last)):
            side_by_side(
                [part for part in parts if not self._made(part)],
                lambda part: [__file__, *self._told(), "--only", part],
                lambda part: self.output / f"{_stem(part)}.log",
                workers=self.options.workers,
                seconds=until - time.monotonic(),
            )

    def _made(self, part: str) -> bool:
        kind, _, name = part.partition(" ")
        if kind == "search":
            return (self.output / name / "merge.json").is_file()
        if kind == "test":
            return self._predictions(name).is_file()
        return (self._folder(part) / "summary.json").is_file()

    def _told(self) -> list[str]:
        names = ("data", "output", "model", "device", "steps", "trials", "groups", "rows", "batch_seconds")
        return [*told(self.options, *names), "--accents", *self.accents]

    def _folder(self, name: str) -> Path:
        return Path(self.output) / "models" / name

    def _predictions(self, name: str) -> Path:
        return Path(self.output) / "predictions" / f"{_stem(name)}.jsonl"

    def systems(self) -> dict[str, Callable[[], Recogniser]]:
        """How each system that is tested is loaded."""
        adapters = {name: str(self._folder(name)) for name in self.accents}
        found: dict[str, Callable[[], Recogniser]] = {"base": self._base}
        found |= {f"expert {name}": self._adapted(path) for name, path in adapters.items()}
        found["merged"] = self._adapted(self.output / "merged")
        found["one for all"] = self._adapted(self._folder(JOINT))
        found["one for all, within the budget"] = self._adapted(self.output / "joint_kept")
        found["surest"] = lambda: self._surest(adapters)
        return found

    def expert(self, name: str) -> Path:
        """The result folder of an adapter that learnt from an accent, or from all."""
        folder, accents = self._folder(name), list(self.accents) if name == JOINT else [name]
        if not (folder / "summary.json").is_file():
            with timed(f"train {name}"):
                recipe = build_recipe(self._recipe(accents))
                adapt(recipe, folder, resume=(folder / "checkpoints").is_dir(), quiet=True)
        return folder

    def _recipe(self, accents: Sequence[str]) -> dict[str, Any]:
        steps = self.options.steps or 60  # of a tiny model: the starting values' own
        parts = {
            part: [str(self._part(self.tasks[name].parts[part])) for name in accents]
            for part in ("train", "dev")
        }
        dry = {} if self.options.rows is None else {"batch": {"seconds": 60.0}, "precision": "float32"}
        return {
            "model": self.options.model,
            **parts,
            **dry,
            "replay": {"manifest": str(self._part(self.native["replay"]))},
            "strategy": {"name": "lora"},
            "schedule": {"steps": steps * len(accents)},
            "evaluation": {"every": steps * len(accents)},
            "checkpoint_every": steps * len(accents),
            "invalid_rows": "drop",
            "device": self.options.device,
            "seed": SEED,
        }

    def merged(self, name: str) -> Path | None:
        """The folder of what the search on all dev sets found; None where no expert learnt anything."""
        folder = self.output / name
        experts = [str(self._folder(one)) for one in (self.accents if name == "merged" else [JOINT])]
        if not (folder / "merge.json").is_file():
            settings = MergeSettings(
                parse_rise(BUDGET),
                groups=self.options.groups,
                trials=self.options.trials,
                device=self.options.device,
                batch_seconds=self.options.batch_seconds,
            )
            targets = [self._part(task.parts["dev"]) for task in self.tasks.values()]
            guard = self._part(self.native["guard_dev"])
            with timed(f"search {name}"):
                try:
                    found = merge_experts(self.options.model, experts, targets, guard, settings)
                except ModelError as error:  # a dry run's few steps may be no better than none
                    print(error, file=sys.stderr)
                    return None
                found.save(folder)
        return folder

    def scored(self, name: str) -> dict[str, Any]:
        """Scores of each part of the test, from predictions that are kept."""
        path = self._predictions(name)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            decoding = Decoding(batch_seconds=self.options.batch_seconds)
            with timed(f"test {name}"):
                evaluate(self.test, model=self.systems()[name](), output=path, decoding=decoding)
        rows = list(Manifest.open(path))
        return {
            part: score(
                [row for row in rows if row.extra["part"] == part], normalise=self._profile(part)
            ).to_json()
            for part in (*self.accents, GUARD)
        }

    def _profile(self, part: str) -> str:
        return self.tasks[part].profile if part in self.tasks else "basic"

    def _base(self) -> Recogniser:
        return load_recogniser(self.options.model, device=self.options.device, compute_type="float32")

    def _adapted(self, folder: Path | str) -> Callable[[], Recogniser]:
        def load() -> Recogniser:
            return load_adapted(
                self.options.model, folder, device=self.options.device, compute_type="float32"
            )

        return load

    def _surest(self, adapters: dict[str, str]) -> Recogniser:
        base = self._base()
        return choosing(base, {n: changed_weights(base, self._adapted(p)()) for n, p in adapters.items()})

    def _test_rows(self) -> Path:
        """One manifest of all tests, whose rows say their part."""
        path = self.manifests / "experts_test.jsonl"
        if not path.is_file():
            parts = {
                n: [r for r in Manifest.open(self.tasks[n].parts["test"]) if keep(r)]
                for n, (_, keep) in self.accents.items()
            }
            parts[GUARD] = list(Manifest.open(self.native["guard_test"]))
            rows = [
                row.replace(id=f"{part}:{row.id}", extra={**row.extra, "part": part})
                for part, own in parts.items()
                for row in own[: self.options.rows]
            ]
            write_manifest(path, rows)
        return path

    def _part(self, path: Path) -> Path:
        """The manifest itself, or with ``--rows`` its first rows."""
        if self.options.rows is None:
            return path
        short = path.with_name(f"first_{path.name}")
        if not short.is_file():
            write_manifest(short, list(Manifest.open(path))[: self.options.rows])
        return short


def _stem(name: str) -> str:
    return name.replace(" ", "_").replace(",", "")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say on stderr how long the block took."""
    started = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def written(results: dict[str, Any], options: argparse.Namespace) -> str:
    """The section: a line a system."""
    scores = results["scores"]
    heads = (
        "system",
        *(f">{part}" for part in (*options.accents, GUARD)),
        ">guard vs base",
        ">punctuation F1",
    )
    return "\n".join(
        [
            "## Experts that add up",
            "",
            f"`benchmarks/bench_experts.py`, {Path(options.model).name}, seed {SEED}; "
            f"{hardware_on(options.device)}.",
            "WER and 95 % interval (bootstrap over speakers where six are known, else over clips);",
            "punctuation is the guard's.",
            "",
            *table(heads, [_line(name, own, scores["base"]) for name, own in scores.items()]),
            "",
            *(_search(name, found) for name, found in results["searches"].items()),
        ]
    )


def _line(name: str, own: dict[str, Any], base: dict[str, Any]) -> tuple[str, ...]:
    wers = [
        f"{own[p]['wer']:.1%} ({own[p]['interval']['low']:.1%}–{own[p]['interval']['high']:.1%})" for p in own
    ]
    change = f"{own[GUARD]['wer'] / base[GUARD]['wer'] - 1:+.0%}" if base[GUARD]["wer"] else "–"
    marks = own[GUARD].get("punctuation")
    return (name, *wers, change, f"{marks['f1']:.1%}" if marks else "–")


def _search(name: str, found: dict[str, Any]) -> str:
    """What a search chose, in a sentence."""
    chosen, count = found["chosen"], len(found["trials"])
    rows = zip(found["groups"], chosen["weights"], strict=True)
    shares = "; ".join(f"{group} {', '.join(f'{w:.2f}' for w in row)}" for group, row in rows)
    ended = ", which were all it had" if found["exhausted"] else ""
    return f"Search *{name}*: {count} weightings{ended}; chosen by {chosen['way']}: {shares}.\n"


if __name__ == "__main__":
    main()
