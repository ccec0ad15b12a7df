"""Which models of the catalogue are on this machine already, in our cache or the hub's.

Knows the two caches. Asks nobody outside.
"""

from __future__ import annotations

from pathlib import Path

from asr_adapt.pretrained import hub, store
from asr_adapt.pretrained.catalogue import NamedModel


def present(model: NamedModel) -> Path | None:
    """Where ``model`` lies; None where it must be fetched."""
    ours = store.place_of(model.name)
    return ours if store.is_whole(ours) else hub.in_cache(model.hub)


def hub_folder(model: NamedModel) -> Path | None:
    """Where the hub's cache holds ``model``; None where our cache has it, or nobody."""
    return None if store.is_whole(store.place_of(model.name)) else hub.in_cache(model.hub)
