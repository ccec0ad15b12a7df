"""Long work says how far it is where stderr is no terminal."""

from __future__ import annotations

import pytest

from asr_adapt.cli import progress


def test_a_log_file_gets_a_line_at_the_start_and_every_so_often(monkeypatch, capsys) -> None:
    clock = iter([0.0, 1.0, 20.0, 21.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.audio_progress("Evaluating") as start:
        tell = start(120.0)
        assert tell is not None
        for done in (10.0, 40.0, 50.0, 120.0):
            tell(done)
    assert capsys.readouterr().err.splitlines() == [
        "Evaluating: 2.0 min of audio",
        "Evaluating: 40.0 s of 2.0 min of audio done, 40.0 s left",
        "Evaluating: 2.0 min of 2.0 min of audio done",
    ]


@pytest.mark.parametrize(("quiet", "seconds"), [(True, 600.0), (False, 5.0)])
def test_nothing_is_said_when_quiet_or_soon_done(capsys, quiet: bool, seconds: float) -> None:
    with progress.audio_progress("Evaluating", quiet=quiet) as start:
        if (tell := start(seconds)) is not None:
            tell(seconds)
    assert capsys.readouterr().err == ""
