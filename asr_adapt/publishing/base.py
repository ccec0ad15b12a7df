"""The model that was adapted: its hub id and its licence, which the published one inherits.

Knows where a licence is written: the table of names, a card's front matter, the hub. Does not interpret it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import yaml

from asr_adapt.errors import UsageError
from asr_adapt.pretrained.catalogue import find
from asr_adapt.pretrained.store import MARKER

logger = logging.getLogger(__name__)
_ASSETS = Path(__file__).parent.parent / "assets"


@dataclass(frozen=True)
class Base:
    """``hub`` is the id that a hub links to; None for a base that is on none. ``where`` told the licence."""

    name: str
    hub: str | None
    licence: str
    where: str


def base_of(name: str, licence: str | None) -> Base:
    """What is known of the model ``name``; ``licence`` is taken where it is given.

    Raises :class:`UsageError` where nobody knows the licence.
    """
    fetched = (Path(name) / MARKER).is_file()  # a folder of the cache is called as the table calls it
    known = find(name) or (find(Path(name).name) if fetched else None)
    if known is not None:
        return Base(name, known.hub, licence or known.licence, "given" if licence else "the base's")
    for folder in (Path(name), _ASSETS / name):
        if folder.is_dir():
            matter = front_matter(folder / "README.md")
            found = licence or matter.get("license")
            if found:
                named = matter.get("base_model") if folder.parent != _ASSETS else None
                hub = named if isinstance(named, str) and named.count("/") == 1 else None
                return Base(folder.name, hub, str(found), "given" if licence else "the base's card")
            raise UsageError(_unknown(name, "its folder has no card that says so"))
    if licence:
        return Base(name, name if name.count("/") == 1 else None, licence, "given")
    return Base(name, name, _on_the_hub(name), "the base's card on the hub")


def front_matter(card: Path) -> dict[str, object]:
    """The YAML at the top of a model card; empty where there is none."""
    if not card.is_file():
        return {}
    parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError as error:
        logger.warning("%s: its front matter cannot be read (%s)", card, str(error).splitlines()[0])
        return {}
    return found if isinstance(found, dict) else {}


def _on_the_hub(name: str) -> str:
    """The licence that a hub's card names; raises :class:`UsageError` where that cannot be found out."""
    try:
        card = Path(huggingface_hub.hf_hub_download(name, "README.md"))
    except Exception as error:
        raise UsageError(_unknown(name, f"its card cannot be read ({type(error).__name__})")) from error
    found = front_matter(card).get("license")
    if not found:
        raise UsageError(_unknown(name, "its card on the hub names none"))
    return str(found)


def _unknown(name: str, why: str) -> str:
    return f"the licence of {name} is not known ({why}): give --licence, such as apache-2.0 or mit."
