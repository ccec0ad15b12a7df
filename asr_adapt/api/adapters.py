"""LoRA adapters to put on a model: one, or several of which the surest is believed.

Knows what may be asked for and who loads it. Does not know how an adapter is read, nor how a clip is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asr_adapt.errors import UsageError
from asr_adapt.pretrained import DEFAULT_MODEL

if TYPE_CHECKING:
    from asr_adapt.models import Recogniser

#: The word that asks for a choice among the adapters that are given besides.
AUTO = "auto"


@dataclass(frozen=True)
class Adapters:
    """Folders or hub ids; with ``several`` each clip is heard by the base and by all of them."""

    names: tuple[str, ...] = ()
    several: bool = False

    def __bool__(self) -> bool:
        return bool(self.names)

    def opener(self, load: Callable[..., Recogniser]) -> Callable[..., Recogniser]:
        """What opens a model: ``load`` itself, or with the one adapter merged."""
        if not self.names:
            return load

        def opened(name: str, *, device: str, compute_type: str) -> Recogniser:
            from asr_adapt.models.loading import load_adapted

            base = self.base(name)
            if self.several:
                return load(base or self._named(), device=device, compute_type=compute_type)
            return load_adapted(base, self.names[0], device=device, compute_type=compute_type)

        return opened

    def choosing(self, plain: Recogniser, decoding: Recogniser) -> Recogniser:
        """``decoding``, and where there are several adapters it believes the surest of them.

        ``plain`` is the base, whose weights ``decoding`` decodes with.
        """
        if not self.several:
            return decoding
        from asr_adapt.models.expert_choice import changed_weights, choosing
        from asr_adapt.models.loading import load_adapted

        kind = str(plain.dtype).removeprefix("torch.")
        told = {"device": str(plain.device), "compute_type": kind}
        experts = {n: changed_weights(plain, load_adapted(plain.name, n, **told)) for n in self.names}
        return choosing(decoding, experts)

    @staticmethod
    def base(model: str) -> str | None:
        """The base that a user named; None for the one of a command without ``--model``."""
        return None if model == DEFAULT_MODEL else model

    def _named(self) -> str:
        """The base that the first adapter names."""
        from asr_adapt.models.loading import located
        from asr_adapt.models.lora import adapter_in, base_of

        return base_of(adapter_in(self.names[0]) or located(self.names[0]))


NO_ADAPTERS = Adapters()


def adapters_from(given: Sequence[str] | None) -> Adapters:
    """What ``--adapter`` asks for; raises UsageError for several without ``auto``, and for it alone."""
    names = tuple(name for name in given or () if name != AUTO)
    chosen = len(names) < len(given or ())
    if chosen and not names:
        raise UsageError("--adapter auto chooses among adapters: give each with --adapter FOLDER too.")
    if len(names) > 1 and not chosen:
        raise UsageError(
            "one adapter is used at a time: add --adapter auto to believe the surest, clip by clip, or merge "
            "them with asr-adapt merge."
        )
    if len(set(names)) < len(names):
        raise UsageError("--adapter names a folder twice: give each once.")
    return Adapters(names, chosen)
