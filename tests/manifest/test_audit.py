"""The audit finds every kind of leak, and what split makes has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_adapt.cli.app import build_app
from asr_adapt.errors import DataError
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.audit import LEAK_KINDS, Part, audit_parts
from asr_adapt.manifest.fingerprints import fingerprint, near_keys
from asr_adapt.manifest.split import SplitOptions, left_over, split_rows

WORDS = ["red", "green", "blue", "white", "black", "brown"]


def part(name: str, *rows: tuple[str, str, str]) -> Part:
    return Part.of(name, Manifest.of([Utterance(a, text=t, speaker=s, duration=1.0) for a, t, s in rows]))


TRAIN = (
    ("a.wav", "The quick brown fox jumps high", "ann"),
    ("b.wav", "Something else entirely is said here", "bob"),
)


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        (("x.wav", "Not heard before in any way", "ann"), ["speaker"]),
        (("x.wav", "the quick, brown FOX jumps high!", "eve"), ["sentence"]),
        (("x.wav", "the quick brown dog jumps high", "eve"), ["near"]),
        (("x.wav", "the quick brown fox jumps high over", "eve"), ["near"]),
        (("x.wav", "quick brown fox jumps high", "eve"), ["near"]),
        (("a.wav", "Not heard before in any way", "eve"), ["audio"]),
        (("x.wav", "the slow brown dog jumps high", "eve"), []),
    ],
)
def test_each_kind_of_leak(row: tuple[str, str, str], kinds: list[str]) -> None:
    audit = audit_parts([part("train", *TRAIN), part("test", row)])
    assert [leak.kind for leak in audit.leaks] == kinds
    for leak in audit.leaks:
        assert (leak.first, leak.second, leak.first_rows, leak.second_rows) == ("train", "test", 1, 1)
        assert "train:" in leak.examples[0]


def test_the_same_sound_in_another_file_is_a_leak() -> None:
    one = Part.of("train", Manifest.of([Utterance("a.wav")]), np.array([77], dtype=np.uint64))
    other = Part.of(
        "test", Manifest.of([Utterance("b.wav"), Utterance("c.wav")]), np.array([0, 77], np.uint64)
    )
    assert [leak.kind for leak in audit_parts([one, other]).leaks] == ["audio"]


def test_unknown_speakers_are_noted_and_one_part_is_refused() -> None:
    audit = audit_parts([Part.of(name, Manifest.of([Utterance(f"{name}.wav")])) for name in ("a", "b")])
    assert not audit.leaks
    assert len(audit.notes) == 2
    with pytest.raises(DataError, match="at least two"):
        audit_parts([part("train", *TRAIN)])


@given(st.lists(st.sampled_from(WORDS), min_size=5, max_size=9), st.data())
@settings(max_examples=50, deadline=None)
def test_near_keys_meet_exactly_at_one_word(words: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(words) - 1))
    changed = [*words[:place], "new", *words[place + 1 :]]
    far = [*changed[:-1], "other"] if place < len(words) - 1 else ["other", *changed[1:]]
    keys = set(near_keys(" ".join(words)))
    assert keys & set(near_keys(" ".join(changed)))
    assert not keys & set(near_keys(" ".join(far)))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 7), st.lists(st.sampled_from(WORDS), min_size=4, max_size=6), st.integers(1, 40)
        ),
        min_size=3,
        max_size=60,
    )
)
def test_split_makes_no_leak(drawn: list[tuple[int, list[str], int]]) -> None:
    rows = [
        Utterance(f"{n}.wav", text=" ".join(words), speaker=f"s{speaker}", duration=1.0)
        for n, (speaker, words, _) in enumerate(drawn)
    ]
    sounds = np.array([sound for _, _, sound in drawn], dtype=np.uint64)
    manifest = Manifest.of(rows)
    try:
        chosen = split_rows(rows, SplitOptions({"train": 0.6, "dev": 0.2, "test": 0.2}))
        dropped = left_over(chosen, fingerprint(rows, sounds))
    except DataError as error:
        assert "cannot fill" in str(error) or "repeat sentences" in str(error)
        return
    kept = {name: np.setdiff1d(numbers, dropped[name]) for name, numbers in chosen.items()}
    parts = [Part.of(name, manifest.select(numbers), sounds[numbers]) for name, numbers in kept.items()]
    assert not audit_parts(parts).leaks
    assert len(kept["test"]) + len(kept["dev"]) > 0


def run(*arguments: object) -> int:
    command = typer.main.get_command(build_app(("asr_adapt.cli.manifest",)))
    return command(args=["manifest", *map(str, arguments)], standalone_mode=False) or 0


def spoken_corpus(folder: Path) -> Path:
    """Six speakers with four sentences each; one sentence and one sound occur twice."""
    rows = []
    for number in range(24):
        sound = 0 if number == 23 else number
        samples = 0.1 * np.random.default_rng(sound).standard_normal(8_000)
        soundfile.write(folder / f"{number}.flac", samples, 16_000)
        text = (
            "one two three four five" if number in (1, 22) else f"sentence number {number} of twenty {number}"
        )
        rows.append(
            Utterance(f"{number}.flac", text=text, speaker=f"s{number // 4}", duration=0.5, root=folder)
        )
    write_manifest(folder / "all.jsonl", rows)
    return folder / "all.jsonl"


def test_split_then_audit_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = spoken_corpus(tmp_path)
    parts = tmp_path / "parts"
    assert run("split", source, "-o", parts, "--parts", "train=4,test=2", "--no-cache", "--json") == 0
    table = {row["part"]: row["rows"] for row in json.loads(capsys.readouterr().out)}
    assert sum(table.values()) == 24
    assert run("audit", parts / "train.jsonl", parts / "test.jsonl", "--no-cache") == 0
    assert "No leaks" in capsys.readouterr().out
    assert run("split", source, "-o", parts, "--parts", "train=4,test=2", "--shared-text") == 0
    capsys.readouterr()
    one, other = parts / "train.jsonl", parts / "test.jsonl"
    write_manifest(other, [*Manifest.open(other), Manifest.open(one)[0].replace(id="copy")])
    assert run("audit", one, other, "--no-cache", "--json") == 1
    leaks = json.loads(capsys.readouterr().out)["leaks"]
    assert {leak["kind"] for leak in leaks} == {"speaker", "sentence", "audio"}
    assert run("audit", one, other, "--no-audio", "--ignore", "speaker,sentence,near,audio") == 0


def test_a_closed_set_of_sentences_is_refused(tmp_path: Path) -> None:
    rows = [Utterance(f"{n}.wav", text=str(n % 3), speaker=f"s{n // 3}", duration=1.0) for n in range(12)]
    parts = split_rows(rows, SplitOptions({"train": 0.5, "test": 0.5}))
    with pytest.raises(DataError, match="use --shared-text"):
        left_over(parts, fingerprint(rows))


def test_every_kind_is_explained() -> None:
    assert set(LEAK_KINDS) == set(fingerprint([]))
