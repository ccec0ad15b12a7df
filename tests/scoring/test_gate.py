"""The gate: what passes, what fails, what must not be compared."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from asr_adapt.errors import DataError, NotComparableError, RecipeError, UsageError
from asr_adapt.scoring import (
    Baseline,
    GateRules,
    gate,
    load_rules,
    make_baseline,
    noise_floor,
    read_predictions,
)
from asr_adapt.scoring.baseline import merge_baselines
from asr_adapt.scoring.gate_output import junit_xml, markdown
from asr_adapt.scoring.predictions import Predictions
from asr_adapt.scoring.rise import Rise, parse_rise
from asr_adapt.scoring.rules import override_rules, rules_from
from tests.scoring.conftest import make_rows, spoil

BY_ACCENT = GateRules(by=("accent",))


def baseline_of(rows, normalise="basic", settings=None):
    return make_baseline(Predictions.of(rows, settings=settings), normalise)


def failed(result):
    return [check.group for check in result.checks if not check.passed]


def test_the_same_predictions_pass(rows):
    result = gate(rows, baseline_of(rows), BY_ACCENT)
    assert result.passed
    assert {check.group for check in result.checks} == {"all rows", "accent=scottish", "accent=us"}
    assert all(check.p == 1.0 for check in result.checks)


def test_a_regression_on_one_accent_is_caught_while_the_average_passes():
    rows = make_rows({f"accent{i}": 0.2 for i in range(8)} | {"us": 0.05})
    better = [
        row if row["accent"] == "us" else row | {"pred_text": row["text"]} for row in rows[:200]
    ] + rows[200:]
    result = gate(spoil(better, "us", 0.15), baseline_of(rows), BY_ACCENT)
    assert failed(result) == ["accent=us"]
    check = next(check for check in result.checks if not check.passed)
    assert len(check.worst) == 5
    assert check.worst[0].errors > check.worst[0].errors_before


def test_an_improvement_passes(rows):
    assert gate([row | {"pred_text": row["text"]} for row in rows], baseline_of(rows), BY_ACCENT).passed


def test_an_allowed_rise_passes_and_a_larger_one_does_not(rows):
    spoiled, stored = spoil(rows, "us", 0.05), baseline_of(rows)
    assert gate(spoiled, stored, rules_from({"by": "accent", "rise": 0.10})).passed
    assert "accent=us" in failed(gate(spoiled, stored, rules_from({"by": "accent", "rise": "5%"})))
    own = rules_from({"by": "accent", "rise": 0.2, "groups": {"us": {"rise": 0.01}}})
    assert failed(gate(spoiled, stored, own)) == ["accent=us"]
    guard = rules_from({"by": "accent", "rise": 0.2, "guard": "us"})
    assert failed(gate(spoiled, stored, guard)) == ["accent=us"]


def test_chance_is_not_a_regression_unless_the_level_says_so(rows):
    one = [rows[0] | {"pred_text": ""}, *rows[1:]]
    assert gate(one, baseline_of(rows)).passed
    assert not gate(one, baseline_of(rows), GateRules(level=1.0)).passed


def test_ceiling_and_gap(rows):
    stored = baseline_of(rows)
    result = gate(rows, stored, rules_from({"by": ["accent"], "ceiling": 0.2, "gap": 0.1}))
    assert failed(result) == ["accent=scottish", "accent: scottish − us"]
    assert gate(rows, stored, rules_from({"by": ["accent"], "ceiling": 0.9, "gap": 0.9})).passed


def test_a_run_does_not_set_its_own_tolerance(rows):
    told = {"model": "m", "noise_floor": 1.0}
    spoiled = Predictions.of(spoil(rows, None, 0.5), settings=told)
    stored = baseline_of(rows, settings=told)
    assert "noise_floor" not in stored.settings
    assert not gate(spoiled, stored).passed
    silent = gate(Predictions.of(rows), stored)
    assert any("do not record how they were decoded" in note for note in silent.notes)


def test_the_noise_floor_is_tolerated(rows):
    spoiled = spoil(rows, None, 0.03)
    assert not gate(spoiled, baseline_of(rows)).passed
    assert gate(spoiled, replace(baseline_of(rows), settings={"noise_floor": 0.05})).passed
    assert noise_floor([rows, rows]) == 0.0
    assert 0 < noise_floor([rows, spoiled]) < 0.05
    stored = make_baseline(Predictions.of(rows), "basic", repeats=[spoiled])
    assert stored.settings["noise_floor"] == noise_floor([rows, spoiled])
    assert gate(spoiled, stored).passed


def test_each_difference_is_named_and_can_be_accepted(rows):
    stored = baseline_of(rows, settings={"decoding": "greedy", "model": "a"})
    changed = [rows[0] | {"text": "other words"}, *rows[1:-1]]
    now = Predictions.of(changed, settings={"decoding": "beam 5", "model": "b"})
    with pytest.raises(NotComparableError) as caught:
        gate(now, stored, normalise="none")
    message = str(caught.value)
    for part in (
        "[rows] 1 rows of the baseline are missing (us-119)",
        "[references] 1 reference transcripts have changed (scottish-0)",
        "[normaliser] normaliser was basic@2, is none@1",
        "[decoding] decoding was greedy, is beam 5",
        "--accept rows",
    ):
        assert part in message
    assert "model" not in message.split("cannot be compared")[1]
    accept = ["rows", "references", "normaliser", "decoding"]
    with pytest.raises(NotComparableError, match="decoding"):
        gate(now, stored, normalise="none", accept=accept[:-1])
    result = gate(now, stored, normalise="none", accept=accept)
    assert result.checks[0].rows == len(rows) - 1
    assert any("model: baseline a, now b" in note for note in result.notes)


def test_subset_and_nothing_in_common(rows):
    stored = baseline_of(rows)
    assert gate(rows[:50], stored, subset=True).passed
    with pytest.raises(NotComparableError, match="no row in common"):
        gate([row | {"id": "x" + row["id"]} for row in rows], stored, accept=["rows"])


def test_the_baseline_survives_its_file_and_holds_no_transcript(rows, tmp_path):
    stored = baseline_of(rows)
    stored.save(tmp_path / "b.json")
    assert Baseline.load(tmp_path / "b.json") == stored
    assert rows[0]["text"] not in (tmp_path / "b.json").read_text()
    assert merge_baselines([baseline_of(rows[:7]), baseline_of(rows[7:])]) == stored
    assert merge_baselines([stored, stored]) == stored
    with pytest.raises(DataError, match="'scottish-0' differently"):
        merge_baselines([stored, baseline_of(spoil(rows, "scottish", 1.0))])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no baseline"),
        ("{", "is not JSON"),
        ("[]", "is not a baseline"),
        ("{}", "is not a baseline"),
    ],
)
def test_bad_baselines(rows, tmp_path, content, message):
    path = tmp_path / "b.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=f"b.json: {message}.*--update"):
        gate(rows, path)


def test_rules_file(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text(
        "by: [accent]\nlevel: 0.01\nrise: 5%\nceiling: 0.4\ngroups:\n  scottish: {ceiling: 0.6}\n"
    )
    rules = load_rules(path)
    assert rules.rise == Rise(0.05, relative=True)
    assert rules.for_group("accent", "scottish").ceiling == 0.6
    assert rules.for_group("accent", "us").ceiling == 0.4
    assert override_rules(rules, {"rise": "0.02"}).rise == Rise(0.02)
    assert override_rules(rules, {"rise": "0.02"}).level == 0.01


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ceilling: 0.3", "ceilling: unknown key; did you mean 'ceiling'"),
        ("rise: lots", "rise: 'lots' is not a rise"),
        ("rise: 5", "did you mean 5%"),
        ("ceiling: 30", "ceiling: 30 must be a fraction"),
        ("groups: {us: 3}", "groups.us: must hold rise or ceiling"),
        ("groups: {us: {rize: 1%}}", "groups.us.rize: unknown key; did you mean 'rise'"),
        ("- a", "must be a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_bad_rules(tmp_path, text, message):
    path = tmp_path / "gate.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_rules(path)


def test_unknown_groups_and_rises(rows):
    with pytest.raises(UsageError, match="a group 'irish' that is not in the predictions"):
        gate(rows, baseline_of(rows), rules_from({"by": "accent", "guard": "irish"}))
    with pytest.raises(UsageError, match="not a rise"):
        parse_rise("5 points")
    assert str(parse_rise("10% or 0.01")) == "10 % relative or 1 point"
    assert (str(parse_rise(0.01)), str(parse_rise(0.025))) == ("1 point", "2.5 points")


def test_outputs(rows):
    result = gate(spoil(rows, "us", 0.2), baseline_of(rows), BY_ACCENT)
    suite = ElementTree.fromstring(junit_xml(result))
    assert suite.get("failures") == str(len(failed(result))) != "0"
    assert len(suite.findall("testcase")) == len(result.checks)
    assert "heard:" in suite.find("testcase/failure").text
    page = markdown(result)
    assert page.startswith("### WER gate failed")
    assert "| accent=us |" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {8}
    assert result.to_json()["passed"] is False


def test_control_characters_do_not_break_the_xml():
    rows = make_rows({"us": 0.0})
    stored = baseline_of(rows)
    spoiled = [row | {"pred_text": "\x00\x08 <&>"} for row in rows]
    assert ElementTree.fromstring(junit_xml(gate(spoiled, stored))).get("failures") == "1"
    assert read_predictions(spoiled).hypotheses[0].startswith("\x00")
