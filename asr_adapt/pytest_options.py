"""Options of the pytest plugin: those of ``asr-adapt gate``, each with ``--wer-`` before it.

Knows their names, former names included, and what one run asks for. Does not know tests or baselines.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asr_adapt.errors import UsageError

if TYPE_CHECKING:
    from asr_adapt.scoring.rise import Rise

#: Options of before, and what they are called now.
FORMER = {"--wer-fail": "--wer-rise", "--wer-subset": "--wer-accept rows"}


def add_options(parser: pytest.Parser) -> None:
    """The ``--wer-…`` options."""
    group = parser.getgroup("asr-adapt", "word error rate")
    group.addoption("--wer-baseline", metavar="FILE", help="baseline that WERs are compared with (JSON)")
    group.addoption("--wer-update", action="store_true", help="write the baseline instead of comparing")
    group.addoption(
        "--wer-yes", action="store_true", help="with --wer-update: write it though something gets worse"
    )
    group.addoption(
        "--wer-by", action="append", default=[], metavar="FIELD", help="one test for each value of FIELD"
    )
    group.addoption(
        "--wer-rise",
        action="append",
        default=[],
        metavar="[FIELD:]RISE",
        help="allowed rise: 5%% (relative) or 0.01 (absolute); accent:5%% for one field alone; default 0",
    )
    group.addoption(
        "--wer-accept",
        action="append",
        default=[],
        metavar="NAME",
        help="a difference from the baseline to accept, e.g. rows, decoding; the failure names it",
    )
    for former in FORMER:  # names of before, still understood
        many = {"action": "append", "default": []} if former == "--wer-fail" else {"action": "store_true"}
        group.addoption(former, help=argparse.SUPPRESS, **many)
    group.addoption(
        "--wer-normalise",
        default="",
        metavar="PROFILE",
        help="text profile; default: the one evaluate used, else the baseline's, else basic",
    )
    group.addoption(
        "--wer-level", type=float, default=0.05, metavar="P", help="false-alarm level; default 0.05"
    )
    group.addoption(
        "--wer-metric", choices=("wer", "cer"), default="wer", help="words or characters; default wer"
    )
    group.addoption("--wer-model", default="", metavar="MODEL", help="transcribe manifests with this model")


@dataclass(frozen=True)
class GateOptions:
    """The options of one run; ``fields`` maps a field (or "") to the rise that is allowed in its groups."""

    baseline: Path | None
    update: bool
    fields: Mapping[str, Rise]
    normalise: str
    model: str
    level: float
    metric: str = "wer"
    accept: tuple[str, ...] = ()
    #: What ``--wer-rise`` says without a field.
    general: Rise | None = None


def settings_of(config: pytest.Config) -> GateOptions:
    """What this run asks for; raises UsageError for a rise that is none."""
    from asr_adapt.scoring.rise import Rise, parse_rise

    named: dict[str, Rise] = {}
    for option in ("--wer-rise", "--wer-fail"):
        for text in config.getoption(option):
            name, _, rise = text.rpartition(":")
            named[name] = parse_rise(rise, place=option)
    general = named.get("", Rise())
    fields = {name: general for name in config.getoption("--wer-by")} | named
    if config.getoption("--wer-by"):
        fields.pop("", None)  # a rise without a field is that of the fields named apart
    baseline = config.getoption("--wer-baseline")
    if config.getoption("--wer-update") and not baseline:
        raise UsageError("--wer-update needs --wer-baseline FILE to write to.")
    return GateOptions(
        baseline=Path(baseline) if baseline else None,
        update=config.getoption("--wer-update"),
        fields=fields or {"": Rise()},
        normalise=config.getoption("--wer-normalise"),
        model=config.getoption("--wer-model"),
        level=config.getoption("--wer-level"),
        metric=config.getoption("--wer-metric"),
        accept=tuple(config.getoption("--wer-accept")),
        general=general,
    )
