"""What a recogniser is told: dropout, what its decoder is given, and how it searches.

Knows values and what they mean. Does not know networks, nor how a family carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dropout:
    """Dropout rates 0…1 by place, named as in wav2vec 2.0's settings; ``None`` keeps the model's own."""

    hidden_dropout: float | None = None
    attention_dropout: float | None = None
    activation_dropout: float | None = None
    final_dropout: float | None = None
    layer_drop: float | None = None


@dataclass(frozen=True)
class DecoderSettings:
    """What an encoder–decoder model is told, and how it learns.

    ``language`` and ``task`` (None: those saved with the model) go in front of every transcript;
    ``context`` is ``full`` (the whole window, as pretrained), ``silence`` (the same, the silence behind a
    clip computed once for all) or ``dynamic`` (the clip's own length and a margin); ``language_from`` is a
    listed language, or ``mean``, from which an unlisted one's token starts; ``timestamps_share`` of the
    training rows have timestamps, and ``previous_text_share`` of those that know what was said before them
    have it as a prompt. ``learnt_silence``: see :meth:`Recogniser.learnt_states`; None: all.
    """

    language: str | None = None
    language_from: str | None = None
    task: str | None = None
    context: str = "full"
    timestamps_share: float = 0.0
    previous_text_share: float = 0.0
    learnt_silence: float | None = None


@dataclass(frozen=True)
class Search:
    """How a decoder's transcript is searched for; by default greedily, with checks for loops and silence.

    ``hallucination_checks``: a row that says the same over and over, or more than its seconds can hold, ends
    at once. It is searched again by beam, and cut behind the first repetition where that loops too. A row is
    silent where the model's probability of that is above ``no_speech`` (None: never asked) and the
    transcript's mean log-probability below ``mean_score``. Without the checks the text is exactly that of
    transformers' greedy or beam search. ``fallback`` also tries again at ``temperatures`` what is improbable
    (``mean_score``) or compresses too well (``compression``), as OpenAI's Whisper does. ``prompt`` is text
    that stands before every piece: names, spellings, style.
    Windows of long audio get ``timestamps``. ``best_of`` draws are made at a temperature above 0; a beam ends
    once beams times ``patience`` hypotheses have ended; ``length_penalty`` is the exponent of Wu et al.
    (arXiv 1609.08144), None ranks by mean log-probability. ``hotwords`` are words and phrases that are
    favoured while they are spelled, each with what is added to the log-probability of one token (nats).
    """

    beams: int = 1
    prompt: str = ""
    hallucination_checks: bool = True
    fallback: bool = False
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    mean_score: float = -1.0
    compression: float = 2.4
    no_speech: float | None = 0.6
    timestamps: bool = True
    best_of: int = 5
    patience: float = 1.0
    length_penalty: float | None = None
    hotwords: tuple[tuple[str, float], ...] = ()
