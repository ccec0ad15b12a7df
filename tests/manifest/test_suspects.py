"""Wrong transcripts rank first, and rows that are too long are cut in their pauses."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
import typer
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.audio import read_audio
from asr_adapt.cli.app import build_app
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.manifest.check.suspects import cut_at_pauses
from tests.conftest import RATE, tones

WORDS = ["abc", "fed", "gag", "bad", "cafe", "dead", "bead", "face", "cab", "dab", "egg", "add", "age", "bag"]


def spoken_corpus(folder: Path, rows: int = 40) -> Path:
    """Tone speech; two rows of forty (5 %) have each other's transcript."""
    chooser = random.Random(1)
    texts = [" ".join(chooser.sample(WORDS, 3)) for _ in range(rows)]
    shown = list(texts)
    shown[7], shown[30] = texts[30], texts[7]
    utterances = []
    for number, text in enumerate(texts):
        samples = tones(text)
        soundfile.write(folder / f"{number}.wav", samples, RATE)
        row = Utterance(f"{number}.wav", text=shown[number], duration=len(samples) / RATE, root=folder)
        utterances.append(row)
    write_manifest(folder / "m.jsonl", utterances)
    return folder / "m.jsonl"


def run(*arguments: object) -> int:
    command = typer.main.get_command(build_app(("asr_adapt.cli.manifest",)))
    return command(args=["manifest", *map(str, arguments)], standalone_mode=False) or 0


def test_swapped_transcripts_are_the_worst(tmp_path: Path, tone_model: Path, capsys) -> None:
    manifest = spoken_corpus(tmp_path)
    run("check", manifest, "--model", tone_model, "--align", "--worst", "4", "--no-cache", "--json")
    report = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in report["suspects"][:2]} == {"7", "30"}
    assert report["suspects"][2]["score"] < 0.1 < 1 < report["suspects"][1]["score"]
    assert report["codes"]["suspect-transcript"]["rows"] == 2
    heard = {row["id"]: row["heard"].strip() for row in report["suspects"]}
    rows = {row.id: row.text for row in Manifest.open(manifest)}
    assert heard["7"] == rows["30"]
    assert run("check", manifest, "--model", tone_model, "--align", "--no-cache") in (0, 3)
    assert "worst-aligned transcripts" in capsys.readouterr().out


def test_rows_that_are_too_long_are_split_where_the_speaker_pauses(
    tmp_path: Path, tone_model: Path, tone_recogniser, monkeypatch
) -> None:
    from asr_adapt.manifest.limits import ModelLimits
    from asr_adapt.models import CtcRecogniser

    text = " ".join(WORDS[:12])
    samples = tones(text, pause=0.4)
    soundfile.write(tmp_path / "long.wav", samples, RATE)
    row = Utterance("long.wav", text=text, duration=len(samples) / RATE, root=tmp_path)
    write_manifest(tmp_path / "m.jsonl", [row])
    limits = tone_recogniser.limits()
    short = ModelLimits(limits.name, limits.vocabulary, limits.frames, max_seconds=4.0)
    monkeypatch.setattr(CtcRecogniser, "limits", lambda self: short)
    fixed = tmp_path / "fixed.jsonl"
    status = run(
        "check", tmp_path / "m.jsonl", "--model", tone_model, "--align", "--no-cache", "--fix", fixed
    )
    assert status == 3
    pieces = list(Manifest.open(fixed))
    assert len(pieces) >= 3
    assert " ".join(piece.text for piece in pieces) == text
    for piece in pieces:
        assert piece.duration <= 4.0
        wave = read_audio(piece.audio_path, offset=piece.offset, duration=piece.duration)
        assert tone_recogniser.transcribe([wave])[0].text.strip() == piece.text
    assert "split: into" in (tmp_path / "fixed.jsonl.changes.txt").read_text()


def test_align_needs_a_model(tmp_path: Path) -> None:
    from asr_adapt.errors import UsageError

    with pytest.raises(UsageError, match="needs a model"):
        run("check", spoken_corpus(tmp_path, 31), "--align")


@given(
    st.lists(st.tuples(st.floats(0.1, 2.0), st.floats(0.0, 1.0)), min_size=1, max_size=30),
    st.floats(2.5, 8.0),
)
def test_pieces_cover_all_words_and_keep_the_limit(parts: list[tuple[float, float]], limit: float) -> None:
    times, at = [], 0.0
    for number, (length, pause) in enumerate(parts):
        times.append((f"w{number}", at, at + length))
        at += length + pause
    pieces = cut_at_pauses(times, at, limit)
    if not pieces:
        assert at > limit
        return
    assert [word for _, _, words in pieces for word in words] == [word for word, _, _ in times]
    assert pieces[0][0] == 0.0
    assert pieces[-1][1] == at
    for (_, end, _), (start, _, _) in pairwise(pieces):
        assert end == start
    assert all(0 < end - start <= limit + 1e-9 for start, end, _ in pieces)
