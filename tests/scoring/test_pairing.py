"""One test set on two machines, and sentences of one word: ids, Unicode forms, characters."""

from __future__ import annotations

import json
import unicodedata

import pytest

from asr_adapt.cli.app import run
from asr_adapt.errors import NotComparableError
from asr_adapt.scoring import GateRules, compare, count_errors, gate, make_baseline, read_predictions
from asr_adapt.scoring.baseline import Baseline
from asr_adapt.scoring.pairing import paired_ids


def rows(ids, text="uno due tre", heard="uno due tre"):
    return [{"id": name, "audio_filepath": "a.wav", "text": text, "pred_text": heard} for name in ids]


def baseline(found):
    return make_baseline(read_predictions(found), "basic")


def test_a_baseline_holds_on_a_machine_that_keeps_the_corpus_elsewhere():
    here = [f"/home/ann/corpus/test/{speaker}/{n}" for speaker in "ab" for n in range(3)]
    there = [name.replace("/home/ann/corpus", "/srv/data/it/corpus") for name in here]
    assert gate(rows(there), baseline(rows(here)), GateRules()).passed
    assert compare(rows(here), rows(there)).overall.difference.delta == 0
    relative = [name.removeprefix("/home/ann/corpus/") for name in here]
    assert gate(rows(relative), baseline(rows(here)), GateRules()).passed


def test_folders_are_cut_only_where_nothing_fits_as_it_is():
    assert paired_ids(["/a/x/1", "/a/x/2"], ["/a/x/2"]) == (["/a/x/1", "/a/x/2"], ["/a/x/2"])
    assert paired_ids(["/a/x/1"], ["/b/y/2"]) == (["/a/x/1"], ["/b/y/2"])
    with pytest.raises(NotComparableError, match="rows are not in the baseline"):
        gate(rows(["/a/one", "/a/two"]), baseline(rows(["/b/one", "/b/three"])), GateRules())


def test_unicode_forms_of_ids_and_references_are_one():
    name, text = "caffè/perché", "però così"
    apart = [unicodedata.normalize("NFD", word) for word in (name, text)]
    assert apart != [name, text]
    before, now = rows([name], text, text), rows([apart[0]], apart[1], text)
    assert gate(now, baseline(before), GateRules()).passed
    assert compare(before, now).overall.difference.delta == 0


@pytest.mark.parametrize(
    ("reference", "heard"),
    [
        ("今日は、いい天気です。", "今日はいい天気です"),
        ("我用 Python 写代码。", "我用Python写代码"),
        ("ไปไหนมา สบายดีไหม", "ไปไหนมาสบายดีไหม"),
    ],
)
def test_spaces_are_no_characters_of_a_script_without_them(reference, heard):
    assert count_errors([reference], [heard]).total().cer == 0
    assert count_errors([reference], [heard[:-1]]).total().cer > 0


def test_spaces_between_words_of_other_scripts_still_count():
    assert count_errors(["così via"], ["cosìvia"]).total().character_errors == 1
    assert count_errors(["오늘 날씨"], ["오늘날씨"]).total().character_errors == 1


def test_a_gate_on_characters_sees_what_one_on_words_cannot(tmp_path, capsys):
    text = "今日はとてもいい天気ですね"
    worse = rows([str(n) for n in range(30)], text, text[:-4])
    slightly = rows([str(n) for n in range(30)], text, text[:-1])
    for name, found in (("before", slightly), ("now", worse)):
        lines = "".join(json.dumps(row) + "\n" for row in found)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    now, kept = str(tmp_path / "now.jsonl"), str(tmp_path / "b.json")
    assert run(["gate", str(tmp_path / "before.jsonl"), "--baseline", kept, "--update"]) == 0
    assert run(["gate", now, "--baseline", kept]) == 0, "every sentence is one wrong word, before and now"
    assert run(["gate", now, "--baseline", kept, "--metric", "cer", "--junit", str(tmp_path / "g.xml")]) == 1
    assert "CER 7.69 % → 30.77 %" in (tmp_path / "g.xml").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(["gate", now, "--baseline", kept, "--metric", "per"]) == 2
    assert "'per' is not one of wer, cer" in capsys.readouterr().err


def test_a_baseline_of_before_characters_were_kept_is_read_and_says_so():
    kept = baseline(rows(["a", "b"]))
    old = Baseline(**{**vars(kept), "characters": [], "character_errors": []})
    assert gate(rows(["a", "b"]), old, GateRules()).passed
    with pytest.raises(NotComparableError, match="has no character counts"):
        gate(rows(["a", "b"]), old, GateRules(metric="cer"))


def test_a_baseline_of_the_profile_before_is_compared_under_that_one():
    text = "محمـــد قال"
    old = make_baseline(read_predictions(rows(["a"], text, "محمد قال")), "basic@1")
    assert old.normaliser == {"name": "basic", "version": "1"}
    assert old.errors == [1]
    result = gate(rows(["a"], text, "محمد قال"), old, GateRules())
    assert result.checks[0].value == result.checks[0].baseline == 0.5
    assert gate(rows(["a"], text, "محمد قال"), baseline(rows(["a"], text, text))).checks[0].value == 0


@pytest.mark.parametrize(("broken", "status"), [("rows", 4), ("baseline", 3)])
def test_a_gate_that_judges_nothing_leaves_no_green_report(tmp_path, broken, status):
    found = tmp_path / "p.jsonl"
    lines = [json.dumps(row) + "\n" for row in rows("abcd")]
    found.write_text("".join(lines), encoding="utf-8")
    kept, junit, markdown = (tmp_path / name for name in ("b.json", "g.xml", "g.md"))
    command = ["gate", str(found), "--baseline", str(kept)]
    assert run([*command, "--update"]) == 0
    command += ["--junit", str(junit), "--markdown", str(markdown)]
    assert run(command) == 0
    assert 'errors="0"' in junit.read_text(encoding="utf-8")
    if broken == "rows":
        found.write_text("".join(lines[:2]), encoding="utf-8")
    else:
        kept.write_text("{}", encoding="utf-8")
    assert run(command) == status
    assert 'errors="1"' in junit.read_text(encoding="utf-8")
    assert "nothing was judged" in markdown.read_text(encoding="utf-8")
