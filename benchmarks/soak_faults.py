"""Two trainings that share a prefix store, on a disk that fills up, killed and damaged again and again.

Knows what a run leaves on disk and how to harm it: SIGKILL, bytes changed or cut off in checkpoints and
shards, a file that takes the last room, another run that wants the whole store. Does not know what is
trained. Each round trains two recipes (other seeds) at once to the end, taking them up after every fault, and
compares weights and losses with undisturbed runs: bit for bit where every step had the store, within rounding
where a full disk kept a run from it. Files of the user's beside the store must survive.

    python benchmarks/soak_faults.py --minutes 30 [--disk /mnt/small] [--write docs/scale-out.md]

Without ``--disk`` a tmpfs of 60 MB is mounted for the time (needs root); without the right to do so no disk
is filled, and the report says so.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from report import publish
from safetensors.torch import load_file
from soak_resume import synthetic_recipe

from asr_adapt.cli.app import run as asr_adapt

MEGABYTES = 60
ROUNDING = "within rounding"
FAULTS = ("kill", "flip", "cut", "full disk", "eviction")


def main() -> int:
    """Soak and say what was found; 1 where anything was lost or differs."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="soak-") as name, small_disk(options.disk, Path(name)) as disk:
        soak = Soak(Path(name), disk, random.Random(options.seed))
        soak.undisturbed()
        ends = time.monotonic() + options.minutes * 60
        while time.monotonic() < ends or not soak.rounds:
            soak.round()
            print(soak.line(), file=sys.stderr, flush=True)
        report = soak.report(options)
    publish(report, "soak-faults", options.write)
    return 0 if soak.rounds == soak.equal + soak.close and not soak.lost and not soak.unexpected else 1


class Soak:
    """Two recipes and what was done to them; ``folder`` holds what must survive, ``disk`` what is harmed."""

    def __init__(self, folder: Path, disk: Path | None, chance: random.Random) -> None:
        self.folder, self.disk, self.chance = folder, disk, chance
        self.place = disk or folder / "disk"
        self.store = self.place / "store"
        recipe = yaml.safe_load(synthetic_recipe(folder / "data", True, 0).read_text(encoding="utf-8"))
        recipe["schedule"] = {"steps": 60}
        self.recipes = [folder / f"recipe{n}.yaml" for n in range(2)]
        for number, path in enumerate(self.recipes):
            cache = {"mode": "on", "folder": str(self.store), "gigabytes": 0.02}
            path.write_text(yaml.safe_dump(recipe | {"seed": number, "cache": cache}), encoding="utf-8")
        self.faults: Counter[str] = Counter()
        self.rounds = self.equal = self.close = self.starts = self.refused = 0
        self.lost: list[str] = []
        self.unexpected: list[str] = []

    def undisturbed(self) -> None:
        """The runs that all others must equal, and the user's own files beside shards."""
        for number in range(2):
            whole = self.folder / f"whole{number}"
            code = wait(self.start(number, whole, fresh_store=self.folder / "calm"))
            if code != 0:
                raise SystemExit(f"the undisturbed run failed: {self.log(number)}")
        self.mine = self.store / "holiday"
        self.mine.mkdir(parents=True)
        (self.mine / "notes.txt").write_text("mine", encoding="utf-8")
        (self.mine / "model.safetensors").write_bytes(random.Random(0).randbytes(200_000))
        os.utime(self.mine, (0, 0))
        self.digests = {path: digest(path) for path in self.mine.iterdir()}

    def round(self) -> None:
        """Both recipes from the start to the end through faults."""
        runs = [self.place / f"run{number}" for number in range(2)]
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(self.store / "other", ignore_errors=True)
        for _ in range(self.chance.randint(4, 8)):
            children = {n: self.start(n, run) for n, run in enumerate(runs) if not done(run)}
            self.disturb(children, runs)
        for attempt in range(6):
            left = {n: self.start(n, run) for n, run in enumerate(runs) if not done(run)}
            codes = {n: wait(child) for n, child in left.items()}
            if all(code == 0 for code in codes.values()):
                break
            for number in (n for n, code in codes.items() if code != 0):
                self.explain(number, runs[number], last=attempt == 5)
        self.rounds += 1
        same = [unlike(self.folder / f"whole{n}", run) for n, run in enumerate(runs)]
        self.equal += not any(same)
        self.close += any(same) and all(text in ("", ROUNDING) for text in same)
        self.unexpected += [text for text in same if text not in ("", ROUNDING)]
        gone = [str(p) for p, former in self.digests.items() if not p.is_file() or digest(p) != former]
        self.lost += gone

    def disturb(self, children: dict[int, int], runs: list[Path]) -> None:
        """Let the children work for a moment, then harm something; all of them end."""
        fault = self.chance.choice([f for f in FAULTS if f != "full disk" or self.disk is not None])
        self.faults[fault] += 1
        time.sleep(self.chance.uniform(0.5, 6.0))
        filler = self.place / "filler"
        if fault == "full disk":
            fill(filler)
            time.sleep(self.chance.uniform(0.5, 3.0))
        if fault == "eviction":
            asking = self.folder / "asking.py"
            asking.write_text(ASKING, encoding="utf-8")
            subprocess.run([sys.executable, str(asking), str(self.store)], check=True)
        for child in children.values():
            if os.waitpid(child, os.WNOHANG)[0] == 0:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        filler.unlink(missing_ok=True)
        if fault in ("flip", "cut"):
            self.damage(fault, runs)

    def damage(self, fault: str, runs: list[Path]) -> None:
        """Harm one file of a newest checkpoint that has an older one behind it, and one shard."""
        victims = []
        for run in runs:
            found = sorted((run / "checkpoints").glob("step_??????"))
            if len(found) > 1:
                victims.append(self.chance.choice(sorted(found[-1].iterdir())))
        shards = sorted(p for p in self.store.glob("*/*.safetensors") if p.parent != self.mine)
        victims += shards[:1]
        for path in victims:
            data = bytearray(path.read_bytes())
            if not data:
                continue
            place = self.chance.randrange(len(data))
            if fault == "flip":
                data[place] ^= 1 << self.chance.randrange(8)
            path.write_bytes(data if fault == "flip" else data[:place])

    def start(self, number: int, folder: Path, fresh_store: Path | None = None) -> int:
        """Fork a training of one recipe; it is taken up where its folder is there."""
        self.starts += 1
        call = ["train", str(self.recipes[number]), "-o", str(folder), "--quiet"]
        call += ["--resume"] if folder.exists() else []
        call += [f"cache.folder={fresh_store}"] if fresh_store is not None else []
        child = os.fork()
        if child == 0:
            with (self.folder / f"log{number}").open("w") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                os._exit(asr_adapt(call))
        return child

    def explain(self, number: int, run: Path, *, last: bool) -> None:
        """A start that was refused: allowed where no checkpoint was whole, then it begins anew."""
        log = self.log(number)
        if "no checkpoint is whole" in log:
            self.refused += 1
            shutil.rmtree(run, ignore_errors=True)
        elif last or "unexpected" in log or "Traceback" in log:
            self.unexpected.append(log[-300:])

    def log(self, number: int) -> str:
        return (self.folder / f"log{number}").read_text(encoding="utf-8")[-2000:]

    def line(self) -> str:
        """How far it is."""
        return (
            f"{self.rounds} rounds, {self.equal} equal, {self.close} within rounding, "
            f"{sum(self.faults.values())} faults, "
            f"{self.starts} starts, {len(self.lost)} lost, {len(self.unexpected)} unexpected"
        )

    def report(self, options: argparse.Namespace) -> str:
        """The result as Markdown."""
        rows = [f"| {fault} | {self.faults[fault]} |" for fault in FAULTS]
        disk = f"a tmpfs of {MEGABYTES} MB" if self.disk is not None else "no disk to fill up"
        return "\n".join([
            f"{self.rounds} rounds of two trainings with one prefix store in {options.minutes:g} minutes: "
            f"{self.equal} ended with the losses and weights of undisturbed runs, bit for bit, {self.close} "
            "within rounding; "
            f"{len(self.lost)} files of the user's lost; {len(self.unexpected)} unexpected messages; "
            f"{self.starts} starts, of which {self.refused} found no whole checkpoint and began anew.",
            "",
            "| fault | times |",
            "|---|---:|",
            *rows,
            "",
            f"Tiny random model on noise, {disk}; seed {options.seed}; torch {torch.__version__}.",
            *(f"\nunexpected: {text}" for text in self.unexpected[:3]),
        ])  # fmt: skip


#: Another process that wants all the room of the store.
ASKING = """
import sys
from pathlib import Path
import torch
from asr_adapt.training.prefix.store import PrefixStore
store = PrefixStore(Path(sys.argv[1]), "other", 20_000_000)
store.make_room(19_500_000)
store.write("shard", {"0": torch.zeros(100_000)})
store.close()
"""


@contextlib.contextmanager
def small_disk(given: Path | None, folder: Path) -> Iterator[Path | None]:
    """The folder of a small file system, or None where there is none."""
    if given is not None:
        yield given
        return
    place = folder / "tmpfs"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def fill(path: Path) -> None:
    """Take the last room."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as handle:
        while True:
            handle.write(bytes(1 << 16))


def wait(child: int) -> int:
    """The exit status of a child."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def done(run: Path) -> bool:
    """Whether a run has ended."""
    return (run / "summary.json").is_file()


def unlike(whole: Path, other: Path) -> str:
    """What differs between two results; nothing where they are equal, bit for bit."""
    if not done(other):
        return f"{other.name} did not end"
    first, second = (load_file(folder / "model.safetensors") for folder in (whole, other))
    if first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first):
        return "" if losses(whole) == losses(other) else f"{other.name} had other losses"
    if all(torch.allclose(first[n], second[n], rtol=1e-2, atol=1e-3) for n in first):
        return ROUNDING
    return f"{other.name} ended with other weights"


def losses(folder: Path) -> list[tuple[int, float]]:
    """Loss by step."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [(m["step"], m["loss"]) for m in map(json.loads, lines) if m["kind"] == "step"]


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--disk", type=Path, help="an empty folder on a small disk, which will be filled")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="PATH", help="update the block in this document")
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
