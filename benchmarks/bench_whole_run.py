"""The whole run: ``train`` and ``evaluate`` on real Whisper, against this code's past and transformers.

    python benchmarks/bench_whole_run.py --data ../shared/data --output runs/whole --share 0.25 --write

What a user waits for is the run, not its steps: the base on target and guard test, dev and guard at every
evaluation, training, and both tests again. All contestants get the same rows (heavy band of speechocean762,
guard: kathleen), steps, rate, rows a batch, evaluations and labels (lower case), and learn the decoder alone:

- today's ``asr-adapt train``, then a second run with another rate on the same base and rows;
- ``asr-adapt train`` of COMMIT, the code before real recognisers, from a copy out of git;
- transformers' documented recipe, ``Seq2SeqTrainer`` with ``predict_with_generate``.

``evaluate`` is measured on the target test against ``pipeline`` at several batches, greedy, loops unguarded;
the table says how many texts are equal. There seconds are those of the work alone, without loading; in all
other rows those of a whole process. Each has a cache of its own, empty when it begins. Seconds are of the
processor, one thread, so that other work on the machine counts little; those of the clock stand beside.
A result is kept in OUTPUT/results.json as soon as it is there, and not measured again: a run that was
interrupted goes on. ``--share`` takes so much of all rows and steps, evenly. ``--two-cores`` runs
transformers' part on the second core while the first does the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from report import add_write, hardware, publish, table

#: The last commit before real recognisers.
COMMIT = "37c410b"
ROOT = Path(__file__).resolve().parents[1]
#: Rows of each set, and steps, of the whole comparison.
SIZES = {"train": 420, "dev": 60, "guard": 40, "test": 220, "guard_test": 100}
STEPS, ROWS = 100, 8
RATE, SECOND_RATE = 3e-5, 1e-5
PIPELINE_BATCHES = (1, 4, 8)
#: Rows of the manifest whose statistics are measured.
MANIFEST_ROWS = 1_000_000
GOALS = {
    "old": 3.0, "trainer": 5.0, "measuring": 0.35, "again": 6.0, "full": 1.3, "silence": 3.0, "states": 3.0,
}  # fmt: skip
Result = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing and print, with ``--write`` publish, the table."""
    options = parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    wanted = [
        (name, measure)
        for name, measure in bench.plan()
        if not options.only or any(name.startswith(part) for part in options.only)
    ]
    if options.two_cores:
        theirs = [job for job in wanted if job[0].endswith("/trainer") or "/pipeline-" in job[0]]
        with ThreadPoolExecutor(2) as pool:
            lanes = [[job for job in wanted if job not in theirs], theirs]
            for ended in [pool.submit(bench.lane, core, jobs) for core, jobs in enumerate(lanes)]:
                ended.result()
    else:
        for name, measure in wanted:
            bench.once(name, measure)
    for name, text in bench.blocks():
        publish("\n".join(text), name, options.write)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, with models found and paths absolute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "asr-adapt" / "models"
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs/whole"))
    parser.add_argument("--share", type=float, default=1.0, help="of all rows and steps")
    parser.add_argument("--old", type=Path, help=f"folder with the code of {COMMIT} [out of git]")
    parser.add_argument("--tiny", type=Path, default=cache / "whisper-tiny.en", help="model directory")
    parser.add_argument("--base", type=Path, default=cache / "whisper-base", help="model directory")
    parser.add_argument("--two-cores", action="store_true", help="transformers' part on the second core")
    parser.add_argument("--commit", default=commit(), help="of the code, where it is no checkout")
    parser.add_argument("--only", action="append", help="beginnings of names of measurements")
    add_write(parser, "whole-run")
    options = parser.parse_args(arguments)
    for name in ("data", "output", "tiny", "base"):
        setattr(options, name, getattr(options, name).resolve())
    for folder in (options.tiny, options.base):
        if not (folder / "config.json").is_file():
            raise SystemExit(f"{folder} is no model: asr-adapt models fetch {folder.name}, or name one.")
    return options


class Bench:
    """The measurements of one output folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.output = options, options.output
        self.kept = self.output / "results.json"
        self.results: dict[str, Result] = json.loads(self.kept.read_text()) if self.kept.is_file() else {}
        told = self.results.setdefault("told", {"share": options.share})
        if told["share"] != options.share:
            raise SystemExit(f"{self.kept} is of --share {told['share']}: give that, or another --output.")
        self.alone = Lock()
        self.rows = prepared(options)
        self.steps = max(4, round(STEPS * options.share))

    def plan(self) -> list[tuple[str, Callable[[], Result]]]:
        """Every measurement by name."""
        plan: list[tuple[str, Callable[[], Result]]] = [
            ("train/trainer", self.trainer),
            ("train/old", lambda: self.trained("old", self.old(), RATE)),
            ("train/new", lambda: self.trained("new", ROOT, RATE)),
            ("train/again", lambda: self.trained("again", ROOT, SECOND_RATE)),
            ("train/silence", lambda: self.trained("silence", ROOT, RATE)),
            ("train/silence-again", lambda: self.trained("silence-again", ROOT, SECOND_RATE)),
        ]
        for how in (*(f"pipeline-{n}" for n in PIPELINE_BATCHES), "full", "silence", "states"):
            for model in ("tiny", "base"):
                plan.append((f"evaluate/{model}/{how}", partial(self.evaluated, model, how)))
        for code in ("old", "new"):
            plan += [
                (f"import/{code}", partial(self.started, code, ["-c", "import asr_adapt"])),
                (f"help/{code}", partial(self.started, code, ["-m", "asr_adapt", "--help"])),
                (f"manifest/{code}", partial(self.counted, code)),
            ]
        return plan

    def lane(self, core: int, jobs: list[tuple[str, Callable[[], Result]]]) -> None:
        """Measure ``jobs`` one after another on one core; processes inherit it from this thread."""
        os.sched_setaffinity(0, {core})
        for name, measure in jobs:
            self.once(name, measure)

    def once(self, name: str, measure: Callable[[], Result]) -> None:
        """Measure what is not there yet, and keep it."""
        if name in self.results:
            return
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        found = measure()
        with self.alone:
            self.results[name] = found
            part = self.kept.with_suffix(".part")
            part.write_text(json.dumps(self.results, indent=1), encoding="utf-8")
            part.replace(self.kept)

    def trained(self, name: str, code: Path, rate: float) -> Result:
        """A whole ``train``; the second run shares the cache of the first."""
        folder = self.output / "runs" / name
        tree: Result = {
            "model": str(self.options.tiny), **{part: str(path) for part, path in self.rows.items()},
            "strategy": "top_layers", "optimiser": {"learning_rate": rate}, "schedule": {"steps": self.steps},
            "batch": {"seconds": 10_000.0, "rows": ROWS}, "evaluation": {"every": self.steps // 2},
            "retention": {"guard_budget": None}, "invalid_rows": "drop",
        }  # fmt: skip
        if name != "old":
            tree["labels"] = {"style": "plain"}  # what the old code teaches
            tree["silence"] = {"share": 0.0}  # the others have no rows without speech,
            tree["decoder"] = {"timestamps_share": 0.0}  # nor timestamps
        if name.startswith("silence"):
            tree["decoder"]["learnt_silence"] = 5.0
        recipe = self.output / f"{name}.json"
        recipe.write_text(json.dumps(tree))
        command = ["-m", "asr_adapt", "train", str(recipe), "-o", str(folder), "--quiet"]
        cache = "silence" if name.startswith("silence") else "old" if name == "old" else "new"
        found = self.process(command, code, cache)
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        found["time"] = summary.get("time")
        found["wer"] = scores({part: folder / "predictions" / f"{part}.{{}}.jsonl" for part in PARTS})
        return found

    def trainer(self) -> Result:
        """transformers' recipe, in a process of its own."""
        folder = self.output / "runs" / "trainer"
        folder.mkdir(parents=True, exist_ok=True)
        told: dict[str, Any] = {
            "model": str(self.options.tiny),
            "rows": {k: str(v) for k, v in self.rows.items()},
        }
        told |= {"steps": self.steps, "batch": ROWS, "rate": RATE, "folder": str(folder)}
        (folder / "told.json").write_text(json.dumps(told))
        worker = Path(__file__).with_name("bench_whole_run_trainer.py")
        found = self.process([str(worker), str(folder / "told.json")], ROOT, "trainer")
        found["wer"] = scores({part: folder / f"{part}.{{}}.jsonl" for part in PARTS})
        return found

    def evaluated(self, model: str, how: str) -> Result:
        """The target test through ``evaluate`` or the pipeline; seconds of the work without loading."""
        output = self.output / f"evaluate-{model}-{how}.json"
        worker = Path(__file__).with_name("bench_whole_run_evaluate.py")
        folder = getattr(self.options, model)
        command = [str(worker), str(folder), str(self.rows["test"]), how, str(output)]
        self.process(command, ROOT, f"evaluate-{model}")
        found: Result = json.loads(output.read_text(encoding="utf-8"))
        return found

    def started(self, code: str, command: list[str]) -> Result:
        """The least of five starts, which is the one that other work disturbed least."""
        folder = ROOT if code == "new" else self.old()
        runs = [self.process(command, folder, f"start-{code}") for _ in range(6)]
        return min(runs[1:], key=lambda run: run["cpu"])

    def counted(self, code: str) -> Result:
        """``manifest stats`` of many rows."""
        from bench_manifest import write_rows

        path = self.output / "many.jsonl"
        if not path.is_file():
            write_rows(path, round(MANIFEST_ROWS * self.options.share))
        command = ["-m", "asr_adapt", "manifest", "stats", str(path), "--json"]
        return self.process(command, ROOT if code == "new" else self.old(), f"start-{code}")

    def process(self, command: list[str], code: Path, cache: str) -> Result:
        """Seconds of the processor and of the clock, and the memory, of a Python process on one thread."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(code), str(ROOT / "benchmarks")]), "OMP_NUM_THREADS": "1",
            "PYTHONSAFEPATH": "1",  # else -m would import the code of the working directory
            "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1",
            "XDG_CACHE_HOME": str(self.output / "caches" / cache), "TRANSFORMERS_VERBOSITY": "error",
        }  # fmt: skip
        with (self.output / "log.txt").open("ab") as log:
            log.write(f"== {' '.join(command)}\n".encode())
            log.flush()
            started = time.perf_counter()
            running = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
            _, status, used = os.wait4(running.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} failed: see {self.output / 'log.txt'}")
        wall = time.perf_counter() - started
        return {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "megabytes": used.ru_maxrss / 1024}

    def old(self) -> Path:
        """The code of :data:`COMMIT`."""
        if self.options.old is not None:
            return Path(self.options.old).resolve()
        folder = self.output / f"code-{COMMIT}"
        if not (folder / "asr_adapt").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            archive = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, check=True, stdout=subprocess.PIPE)
            subprocess.run(["tar", "-x", "-C", str(folder)], check=True, input=archive.stdout)
        return folder

    def blocks(self) -> list[tuple[str, list[str]]]:
        """The blocks of the document that something was measured for, by name."""
        found = []
        if any(name.startswith("train/") for name in self.results):
            sizes = ", ".join(f"{name} {count(path)}" for name, path in self.rows.items())
            started = table(("", ">today", f">{COMMIT}", ">ratio", ">goal"), self._started())
            text = [
                *self._head("The whole run"),
                f"Rows: {sizes};",
                f"{self.steps} steps of {ROWS} rows, two evaluations and one before the first step.",
                "",
                *table(TRAINED, self._trained()),
                *(["", *started] if len(started) > 2 else []),
            ]
            found.append(("whole-run", text))
        if any(name.startswith("evaluate/") for name in self.results):
            text = [*self._head("`evaluate` of short clips"), "", *table(EVALUATED, self._evaluated())]
            found.append(("whole-run-evaluate", text))
        return found

    def _head(self, title: str) -> list[str]:
        share = self.options.share
        beside = ", transformers' beside the others" if self.options.two_cores else ""
        part = "" if share == 1 else f" A share of {share:g} of all rows and steps."
        return [
            f"## {title}",
            "",
            f"`benchmarks/bench_whole_run.py`, commit {self.options.commit};",
            f"{hardware()}, one thread each{beside};",
            f"seconds of the processor (of the clock in brackets).{part}",
        ]

    def _trained(self) -> list[Sequence[Any]]:
        """Each contestant's seconds over those of today's run, in full context and with kept silence."""
        rows: list[Sequence[Any]] = []
        rivals = (("old", f"`train` of {COMMIT}"), ("trainer", "`Seq2SeqTrainer`"))
        for name, label in rivals:
            if (found := self.results.get(f"train/{name}")) is not None:
                rows.append((label, seconds(found), "", "", *wers(found)))
        for kind, again, told in (
            ("new", "again", ""),
            ("silence", "silence-again", ", `decoder.learnt_silence: 5`"),
        ):
            new, second = self.results.get(f"train/{kind}"), self.results.get(f"train/{again}")
            if new is None:
                continue
            measured = [
                (name, self.results[f"train/{name}"]) for name, _ in rivals if f"train/{name}" in self.results
            ]
            ratio = ", ".join(f"{run['cpu'] / new['cpu']:.2f}× {name}" for name, run in measured)
            goal = ", ".join(f"{GOALS[name]:g}×" for name, _ in measured)
            rows.append((f"`train`, today{told}", seconds(new), ratio, goal, *wers(new)))
            share = f"≤ {GOALS['measuring']:.0%}"
            rows.append(
                ("– measuring's share of it", "", f"{new['time']['measuring_share']:.0%}", share, "", "")
            )
            if second is not None:
                ratio = f"{new['cpu'] / second['cpu']:.2f}× the first"
                label = "– second run, another rate"
                rows.append((label, seconds(second), ratio, f"{GOALS['again']:g}×", *wers(second)))
        return rows

    def _evaluated(self) -> list[Sequence[Any]]:
        rows: list[Sequence[Any]] = []
        for model in ("tiny", "base"):
            tried = [self.results.get(f"evaluate/{model}/pipeline-{n}") for n in PIPELINE_BATCHES]
            pipelines = [found for found in tried if found is not None]
            if not pipelines:
                continue
            best = min(pipelines, key=lambda found: found["cpu"])
            name = getattr(self.options, model).name
            label = f"{name}, pipeline, {best['how'].removeprefix('pipeline-')} a batch (its best)"
            rows.append((label, milliseconds(best), "1.00×", "", f"{best['wer']:.2%}"))
            for how, told in OURS:
                if (found := self.results.get(f"evaluate/{model}/{how}")) is None:
                    continue
                same = sum(a == b for a, b in zip(found["texts"], best["texts"], strict=True))
                label = f"{name}, {told}; {same} of {len(best['texts'])} texts equal"
                ratio = f"{best['cpu'] / found['cpu']:.2f}×"
                rows.append((label, milliseconds(found), ratio, f"{GOALS[how]:g}×", f"{found['wer']:.2%}"))
        return rows

    def _started(self) -> list[Sequence[Any]]:
        many = round(MANIFEST_ROWS * self.options.share)
        labels = {"import": "`import asr_adapt`", "help": "`asr-adapt --help`"}
        labels["manifest"] = f"`manifest stats` of {many:,} rows"
        rows: list[Sequence[Any]] = []
        for name, label in labels.items():
            new, old = (self.results.get(f"{name}/{code}") for code in ("new", "old"))
            if new is not None and old is not None:
                ratio = f"{old['cpu'] / new['cpu']:.2f}×"
                rows.append((label, f"{new['cpu']:.2f} s", f"{old['cpu']:.2f} s", ratio, "not worse"))
        return rows


TRAINED = ("", ">seconds", ">ratio", ">goal", ">target WER", ">guard WER")
OURS = (
    ("full", "ours, 30 s of context"),
    ("silence", "ours, silence behind clips computed once"),
    ("states", "ours, states kept"),
)
EVALUATED = ("`evaluate` of the target test", ">ms a clip", ">ratio", ">goal", ">WER")
PARTS = ("target", "guard")


def prepared(options: argparse.Namespace) -> dict[str, Path]:
    """The manifests, by field of the recipe; cut once, so that every contestant reads the same files."""
    folder = options.output / "rows"
    paths = {name: folder / f"{name}.jsonl" for name in SIZES}
    if all(path.is_file() for path in paths.values()):
        return paths
    import real_corpora as corpora

    from asr_adapt.manifest import Manifest, write_manifest
    from asr_adapt.training.measuring.wer import spread

    target = corpora.speechocean(options.data, folder / "whole").parts
    native = corpora.native(options.data, folder / "whole")
    heavy = [row for row in Manifest.open(target["test"]) if row.accent == "heavy"]
    clean = corpora.shuffled(Manifest.open(options.data / "kathleen" / "manifest.jsonl"))
    learnt = {row.extra.get("prompt") for row in Manifest.open(native["replay"])}
    clean = [row for row in clean if row.extra.get("prompt") not in learnt]
    dev = [row for row in corpora.labelled(options.data / "speechocean762" / "train")]
    parts = {
        "train": list(Manifest.open(target["train"])), "test": heavy, "guard": clean[:40],
        "dev": [row for row in dev if row.speaker in corpora.DEV_HEAVY], "guard_test": clean[40:140],
    }  # fmt: skip
    for name, rows in parts.items():
        whole = spread(Manifest.of(rows), SIZES[name])
        write_manifest(paths[name], spread(whole, max(4, round(len(whole) * options.share))))
    return paths


def scores(paths: dict[str, Path]) -> dict[str, dict[str, float]]:
    """WER before and after by set, all by today's scorer."""
    from asr_adapt.scoring import score

    return {
        name: {
            when: score(Path(str(path).format(when)), normalise="whisper-en").counts.wer
            for when in ("before", "after")
        }
        for name, path in paths.items()
    }


def wers(found: Result) -> list[str]:
    """Before → after of target and guard."""
    return [f"{found['wer'][p]['before']:.1%} → {found['wer'][p]['after']:.1%}" for p in PARTS]


def seconds(found: Result) -> str:
    return f"{found['cpu']:.0f} ({found['wall']:.0f})"


def milliseconds(found: Result) -> str:
    return f"{1000 * found['cpu'] / len(found['texts']):.0f}"


def count(path: Path) -> int:
    return sum(1 for _ in path.open("rb"))


def commit() -> str:
    """The commit that was measured; a copy without git says so."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
