"""cpWER: errors of words and speakers together, beside counts done by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError
from asr_adapt.scoring import score

pytest.importorskip("meeteval")


def segments(*said: tuple[str, str]) -> list[dict]:
    return [
        {"speaker": who, "text": text, "start": float(n), "end": n + 0.9}
        for n, (who, text) in enumerate(said)
    ]


def row(reference: list[dict], hypothesis: list[dict], name: str = "a.wav") -> dict:
    text, heard = (" ".join(s["text"] for s in side) for side in (reference, hypothesis))
    return {
        "audio_filepath": name, "text": text, "pred_text": heard,
        "segments": reference, "pred_segments": hypothesis,
    }  # fmt: skip


TALK = segments(("anna", "How are you?"), ("bert", "fine thanks"), ("anna", "good"))


def test_names_do_not_matter_and_case_is_normalised():
    heard = segments(("S2", "how are you"), ("S1", "fine thanks"), ("S2", "good"))
    result = score([row(TALK, heard)])
    assert result.counts.wer == 0.0 and result.speakers is not None
    assert result.speakers.cpwer == 0.0 and result.speakers.words == 6


def test_a_word_given_to_the_wrong_speaker_costs_two_errors():
    heard = segments(("S1", "how are you fine"), ("S2", "thanks"), ("S1", "good"))
    result = score([row(TALK, heard)])
    assert result.counts.wer == 0.0
    assert (result.speakers.insertions, result.speakers.deletions) == (1, 1)
    assert result.speakers.cpwer == pytest.approx(2 / 6)


def test_conversations_add_up_and_a_speaker_who_is_missed_is_said():
    one = segments(("S1", "how are you fine thanks good"))
    result = score([row(TALK, one, "a.wav"), row(TALK, TALK, "b.wav"), row(TALK, [], "c.wav")])
    told = result.to_json()["speakers"]
    assert told["conversations"] == 3 and told["words"] == 18 and told["missed_speakers"] == 3
    assert told["cpwer"] == pytest.approx((4 + 0 + 6) / 18)


def test_rows_without_segments_have_no_cpwer():
    result = score([{"audio_filepath": "a.wav", "text": "a", "pred_text": "a"}])
    assert result.speakers is None and "speakers" not in result.to_json()


def test_score_prints_it_and_names_a_bad_segment(tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row(TALK, TALK)) + "\n")
    assert run(["score", str(path)]) == 0
    assert "cpWER 0.00 % of 1 conversations" in capsys.readouterr().out
    nobody = segments(("anna", "x"))
    del nobody[0]["speaker"]
    path.write_text(json.dumps(row(TALK, TALK)) + "\n" + json.dumps(row(nobody, TALK, "b.wav")) + "\n")
    with pytest.raises(DataError, match=r"p\.jsonl:2: segments: segment 0 needs speaker"):
        score(path)


def test_without_the_extra_one_sentence_says_so(tmp_path):
    (tmp_path / "meeteval.py").write_text("raise ModuleNotFoundError('no', name='meeteval')\n")
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row(TALK, TALK)) + "\n")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "asr_adapt", "score", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 2 and "asr-adapt[meetings]" in done.stderr
