"""What a server is told: its models, and the limits within which it takes requests.

Knows names and limits. Does not know HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asr_adapt.decoding import Decoding
from asr_adapt.models import Recogniser
from asr_adapt.scoring.calibration import Calibration
from asr_adapt.transcription.serve.corrections import Corrections

LOCAL_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True)
class ServerSettings:
    """Models by the name that requests use, the first one being the default, and limits.

    ``most_bytes`` and ``most_seconds`` bound one recording, ``queue_bytes``, ``queue_seconds`` and
    ``queue_requests`` everything that is being received, waits or is transcribed. A client that sends nothing
    for ``patience`` seconds is dropped. ``names`` are hosts that the server answers for. ``calibrations`` has
    the map of word confidence of those models that have one. ``decoding`` is how every request is decoded,
    but for what the request itself asks for. ``corrections`` is where people's corrections are kept; None:
    none are taken.
    """

    models: Mapping[str, Recogniser]
    most_bytes: int = 200 * 2**20
    patience: float = 60.0
    names: frozenset[str] = field(default=LOCAL_NAMES)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    most_seconds: float = 4 * 3600.0
    queue_bytes: int = 2 * 2**30
    queue_seconds: float = 12 * 3600.0
    queue_requests: int = 256
    decoding: Decoding = field(default_factory=Decoding)
    corrections: Corrections | None = None
