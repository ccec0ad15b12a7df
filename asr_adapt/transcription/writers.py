"""Transcripts into files: txt, srt, vtt, tsv, json, csv, lrc, jsonl.

Knows each format's grammar and what must be escaped in it. Does not know where subtitles break
(``subtitles``) nor how a transcript came to be.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from asr_adapt.errors import UsageError
from asr_adapt.models import Word
from asr_adapt.text.spaces import joined
from asr_adapt.transcription.result import Transcript, word_json
from asr_adapt.transcription.subtitles import Cue, CueRules, cues


@dataclass(frozen=True)
class WriterOptions:
    """Subtitle rules, and whether each word is underlined while it is spoken (srt, vtt)."""

    rules: CueRules = field(default_factory=CueRules)
    highlight_words: bool = False


def render(transcript: Transcript, format: str, options: WriterOptions | None = None) -> str:
    """The transcript as a whole file of ``format``; raises UsageError for an unknown format."""
    if format not in WRITERS:
        raise UsageError(f"Format {format!r} is not one of {', '.join(WRITERS)}, all.")
    return WRITERS[format](transcript, options or WriterOptions())


def needs_words(format: str) -> bool:
    """Whether a format places its text by word times."""
    return format in ("srt", "vtt", "lrc")


def clock(seconds: float, *, point: str = ".", hours: bool = True) -> str:
    """``hh:mm:ss.mmm``; without ``hours`` they are left out below one hour."""
    milliseconds = max(0, round(seconds * 1000))
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole_hours, minutes = divmod(minutes, 60)
    front = f"{whole_hours:02d}:" if hours or whole_hours else ""
    return f"{front}{minutes:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"


def _txt(transcript: Transcript, options: WriterOptions) -> str:
    lines = [_one_line(segment.text) for segment in transcript.segments if segment.text]
    return "".join(f"{line}\n" for line in lines)


def _srt(transcript: Transcript, options: WriterOptions) -> str:
    blocks = []
    for number, (start, end, text) in enumerate(_shown(transcript, options, _no_arrow), 1):
        times = f"{clock(start, point=',')} --> {clock(end, point=',')}"
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def _vtt(transcript: Transcript, options: WriterOptions) -> str:
    blocks = ["WEBVTT\n"]
    for start, end, text in _shown(transcript, options, _vtt_escape):
        times = f"{clock(start, hours=False)} --> {clock(end, hours=False)}"
        blocks.append(f"{times}\n{text}\n")
    return "\n".join(blocks)


def _tsv(transcript: Transcript, options: WriterOptions) -> str:
    rows = ["start\tend\ttext\n"]
    for s in transcript.segments:
        rows.append(f"{round(s.start * 1000)}\t{round(s.end * 1000)}\t{_one_line(s.text)}\n")
    return "".join(rows)


def _csv(transcript: Transcript, options: WriterOptions) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("start", "end", "text"))
    for s in transcript.segments:
        writer.writerow((round(s.start * 1000), round(s.end * 1000), _one_line(s.text)))
    return buffer.getvalue()


def _lrc(transcript: Transcript, options: WriterOptions) -> str:
    lines = ["[re:asr-adapt]\n", f"[length:{_lrc_clock(transcript.duration)}]\n"]
    for cue in cues(transcript, options.rules):
        text = joined(cue.lines, cue.like)
        lines.append(f"[{_lrc_clock(cue.start)}]{_one_line(text)}\n")
    return "".join(lines)


def _json(transcript: Transcript, options: WriterOptions) -> str:
    return json.dumps(transcript.to_json(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _jsonl(transcript: Transcript, options: WriterOptions) -> str:
    row: dict[str, object] = {
        **(transcript.fields or {"audio_filepath": transcript.source}),
        "duration": round(transcript.duration, 3),
        "pred_text": transcript.text,
        "confidence": None if transcript.confidence is None else round(transcript.confidence, 4),
        "time": round(transcript.compute_seconds, 4),
    }
    if transcript.warnings:
        row["warnings"] = list(transcript.warnings)
    if transcript.words:
        row["words"] = [word_json(word) for word in transcript.words]
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


#: Format name → function of a transcript and options that returns the whole file.
WRITERS: dict[str, Callable[[Transcript, WriterOptions], str]] = {
    "txt": _txt,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _tsv,
    "json": _json,
    "csv": _csv,
    "lrc": _lrc,
    "jsonl": _jsonl,
}


def _shown(
    transcript: Transcript, options: WriterOptions, escape: Callable[[str], str]
) -> Iterator[tuple[float, float, str]]:
    """(start, end, text) of everything shown; with highlighting, one showing a word, as whisper does."""
    for cue in cues(transcript, options.rules):
        if not options.highlight_words:
            yield cue.start, cue.end, "\n".join(escape(line) for line in cue.lines)
        else:
            yield from _highlighted(cue, escape)


def _highlighted(cue: Cue, escape: Callable[[str], str]) -> Iterator[tuple[float, float, str]]:
    time = cue.start
    for number, word in enumerate(cue.words):
        if word.start > time:
            yield time, word.start, _marked(cue, None, escape)
        end = cue.end if number == len(cue.words) - 1 else max(word.end, word.start)
        if end > max(word.start, time):
            yield max(word.start, time), end, _marked(cue, number, escape)
        time = max(time, end)


def _marked(cue: Cue, number: int | None, escape: Callable[[str], str]) -> str:
    """The cue's lines with word ``number`` underlined."""
    lines, first = [], 0
    for row, line in zip(cue.rows, cue.lines, strict=True):
        place = None if number is None else number - first
        lines.append(_underlined(row, line, place, escape))
        first += len(row)
    return "\n".join(lines)


def _underlined(row: Sequence[Word], line: str, number: int | None, escape: Callable[[str], str]) -> str:
    """``line``, which holds the words of ``row`` in order, with word ``number`` underlined if it is there."""
    if number is None or not 0 <= number < len(row):
        return escape(line)
    start = 0
    for word in row[:number]:
        start = line.index(word.text, start) + len(word.text)
    start = line.index(row[number].text, start)
    stop = start + len(row[number].text)
    return f"{escape(line[:start])}<u>{escape(line[start:stop])}</u>{escape(line[stop:])}"


def _one_line(text: str) -> str:
    """Text that cannot end a row or a column early."""
    return " ".join(text.split())


def _no_arrow(text: str) -> str:
    """SRT has no escapes; an arrow in the text would be read as a time line."""
    return text.replace("-->", "->")


def _vtt_escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lrc_clock(seconds: float) -> str:
    hundredths = max(0, round(seconds * 100))
    minutes, hundredths = divmod(hundredths, 6000)
    return f"{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"
