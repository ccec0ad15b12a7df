"""A pytest plugin: a recogniser that got worse for an accent is a failing test.

Knows pytest's hooks and how options, predictions files and fixtures become gates. Does not know statistics:
:mod:`asr_adapt.scoring` judges. Two ways to use it, see ``docs/scoring.md``:

* ``pytest predictions.jsonl --wer-baseline baseline.json --wer-by accent --wer-rise 5%`` collects one test
  per accent (a manifest without ``pred_text`` too, with ``--wer-model``: its rows are transcribed first);
* the fixture ``wer_gate`` judges rows that a test of your own has transcribed.

Each test hands its per-row errors to the session as an attribute of its report, which pytest-xdist carries to
the controller; there ``--wer-update`` writes one baseline from all tests, whichever worker ran them. A JUnit
file gets three short properties a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asr_adapt.errors import AsrAdaptError, NotComparableError
from asr_adapt.pytest_options import GateOptions, add_options, settings_of
from asr_adapt.pytest_session import ALL, CARRIED, Session

if TYPE_CHECKING:
    from asr_adapt.scoring import GateResult, Predictions
    from asr_adapt.scoring.rules import Rise

_KEPT = pytest.StashKey[dict[str, list[dict[str, Any]]]]()


class WerFailure(Exception):
    """A gate failed; its text is the message of the failing test, shown without a traceback."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The ``--wer-…`` options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Keep what tests report, in the process that sees all reports."""
    config.pluginmanager.register(Session(config), "asr_adapt_session")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Predictions named on the command line become tests; others of the tree are left alone."""
    if file_path.suffix != ".jsonl" or not parent.session.isinitpath(file_path):
        return None
    return _PredictionsFile.from_parent(parent, path=file_path)


class _PredictionsFile(pytest.File):
    """One predictions file or manifest: one test per group of every field."""

    def collect(self) -> Iterator[pytest.Item]:
        from asr_adapt.manifest import Manifest

        settings = settings_of(self.config)
        manifest = Manifest.open(self.path)
        groups: dict[tuple[str, str], list[int]] = {}
        for field in settings.fields:
            for row, utterance in enumerate(manifest):
                value = ALL if not field else str(utterance.get(field) or "unknown")
                groups.setdefault((field, value), []).append(row)
        for (field, value), rows in sorted(groups.items()):
            name = f"{field}={value}" if field else value
            yield _GateItem.from_parent(self, name=name, field=field, rows=rows, number=len(groups))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        return (
            f"{excinfo.value}" if isinstance(excinfo.value, AsrAdaptError) else super().repr_failure(excinfo)
        )


class _GateItem(pytest.Item):
    """The gate for one group of rows."""

    def __init__(self, *, field: str, rows: list[int], number: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.field, self.rows, self.number = field, rows, number

    def runtest(self) -> None:
        settings = settings_of(self.config)
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
    from asr_adapt.api.transcribing import evaluate  # torch is loaded only where a model is asked for

    evaluation = evaluate(chosen, model=model)
    if evaluation.failures:
        raise WerFailure("\n".join(failure.message for failure in evaluation.failures))
    return Predictions.of(evaluation.rows, source=str(path), settings={"model": evaluation.model})


def _judge(
    item: pytest.Item,
    predictions: Predictions,
    settings: GateOptions,
    rise: Rise,
    *,
    name: str,
    tests: int = 1,
) -> None:
    """Note the rows of a test; compare them unless a baseline is being written or none is named."""
    from asr_adapt.scoring import GateRules, gate, make_baseline
    from asr_adapt.scoring.predictions import profile_for

    profile = profile_for(settings.normalise, predictions, default=_baseline_profile(settings))
    rows = make_baseline(predictions, profile)
    line = {"name": name, "now": rows.wer, "rows": len(rows.ids), "baseline": None, "outcome": "not compared"}
    empty: dict[str, list[dict[str, Any]]] = {"rows": [], "lines": []}
    kept = item.stash.setdefault(_KEPT, empty)
    kept["rows"].append(asdict(rows))
    kept["lines"].append(line)
    item.user_properties += [(f"wer {name}", f"{rows.wer:.4f}"), (f"rows {name}", len(rows.ids))]
    if settings.baseline is None or settings.update:
        return
    line["outcome"] = "not comparable"
    level = min(1.0, settings.level / tests) if settings.level < 1 else 1.0
    rules = GateRules(level=level, rise=rise, metric=settings.metric)
    try:
        result = gate(
            predictions, settings.baseline, rules, normalise=profile, accept=settings.accept, subset=True
        )
    except NotComparableError as error:
        told = re.sub(r"--(accept|update)\b", r"--wer-\1", str(error))  # the plugin's own options
        raise WerFailure(f"NOT COMPARABLE: {told}") from None
    line["baseline"] = result.checks[0].baseline
    item.user_properties.append((f"baseline {name}", f"{line['baseline']:.4f}"))
    line["outcome"] = "passed" if result.passed else "failed"
    if not result.passed:
        raise WerFailure(_message(name, result))


def _baseline_profile(settings: GateOptions) -> str:
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
    Without ``by`` all rows are judged as one. The allowed rise is that of ``--wer-rise`` for the field, none
    by default.
    """

    def judge(rows: str | Path | Iterable[Mapping[str, Any]], by: str = "") -> None:
        from asr_adapt.scoring import read_predictions
        from asr_adapt.scoring.rules import Rise
        from asr_adapt.scoring.score import group_rows

        settings = settings_of(request.config)
        predictions = read_predictions(rows)
        groups = group_rows(predictions, [by])[by] if by else {ALL: list(range(len(predictions)))}
        failures = []
        for value, indices in groups.items():
            name = f"{by}={value}" if by else f"{request.node.name}: {value}"
            rise = settings.fields.get(by, settings.general) or Rise()
            try:
                _judge(request.node, predictions.take(indices), settings, rise, name=name, tests=len(groups))
            except WerFailure as failure:
                failures.append(str(failure))
        if failures:
            pytest.fail("\n\n".join(failures), pytrace=False)

    return judge


@pytest.hookimpl(hookwrapper=True)  # the form that every version of pytest knows
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the report carry the rows: its attributes travel between processes, and no JUnit file has them."""
    outcome: Any = yield
    if call.when == "call" and _KEPT in item.stash:
        setattr(outcome.get_result(), CARRIED, item.stash[_KEPT])
