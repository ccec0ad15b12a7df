"""The pytest plugin, driven as a user drives it: pass, fail, update, not comparable, xdist, fixture."""

import json
import re
from xml.etree import ElementTree

import pytest

import asr_adapt.scoring  # noqa: F401 - numpy must be loaded before pytester keeps and restores sys.modules
from tests.scoring.conftest import make_rows, spoil, write_rows

pytest_plugins = ["pytester"]
ROWS = make_rows({"scottish": 0.3, "us": 0.05})


@pytest.fixture(autouse=True)
def files(pytester):
    write_rows(pytester.path / "good.jsonl", ROWS)
    write_rows(pytester.path / "worse.jsonl", spoil(ROWS, "us", 0.2))


def run(pytester, *arguments):
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


@pytest.fixture
def baseline(pytester):
    run(pytester, "good.jsonl", "--wer-baseline=b.json", "--wer-update").assert_outcomes(passed=1)
    return pytester.path / "b.json"


def test_update_then_pass_with_a_summary(pytester, baseline):
    assert len(json.loads(baseline.read_text())["rows"]) == 240
    result = run(pytester, "good.jsonl", "--wer-baseline=b.json", "--wer-rise=accent:5%", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*good.jsonl::accent=scottish PASSED*", "*word error rate*"])
    result.stdout.re_match_lines([r"accent=us: \d+\.\d+% \(baseline .* points\), 120 rows: passed"])


def test_a_worse_accent_is_a_failing_test_with_its_worst_rows(pytester, baseline):
    result = run(pytester, "worse.jsonl", "--wer-baseline=b.json", "--wer-rise=accent:0.01")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.re_match_lines(
        [r"accent=us: WER .* → .* points, p = ", r"rows that lost most:", r".*said: "]
    )
    assert "Traceback" not in result.stdout.str()
    run(pytester, "worse.jsonl", "--wer-baseline=b.json", "--wer-rise=accent:0.9").assert_outcomes(passed=2)


def test_the_baseline_is_left_alone_when_a_test_fails(pytester, baseline):
    before = baseline.read_bytes()
    run(pytester, "worse.jsonl", "--wer-baseline=b.json").assert_outcomes(failed=1)
    assert baseline.read_bytes() == before


def test_unlike_rows_are_not_compared(pytester, baseline):
    changed = [ROWS[0] | {"text": "other words"}, *ROWS[1:]]
    write_rows(pytester.path / "changed.jsonl", changed)
    result = run(pytester, "changed.jsonl", "--wer-baseline=b.json", "--wer-rise=accent:5%")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*NOT COMPARABLE*1 reference transcripts have changed (scottish-0)*--wer-accept references*"]
    )
    result = run(pytester, "good.jsonl", "--wer-baseline=b.json", "--wer-normalise=none")
    result.stdout.fnmatch_lines(["*normaliser was basic@2, is none@1*"])
    assert result.ret == 1 and "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["broken.jsonl", "--wer-baseline=b.json", "--wer-rise=accent:5%"],
            "broken.jsonl:1: the line is not valid JSON",
        ),
        (["good.jsonl", "--wer-baseline=b.json", "--wer-rise=accent:lots"], "'lots' is not a rise"),
        (["good.jsonl", "--wer-baseline=none.json"], "there is no baseline"),
        (["good.jsonl", "--wer-update"], "needs --wer-baseline FILE"),
    ],
)
def test_bad_data_and_options_are_one_sentence(pytester, baseline, arguments, sentence):
    (pytester.path / "broken.jsonl").write_text("{")
    result = run(pytester, *arguments)
    said = result.stdout.str()
    assert sentence in said and "Traceback" not in said
    assert result.ret != 0
    assert "passed" not in result.parseoutcomes()


def test_xdist_passes_fails_and_updates(pytester):
    arguments = ("-n", "2", "--wer-baseline=b.json", "--wer-rise=accent:1%", "--wer-rise=gender:1%")
    result = run(pytester, "good.jsonl", *arguments, "--wer-update")
    result.assert_outcomes(passed=4)
    result.stdout.re_match_lines([r"wrote .*b\.json: 240 rows"])
    assert len(json.loads((pytester.path / "b.json").read_text())["rows"]) == 240
    result = run(pytester, "worse.jsonl", *arguments)
    assert re.search(r"accent=us: .*: failed", result.stdout.str())
    assert re.search(r"accent=scottish: .*: passed", result.stdout.str())


def test_fixture(pytester, baseline):
    pytester.makepyfile(
        """
        import json, pathlib

        def rows(name):
            return [json.loads(line) for line in pathlib.Path(name).read_text().splitlines()]

        def test_good(wer_gate):
            wer_gate(rows("good.jsonl"), by="accent")

        def test_worse(wer_gate):
            wer_gate(rows("worse.jsonl"), by="accent")

        def test_whole(wer_gate):
            wer_gate("good.jsonl")
        """
    )
    result = run(pytester, "--wer-baseline=b.json", "--wer-rise=accent:0.02")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.re_match_lines([r"accent=us: WER .* → "])
    result = run(pytester, "-k", "worse or good", "--wer-baseline=new.json", "--wer-update")
    result.stdout.fnmatch_lines(["no baseline written: two tests scored the row 'us-*' differently*"])
    assert result.ret == 1
    run(pytester, "-k", "good", "--wer-baseline=new.json", "--wer-update").assert_outcomes(passed=1)
    assert (pytester.path / "new.json").is_file()


def test_files_not_named_are_not_collected(pytester):
    pytester.makepyfile("def test_other(): pass")
    result = run(pytester, "-v")
    assert result.parseoutcomes() == {"passed": 1}
    assert ".jsonl" not in result.stdout.str()


def test_the_plugin_costs_an_ordinary_run_nothing_heavy(pytester):
    pytester.makepyfile(
        "import sys\ndef test_light(): assert not {'torch', 'numpy', 'jiwer', 'pydantic'} & set(sys.modules)"
    )
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest")
    assert result.parseoutcomes() == {"passed": 1}


def test_the_profile_of_evaluate_is_taken(pytester):
    rows = [row | {"text": "one two three", "pred_text": "123"} for row in ROWS]
    write_rows(pytester.path / "digits.jsonl", rows)
    settings = {"model": "m", "normaliser": {"name": "alnum-en", "version": "1"}}
    (pytester.path / "digits.settings.json").write_text(json.dumps(settings))
    result = run(pytester, "digits.jsonl", "--wer-baseline=d.json", "--wer-update")
    result.assert_outcomes(passed=1)
    stored = json.loads((pytester.path / "d.json").read_text())
    assert (stored["normaliser"]["name"], stored["wer"]) == ("alnum-en", 0.0)
    run(pytester, "digits.jsonl", "--wer-baseline=d.json").assert_outcomes(passed=1)
    result = run(pytester, "digits.jsonl", "--wer-baseline=d.json", "--wer-normalise=basic")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*NOT COMPARABLE*normaliser was alnum-en@1, is basic@2*"])


OTHER = "def test_other():\n    assert True\n"


def missing_rows(pytester, rows, *options):
    pytester.makepyfile(test_other=OTHER)
    write_rows(pytester.path / "some.jsonl", rows)
    return run(pytester, "test_other.py", "some.jsonl", "--wer-baseline=b.json", *options)


def test_an_accent_that_is_gone_fails_the_run(pytester, baseline):
    scottish = [row for row in ROWS if row["accent"] == "scottish"]
    result = missing_rows(pytester, scottish, "--wer-rise=accent:5%")
    result.assert_outcomes(passed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["120 of 240 rows of *b.json were judged by no test (us-*"])
    assert missing_rows(pytester, scottish, "--wer-rise=accent:5%", "--wer-accept=rows").ret == 0


def test_a_gate_without_rows_is_no_passed_gate(pytester, baseline):
    result = missing_rows(pytester, [])
    assert result.ret == 1
    result.stdout.fnmatch_lines(["240 of 240 rows of *"])


def test_a_baseline_that_is_not_there_fails_though_no_row_needs_it(pytester):
    result = missing_rows(pytester, [])
    assert result.ret == 1
    result.stdout.fnmatch_lines(["nothing was compared: *b.json: there is no baseline*"])


def test_tests_picked_by_hand_ask_for_no_more(pytester, baseline):
    options = ("--wer-baseline=b.json", "--wer-rise=accent:5%")
    assert run(pytester, "good.jsonl::accent=us", *options).ret == 0
    assert run(pytester, "good.jsonl", "-k", "scottish", *options).ret == 0


def test_options_kept_in_the_settings_ask_nothing_of_other_tests(pytester, baseline):
    pytester.makeini("[pytest]\naddopts = --wer-baseline=b.json")
    pytester.makepyfile(test_other=OTHER)
    assert run(pytester, "test_other.py").ret == 0


def test_characters_are_compared_where_asked(pytester):
    heard = {"text": "今日はいい天気", "pred_text": "今日はいい"}
    rows = [{"id": str(n), "audio_filepath": f"{n}.wav", **heard} for n in range(30)]
    write_rows(pytester.path / "now.jsonl", rows)
    write_rows(pytester.path / "good.jsonl", [row | {"pred_text": "今日はいい天"} for row in rows])
    assert run(pytester, "good.jsonl", "--wer-baseline=b.json", "--wer-update").ret == 0
    assert run(pytester, "now.jsonl", "--wer-baseline=b.json").ret == 0
    result = run(pytester, "now.jsonl", "--wer-baseline=b.json", "--wer-metric=cer")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*CER 14.29 % → 28.57 %*"])


def test_a_baseline_that_gets_worse_is_shown_and_asks_for_a_yes(pytester, baseline):
    before = baseline.read_bytes()
    options = ("--wer-baseline=b.json", "--wer-by=accent", "--wer-update")
    result = run(pytester, "worse.jsonl", *options)
    assert result.ret == 1 and baseline.read_bytes() == before
    result.stdout.re_match_lines([r"WORSE accent=us: WER .* points\), 120 rows"])
    result.stdout.fnmatch_lines(["*b.json was not written: give --wer-yes to accept this."])
    assert run(pytester, "worse.jsonl", *options, "--wer-yes").ret == 0
    assert run(pytester, "good.jsonl", *options).ret == 0, "what gets better asks nothing"
    assert json.loads(baseline.read_text()) == json.loads(before)


def test_options_are_those_of_the_gate_and_former_names_still_work(pytester, baseline):
    result = run(pytester, "worse.jsonl", "--wer-baseline=b.json", "--wer-by=accent", "--wer-rise=0.01")
    result.assert_outcomes(passed=1, failed=1)
    former = run(pytester, "worse.jsonl", "--wer-baseline=b.json", "--wer-fail=accent:0.01", "--wer-subset")
    former.assert_outcomes(passed=1, failed=1)
    former.stdout.fnmatch_lines(["note: --wer-fail is called --wer-rise now"])
    assert "--wer-fail" not in run(pytester, "--help").stdout.str()
    changed = [ROWS[0] | {"text": "other words"}, *ROWS[1:]]
    write_rows(pytester.path / "changed.jsonl", changed)
    accepted = run(pytester, "changed.jsonl", "--wer-baseline=b.json", "--wer-accept=references")
    accepted.assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_junit_files_stay_small(pytester, baseline, workers):
    options = ("--wer-baseline=b.json", "--wer-by=accent", "--wer-rise=0.01", "--junit-xml=junit.xml")
    run(pytester, "worse.jsonl", *options, *workers)
    text = (pytester.path / "junit.xml").read_text()
    assert len(text) < 6_000, "240 rows are not in it"
    cases = {case.get("name"): case for case in ElementTree.fromstring(text).iter("testcase")}
    found = {p.get("name"): p.get("value") for p in cases["accent=us"].iter("property")}
    assert set(found) == {"wer accent=us", "baseline accent=us", "rows accent=us"}
    assert float(found["wer accent=us"]) > float(found["baseline accent=us"])
    assert "rows that lost most" in cases["accent=us"].find("failure").text
