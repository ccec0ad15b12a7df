"""Four hundred damaged files of each kind that is read: named in a sentence, no traceback, no hang."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr_adapt.cli.app import run

SEEDS = range(50)
#: What stands in the place of a value: every JSON type, numbers without sense, texts that hurt.
ODD: list[Any] = [
    None, True, -1, 0, 1e308, -1e-9, 10**30, "", "\u0000", "\x1b[2J", "../../etc/passwd", "\ud800", "NaN", [],
    {},
    [[]], {"a": 1}, "x" * 10_000, float("nan"), float("inf"), [None] * 3, "٣", "1.5",
]  # fmt: skip


def rows(extra: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    row = {"audio_filepath": "a.wav", "duration": 0.5, "text": "one two", "speaker": "s"}
    return [row | {"id": f"r{n}"} | (extra or {}) for n in range(3)]


def jsonl(values: list[Any]) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def wave(kind: str) -> bytes:
    buffer = io.BytesIO()
    sound = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    soundfile.write(buffer, sound, 16_000, format=kind)
    return buffer.getvalue()


def harmed(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut off, doubled, or put in."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 3, 20))):
        place = chance.randrange(max(1, min(len(changed), chance.choice((44, 200, 10**6)))))
        match chance.randrange(4):
            case 0 if changed:
                changed[place] = chance.randrange(256)
            case 1:
                del changed[place:]
            case 2:
                changed[place:place] = changed[place : place + 40]
            case _:
                changed[place:place] = chance.randbytes(chance.choice((1, 8)))
    return bytes(changed)


def odd_value(tree: Any, chance: random.Random) -> Any:
    """The tree with one of its values, at any depth, replaced by an odd one, or a key taken away."""
    tree = json.loads(json.dumps(tree))
    node = tree
    while True:
        if not node:
            return chance.choice(ODD)
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], (dict, list)) and node[key] and chance.random() < 0.7:
            node = node[key]
            continue
        if isinstance(node, dict) and chance.random() < 0.2:
            del node[key]
        else:
            node[key] = chance.choice(ODD)
        return tree


def either(tree: Any, chance: random.Random, write: Callable[[Any], bytes] | None = None) -> bytes:
    """Half of the time bytes are harmed, half of the time values are odd."""
    write = write or (lambda value: json.dumps(value).encode())
    if chance.random() < 0.4:
        return harmed(write(tree), chance)
    return write(odd_value(tree, chance))


def lines(tree: Any) -> bytes:
    return jsonl(tree if isinstance(tree, list) else [tree])


def audio(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    name = chance.choice(("a.wav", "a.flac", "a.ogg", "a.mp3"))
    (folder / name).write_bytes(harmed(wave(name[2:].upper()), chance))
    (folder / "m.jsonl").write_bytes(jsonl([{"audio_filepath": name, "text": "one", "id": "r"}]))
    return "m.jsonl", ["manifest", "check", "m.jsonl", "--no-cache", "--workers", "1"]


def manifest(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    (folder / "a.wav").write_bytes(wave("WAV"))
    (folder / "m.jsonl").write_bytes(either(rows(), chance, lines))
    command = chance.choice(
        (["stats", "m.jsonl"], ["check", "m.jsonl", "--no-cache"], ["audit", "m.jsonl", "ok.jsonl"])
    )
    (folder / "ok.jsonl").write_bytes(jsonl(rows()))
    return "m.jsonl", ["manifest", *command]


def recipe(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    tree = {
        "model": "nowhere/at-all", "train": ["m.jsonl"], "dev": "m.jsonl", "strategy": {"name": "top_layers"},
        "optimiser": {"learning_rate": 1e-4, "kind": "adamw"}, "schedule": {"steps": 3, "warmup": 0.1},
        "batch": {"seconds": 10.0}, "evaluation": {"every": 2, "patience": 2}, "augment": {"speed": None},
        "decoder": {"language": "en"}, "cache": {"mode": "auto", "gigabytes": 1.0}, "retention": {},
    }  # fmt: skip
    (folder / "recipe.yaml").write_bytes(either(tree, chance))
    return "recipe.yaml|m.jsonl", ["train", "recipe.yaml", "-o", "out"]


def predictions(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    good = rows(
        {"pred_text": "one too", "words": [{"word": "one", "start": 0.0, "end": 0.2, "probability": 0.5}]}
    )
    (folder / "p.jsonl").write_bytes(either(good, chance, lines))
    (folder / "ok.jsonl").write_bytes(jsonl(good))
    if chance.random() < 0.3:
        (folder / "p.jsonl").write_bytes(jsonl(good))
        (folder / "p.settings.json").write_bytes(either({"model": "m", "decoding": "best path"}, chance))
    commands = (
        ["score", "p.jsonl"],
        ["compare", "ok.jsonl", "p.jsonl"],
        ["report", "p.jsonl", "-o", "r.html"],
    )
    return "p.", chance.choice(commands)


def baseline(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    (folder / "p.jsonl").write_bytes(jsonl(rows({"pred_text": "one two"})))
    run(["gate", "p.jsonl", "--baseline", "b.json", "--update"])
    tree = json.loads((folder / "b.json").read_text(encoding="utf-8"))
    (folder / "b.json").write_bytes(either(tree, chance))
    return "b.json", ["gate", "p.jsonl", "--baseline", "b.json"]


def textgrid(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    (folder / "t").mkdir()
    (folder / "t" / "a.wav").write_bytes(wave("WAV"))
    text = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 0.25\ntiers? <exists>\n'
        "size = 1\n"
        'item []:\n    item [1]:\n        class = "IntervalTier"\n        name = "words"\n        xmin = 0\n'
        "        xmax = 0.25\n        intervals: size = 1\n        intervals [1]:\n            xmin = 0\n"
        '            xmax = 0.25\n            text = "one"\n'
    )
    (folder / "t" / "a.TextGrid").write_bytes(harmed(text.encode(), chance))
    return "a.", ["manifest", "build", "t", "--format", "textgrid", "-o", "m.jsonl"]


def lhotse(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    (folder / "l").mkdir()
    (folder / "l" / "a.wav").write_bytes(wave("WAV"))
    recording = {
        "id": "a", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}], "sampling_rate": 16000,
        "num_samples": 4000, "duration": 0.25, "channel_ids": [0],
    }  # fmt: skip
    supervision = {"id": "s", "recording_id": "a", "start": 0.0, "duration": 0.2, "channel": 0, "text": "one"}
    parts = {"recordings": recording, "supervisions": supervision}
    bad = chance.choice(list(parts))
    for name, tree in parts.items():
        data = either([tree], chance, lines) if name == bad else jsonl([tree])
        (folder / "l" / f"{name}.jsonl").write_bytes(data)
    return "l", ["manifest", "build", "l", "--format", "lhotse", "-o", "m.jsonl"]


def table(folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    (folder / "k").mkdir()
    (folder / "k" / "a.wav").write_bytes(wave("WAV"))
    text = "path\tsentence\tclient_id\na.wav\tone two\ts1\n"
    (folder / "k" / "validated.tsv").write_bytes(harmed(text.encode(), chance))
    return "", ["manifest", "build", "k/validated.tsv", "--format", "table", "-o", "m.jsonl"]


KINDS = (audio, manifest, recipe, predictions, baseline, textgrid, lhotse, table)


@pytest.mark.timeout(900)  # fifty inputs take seconds: whoever meets this hangs
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_damaged_files_are_named(
    kind: Callable[[Path, random.Random], tuple[str, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = []
    for seed in SEEDS:
        folder = tmp_path / str(seed)
        folder.mkdir()
        monkeypatch.chdir(folder)
        name, command = kind(folder, random.Random(seed))
        capsys.readouterr()
        status = run(command)
        out, err = capsys.readouterr()
        said = out + err
        if status not in (0, 1, 2, 3, 4) or "asr-adapt: unexpected " in err or "Traceback" in said:
            faults.append(f"{kind.__name__} {seed}: {status}: {err.strip()[-200:]}")
        elif status > 1 and not any(part in said for part in name.split("|")):
            faults.append(f"{kind.__name__} {seed}: {status} does not name {name}: {err.strip()[-200:]}")
        elif "\x1b" in said:
            faults.append(f"{kind.__name__} {seed}: an escape sequence reaches the terminal")
    assert not faults, "\n".join(faults)
