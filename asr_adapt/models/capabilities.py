"""What a recogniser can do, as the contract says it.

Knows names of abilities. Does not know families.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """What a recogniser can do. Whoever depends on it asks here, never for a family. Methods named
    here are those of :class:`~asr_adapt.models.contract.Recogniser`.

    ``decoder``: ``set_search`` takes beams, checks and fallback, and with ``prompt`` a prompt; ``hotwords``
    can be favoured. ``language_model``: an n-gram model can take part in the search. ``hears_windows``:
    ``hear_windows`` says when what was said, so long audio is heard as Whisper does. ``timestamps``: it can
    be taught rows with timestamps. ``previous_text``: what was said before is context by default.
    ``confidence``: hypotheses and words carry probabilities. ``alignment``: words of a known transcript can
    be found by forced alignment of its frames. ``extendable_vocabulary``: characters that it cannot write
    may be added. ``label_smoothing``: ``losses`` takes it. ``tied_head``: the output head is the input
    embedding too; then it is large, and no adapter may change it. ``concurrent``: several threads may
    transcribe at once, and on a CPU that is faster. ``languages`` are the codes between which a user may
    choose, empty where there is no choice; ``spoken_languages`` those of them that name what is spoken, so
    that a row's ``lang`` chooses. ``word_times``: hypotheses tell when words were said, if asked.
    ``silence``: a row without text teaches it to write nothing where nobody speaks. ``contexts`` are the
    ways to hear a clip between which its user must choose, dearest first; empty: one.
    """

    decoder: bool = False
    prompt: bool = False
    hotwords: bool = False
    language_model: bool = False
    hears_windows: bool = False
    timestamps: bool = False
    previous_text: bool = False
    confidence: bool = True
    alignment: bool = False
    extendable_vocabulary: bool = False
    label_smoothing: bool = False
    tied_head: bool = False
    concurrent: bool = False
    silence: bool = False
    word_times: bool = True
    languages: tuple[str, ...] = ()
    spoken_languages: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()
