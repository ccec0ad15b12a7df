"""A pytest plugin: a recogniser that got worse for an accent is a failing test.

Knows pytest's hooks and how options, predictions files and fixtures become gates. Does not know statistics:
:mod:`asr_adapt.scoring` judges. Two ways to use it, see ``docs/scoring.md``:

* ``pytest predictions.jsonl --wer-baseline baseline.json --wer-fail accent:5%`` collects one test per accent
  (a manifest without ``pred_text`` works too, with ``--wer-model``: its rows are transcribed first);
* the fixture ``wer_gate`` judges rows that a test of your own has transcribed.

Each test hands its per-row errors to the session through ``user_properties``, which pytest-xdist carries to
the controller; there ``--wer-update`` writes one baseline from all tests, whichever worker ran them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asr_adapt.errors import AsrAdaptError, NotComparableError, UsageError

if TYPE_CHECKING:
    from asr_adapt.scoring import GateResult, Predictions
    from asr_adapt.scoring.rules import Rise

_ROWS = "asr_adapt_rows"
_LINE = "asr_adapt_line"
ALL = "all rows"


@dataclass(frozen=True)
class _Settings:
    """The options of one run; ``fields`` maps a field (or "") to the rise that is allowed in its groups."""

    baseline: Path | None
    update: bool
    fields: Mapping[str, Rise]
    normalise: str
    model: str
    level: float
    metric: str = "wer"


class WerFailure(Exception):
    """A gate failed; its text is the message of the failing test, shown without a traceback."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ``--wer-…`` options."""
    group = parser.getgroup("asr-adapt", "word error rate")
    group.addoption("--wer-baseline", metavar="FILE", help="baseline that WERs are compared with (JSON)")
    group.addoption("--wer-update", action="store_true", help="write the baseline instead of comparing")
    group.addoption(
        "--wer-fail",
        action="append",
        default=[],
        metavar="[FIELD:]RISE",
        help="fail when a group of FIELD rises by more than RISE: accent:5%% (relative) or accent:0.01",
    )
    group.addoption(
        "--wer-normalise",
        default="",
        metavar="PROFILE",
        help="normalisation profile [the one of evaluate, else the baseline's, else basic]",
    )
    group.addoption("--wer-level", type=float, default=0.05, metavar="P", help="false-alarm level [0.05]")
    group.addoption("--wer-metric", choices=("wer", "cer"), default="wer", help="words or characters [wer]")
    group.addoption(
        "--wer-subset", action="store_true", help="let rows of the baseline be missing from this run"
    )
    group.addoption("--wer-model", default="", metavar="MODEL", help="transcribe manifests with this model")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests report, in the process that sees all reports."""
    config.pluginmanager.register(_Session(config), "asr_adapt_session")


def _settings(config: pytest.Config) -> _Settings:
    from asr_adapt.scoring.rise import Rise, parse_rise

    fields: dict[str, Rise] = {}
    for text in config.getoption("--wer-fail"):
        name, _, rise = text.rpartition(":")
        fields[name] = parse_rise(rise, place="--wer-fail")
    baseline = config.getoption("--wer-baseline")
    if config.getoption("--wer-update") and not baseline:
        raise UsageError("--wer-update needs --wer-baseline FILE to write to.")
    return _Settings(
        baseline=Path(baseline) if baseline else None,
        update=config.getoption("--wer-update"),
        fields=fields or {"": Rise()},
        normalise=config.getoption("--wer-normalise"),
        model=config.getoption("--wer-model"),
        level=config.getoption("--wer-level"),
        metric=config.getoption("--wer-metric"),
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Predictions named on the command line become tests; others of the tree are left alone."""
    if file_path.suffix != ".jsonl" or not parent.session.isinitpath(file_path):
        return None
    return _PredictionsFile.from_parent(parent, path=file_path)


class _PredictionsFile(pytest.File):
    """One predictions file or manifest: one test per group of every ``--wer-fail`` field."""

    def collect(self) -> Iterator[pytest.Item]:
        from asr_adapt.manifest import Manifest

        settings = _settings(self.config)
        manifest = Manifest.open(self.path)
        groups: dict[tuple[str, str], list[int]] = {}
        for field in settings.fields:
            for row, utterance in enumerate(manifest):
                value = ALL if not field else str(utterance.get(field) or "unknown")
                groups.setdefault((field, value), []).append(row)
        for (field, value), rows in sorted(groups.items()):
            name = f"{field}={value}" if field else value
            yield _Group.from_parent(self, name=name, field=field, rows=rows, number=len(groups))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        return (
            f"{excinfo.value}" if isinstance(excinfo.value, AsrAdaptError) else super().repr_failure(excinfo)
        )


class _Group(pytest.Item):
    """The gate for one group of rows."""

    def __init__(self, *, field: str, rows: list[int], number: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.field, self.rows, self.number = field, rows, number

    def runtest(self) -> None:
        settings = _settings(self.config)
        predictions = _read(self.path, self.rows, settings.model)
        rise = settings.fields[self.field]
        _judge(self, predictions, settings, rise, name=self.name, tests=self.number)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, WerFailure | AsrAdaptError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"WER of {self.name}"


def _read(path: Path, rows: list[int], model: str) -> Predictions:
    from asr_adapt.manifest import Manifest
    from asr_adapt.scoring import Predictions
    from asr_adapt.scoring.predictions import read_settings

    chosen = Manifest.open(path).select(rows)
    if not model:
        return Predictions.of(chosen, source=str(path), settings=read_settings(path))
    from asr_adapt.transcription import evaluate  # torch is loaded only where a model is asked for

    evaluation = evaluate(chosen, model=model)
    if evaluation.failures:
        raise WerFailure("\n".join(failure.message for failure in evaluation.failures))
    return Predictions.of(evaluation.rows, source=str(path), settings={"model": evaluation.model})


def _judge(
    item: pytest.Item, predictions: Predictions, settings: _Settings, rise: Rise, *, name: str, tests: int = 1
) -> None:
    """Note the rows of a test; compare them unless a baseline is being written or none is named."""
    from asr_adapt.scoring import GateRules, gate, make_baseline
    from asr_adapt.scoring.predictions import profile_for

    profile = profile_for(settings.normalise, predictions, default=_baseline_profile(settings))
    rows = make_baseline(predictions, profile)
    item.user_properties.append((_ROWS, asdict(rows)))
    line = {"name": name, "now": rows.wer, "rows": len(rows.ids), "baseline": None, "outcome": "not compared"}
    item.user_properties.append((_LINE, line))
    if settings.baseline is None or settings.update:
        return
    line["outcome"] = "not comparable"
    level = min(1.0, settings.level / tests) if settings.level < 1 else 1.0
    rules = GateRules(level=level, rise=rise, metric=settings.metric)
    try:
        result = gate(predictions, settings.baseline, rules, normalise=profile, subset=True)
    except NotComparableError as error:
        raise WerFailure(f"NOT COMPARABLE: {error}") from None
    line["baseline"] = result.checks[0].baseline
    line["outcome"] = "passed" if result.passed else "failed"
    if not result.passed:
        raise WerFailure(_message(name, result))


def _baseline_profile(settings: _Settings) -> str:
    """The profile of the baseline that is compared with; ``basic`` where there is none, or a new one."""
    from asr_adapt.scoring import Baseline
    from asr_adapt.text import stored_profile

    if settings.baseline is None or settings.update:
        return "basic"
    return stored_profile(Baseline.load(settings.baseline).normaliser)


def _message(name: str, result: GateResult) -> str:
    from asr_adapt.scoring.gate_output import headline, worst_lines

    check = next(check for check in result.checks if not check.passed)
    text = headline(check, result.metric).replace(f"{check.group}:", f"{name}:", 1)
    return "\n".join([text, "rows that lost most:", *(f"  {line}" for line in worst_lines(check))])


@pytest.fixture
def wer_gate(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``wer_gate(rows, by="accent")``: fail this test when a group's WER rose above the baseline's.

    ``rows`` are mappings or utterances with ``id``, ``text`` and ``pred_text``, or a predictions file.
    Without ``by`` all rows are judged as one. The allowed rise is that of ``--wer-fail`` for the field,
    none by default.
    """

    def judge(rows: str | Path | Iterable[Mapping[str, Any]], by: str = "") -> None:
        from asr_adapt.scoring import read_predictions
        from asr_adapt.scoring.rules import Rise
        from asr_adapt.scoring.score import group_rows

        settings = _settings(request.config)
        predictions = read_predictions(rows)
        groups = group_rows(predictions, [by])[by] if by else {ALL: list(range(len(predictions)))}
        failures = []
        for value, indices in groups.items():
            name = f"{by}={value}" if by else f"{request.node.name}: {value}"
            rise = settings.fields.get(by, Rise())
            try:
                _judge(request.node, predictions.take(indices), settings, rise, name=name, tests=len(groups))
            except WerFailure as failure:
                failures.append(str(failure))
        if failures:
            pytest.fail("\n\n".join(failures), pytrace=False)

    return judge


class _Session:
    """What all tests reported, in the controller of an xdist run or the only process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []
        self.written = ""
        self.missing = ""
        self.picked = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect once per test."""
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name in (_ROWS, _LINE) and isinstance(value, dict):
                (self.rows if name == _ROWS else self.lines).append(value)

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
        from asr_adapt.scoring import Baseline
        from asr_adapt.scoring.baseline import merge_baselines

        parts = sorted((Baseline(**rows) for rows in self.rows), key=lambda part: part.ids)
        path = _settings(self.config).baseline
        try:
            merged = merge_baselines(parts)
        except AsrAdaptError as error:
            self.written = f"no baseline written: {error}"
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            return
        assert path is not None
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
        baseline = _settings(config).baseline if asked and not picked else None
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
            "name all files, write a new baseline with --wer-update, or allow it with --wer-subset."
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
        if self.written:
            terminalreporter.line(self.written)
        if self.missing:
            terminalreporter.line(self.missing, red=True)
