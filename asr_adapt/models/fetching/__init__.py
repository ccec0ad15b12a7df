"""Models by name and Whispers of other runtimes: fetched, converted, one folder each in the cache.

Knows in which order sources are asked. Does not load networks for use: :mod:`asr_adapt.models.loading` does.
"""

from asr_adapt.models.fetching.foreign import converted, files_key, import_model
from asr_adapt.models.fetching.locate import fetch, vocabulary_for

__all__ = ["converted", "fetch", "files_key", "import_model", "vocabulary_for"]
