"""Which learning rate each parameter has: per-pattern overrides on top of depth.

Knows patterns and names. Does not know optimisers or how rates move over time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from asr_adapt.errors import RecipeError
from asr_adapt.models import LayerStack

FIELD = "optimiser.rates"


def rate_overrides(
    rates: Mapping[str, float], stack: LayerStack, learning: Collection[str]
) -> dict[str, float]:
    """The factor of each parameter in ``learning``: the product over the patterns of ``rates`` it matches.

    A pattern is a glob or a regular expression for the whole name of a parameter or of its stage
    (``layer_11``, ``*.q_proj.*``, ``layer_[0-5]``). Raises :class:`RecipeError` for a pattern that matches
    nothing that learns: it would be a silent misspelling.
    """
    factors = dict.fromkeys(learning, 1.0)
    for pattern, factor in rates.items():
        matched = [name for name in factors if matches(pattern, (name, stack.stage_name(name)))]
        if not matched:
            stages = ", ".join(dict.fromkeys(stack.stage_name(name) for name in sorted(learning)))
            raise RecipeError(
                f"{pattern!r} matches no parameter that learns: name a parameter of the stages {stages}.",
                field=FIELD,
            )
        for name in matched:
            factors[name] *= factor
    return factors


def matches(pattern: str, names: Collection[str]) -> bool:
    """Whether ``pattern``, as a glob or as a regular expression, is the whole of one of ``names``."""
    if any(fnmatchcase(name, pattern) for name in names):
        return True
    try:
        expression = re.compile(pattern)
    except re.error:  # a glob such as *.bias is no regular expression, and need not be
        return False
    return any(expression.fullmatch(name) for name in names)
