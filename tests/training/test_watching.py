"""Phases of a run: their lines in a log, their clocks."""

from __future__ import annotations

import logging
import time

import pytest

from asr_adapt.training import watching
from asr_adapt.training.watching import Watch, spoken


def test_a_log_file_gets_a_line_at_the_beginning_every_so_often_and_at_the_end(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(watching, "WORTH_SECONDS", 0.0)
    with caplog.at_level(logging.INFO), Watch().phase("measuring", "measuring the base", 40) as phase:
        time.sleep(0.02)
        phase.add(10)
        phase.done(20, "dev")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "measuring the base: 40 rows"
    assert lines[1].startswith("measuring the base: 10 of 40 rows, ") and lines[1].endswith(" left")
    assert lines[2].startswith("measuring the base: 20 of 40 rows, ") and lines[2].endswith("(dev)")
    assert lines[3].startswith("measuring the base: done in ")
    assert len(lines) == 4


def test_a_phase_says_early_how_long_it_will_take(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FIRST_SECONDS", 0.05)
    with caplog.at_level(logging.INFO), Watch().phase("prefix", "frozen prefix", 40) as phase:
        phase.add(1)
        time.sleep(0.1)
        phase.add(9)
        phase.add(10)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "frozen prefix: 40 rows"
    assert lines[1].startswith("frozen prefix: 10 of 40 rows, ") and lines[1].endswith(" left")
    assert len(lines) == 2  # the next only after EVERY_SECONDS


def test_lines_are_rare_and_quiet_has_none(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        with Watch().phase("measuring", "measuring the base", 1000) as phase:
            for row in range(1000):
                phase.done(row)
        assert [r.getMessage() for r in caplog.records] == ["measuring the base: 1000 rows"]
        with Watch(quiet=True).phase("training", "training", 10, "steps") as phase:
            phase.done(10)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("steps", "told"), [(1000, list(range(50, 1001, 50))), (3, [1, 2, 3])])
def test_training_is_told_every_so_many_steps(
    steps: int, told: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), Watch().phase("training", "training", steps, "steps") as phase:
        for step in range(1, steps + 1):
            phase.done(step, "loss 1.000")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == f"training: {steps} steps"
    assert [int(line.split()[1]) for line in lines[1:]] == told
    assert all(line.endswith(" left (loss 1.000)") for line in lines[1:])


def test_an_inner_phase_stops_the_outer_one_s_clock() -> None:
    ended: list[str] = []
    watch = Watch(quiet=True, ended=lambda kind, label, seconds: ended.append(kind))
    with watch.phase("training", "training"):
        time.sleep(0.05)
        with watch.phase("measuring", "dev"):
            time.sleep(0.1)
        time.sleep(0.05)
    found = watch.breakdown()
    assert found["seconds"]["measuring"] == pytest.approx(0.1, abs=0.05)
    assert found["seconds"]["training"] == pytest.approx(0.1, abs=0.05)
    assert found["measuring_share"] == pytest.approx(0.5, abs=0.2)
    assert ended == ["measuring", "training"]


def test_seconds_are_told_as_people_say_them() -> None:
    assert [spoken(s) for s in (42, 200, 7200)] == ["42 s", "3.3 min", "2.0 h"]
