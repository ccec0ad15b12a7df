"""The sweep's results as a table: each training unblended and at the blend that the guard's budget allows.

Knows the files that ``sweep_defaults.py`` writes. Does not train.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from report import line, publish

from asr_adapt.manifest import Manifest, Utterance
from asr_adapt.scoring import wer_with_interval, word_errors
from asr_adapt.scoring.written import written_form

PROFILE = "whisper-en"
#: How much the guard may rise: a tenth of the base's WER, or one point, whichever is more.
RELATIVE, ABSOLUTE = 0.10, 0.01
HEADER = (
    *("model", "training", "share kept", "target WER (95 %)", "Δ target", "guard WER (95 %)", "Δ guard"),
    *("guard F1", "guard case", "words in noise", "training s", "run s"),
)


def table(folder: Path, write: Path | None) -> None:
    """Print the table, or put it into the block ``sweep`` of ``write``."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    bases = {(r["model"], r["scale"]): r for r in results if not r["cell"]}
    rows = []
    for result in sorted(results, key=lambda r: (r["model"], -r["scale"], bool(r["cell"]), r["name"])):
        base = bases.get((result["model"], result["scale"]))
        if base is not None:
            rows += lines_of(result, base)
    text = "\n".join([line(HEADER), line(["---"] * len(HEADER)), *rows])
    about = (
        "Share in bold: lowest dev WER within the budget (a tenth or a point) on the budget set. Guard F1 "
        f"and case: punctuation, and words in wrong case, of the guard's rows that have any. {PROFILE}. "
        "Noise: 54 sounds of ESC-10."
    )
    where = "; ".join(dict.fromkeys(result["hardware"] for result in results))
    publish(f"{text}\n\n{about} {where}.\n", "sweep", write)


def lines_of(result: dict[str, Any], base: dict[str, Any]) -> list[str]:
    """A line for all of the adapted weights, and one for the share that the budget allows."""
    start = base["blends"][0]
    if not result["cell"]:
        return [_line(result, start, start, "–")]
    chosen = choose(result, start)["share"]
    shown = [blend for blend in result["blends"] if blend["share"] in (1.0, chosen)]
    return [
        _line(
            result,
            blend,
            start,
            f"**{blend['share']:g}**" if blend["share"] == chosen else f"{blend['share']:g}",
        )
        for blend in reversed(shown)
    ]


def choose(result: dict[str, Any], start: dict[str, Any]) -> dict[str, Any]:
    """The lowest dev WER whose WER on the rows of the budget is within it; the base where none is."""
    before = _budget(result, start)
    limit = max((1 + RELATIVE) * before, before + ABSOLUTE)
    allowed = [b for b in result["blends"] if _budget(result, b) <= limit]
    return min([start, *allowed], key=lambda b: _wer(result["sets"]["dev"], b["dev"]))


def _watched(path: str) -> list[bool]:
    """Which rows of the guard keep the budget: every other speaker of LibriSpeech; the rest are tested."""
    speakers = sorted({row.speaker or "" for row in _rows(path) if not row.get("prompt")})
    kept = set(speakers[::2])
    return [not row.get("prompt") and (row.speaker or "") in kept for row in _rows(path)]


def _budget(result: dict[str, Any], blend: dict[str, Any]) -> float:
    """WER of the rows that keep the budget: kathleen's, and half of LibriSpeech's speakers."""
    guard, own = result["sets"]["guard"], result["sets"]["budget"]
    watched = _watched(guard)
    references = [row.text or "" for row, is_own in zip(_rows(guard), watched, strict=True) if is_own]
    heard = [text for text, is_own in zip(blend["guard"], watched, strict=True) if is_own]
    references += [row.text or "" for row in _rows(own)]
    return word_errors(references, [*heard, *blend["budget"]], PROFILE).wer


def _line(result: dict[str, Any], blend: dict[str, Any], start: dict[str, Any], share: str) -> str:
    cells = [result["model"], result["name"], share]
    guard = [not watched for watched in _watched(result["sets"]["guard"])]
    for name in ("target", "guard"):
        every = _rows(result["sets"][name])
        tested = guard if name == "guard" else [True] * len(every)
        rows = [row for row, own in zip(every, tested, strict=True) if own]
        texts, speakers = [row.text or "" for row in rows], [row.speaker for row in rows]
        after, base = ([t for t, own in zip(b[name], tested, strict=True) if own] for b in (blend, start))
        scored = wer_with_interval(texts, after, speakers, PROFILE)
        before = word_errors(texts, base, PROFILE).wer
        interval = f"{scored.interval.low:.1%}–{scored.interval.high:.1%}"
        cells += [f"{scored.wer:.1%} ({interval})", f"{scored.wer / before - 1:+.0%}"]
    form = written_form([row.text or "" for row in _rows(result["sets"]["guard"])], blend["guard"])
    cells.append("–" if form.punctuation is None else f"{form.punctuation.total.f1:.1%}")
    cells.append("–" if form.case is None else f"{form.case.rate:.1%}")
    cells.append(str(word_errors([""] * len(blend["noise"]), blend["noise"]).insertions))
    cells += [f"{result.get('training_seconds', 0):.0f}", f"{result['run_seconds']:.0f}"]
    return line(cells)


@lru_cache
def _rows(path: str) -> Sequence[Utterance]:
    return list(Manifest.open(path))


def _wer(path: str, hypotheses: Sequence[str]) -> float:
    return word_errors([row.text or "" for row in _rows(path)], hypotheses, PROFILE).wer
