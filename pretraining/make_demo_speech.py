"""Cut the demonstration's speech from speechocean762 and kathleen into ``asr_adapt/assets/demo-speech``.

Knows which rows are taken and why. Does not know what the demonstration does with them.

    python pretraining/make_demo_speech.py --data ../shared/data

Rows are drawn at random with a fixed seed, evenly over the speakers, never by how well a model hears them.
Audio files are copied unchanged. Parts with the accent share no speaker; guard and replay share no prompt.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice, zip_longest
from pathlib import Path

from asr_adapt.manifest import Manifest, Utterance, write_manifest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from accent_corpora import DEV_HEAVY, labelled

FOLDER = Path(__file__).resolve().parents[1] / "asr_adapt" / "assets" / "demo-speech"
SEED = 20261126
#: Clips of each part: about 5.5 MB of Opus in all.
SIZES = {"train": 134, "dev": 20, "test": 55, "replay": 44, "guard_dev": 20, "guard_test": 40}


def main() -> None:
    """Write manifests and audio, replacing an earlier cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=FOLDER)
    given = parser.parse_args()
    audio = given.output / "audio"
    shutil.rmtree(audio, ignore_errors=True)
    audio.mkdir(parents=True)
    for part, rows in chosen(given.data).items():
        write_manifest(given.output / f"{part}.jsonl", [_copied(row, audio) for row in rows])
        print(f"{part}: {len(rows)} clips, {sum(row.duration or 0 for row in rows) / 60:.1f} min")


def chosen(data: Path) -> dict[str, list[Utterance]]:
    """The rows of each part, in the order of their ids."""
    train, test = (labelled(data / "speechocean762" / part) for part in ("train", "test"))
    kathleen = _one_take_each(Manifest.open(data / "kathleen" / "manifest.jsonl"))
    pools: dict[str, Iterable[Utterance]] = {
        "train": [row for row in train if row.accent == "heavy" and row.speaker not in DEV_HEAVY],
        "dev": [row for row in train if row.speaker in DEV_HEAVY],
        "test": [row for row in test if row.accent == "heavy"],
        **{part: kathleen[number::3] for number, part in enumerate(("replay", "guard_dev", "guard_test"))},
    }
    return {part: _drawn(pool, SIZES[part], lambda row: row.speaker or "") for part, pool in pools.items()}


def _one_take_each(rows: Iterable[Utterance]) -> list[Utterance]:
    """The first recording of each prompt, shuffled: prompts repeat in this corpus."""
    takes: dict[str, Utterance] = {}
    for row in rows:
        takes.setdefault(str(row.extra["prompt"]), row)
    found = list(takes.values())
    random.Random(SEED).shuffle(found)
    return found


def _drawn(rows: Iterable[Utterance], count: int, group: Callable[[Utterance], str]) -> list[Utterance]:
    """``count`` rows at random, one group after the other in turn, so that all are heard alike."""
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for row in rows:
        groups[group(row)].append(row)
    order = random.Random(SEED)
    for own in groups.values():
        order.shuffle(own)
    turns = (row for turn in zip_longest(*groups.values()) for row in turn if row is not None)
    return sorted(islice(turns, count), key=lambda row: row.id)


def _copied(row: Utterance, folder: Path) -> Utterance:
    """The row with its audio file copied into ``folder``."""
    target = folder / row.audio_path.name
    shutil.copyfile(row.audio_path, target)
    return row.replace(audio_filepath=f"audio/{target.name}", root=folder.parent)


if __name__ == "__main__":
    main()
