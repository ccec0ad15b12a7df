"""Manifest rows to other tools' layouts: NeMo, Common Voice, Kaldi, STM, lhotse.

Knows what each layout can hold and says what it cannot. Does not change audio, except that Common Voice,
which has no segments, gets its segments cut into clips.
"""

from __future__ import annotations

import gzip
import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import soundfile

from asr_adapt.audio import probe
from asr_adapt.errors import DataError, UsageError
from asr_adapt.files import atomic_write
from asr_adapt.manifest.sound import read_waveform
from asr_adapt.manifest.utterance import Utterance
from asr_adapt.manifest.write import write_manifest

Exporter = Callable[[Iterable[Utterance], Path], int]


def export_manifest(rows: Iterable[Utterance], layout: str, output: Path) -> int:
    """Write rows in ``layout`` to ``output`` (a file for nemo and stm, else a folder); return how many.

    Raises UsageError for an unknown layout and DataError for a row that the layout cannot hold.
    """
    if layout not in EXPORTERS:
        raise UsageError(f"--to {layout!r} is not one of {', '.join(EXPORTERS)}.")
    return EXPORTERS[layout](rows, output)


def export_nemo(rows: Iterable[Utterance], output: Path) -> int:
    """A NeMo manifest: our own rows, whose names are NeMo's."""
    return write_manifest(output, rows)


def export_commonvoice(rows: Iterable[Utterance], output: Path) -> int:
    """``validated.tsv`` and ``clips/``. Audio is copied; segments are cut to FLAC in their own rate."""
    columns = ("client_id", "path", "sentence", "age", "gender", "accents", "locale")
    clips = output / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    with atomic_write(output / "validated.tsv") as handle:
        handle.write("\t".join(columns) + "\n")
        for row in rows:
            name = _place_clip(row, clips, names)
            cells = (row.speaker, name, _text(row), row.age, row.gender, row.accent, row.lang)
            handle.write("\t".join(_one_line(cell or "") for cell in cells) + "\n")
    return len(names)


def export_kaldi(rows: Iterable[Utterance], output: Path) -> int:
    """A Kaldi data directory, sorted by utterance id, audio paths absolute.

    A speaker label is written by speaker (``spk2accent``) where each speaker has one value, else by utterance
    (``utt2accent``). An unknown speaker is the utterance itself, as Kaldi asks. A row of one channel is a
    ``sox`` command that takes it out of the file. Extra fields are left out.
    """
    kept = {_kaldi_name(row.id): row for row in _unique(rows, lambda row: _kaldi_name(row.id))}
    segmented = any(row.offset for row in kept.values())
    tables: dict[str, dict[str, str]] = {"wav.scp": {}, "text": {}, "utt2spk": {}}
    for name, row in kept.items():
        path, channel = _absolute(row), row.channel
        side = "" if channel is None else f"-{channel + 1}"
        recording = _kaldi_name(path) + side if segmented else name
        tables["wav.scp"][recording] = path if channel is None else _one_channel(path, channel)
        if segmented:
            start, end = row.offset, row.offset + _duration(row)
            tables.setdefault("segments", {})[name] = f"{recording} {start:.6f} {end:.6f}"
        if row.text is not None:
            tables["text"][name] = _one_line(row.text)
        tables["utt2spk"][name] = _kaldi_name(row.speaker or name)
        if row.duration is not None:
            tables.setdefault("utt2dur", {})[name] = f"{row.duration:.6f}"
    tables |= _kaldi_labels(kept)
    for name, table in tables.items():
        with atomic_write(output / name) as handle:
            handle.writelines(f"{key} {table[key]}\n" for key in sorted(table))
    return len(kept)


def _one_channel(path: str, channel: int) -> str:
    """Kaldi hears whole files: the usual command that takes one channel out of one."""
    return f"sox {shlex.quote(path)} -t wav - remix {channel + 1} |"


def export_stm(rows: Iterable[Utterance], output: Path) -> int:
    """An STM file: ``audio channel speaker start end <labels> transcript`` in seconds."""
    count = 0
    with atomic_write(output) as handle:
        for row in rows:
            labels = ",".join(_token(value) for value in (row.lang, row.accent, row.gender) if value)
            start, end = row.offset, row.offset + _duration(row)
            fields = [
                _token(_absolute(row)),
                str((row.channel or 0) + 1),
                _token(row.speaker or "unknown"),
                f"{start:.3f}",
                f"{end:.3f}",
            ]
            handle.write(
                " ".join([*fields, *([f"<{labels}>"] if labels else []), _one_line(_text(row))]) + "\n"
            )
            count += 1
    return count


def export_lhotse(rows: Iterable[Utterance], output: Path) -> int:
    """``recordings.jsonl.gz`` and ``supervisions.jsonl.gz`` as lhotse writes them; paths absolute."""
    recordings: dict[str, dict[str, Any]] = {}
    supervisions: list[dict[str, Any]] = []
    for row in _unique(rows, lambda row: row.id):
        path = _absolute(row)
        if path not in recordings:
            recordings[path] = _lhotse_recording(row, path)
        supervisions.append(_lhotse_supervision(row, recordings[path]))
    _write_gzip(output / "recordings.jsonl.gz", recordings.values())
    _write_gzip(output / "supervisions.jsonl.gz", supervisions)
    return len(supervisions)


EXPORTERS: Mapping[str, Exporter] = {
    "nemo": export_nemo,
    "commonvoice": export_commonvoice,
    "kaldi": export_kaldi,
    "stm": export_stm,
    "lhotse": export_lhotse,
}


#: Layouts that are one file; the others are a folder.
FILES = frozenset({"nemo", "stm"})


def _place_clip(row: Utterance, clips: Path, names: set[str]) -> str:
    """Copy or cut one row's audio into ``clips``; returns its file name."""
    whole = not row.offset and (row.duration is None or probe(row.audio_path).duration - row.duration < 0.05)
    plain = whole and row.channel is None and row.audio_path.is_file()
    name = row.id.replace("/", "_") + (row.audio_path.suffix if plain else ".flac")
    if name in names:
        raise row.error(f"two rows would become the clip {name!r}; give them different ids.", "id")
    names.add(name)
    if plain:
        with row.audio_path.open("rb") as sound, atomic_write(clips / name, "wb") as handle:
            shutil.copyfileobj(sound, handle)
    else:
        samples = read_waveform(row, None)
        with atomic_write(clips / name, "wb") as handle:
            soundfile.write(handle, samples, probe(row.audio_path).sample_rate, format="FLAC")
    return name


def _kaldi_labels(rows: Mapping[str, Utterance]) -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    for label in ("accent", "gender", "age", "lang"):
        values = {name: _one_line(row.get(label)) for name, row in rows.items() if row.get(label)}
        if not values:
            continue
        speakers: dict[str, set[str]] = {}
        for name, row in rows.items():
            speakers.setdefault(_kaldi_name(row.speaker or name), set()).add(values.get(name, ""))
        if label != "lang" and all(len(found) == 1 for found in speakers.values()):
            tables[f"spk2{label}"] = {speaker: value for speaker, (value,) in speakers.items() if value}
        else:
            tables[f"utt2{label}"] = values
    return tables


def _lhotse_recording(row: Utterance, path: str) -> dict[str, Any]:
    info = probe(row.audio_path)
    return {
        "id": path,
        "sources": [{"type": "file", "channels": list(range(info.channels)), "source": path}],
        "sampling_rate": info.sample_rate,
        "num_samples": round(info.duration * info.sample_rate),
        "duration": info.duration,
        "channel_ids": list(range(info.channels)),
    }


def _lhotse_supervision(row: Utterance, recording: Mapping[str, Any]) -> dict[str, Any]:
    channel = row.extra.get("channel", 0 if recording["channel_ids"] == [0] else recording["channel_ids"])
    supervision = {
        "id": row.id,
        "recording_id": recording["id"],
        "start": row.offset,
        "duration": _duration(row),
        "channel": channel,
        "text": row.text,
        "language": row.lang,
        "speaker": row.speaker,
        "gender": row.gender,
    }
    custom = {k: v for k, v in row.extra.items() if k != "channel"}
    custom |= {name: row.get(name) for name in ("accent", "age") if row.get(name)}
    return {k: v for k, v in supervision.items() if v is not None} | ({"custom": custom} if custom else {})


def _write_gzip(path: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    lines = (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in objects)
    with atomic_write(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
        for line in lines:
            packed.write(line.encode("utf-8"))


def _unique(rows: Iterable[Utterance], key: Callable[[Utterance], str]) -> Iterable[Utterance]:
    seen: set[str] = set()
    for row in rows:
        if key(row) in seen:
            raise row.error(f"the id {key(row)!r} occurs twice; run `manifest check --fix` first.", "id")
        seen.add(key(row))
        yield row


def _duration(row: Utterance) -> float:
    return row.duration if row.duration is not None else probe(row.audio_path).duration - row.offset


def _absolute(row: Utterance) -> str:
    return row.audio_filepath if "://" in row.audio_filepath else row.audio_path.resolve().as_posix()


def _text(row: Utterance) -> str:
    if row.text is None:
        raise row.error("has no text, which the layout requires.", "text")
    return row.text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _kaldi_name(text: str) -> str:
    return "_".join(text.split()) or "_"


def _token(text: str) -> str:
    """STM separates by spaces and has no quoting, so a path or speaker must hold none."""
    if any(c.isspace() for c in text):
        raise DataError(f"{text!r} holds a space, which STM cannot write; rename it.")
    return text
