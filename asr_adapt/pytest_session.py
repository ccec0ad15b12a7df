"""What all tests of a pytest run reported: one baseline from all of them, rows that nobody judged, a summary.

Knows the session's hooks. Does not know how a test is judged (``pytest_plugin``).
"""

from __future__ import annotations

from typing import Any

import pytest

from asr_adapt.errors import AsrAdaptError
from asr_adapt.pytest_options import FORMER, settings_of

#: The attribute of a report that carries a test's rows and lines to the session.
CARRIED = "asr_adapt"
#: The group of all rows.
ALL = "all rows"


class Session:
    """What all tests reported, in the controller of an xdist run or the only process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.written = ""
        self.missing = ""
        self.picked = False
        self.changes: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect once per test."""
        if report.when != "call":
            return
        carried = getattr(report, CARRIED, None)
        if carried:
            self.rows += carried["rows"]
            self.lines += carried["lines"]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the baseline under ``--wer-update``: in one process, from the rows of all tests."""
        if hasattr(self.config, "workerinput"):
            return
        if not self.config.getoption("--wer-update"):
            if session.exitstatus == pytest.ExitCode.OK:
                self.missing = self._missing()
            if self.missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        if not self.rows:
            return
        self._write(session)

    def _write(self, session: pytest.Session) -> None:
        """Write the rows of all tests as one baseline, unless that is for the worse and nobody said yes."""
        from asr_adapt.scoring import Baseline
        from asr_adapt.scoring.baseline import merge_baselines
        from asr_adapt.scoring.baseline_change import baseline_change

        parts = sorted((Baseline(**rows) for rows in self.rows), key=lambda part: part.ids)
        path = settings_of(self.config).baseline
        assert path is not None
        try:
            merged = merge_baselines(parts)
            old = Baseline.load(path) if path.is_file() else None
        except AsrAdaptError as error:
            self.written = f"no baseline written: {error}"
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        if old is not None:
            places = {name: place for place, name in enumerate(merged.ids)}
            groups = {
                line["name"]: [places[name] for name in rows["ids"]]
                for line, rows in zip(self.lines, self.rows, strict=True)
                if line["name"] != ALL
            }
            change = baseline_change(old, merged, groups)
            self.changes = list(change.lines())
            if change.worse and not self.config.getoption("--wer-yes"):
                self.written = f"{path} was not written: give --wer-yes to accept this."
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
                return
        merged.save(path)
        self.written = f"wrote {path}: {len(merged.ids)} rows, WER {100 * merged.wer:.2f} %"

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Whoever picks some tests by hand does not ask for all rows."""
        self.picked |= bool(items)

    def _missing(self) -> str:
        """A sentence where rows of the baseline were judged by no test; else nothing.

        Asked for on this command line, or where any row was judged; not where tests were picked by hand.
        """
        config = self.config
        given = [str(word) for word in config.invocation_params.args]
        asked = self.rows or any(w.startswith("--wer-baseline") or w.endswith(".jsonl") for w in given)
        picked = self.picked or any("::" in word for word in given) or config.getoption("--wer-subset")
        picked = picked or "rows" in config.getoption("--wer-accept")
        baseline = settings_of(config).baseline if asked and not picked else None
        if baseline is None:
            return ""
        from asr_adapt.scoring import Baseline
        from asr_adapt.scoring.pairing import paired_ids

        try:
            known = Baseline.load(baseline).ids
        except AsrAdaptError as error:
            return f"nothing was compared: {error}"
        judged, wanted = paired_ids([name for rows in self.rows for name in rows["ids"]], known)
        gone = sorted(set(wanted) - set(judged))
        if not gone:
            return ""
        some = ", ".join(gone[:3]) + (", …" if len(gone) > 3 else "")
        return (
            f"{len(gone)} of {len(known)} rows of {baseline} were judged by no test ({some}): "
            "name all files, write a new baseline with --wer-update, or allow it with --wer-accept rows."
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """A line per group, and what was not judged."""
        if not self.lines and not self.written and not self.missing:
            return
        terminalreporter.section("word error rate")
        for line in sorted(self.lines, key=lambda line: line["name"]):
            now, before = line["now"], line["baseline"]
            change = "" if before is None else f" (baseline {before:.2%}, {100 * (now - before):+.2f} points)"
            terminalreporter.line(
                f"{line['name']}: {now:.2%}{change}, {line['rows']} rows: {line['outcome']}"
            )
        for text in (*self.changes, *filter(None, [self.written])):
            terminalreporter.line(text)
        for former, now in FORMER.items():
            if self.config.getoption(former):
                terminalreporter.line(f"note: {former} is called {now} now")
        if self.missing:
            terminalreporter.line(self.missing, red=True)
