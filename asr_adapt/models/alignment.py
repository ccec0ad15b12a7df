"""How well a transcript fits its audio, and where its words lie: losses and forced alignment.

Knows log-probabilities and label ids. Does not know manifests or what is done with the scores. torchaudio is
not used: the score is torch's own CTC loss, the alignment a Viterbi pass in numpy (``viterbi``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asr_adapt.models.contract import Recogniser
from asr_adapt.models.ctc.recogniser import CtcRecogniser, require_ctc
from asr_adapt.models.hypothesis import Word
from asr_adapt.models.words.viterbi import LogProbabilities, forced_alignment
from asr_adapt.text import UNKNOWN, WORD_DELIMITER, normalise

#: A decoder agrees with most transcripts to the letter, so that a spread says little; lower scores are
#: of words misheard. Whisper tiny.en on accented speech: those reach 1.2, foreign transcripts begin at 1.9.
DECODER_SUSPECT = 1.5
#: Profile under which a decoder compares transcripts: how a corpus writes them is no fault of theirs.
PLAIN = "basic"


@dataclass(frozen=True, slots=True)
class Fit:
    """How a transcript fits its audio.

    ``score`` is nats per label by which the transcript is less likely than what the model hears: 0 is as good
    as the model's own transcript, infinity when CTC has no path. ``heard`` is that own transcript.
    """

    score: float
    heard: str


@torch.inference_mode()
def transcript_fits(
    recogniser: Recogniser, waveforms: Sequence[np.ndarray], texts: Sequence[str]
) -> list[Fit]:
    """Score each text against its waveform (float32 mono at the model's rate) in one batch.

    The score is the difference of two losses, of the text and of the model's greedy transcript, over the
    number of labels of the longer one: dividing by the model's own reading cancels how hard the audio is
    (the likelihood-ratio test of CTC-segmentation's and Common Voice's transcript cleaning, in its simplest
    form).
    """
    recogniser.model.eval()
    if recogniser.capabilities.alignment:
        return _ctc_fits(require_ctc(recogniser), waveforms, texts)
    return _fits(recogniser, waveforms, texts)


def _fits(recogniser: Recogniser, waveforms: Sequence[np.ndarray], texts: Sequence[str]) -> list[Fit]:
    """By the family's own loss, both texts without case and punctuation, on one pass of the encoder."""
    boundary = recogniser.stack.prefix_limit
    sound = recogniser.encode(recogniser.inputs(waveforms).to(recogniser.device), boundary)
    found = recogniser.transcribe_hidden(sound, boundary, [len(waveform) for waveform in waveforms])
    heard = [hypothesis.text for hypothesis in found]
    wanted, own = (recogniser.labels([normalise(t, PLAIN) for t in side]) for side in (texts, heard))
    losses = [recogniser.losses(sound, boundary, labels).tolist() for labels in (wanted, own)]
    return [
        Fit(max(0.0, w - h) / max(1, len(text), len(mine)), transcript)
        for w, h, text, mine, transcript in zip(*losses, wanted, own, heard, strict=True)
    ]


def _ctc_fits(recogniser: CtcRecogniser, waveforms: Sequence[np.ndarray], texts: Sequence[str]) -> list[Fit]:
    out = recogniser.logits(recogniser.inputs(waveforms).to(recogniser.device))
    scores = out.states.float().log_softmax(-1)
    heard = [
        _collapse(ids[:length], recogniser.blank)
        for ids, length in zip(scores.argmax(-1).tolist(), out.lengths.tolist(), strict=True)
    ]
    delimiter = recogniser.vocabulary.get(WORD_DELIMITER)
    wanted = [
        _with_edges(text, own, delimiter) for text, own in zip(recogniser.labels(texts), heard, strict=True)
    ]
    wanted_loss = _losses(scores, out.lengths, wanted, recogniser.blank)
    heard_loss = _losses(scores, out.lengths, heard, recogniser.blank)
    decode = recogniser.processor.tokenizer.decode
    return [
        Fit(max(0.0, float(w - h)) / max(1, len(text), len(own)), decode(own, group_tokens=False))
        for w, h, text, own in zip(wanted_loss, heard_loss, wanted, heard, strict=True)
    ]


@torch.inference_mode()
def log_probabilities(recogniser: CtcRecogniser, waveform: np.ndarray) -> LogProbabilities:
    """Frame-wise log-probabilities (frames, vocabulary) of one waveform of any length.

    Audio longer than the model's window is read in windows whose outer second is thrown away where another
    window covers it.
    """
    recogniser.model.eval()
    rate, second = recogniser.sample_rate, round(1 / recogniser.seconds_per_frame)
    margin = rate
    window = int(recogniser.window_seconds) * rate
    step = window - 2 * margin
    pieces = []
    for start in range(0, max(1, len(waveform)), step):
        piece = waveform[start : start + window]
        out = recogniser.logits(recogniser.inputs([piece]).to(recogniser.device))
        scores = out.states.float().log_softmax(-1)[0, : int(out.lengths[0])].cpu().numpy()
        last = start + window >= len(waveform)
        pieces.append(scores[second if start else 0 : None if last else second + step * second // rate])
        if last:
            break
    return np.concatenate(pieces)


@torch.inference_mode()
def word_times(recogniser: CtcRecogniser, waveform: np.ndarray, words: Sequence[str]) -> list[Word]:
    """Where each word of a known transcript is spoken; words without labels take no time.

    Raises ModelError when the audio is too short for the labels.
    """
    scores = log_probabilities(recogniser, waveform)
    delimiter = recogniser.vocabulary.get(WORD_DELIMITER)
    silent = {delimiter, recogniser.vocabulary.get(UNKNOWN)}
    labels: list[int] = []
    owners: list[int] = []
    for number, ids in enumerate(recogniser.labels(words)):
        ids = [label for label in ids if label not in silent]
        if labels and ids and delimiter is not None:
            labels.append(delimiter)
            owners.append(-1)
        labels += ids
        owners += [number] * len(ids)
    spans = forced_alignment(scores, labels, recogniser.blank)
    found: list[Word] = []
    second, end = recogniser.seconds_per_frame, 0.0
    for number, word in enumerate(words):
        own = [span for span in spans if owners[span.position] == number]
        if own:
            heard = [float(scores[span.start, labels[span.position]]) for span in own]
            start, end = own[0].start * second, own[-1].end * second
            found.append(Word(word, start, end, math.exp(sum(heard) / len(heard))))
        else:
            found.append(Word(word, end, end, 0.0))
    return found


def _with_edges(wanted: list[int], heard: Sequence[int], delimiter: int | None) -> list[int]:
    """The transcript with a delimiter before or after it where the model heard one: no fault of the text."""
    if delimiter is None or not heard:
        return wanted
    return [delimiter] * (heard[0] == delimiter) + wanted + [delimiter] * (heard[-1] == delimiter)


def _losses(scores: Tensor, lengths: Tensor, labels: Sequence[Sequence[int]], blank: int) -> list[float]:
    """CTC loss of each row in nats; infinity where no path exists."""
    device = scores.device
    targets = torch.tensor([label for row in labels for label in row], dtype=torch.long, device=device)
    sizes = torch.tensor([len(row) for row in labels], dtype=torch.long, device=device)
    losses = F.ctc_loss(scores.transpose(0, 1), targets, lengths, sizes, blank, reduction="none")
    return [float(loss) for loss in losses]


def _collapse(ids: Sequence[int], blank: int) -> list[int]:
    """Repeats merged, blanks removed."""
    return [label for i, label in enumerate(ids) if label != blank and (i == 0 or ids[i - 1] != label)]
