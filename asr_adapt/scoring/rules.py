"""Rules of a regression gate: ceilings, allowed rises, guards, the level; from YAML or from options.

Knows how rules are written and which apply to a group. Does not know errors, rows or baselines.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from asr_adapt.errors import RecipeError, UsageError
from asr_adapt.scoring.rise import Rise, parse_rise

ALL_ROWS = "all rows"
NO_RISE = Rise()


@dataclass(frozen=True)
class GroupRule:
    """What holds for one group; an absent value is taken from the general rule."""

    rise: Rise | None = None
    ceiling: float | None = None


@dataclass(frozen=True)
class GateRules:
    """Rules of one gate; rates are fractions.

    ``level``: false-alarm level of the whole gate, over all its groups. 1 switches significance off: any rise
    above the allowed one fails. ``rise``, ``ceiling``: for all rows and every group. ``gap``: ceiling of the
    gap between worst and best group of each field. ``groups``: exceptions by value (``scottish``) or
    ``field=value``. ``guard``: groups held to ``guard_rise`` instead, e.g. the accents that must not be
    forgotten. ``metric``: ``wer``, or ``cer`` for languages without spaces, whose sentence is one word.
    """

    by: tuple[str, ...] = ()
    level: float = 0.05
    rise: Rise = NO_RISE
    ceiling: float | None = None
    gap: float | None = None
    groups: Mapping[str, GroupRule] = field(default_factory=dict)
    guard: tuple[str, ...] = ()
    guard_rise: Rise = NO_RISE
    metric: str = "wer"

    def for_group(self, by: str, value: str) -> GroupRule:
        """The rule of a group, or of all rows (``by`` empty)."""
        names = (f"{by}={value}", value)
        own = next((self.groups[name] for name in names if name in self.groups), GroupRule())
        general = self.guard_rise if any(name in self.guard for name in names) else self.rise
        ceiling = self.ceiling if own.ceiling is None else own.ceiling
        return GroupRule(own.rise or general, ceiling)


_KEYS = ("by", "level", "rise", "ceiling", "gap", "groups", "guard", "guard_rise", "metric")
METRICS = ("wer", "cer")
_GROUP_KEYS = ("rise", "ceiling")


def load_rules(path: str | Path) -> GateRules:
    """Read rules from a YAML file; :class:`RecipeError` names file, field and the nearest known key."""
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"the rules cannot be opened ({error.strerror}).", path=path) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"is not YAML ({str(error).splitlines()[0]}).", path=path) from None
    if not isinstance(value or {}, dict):
        raise RecipeError(f"must be a mapping with keys like {', '.join(_KEYS[:4])}.", path=path)
    return rules_from(value or {}, str(path))


def override_rules(rules: GateRules | None, options: Mapping[str, Any]) -> GateRules:
    """``rules`` with plain values given on a command line in place of its own."""
    try:
        return rules_from(options, "options", rules)
    except RecipeError as error:
        raise UsageError(str(error)) from None


def rules_from(value: Mapping[str, Any], path: str = "rules", base: GateRules | None = None) -> GateRules:
    """Rules from plain values, checked; what they do not name comes from ``base``."""
    base = base or GateRules()
    _known(value, _KEYS, path)
    changes: dict[str, Any] = {}
    for name in ("by", "guard"):
        if name in value:
            changes[name] = _names(value[name], path, name)
    for name in ("level", "ceiling", "gap"):
        if value.get(name) is not None:
            changes[name] = _fraction(value[name], path, name)
    for name in ("rise", "guard_rise"):
        if name in value:
            changes[name] = _rise(value[name], path, name)
    if "metric" in value:
        changes["metric"] = _metric(value["metric"], path)
    groups = value.get("groups") or {}
    if not isinstance(groups, Mapping):
        raise RecipeError(
            "must map a group to its rules, e.g. `scottish: {rise: 5%}`.", path=path, field="groups"
        )
    changes["groups"] = dict(base.groups) | {
        str(name): _group(rule, path, f"groups.{name}") for name, rule in groups.items()
    }
    return replace(base, **changes)


def require_metric(name: str) -> str:
    """``name`` where it is a metric; else :class:`UsageError`."""
    if name not in METRICS:
        raise UsageError(f"--metric {name!r} is not one of {', '.join(METRICS)}.")
    return name


def _metric(value: Any, path: str) -> str:
    if value not in METRICS:
        raise RecipeError(f"{value!r} is not one of {', '.join(METRICS)}.", path=path, field="metric")
    return str(value)


def _group(rule: Any, path: str, place: str) -> GroupRule:
    if not isinstance(rule, Mapping):
        raise RecipeError("must hold rise or ceiling, e.g. `{rise: 5%}`.", path=path, field=place)
    _known(rule, _GROUP_KEYS, path, place)
    rise = _rise(rule["rise"], path, f"{place}.rise") if "rise" in rule else None
    ceiling = _fraction(rule["ceiling"], path, f"{place}.ceiling") if "ceiling" in rule else None
    return GroupRule(rise, ceiling)


def _known(value: Mapping[str, Any], keys: Sequence[str], path: str, place: str = "") -> None:
    for key in value:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(keys)}."
            raise RecipeError(f"unknown key; {hint}", path=path, field=f"{place}.{key}".lstrip("."))


def _names(value: Any, path: str, place: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecipeError("must be a name or a list of names.", path=path, field=place)
    return tuple(names)


def _fraction(value: Any, path: str, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RecipeError(f"{value!r} must be a fraction between 0 and 1.", path=path, field=place)
    return float(value)


def _rise(value: Any, path: str, place: str) -> Rise:
    try:
        return parse_rise(value, place=place)
    except UsageError as error:
        raise RecipeError(str(error), path=path) from None
