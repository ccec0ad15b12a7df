"""Models by name and models of other runtimes: found in the caches, fetched, converted.

Knows sources and the cache. Does not load networks for use: :mod:`asr_adapt.models.loading` does.
"""

from asr_adapt.models.fetching.catalogue import MODELS, NamedModel, find
from asr_adapt.models.fetching.foreign import converted, import_model
from asr_adapt.models.fetching.locate import cached, fetch, hub_folder
from asr_adapt.models.fetching.store import cached_models, models_folder, remove

__all__ = [
    "MODELS",
    "NamedModel",
    "cached",
    "cached_models",
    "converted",
    "fetch",
    "find",
    "hub_folder",
    "import_model",
    "models_folder",
    "remove",
]
