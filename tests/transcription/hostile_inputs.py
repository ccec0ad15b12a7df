"""Writes two hundred malformed, odd and hostile inputs, and a few good ones among them.

python tests/transcription/hostile_inputs.py FOLDER
"""

from __future__ import annotations

import os
import random
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
#: Names that a shell, a subtitle or a terminal may stumble over.
ODD_NAMES = (
    "with space.wav", "-dash.wav", "new\nline.wav", "emoji 🎤.wav", "Ünïcödé.wav", "quote'\".wav",
    "[a-z]*.wav", "per%cent.wav", "tab\t.wav", "dots...wav", "no_suffix", "UPPER.WAV", "a" * 240 + ".wav",
)  # fmt: skip


def write_all(folder: Path, samples: np.ndarray) -> tuple[list[str], list[str]]:
    """Write everything; returns (inputs that must be transcribed, inputs that may fail)."""
    good = list(_good(folder, samples))
    other = [
        *_damaged(folder, samples), *_headers(folder), *_disguised(folder), *_samples(folder),
        *_not_files(folder), *_manifests(folder, good[0]), *_lists(folder), *_impossible(folder),
    ]  # fmt: skip
    return good, other


def _good(folder: Path, samples: np.ndarray) -> Iterator[str]:
    for name in ODD_NAMES:
        path = folder / "good" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(str(path), samples, RATE, format="WAV")
        yield str(path)
    for suffix, encoding in (("flac", "PCM_16"), ("aiff", "PCM_24"), ("w64", "DOUBLE"), ("caf", "PCM_16")):
        path = folder / "good" / f"codec.{suffix}"
        soundfile.write(str(path), samples, RATE, subtype=encoding)
        yield str(path)


def _damaged(folder: Path, samples: np.ndarray) -> Iterator[str]:
    """Cut, bit-flipped and scrambled files of five containers."""
    rng = random.Random(7)
    (folder / "damaged").mkdir(parents=True, exist_ok=True)
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff"):
        whole = folder / "damaged" / f"whole.{suffix}"
        soundfile.write(str(whole), samples, RATE)
        data = whole.read_bytes()
        whole.unlink()
        versions = [data[:n] for n in (1, 4, 12, 40, 44, 45, 100, len(data) // 2, len(data) - 1)]
        for _ in range(9):
            broken = bytearray(data)
            for _ in range(20):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            versions.append(bytes(broken))
        versions.append(data[:60] + rng.randbytes(len(data) - 60))
        versions.append(data[::-1])
        for number, content in enumerate(versions):
            path = folder / "damaged" / f"{number}.{suffix}"
            path.write_bytes(content)
            yield str(path)


def _headers(folder: Path) -> Iterator[str]:
    """WAV headers that lie about rate, channels, bits and size."""
    for rate, channels, bits, size in (
        (0, 1, 16, 100), (1, 1, 16, 100), (2**32 - 1, 1, 16, 100), (RATE, 0, 16, 100), (RATE, 65535, 16, 100),
        (RATE, 1, 0, 100), (RATE, 1, 7, 100), (RATE, 1, 64, 100), (RATE, 1, 16, 2**32 - 1), (RATE, 1, 16, 0),
        (RATE, 255, 32, 3), (7, 2, 8, 50), (RATE, 1, 16, 1),
    ):  # fmt: skip
        block = channels * bits // 8
        content = struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + min(size, 2**31), b"WAVE", b"fmt ", 16, 1, channels, rate,
            rate * block % 2**32, block % 65536, bits, b"data", size,
        )  # fmt: skip
        path = folder / f"header_{rate}_{channels}_{bits}_{size}.wav"
        path.write_bytes(content + bytes(min(size, 100)))
        yield str(path)


def _disguised(folder: Path) -> Iterator[str]:
    """Other things with a sound's name."""
    contents = {
        "text": b"this is not sound\n" * 100,
        "html": b"<!doctype html><title>404</title>",
        "json": b'{"error": "not found"}',
        "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
        "elf": b"\x7fELF" + bytes(500),
        "zeros": bytes(10_000),
        "empty": b"",
        "newline": b"\n",
        "gzip": b"\x1f\x8b\x08" + bytes(50),
        "pickle": b"cos\nsystem\n(S'true'\ntR.",
        "m3u8": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
        "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 9 RTP/AVP 0\n",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
    }
    for name, content in contents.items():
        for suffix in ("wav", "mp3", "mp4"):
            path = folder / f"{name}.{suffix}"
            path.write_bytes(content)
            yield str(path)
    with zipfile.ZipFile(folder / "archive.wav", "w") as archive:
        archive.writestr("a.wav", b"RIFF")
    yield str(folder / "archive.wav")


def _samples(folder: Path) -> Iterator[str]:
    """Sound that is no speech: NaN, infinity, one sample, clipping, silence, noise."""
    kinds = {
        "nan": np.full(RATE, np.nan), "inf": np.full(RATE, np.inf), "huge": np.full(RATE, 1e30),
        "late_nan": np.r_[np.zeros(40 * RATE), np.nan], "one": np.zeros(1), "ten": np.ones(10),
        "silence": np.zeros(RATE), "dc": np.ones(RATE),
        "noise": np.random.default_rng(0).standard_normal(RATE),
    }  # fmt: skip
    for name, samples in kinds.items():
        path = folder / f"sound_{name}.wav"
        soundfile.write(str(path), samples.astype(np.float32), RATE, subtype="FLOAT")
        yield str(path)
    for rate in (1000, 2000, 768_000):
        path = folder / f"rate_{rate}.wav"
        soundfile.write(str(path), np.zeros(rate), rate)
        yield str(path)


def _not_files(folder: Path) -> Iterator[str]:
    (folder / "folder.wav").mkdir()
    (folder / "dangling.wav").symlink_to(folder / "nowhere.wav")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    os.mkfifo(folder / "fifo.wav")
    (folder / "empty_folder").mkdir()
    names = ("folder.wav", "dangling.wav", "loop.wav", "fifo.wav", "empty_folder", "missing.wav")
    yield from (str(folder / name) for name in names)


def _manifests(folder: Path, good: str) -> Iterator[str]:
    path = b'{"audio_filepath": "%s", '
    lines = {
        "cut": b'{"audio_filepath": "a', "list": b"[1, 2]", "number": b"7", "null": b"null", "nothing": b"",
        "no_path": b'{"text": "a"}', "path_type": b'{"audio_filepath": 3}', "deep": b"[" * 100_000,
        "path_empty": b'{"audio_filepath": ""}', "gone": b'{"audio_filepath": "gone.wav"}',
        "nul": b'{"audio_filepath": "a\\u0000b.wav"}', "latin1": b'{"audio_filepath": "\xe9.wav"}',
        "device": b'{"audio_filepath": "/dev/zero"}', "up": b'{"audio_filepath": "../../../etc/passwd"}',
        "offset": path + b'"offset": 1e9}', "negative": path + b'"offset": -1}',
        "duration": path + b'"duration": -1}', "nan": path + b'"duration": NaN}',
        "huge_number": path + b'"offset": 1, "duration": 1e308}',
        "id": path + b'"id": "../../outside", "offset": 1e9}',
    }  # fmt: skip
    for name, line in lines.items():
        manifest = folder / f"manifest_{name}.jsonl"
        manifest.write_bytes(line.replace(b"%s", os.fsencode(good)) + b"\n")
        yield str(manifest)


def _lists(folder: Path) -> Iterator[str]:
    contents = {
        "blank": b"\n\n",
        "binary": bytes(range(256)),
        "self": b"list_self.txt\n",
        "gone": b"gone.wav\n",
    }
    for name, content in contents.items():
        path = folder / f"list_{name}.txt"
        path.write_bytes(content)
        yield str(path)


def _impossible(folder: Path) -> Iterator[str]:
    """Names that no file can have, and places that no one serves."""
    yield str(folder / ("b" * 300 + ".wav"))
    yield str(folder / "nothing-*.wav")
    yield "file:///nowhere/at/all.wav"
    yield "nosuchscheme://host/x.wav"
    yield "/proc/self/mem"
    yield "/dev/null"


if __name__ == "__main__":
    time = np.arange(2 * RATE) / RATE
    made = write_all(Path(sys.argv[1]), (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32))
    print(f"{len(made[0])} good, {len(made[1])} hostile")
