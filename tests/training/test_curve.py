"""``train --curve``: nested parts of every speaker, each a result folder, and one answer at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from asr_adapt.cli.app import run
from asr_adapt.errors import UsageError
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.training.curve.parts import nested_order, parse_fractions


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=60), st.integers(0, 9))
def test_each_beginning_holds_an_equal_share_of_every_speaker(names: list[str | None], seed: int) -> None:
    rows = [Utterance(f"{number}.wav", speaker=name) for number, name in enumerate(names)]
    order = nested_order(rows, seed)
    assert sorted(order) == list(range(len(rows)))
    for count in range(len(rows) + 1):
        for name in set(names):
            expected = names.count(name) * count / len(rows)
            assert abs([names[n] for n in order[:count]].count(name) - expected) <= 2.0


def test_another_seed_draws_other_rows() -> None:
    rows = [Utterance(f"{number}.wav", speaker="a") for number in range(20)]
    assert nested_order(rows, 0) == nested_order(rows, 0) != nested_order(rows, 1)


@pytest.mark.parametrize("text", ["", "half", "0,1", "0.5,1.5"])
def test_fractions_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a list of fractions"):
        parse_fractions(text)
    assert parse_fractions("1, 0.25,0.5") == [0.25, 0.5, 1.0]


def test_a_curve_is_trained_killed_and_finished(
    tree: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree |= {"schedule": {"steps": 4}, "evaluation": {"every": 4}}
    path, out = tmp_path / "recipe.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    command = ["train", str(path), "-q", "-o", str(out), "--json", "--curve"]
    assert run([*command, "0.25,0.5"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert "needs at least 3 amounts" in first["why_not"] and first["fit"] is None
    assert [part["rows"] for part in first["parts"]] == [6, 12]
    small, large = ({row.id for row in Manifest.open(out / f"fraction-{f}.jsonl")} for f in ("0.25", "0.5"))
    assert len(small) == 6 and small < large
    assert (out / "fraction-0.25" / "model.safetensors").is_file()
    stamp = (out / "fraction-0.25" / "summary.json").stat().st_mtime_ns
    assert run([*command, "0.25,0.5,1.0"]) == 3
    assert "give --resume" in capsys.readouterr().err
    assert run([*command, "0.25,0.5,1.0", "--resume", "schedule.steps=5"]) == 3
    assert "belongs to another recipe" in capsys.readouterr().err
    assert run([*command, "0.25,0.5,1.0", "--resume", "--curve-wer", "0.5"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert [part["fraction"] for part in whole["parts"]] == [0.25, 0.5, 1.0]
    assert whole["parts"][2]["hours"] == pytest.approx(2 * whole["parts"][1]["hours"], rel=0.3)
    assert 0.5 in [need["wer"] for need in whole["needs"]]
    assert (out / "fraction-0.25" / "summary.json").stat().st_mtime_ns == stamp
    assert json.loads((out / "curve.json").read_text(encoding="utf-8")) == whole
    assert (out / "curve.svg").is_file() and (out / "curve.png").is_file()


def test_the_table_names_the_base_and_why_there_is_no_fit(
    tree: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree |= {"schedule": {"steps": 1}, "evaluation": {"every": 1}}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert run(["train", str(path), "-q", "-o", str(tmp_path / "out"), "--curve", "1.0"]) == 0
    out = capsys.readouterr().out
    assert "fraction" in out and "base: 100.0%" in out and "the data cannot say" in out
