"""A predictions file to a score."""

import json

import pytest

from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest
from asr_adapt.scoring import read_predictions, score
from tests.scoring.conftest import make_rows, write_rows


def test_groups_gap_and_cross(predictions):
    result = score(predictions, by=["accent", "gender"])
    assert list(result.groups) == ["accent", "gender", "accent+gender"]
    assert set(result.groups["accent+gender"]) == {"scottish+f", "scottish+m", "us+f", "us+m"}
    scottish, us = (result.groups["accent"][name] for name in ("scottish", "us"))
    assert scottish.counts.errors + us.counts.errors == result.counts.errors
    gap = result.gaps["accent"]
    assert (gap.worst, gap.best) == ("scottish", "us")
    assert gap.gap == pytest.approx(scottish.wer - us.wer)
    assert 0 < gap.interval.low < gap.gap < gap.interval.high
    assert scottish.interval.unit == "speaker"
    assert scottish.interval.blocks == 10


def test_json_has_the_promised_fields(predictions):
    value = json.loads(json.dumps(score(predictions, by=["accent"]).to_json(), allow_nan=False))
    rates, kinds = {"wer", "cer", "ser"}, {"substitutions", "deletions", "insertions", "hits"}
    assert rates | kinds | {"errors", "words", "rows", "groups"} < set(value)
    assert value["normaliser"] == {"name": "basic", "version": "2"}
    assert {"jiwer", "numpy", "python", "asr_adapt"} <= set(value["software"])
    assert value["errors"] == value["substitutions"] + value["deletions"] + value["insertions"]
    assert value["words"] == value["hits"] + value["substitutions"] + value["deletions"]


def test_a_path_a_manifest_and_rows_give_the_same(predictions, rows):
    results = [score(source).to_json() for source in (predictions, Manifest.open(predictions), rows)]
    for result in results:
        result.pop("source")
    assert results[0] == results[1] == results[2]


def test_old_predictions_score_again_under_another_profile():
    rows = [{"audio_filepath": "a.wav", "text": "Hello, World!", "pred_text": "hello world"}]
    assert score(rows, normalise="none").wer == 1.0
    assert score(rows).wer == 0.0
    assert score(rows, normalise="whisper-en").normaliser["name"] == "whisper-en"


def test_speed_is_audio_over_computing():
    rows = make_rows({"us": 0.1}, rows_each=1, time=0.3)
    rows[0].pop("time")  # rows without a time do not count
    assert score(rows).rtfx == pytest.approx(10.0)
    assert score(make_rows({"us": 0.1}, rows_each=1)).rtfx is None


def test_few_speakers_are_said(tmp_path):
    result = score(make_rows({"us": 0.1}, speakers_each=2))
    assert result.interval.unit == "utterance"
    assert "only 2 speakers" in result.notes[0]


def test_rows_without_a_group_value_are_unknown(rows):
    rows[0].pop("accent")
    assert score(rows, by=["accent"]).groups["accent"]["unknown"].counts.rows == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred_text": None}, r"p\.jsonl:2: pred_text: the row has no prediction: write predictions with"),
        ({"text": None}, r"p\.jsonl:2: text: the row has no reference"),
        ({"pred_text": 7}, r"p\.jsonl:2: pred_text: is int, not text"),
    ],
)
def test_bad_rows_name_file_line_and_field(tmp_path, rows, change, message):
    path = write_rows(tmp_path / "p.jsonl", [rows[0], rows[1] | change])
    with pytest.raises(DataError, match=message):
        score(path)


def test_other_refusals(tmp_path, predictions):
    with pytest.raises(UsageError, match="no field 'dialect' to group by; its fields are: accent"):
        score(predictions, by=["dialect"])
    with pytest.raises(DataError, match="no predictions"):
        score(write_rows(tmp_path / "empty.jsonl", []))
    (tmp_path / "predictions.settings.json").write_text("{")
    with pytest.raises(DataError, match=r"settings\.json: is not JSON"):
        read_predictions(predictions)


def test_same_seed_same_interval(predictions):
    assert score(predictions, seed=5).interval == score(predictions, seed=5).interval
    assert score(predictions, seed=5).interval != score(predictions, seed=6).interval
