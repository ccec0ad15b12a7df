"""What a list of hot words is worth, and what a wrong one costs: rare words of speechocean762, alnum's names.

Rare words stand at most twice in all transcripts of speechocean762 and have four letters or more. The right
list holds those of the measured rows, the wrong one as many of rows that are not measured. alnum's names are
spelled by their speakers: the right list holds them as written and spelled, the wrong one those of other
speakers. Their rows are scored under the profile alnum-en, by letter and digit. The weight is chosen on train
speakers and on half of alnum's, and reported on test speakers and on the other half. The change is against
the same search without a list, with its interval over speakers. Every clip is encoded once and decoded in all
ways; a run that is stopped goes on where it was.

    python benchmarks/bench_hotwords.py --data ../shared/data --part tune
    python benchmarks/bench_hotwords.py --data ../shared/data --part report --write
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import jiwer
import numpy as np
from accent_corpora import labelled
from report import add_write, hardware, publish, table

from asr_adapt.audio import read_audio
from asr_adapt.decoding.hotwords import TOKEN_BOOST
from asr_adapt.files import atomic_write
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import Search, load_recogniser
from asr_adapt.scoring.bootstrap import speaker_blocks
from asr_adapt.scoring.paired import PairedErrors, paired_difference
from asr_adapt.text import normalise

Item = TypeVar("Item")
BATCH = 24
#: Most occurrences of a rare word in all transcripts, and its fewest letters.
RARE, LETTERS = 2, 4
WEIGHTS = (1.0, 2.0, 3.0)
BEAMS = (1, 5)


@dataclass(frozen=True)
class Way:
    """A search: width of the beam, the list (none, right, wrong) and the boost of a token."""

    beams: int
    listed: str = "none"
    weight: float = 0.0

    def __str__(self) -> str:
        search = "greedy" if self.beams == 1 else f"beam {self.beams}"
        return search if self.listed == "none" else f"{search}, {self.listed} list, {self.weight:g}"


@dataclass(frozen=True)
class Task:
    """Rows to measure, and both lists."""

    name: str
    rows: Sequence[Utterance]
    lists: dict[str, tuple[str, ...]]

    @property
    def profile(self) -> str:
        """How texts are compared."""
        return "alnum-en" if self.name == "alnum" else "basic"

    def words(self, text: str) -> list[str]:
        """A text as it is compared."""
        return normalise(text, self.profile).split()

    def counts(self, texts: Sequence[str]) -> Counts:
        """Errors on listed words and on the rest."""
        found = Counts()
        listed = {word for phrase in self.lists["right"] for word in self.words(phrase)}
        for row, text in zip(self.rows, texts, strict=True):
            wanted, heard = self.words(row.text or ""), self.words(text)
            named = row.extra.get("kind") == "names"
            found.add(wanted, heard, None if named else set() if self.name == "alnum" else listed)
            found.names += named
            found.names_right += named and wanted == heard
        return found

    def change(self, before: Sequence[str], after: Sequence[str]) -> str:
        """The difference of two systems on all rows, in points of WER, and its interval."""
        errors, words = [], [len(self.words(row.text or "")) for row in self.rows]
        for texts in (before, after):
            pairs = [(self.words(r.text or ""), self.words(t)) for r, t in zip(self.rows, texts, strict=True)]
            errors.append(np.array([sum(1 for _ in wrong_words(*pair)) for pair in pairs]))
        paired = PairedErrors(errors[0], np.array(words), errors[1], np.array(words))
        found = paired_difference(paired, speaker_blocks([row.speaker for row in self.rows], len(self.rows)))
        low, high = 100 * found.interval.low, 100 * found.interval.high
        return f"{100 * found.delta:+.2f} ({low:+.2f} to {high:+.2f})"


@dataclass
class Counts:
    """Words and errors, of listed words and of the rest; names that are right to the letter."""

    listed: int = 0
    listed_wrong: int = 0
    rest: int = 0
    rest_wrong: int = 0
    names: int = 0
    names_right: int = 0

    def add(self, wanted: list[str], heard: list[str], listed: set[str] | None) -> None:
        """One row; ``listed`` None: all its words are. An inserted word counts as listed if it is."""

        def is_listed(word: str) -> bool:
            return listed is None or word in listed

        for word in wanted:
            if is_listed(word):
                self.listed += 1
            else:
                self.rest += 1
        for word in wrong_words(wanted, heard):
            if is_listed(word):
                self.listed_wrong += 1
            else:
                self.rest_wrong += 1

    @property
    def wer(self) -> float:
        """Of everything."""
        return (self.listed_wrong + self.rest_wrong) / max(1, self.listed + self.rest)


def wrong_words(wanted: list[str], heard: list[str]) -> Iterator[str]:
    """The wanted word of each substitution and deletion, the heard one of each insertion."""
    if not wanted:
        yield from heard
        return
    for chunk in jiwer.process_words(" ".join(wanted), " ".join(heard)).alignments[0]:
        if chunk.type == "insert":
            yield from heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        elif chunk.type != "equal":
            yield from wanted[chunk.ref_start_idx : chunk.ref_end_idx]


def rare_words(data: Path, part: str, count: int) -> Task:
    """Rows of one part of speechocean762 with a rare word, evenly spread."""
    parts = {name: list(labelled(data / "speechocean762" / name)) for name in ("train", "test")}
    often = Counter(w for rows in parts.values() for row in rows for w in normalise(row.text or "").split())
    rare = {word for word, n in often.items() if n <= RARE and len(word) >= LETTERS and word.isalpha()}

    def own(row: Utterance) -> set[str]:
        return set(normalise(row.text or "").split()) & rare

    having = [row for row in parts[part] if own(row)]
    chosen = spread(having, count)
    right = sorted(set().union(*map(own, chosen)))
    said = {word for row in chosen for word in normalise(row.text or "").split()}
    others = sorted(rare - said)
    return Task("speechocean", chosen, {"right": tuple(right), "wrong": tuple(spread(others, len(right)))})


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` of them, evenly spread."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))
    return [items[place] for place in places]


def names(data: Path, part: str) -> Task:
    """alnum's rows of half of the speakers; numbers and addresses are the rest."""
    rows = list(Manifest.open(data / "alnum" / "manifest.jsonl"))
    speakers = sorted({row.speaker or "" for row in rows})
    own = set(speakers[::2] if part == "tune" else speakers[1::2])
    right, wrong = (
        tuple(
            form
            for row in rows
            if row.extra["kind"] == "names" and (row.speaker in own) == mine
            for form in spelled(row.extra["prompt"])
        )
        for mine in (True, False)
    )
    return Task("alnum", [row for row in rows if row.speaker in own], {"right": right, "wrong": wrong})


def spelled(name: str) -> Iterator[str]:
    """A name as it is written, and as speakers and recognisers spell it, word by word."""
    yield name
    for word in name.split():
        yield word
        for gap in ("-", " ", ", "):
            yield gap.join(word.upper())


def ways(part: str) -> list[Way]:
    """Every weight where the weight is chosen; else the default."""
    weights = WEIGHTS if part == "tune" else (TOKEN_BOOST,)
    found = [Way(beams) for beams in BEAMS]
    return found + [Way(b, kind, w) for b in BEAMS for kind in ("right", "wrong") for w in weights]


class Texts:
    """What was heard so far, by way and row, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, str]] = defaultdict(dict)
        if path.is_file():
            self.found.update(json.loads(path.read_text(encoding="utf-8")))

    def save(self) -> None:
        """Write the file anew."""
        with atomic_write(self.path) as handle:
            json.dump(self.found, handle, ensure_ascii=False)


def heard(task: Task, model: str, chosen: Sequence[Way], path: Path, deadline: float) -> dict[Way, list[str]]:
    """The texts of every way; ends the script where the time is over."""
    texts = Texts(path)
    todo = [row for row in task.rows if any(row.id not in texts.found[str(way)] for way in chosen)]
    if todo:
        base = load_recogniser(model, device="cpu", compute_type="float32")
        searches = {way: base.searching(searched(way, task)) for way in chosen}
    for first in range(0, len(todo), BATCH):
        if time.monotonic() > deadline:
            print(f"{task.name}: {first} of {len(todo)} rows done; run again.", file=sys.stderr)
            sys.exit(75)
        rows = todo[first : first + BATCH]
        waves = [read_audio(row.audio_path, sample_rate=base.sample_rate) for row in rows]
        limit = base.stack.prefix_limit
        hidden = base.encode(base.inputs(waves).to(base.device), limit)
        for way, recogniser in searches.items():
            if all(row.id in texts.found[str(way)] for row in rows):
                continue
            found = recogniser.transcribe_hidden(hidden, limit, [len(wave) for wave in waves])
            texts.found[str(way)].update((row.id, said.text) for row, said in zip(rows, found, strict=True))
            texts.save()
    return {way: [texts.found[str(way)][row.id] for row in task.rows] for way in chosen}


def searched(way: Way, task: Task) -> Search:
    """The search of a way; an untuned default otherwise."""
    listed = task.lists.get(way.listed, ())
    return Search(beams=way.beams, hotwords=tuple((word, way.weight) for word in listed))


def done(task: Task, chosen: Sequence[Way], path: Path) -> Task:
    """The task with those rows alone that were heard in all ways."""
    texts = Texts(path)
    rows = [row for row in task.rows if all(row.id in texts.found[str(way)] for way in chosen)]
    return replace(task, rows=rows)


def block(task: Task, model: str, texts: dict[Way, list[str]]) -> list[str]:
    """The table of one task and model."""
    rows = []
    for way, said in texts.items():
        c = task.counts(said)
        cells = [str(way), share(c.listed_wrong, c.listed), share(c.rest_wrong, c.rest), f"{c.wer:.2%}"]
        alone = texts[Way(way.beams)]
        cells.append("" if way.listed == "none" else task.change(alone, said))
        rows.append(cells + ([f"{c.names_right} of {c.names}"] if c.names else []))
    c = task.counts(next(iter(texts.values())))
    kind, rest = (
        ("letters of names", "other letters and words") if c.names else ("listed words", "other words")
    )
    about = (
        f"`{model}`, {task.name}: {len(task.rows)} rows, {len({row.speaker for row in task.rows})} speakers; "
        f"{c.listed} {kind}, {c.rest} {rest}; lists of {len(task.lists['right'])} and "
        f"{len(task.lists['wrong'])} entries."
    )
    heads = ["search", f">{kind} wrong", f">{rest} wrong", ">all", ">change in points (95 %)"]
    heads += [">names right"] if c.names else []
    return [about, "", *table(heads, rows), ""]


def share(wrong: int, count: int) -> str:
    """Errors a word, in percent."""
    return f"{wrong / max(1, count):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--part", choices=("tune", "report"), default="report")
    parser.add_argument(
        "--task", choices=("speechocean", "alnum"), nargs="+", default=["speechocean", "alnum"]
    )
    parser.add_argument("--model", nargs="+", default=["whisper-tiny.en"])
    parser.add_argument("--rows", type=int, default=200, help="rows of speechocean762, evenly spread")
    parser.add_argument(
        "--output", type=Path, default=Path("hotwords-output"), help="folder of what was heard"
    )
    parser.add_argument(
        "--partial", action="store_true", help="the table of the rows that are done, no others"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; run again")
    add_write(parser, "hotwords")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    lines = [
        "## Hot words in encoder–decoder models",
        "",
        f"`benchmarks/bench_hotwords.py --part {options.part}`; {hardware()}.",
        "",
    ]
    for model in options.model:
        for name in options.task:
            tune = options.part == "tune"
            part = "train" if tune else "test"
            task = (
                rare_words(options.data, part, options.rows)
                if name == "speechocean"
                else names(options.data, options.part)
            )
            path = options.output / f"{options.part}-{name}-{model}.json"
            if options.partial:
                task = done(task, ways(options.part), path)
            lines += block(task, model, heard(task, model, ways(options.part), path, deadline))
    publish("\n".join(lines), "hotwords" if options.part == "report" else "hotwords-sweep", options.write)


if __name__ == "__main__":
    main()
