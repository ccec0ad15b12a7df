"""Tiny corpora in every foreign layout, each shaped like the real thing and holding the same speech."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


@dataclass(frozen=True)
class Spoken:
    name: str
    speaker: str
    gender: str
    text: str
    seconds: float


SPOKEN = (
    Spoken("84-121-0000", "84", "f", "GO DO YOU HEAR", 0.6),
    Spoken("84-121-0001", "84", "f", 'SAY "TWO" TWICE', 0.8),
    Spoken("174-50-0000", "174", "m", "BARKA DA ƘASA", 0.5),
)


def samples(spoken: Spoken) -> np.ndarray:
    time = np.arange(round(spoken.seconds * RATE)) / RATE
    pitch = 120 + 40 * int(spoken.speaker) / 100
    return (0.3 * np.sin(2 * np.pi * pitch * time) * np.hanning(len(time))).astype(np.float32)


def write_audio(path: Path, spoken: Spoken) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples(spoken), RATE)
    return path


def audio_bytes(spoken: Spoken) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples(spoken), RATE, format="FLAC")
    return buffer.getvalue()


def long_recording(path: Path) -> list[tuple[Spoken, float]]:
    """All of SPOKEN in one file, half a second of silence between; returns where each starts."""
    parts, starts, position = [], [], 0.0
    for spoken in SPOKEN:
        starts.append((spoken, position))
        parts += [samples(spoken), np.zeros(RATE // 2, dtype=np.float32)]
        position += spoken.seconds + 0.5
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(parts), RATE)
    return starts


def commonvoice(folder: Path) -> Path:
    columns = "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents"
    lines = ["\t".join([*columns.split(), "variant", "locale", "segment"])]
    for s in SPOKEN:
        write_audio(folder / "clips" / f"{s.name}.mp3", s)
        row = [
            s.speaker,
            f"{s.name}.mp3",
            "x1",
            s.text,
            "",
            "2",
            "0",
            "twenties",
            s.gender,
            "Northern",
            "",
            "ha",
            "",
        ]
        lines.append("\t".join(row))
    (folder / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "train.tsv"


def kaldi(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir(parents=True)
    for s in SPOKEN:
        write_audio(folder / "wav" / f"{s.name}.flac", s)
    write = lambda name, lines: (data / name).write_text("\n".join(lines) + "\n", encoding="utf-8")  # noqa: E731
    write("wav.scp", [f"{s.name}\twav/{s.name}.flac" for s in SPOKEN])
    write("text", [f"{s.name} {s.text}" for s in SPOKEN])
    write("utt2spk", [f"{s.name} {s.speaker}" for s in SPOKEN])
    write("spk2gender", ["174 m", "84 f"])
    write("spk2accent", ["174\theavy\t6.5", "84\tmild\t8.45"])
    return data


def kaldi_segments(folder: Path) -> Path:
    data = folder / "data"
    starts = long_recording(data / "rec1.wav")
    (data / "wav.scp").write_text("rec1 rec1.wav\n")
    (data / "segments").write_text(
        "".join(f"{s.name} rec1 {start:.3f} {start + s.seconds:.3f}\n" for s, start in starts)
    )
    (data / "text").write_text("".join(f"{s.name} {s.text}\n" for s in SPOKEN), encoding="utf-8")
    (data / "utt2spk").write_text("".join(f"{s.name} {s.speaker}\n" for s in SPOKEN))
    (data / "spk2gender").write_text("174 m\n84 f\n")
    return data


def nemo(folder: Path) -> Path:
    rows = []
    for s in SPOKEN:
        write_audio(folder / "audio" / f"{s.name}.wav", s)
        row = {"audio_filepath": f"audio/{s.name}.wav", "id": s.name, "duration": s.seconds, "text": s.text}
        rows.append(row | {"speaker": int(s.speaker), "gender": s.gender})
    path = folder / "manifest.json"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def nemo_tarred(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for shard, part in enumerate([SPOKEN[:2], SPOKEN[2:]]):
        with tarfile.open(folder / f"audio_{shard}.tar", "w") as archive:
            for s in part:
                content = audio_bytes(s)
                info = tarfile.TarInfo(f"{s.name}.flac")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
                row = {"audio_filepath": f"{s.name}.flac", "shard_id": shard, "duration": s.seconds}
                rows.append(row | {"id": s.name, "text": s.text, "speaker": s.speaker, "gender": s.gender})
    path = folder / "tarred_audio_manifest.json"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def lhotse_recording(path: str, name: str, seconds: float) -> dict:
    source = {"type": "file", "channels": [0], "source": path}
    size = round(seconds * RATE)
    return {"id": name, "sources": [source], "sampling_rate": RATE, "num_samples": size, "duration": seconds,
            "channel_ids": [0]}  # fmt: skip


def lhotse_supervision(s: Spoken, recording: str, start: float) -> dict:
    return {"id": s.name, "recording_id": recording, "start": start, "duration": s.seconds, "channel": 0,
            "text": s.text, "language": "ha", "speaker": s.speaker, "gender": s.gender}  # fmt: skip


def write_gzip(path: Path, rows: list[dict]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def lhotse_cuts(folder: Path) -> Path:
    starts = long_recording(folder / "rec1.wav")
    recording = lhotse_recording("rec1.wav", "rec1", 3.4)
    cuts = []
    for s, start in starts:
        supervision = lhotse_supervision(s, "rec1", 0.0)
        cuts.append({"id": f"{s.name}-cut", "start": start, "duration": s.seconds, "channel": 0,
                     "supervisions": [supervision], "recording": recording, "type": "MonoCut"})  # fmt: skip
    return write_gzip(folder / "cuts.jsonl.gz", cuts)


def lhotse_parts(folder: Path) -> Path:
    starts = long_recording(folder / "rec1.wav")
    write_gzip(folder / "recordings.jsonl.gz", [lhotse_recording("rec1.wav", "rec1", 3.4)])
    write_gzip(folder / "supervisions.jsonl.gz", [lhotse_supervision(s, "rec1", at) for s, at in starts])
    return folder


def audiofolder(folder: Path, kind: str) -> Path:
    rows = []
    for s in SPOKEN:
        write_audio(folder / "train" / "wav" / f"{s.name}.wav", s)
        rows.append({"file_name": f"wav/{s.name}.wav", "transcription": s.text, "speaker_id": int(s.speaker),
                     "gender": s.gender, "id": s.name})  # fmt: skip
    path = folder / "train" / f"metadata.{kind}"
    if kind == "csv":
        quoted = [[str(v).replace('"', '""') for v in row.values()] for row in rows]
        lines = [",".join(rows[0]), *[",".join(f'"{cell}"' for cell in row) for row in quoted]]
        path.write_text("\r\n".join(lines), encoding="utf-8")
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        write_parquet(path, rows)
    return folder


def write_parquet(path: Path, rows: list[dict]) -> None:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=2)


def parquet(folder: Path) -> Path:
    rows = [
        {"id": s.name, "audio": {"bytes": audio_bytes(s), "path": f"{s.name}.flac"}, "sentence": s.text,
         "speaker_id": int(s.speaker), "gender": s.gender}
        for s in SPOKEN
    ]  # fmt: skip
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows)
    return folder


def librispeech(folder: Path) -> Path:
    for s in SPOKEN:
        chapter = folder / "LibriSpeech" / "dev-clean" / Path(*s.name.split("-")[:2])
        write_audio(chapter / f"{s.name}.flac", s)
        with (chapter / f"{'-'.join(s.name.split('-')[:2])}.trans.txt").open("a", encoding="utf-8") as handle:
            handle.write(f"{s.name} {s.text}\n")
    (folder / "LibriSpeech" / "SPEAKERS.TXT").write_text(
        ";ID  |SEX| SUBSET\n84   | F | dev-clean   |  8.02 | Christie\n174 | M | dev-clean | 8 | Peter\n"
    )
    return folder / "LibriSpeech"


_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.4
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "TextTier"
        name = "clicks 7"
        xmin = 0
        xmax = 3.4
        points: size = 1
        points [1]:
            number = 0.25
            mark = "!"
    item [2]:
        class = "IntervalTier"
        name = "utterances"
        xmin = 0
        xmax = 3.4
        intervals: size = {size}
{intervals}
"""
_INTERVAL = """        intervals [{number}]:
            xmin = {start}
            xmax = {end}
            text = "{text}" """


def textgrid(folder: Path) -> Path:
    intervals = []
    for s, start in long_recording(folder / "session.wav"):
        end = start + s.seconds
        intervals += [(start, end, s.text.replace('"', '""')), (end, end + 0.5, "")]
    blocks = [
        _INTERVAL.format(number=number, start=start, end=end, text=text)
        for number, (start, end, text) in enumerate(intervals, start=1)
    ]
    content = _TEXTGRID.format(size=len(intervals), intervals="\n".join(blocks))
    (folder / "session.TextGrid").write_text(content, encoding="utf-16")
    return folder


def sidecar(folder: Path) -> Path:
    for s, suffix in zip(SPOKEN, (".txt", ".lab", ".txt"), strict=True):
        write_audio(folder / s.speaker / f"{s.name}.wav", s)
        (folder / s.speaker / f"{s.name}{suffix}").write_text(s.text + "\n", encoding="utf-8")
    return folder


def table(folder: Path) -> Path:
    lines = ["wav;who;words;gender"]
    for s in SPOKEN:
        write_audio(folder / "wavs" / f"{s.name}.wav", s)
        quoted = '"' + s.text.replace('"', '""') + '"'
        lines.append(f"{s.name}.wav;{s.speaker};{quoted};{s.gender}")
    path = folder / "corpus.csv"
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8-sig"))
    return path


def stm(folder: Path) -> Path:
    starts = long_recording(folder / "sph" / "session1.flac")
    lines = [";; a comment", "session1 1 excluded 0.0 0.1 <o> ignore_time_segment_in_scoring"]
    lines += [
        f"session1 1 {s.speaker} {at:.2f} {at + s.seconds:.2f} <o,f0,{s.gender}> {s.text}" for s, at in starts
    ]
    (folder / "test.stm").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "test.stm"


@dataclass(frozen=True)
class Corpus:
    """How a layout is made, what auto must call it, and which of name, speaker, gender it can carry."""

    make: Callable[[Path], Path]
    layout: str
    carries: str = "id speaker gender"
    columns: tuple[tuple[str, str], ...] = ()


CORPORA = {
    "commonvoice": Corpus(commonvoice, "commonvoice"),
    "kaldi": Corpus(kaldi, "kaldi"),
    "kaldi-segments": Corpus(kaldi_segments, "kaldi"),
    "nemo": Corpus(nemo, "nemo"),
    "nemo-tarred": Corpus(nemo_tarred, "nemo"),
    "lhotse-cuts": Corpus(lhotse_cuts, "lhotse"),
    "lhotse-parts": Corpus(lhotse_parts, "lhotse"),
    "audiofolder-csv": Corpus(lambda f: audiofolder(f, "csv"), "audiofolder", "speaker gender"),
    "audiofolder-jsonl": Corpus(lambda f: audiofolder(f, "jsonl"), "audiofolder", "speaker gender"),
    "audiofolder-parquet": Corpus(lambda f: audiofolder(f, "parquet"), "audiofolder", "speaker gender"),
    "parquet": Corpus(parquet, "parquet"),
    "librispeech": Corpus(librispeech, "librispeech"),
    "textgrid": Corpus(textgrid, "textgrid", ""),
    "sidecar": Corpus(sidecar, "sidecar", ""),
    "table": Corpus(table, "table", "speaker gender", (("who", "speaker"), ("words", "text"))),
    "stm": Corpus(stm, "stm", "speaker"),
}  # fmt: skip
