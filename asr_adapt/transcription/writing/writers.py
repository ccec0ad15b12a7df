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
from asr_adapt.transcription.writing.subtitles import Cue, CueRules, cues, speaker_label


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
    said = [segment for segment in transcript.segments if segment.text]
    return "".join(f"{speaker_label(one.speaker)}{_one_line(one.text)}\n" for one in said)


def _srt(transcript: Transcript, options: WriterOptions) -> str:
    blocks = []
    for number, (start, end, text) in enumerate(_shown(transcript, options, _SRT), 1):
        times = f"{clock(start, point=',')} --> {clock(end, point=',')}"
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def _vtt(transcript: Transcript, options: WriterOptions) -> str:
    blocks = ["WEBVTT\n"]
    for start, end, text in _shown(transcript, options, _VTT):
        times = f"{clock(start, hours=False)} --> {clock(end, hours=False)}"
        blocks.append(f"{times}\n{text}\n")
    return "\n".join(blocks)


def _tsv(transcript: Transcript, options: WriterOptions) -> str:
    rows = _table_rows(transcript)
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def _csv(transcript: Transcript, options: WriterOptions) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows(_table_rows(transcript))
    return buffer.getvalue()


def _table_rows(transcript: Transcript) -> Iterator[tuple[object, ...]]:
    """Whisper's three columns, in milliseconds, and a fourth where speakers are known."""
    known = any(segment.speaker is not None for segment in transcript.segments)
    yield ("start", "end", "text", *(["speaker"] if known else []))
    for s in transcript.segments:
        own = [s.speaker or ""] if known else []
        yield (round(s.start * 1000), round(s.end * 1000), _one_line(s.text), *own)


def _lrc(transcript: Transcript, options: WriterOptions) -> str:
    lines = ["[re:asr-adapt]\n", f"[length:{_lrc_clock(transcript.duration)}]\n"]
    for cue in cues(transcript, options.rules):
        text = joined(cue.lines, cue.like)
        lines.append(f"[{_lrc_clock(cue.start)}]{speaker_label(cue.speaker)}{_one_line(text)}\n")
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
    if any(segment.speaker is not None for segment in transcript.segments):
        row["pred_segments"] = [
            {"start": round(s.start, 3), "end": round(s.end, 3), "speaker": s.speaker, "text": s.text}
            for s in transcript.segments
        ]
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


@dataclass(frozen=True)
class _Grammar:
    """What a subtitle format wants escaped, and how it says who speaks: a front, which is shown or not."""

    escape: Callable[[str], str]
    front: Callable[[str | None], str]
    shows_front: bool


def _shown(
    transcript: Transcript, options: WriterOptions, grammar: _Grammar
) -> Iterator[tuple[float, float, str]]:
    """(start, end, text) of everything shown; with highlighting, one showing a word, as whisper does."""
    for cue in cues(transcript, options.rules, labelled=grammar.shows_front):
        front = grammar.front(cue.speaker)
        if not options.highlight_words:
            yield cue.start, cue.end, front + "\n".join(grammar.escape(line) for line in cue.lines)
        else:
            for start, end, text in _highlighted(cue, grammar.escape):
                yield start, end, front + text


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


def _voice(speaker: str | None) -> str:
    """WebVTT's own mark of who speaks."""
    return "" if speaker is None else f"<v {_vtt_escape(speaker)}>"


_SRT = _Grammar(_no_arrow, speaker_label, shows_front=True)
_VTT = _Grammar(_vtt_escape, _voice, shows_front=False)


def _lrc_clock(seconds: float) -> str:
    hundredths = max(0, round(seconds * 100))
    minutes, hundredths = divmod(hundredths, 6000)
    return f"{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"
