"""Exports, read back; sclite agrees on every pair where it is installed."""

import json
import re
import shutil
import subprocess

import pytest

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.scoring import count_errors
from asr_adapt.scoring.interchange import export
from tests.scoring.test_counts import random_pairs


def row(name, text, heard, **extra):
    return Utterance(f"{name}.wav", name, 2.0, text, speaker="ann", extra={"pred_text": heard} | extra)


@pytest.fixture
def manifest():
    words = [{"word": "one", "start": 0.5, "end": 0.75}, {"word": "too", "start": 1.0, "end": 1.5}]
    return Manifest.of([row("a", "One, two!", "one too", words=words), row("b (x)", "three", "three four")])


def test_trn(manifest, tmp_path):
    export(manifest, tmp_path, "trn")
    assert (tmp_path / "ref.trn").read_text() == "one two (ann-a)\nthree (ann-b_x_)\n"
    assert (tmp_path / "hyp.trn").read_text() == "one too (ann-a)\nthree four (ann-b_x_)\n"


def test_stm_and_ctm(manifest, tmp_path):
    export(manifest, tmp_path, "stm-ctm")
    assert (tmp_path / "ref.stm").read_text().splitlines()[0] == "a 1 ann 0.000 2.000 one two"
    assert (tmp_path / "hyp.ctm").read_text().splitlines() == [
        "a 1 0.500 0.250 one",
        "a 1 1.000 0.500 too",
        "b_x_ 1 0.000 1.000 three",
        "b_x_ 1 1.000 1.000 four",
    ]


def test_seglst(manifest, tmp_path):
    export(manifest, tmp_path, "seglst")
    first = json.loads((tmp_path / "hyp.seglst.json").read_text())[0]
    assert first["words"] == "one too"
    assert (first["start_time"], first["end_time"], first["speaker"]) == (0.0, 2.0, "ann")


def test_refusals(manifest, tmp_path):
    with pytest.raises(UsageError, match="trn, stm-ctm, seglst"):
        export(manifest, tmp_path, "ctm")
    timeless = Manifest.of([Utterance("a.wav", text="a", extra={"pred_text": "a"})])
    with pytest.raises(DataError, match="no duration"):
        export(timeless, tmp_path, "stm-ctm")
    assert not list(tmp_path.iterdir())  # nothing half-written


@pytest.mark.skipif(shutil.which("sctk") is None, reason="Debian's sctk (sclite) is not installed")
def test_sclite_counts_the_same_errors_in_ten_thousand_pairs(tmp_path):
    pairs = random_pairs(10_000)
    rows = [
        Utterance(f"{i}.wav", f"u{i:05d}", 1.0, r, speaker=f"s{i % 50}", extra={"pred_text": h})
        for i, (r, h) in enumerate(pairs)
    ]
    export(Manifest.of(rows), tmp_path, "trn")
    command = ["sctk", "sclite", "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id"]
    output = subprocess.run(
        [*command, "-e", "utf-8", "-o", "pra", "stdout"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ids = [int(i) for i in re.findall(r"^id: \(s\d+-u(\d+)\)", output, re.MULTILINE)]
    scores = re.findall(r"^Scores: \(#C #S #D #I\) \d+ (\d+) (\d+) (\d+)", output, re.MULTILINE)
    theirs = dict(zip(ids, (sum(map(int, score)) for score in scores), strict=True))
    ours = count_errors(*map(list, zip(*pairs, strict=True))).errors
    assert theirs == dict(enumerate(ours.tolist()))
