"""In which language a row is decoded: the one asked for, else the one that the row says and the model lists.

Knows the rows' field ``lang`` and which languages a recogniser can be told. Does not know tokens.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable

from asr_adapt.manifest import Utterance
from asr_adapt.models import Recogniser

logger = logging.getLogger(__name__)


def listed(lang: str, codes: Collection[str]) -> str:
    """A row's ``lang`` (BCP-47) as a model lists it: Whisper's ``yue`` whole, else ``de-AT`` as ``de``."""
    name = lang.strip().lower()
    return name if name in codes else name.replace("_", "-").partition("-")[0]


def language_of_row(recogniser: Recogniser, asked: str | None, row: Utterance | None) -> str | None:
    """What to decode ``row`` in; None leaves it to the recogniser, as ``asked`` says where it is given."""
    codes = recogniser.capabilities.spoken_languages
    if asked or row is None or not row.lang or not codes:
        return asked
    own = listed(row.lang, codes)
    return own if own in codes else None


def say_unobeyed(recogniser: Recogniser, asked: str | None, rows: Iterable[Utterance]) -> None:
    """One sentence on rows that are decoded in another language than they say."""
    codes = recogniser.capabilities.spoken_languages
    if not codes:
        return
    said = Counter(listed(row.lang, codes) for row in rows if row.lang)
    ignored = {code: n for code, n in said.items() if code != asked and (asked or code not in codes)}
    if not ignored:
        return
    told = ", ".join(f"{code} ({count} rows)" for code, count in sorted(ignored.items()))
    if asked:
        logger.warning("language %r is given and overrides the rows' lang: %s.", asked, told)
    else:
        logger.warning(
            "%s does not list the lang of some rows, so the model's own language is used for them: %s.",
            recogniser.name,
            told,
        )
