"""What a sound file's structure says of its bytes: where joined files begin, and how many bytes are missing.

Knows the outlines of RIFF and AIFF chunks, Ogg pages, FLAC, MP3 length headers, MP4 boxes and Matroska
segments. Does not decode anything, and judges nothing: a file of another kind is one part that lacks nothing.

``cat one.mp3 two.mp3``, a recorder that goes on in the same file, and an internet radio stream give files
whose first header knows only the first part. Decoders believe it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_CHUNK = 1 << 20
#: Lengths that a recorder writes when it does not know the length yet.
_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF, 0x7FFFFFFF)
#: Parts looked for in one file; more are one long last part.
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Structure:
    """``starts``: the first byte of each joined file (0 is the first); ``missing``: bytes behind the end that
    a header promises, 0 where none does."""

    starts: tuple[int, ...] = (0,)
    missing: int = 0


def examine(handle: BinaryIO) -> Structure:
    """The structure of an open, seekable file; its position is changed."""
    try:
        return _examined(handle, handle.seek(0, io.SEEK_END))
    except struct.error:  # the file ends inside a header: the decoder says what is wrong with it
        return Structure()


def _examined(handle: BinaryIO, size: int) -> Structure:
    head = _bytes_at(handle, 0, 12)
    if head[:4] in (b"RIFF", b"FORM"):
        return _riff(handle, size, head[:4])
    if head[:4] == b"OggS":
        return _ogg(handle, size)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(handle, size)
    if head[4:8] == b"ftyp":
        return _mp4(handle, size)
    if _bytes_at(handle, _behind_id3(handle, 0), 4) == b"fLaC":
        return _flac(handle)
    return _mp3(handle, size)


def _bytes_at(handle: BinaryIO, position: int, count: int) -> bytes:
    handle.seek(position)
    return handle.read(count)


def _found(handle: BinaryIO, pattern: bytes, start: int) -> Iterator[int]:
    """Positions of ``pattern`` from ``start`` on, read in large blocks."""
    overlap = len(pattern) - 1
    handle.seek(start)
    before, position = b"", start
    while block := handle.read(_CHUNK):
        text = before + block
        base = position - len(before)
        place = text.find(pattern)
        while place >= 0:
            yield base + place
            place = text.find(pattern, place + 1)
        position += len(block)
        before = text[-overlap:] if overlap else b""
        handle.seek(position)


def _riff(handle: BinaryIO, size: int, magic: bytes) -> Structure:
    """WAV, and AIFF, which is alike but for the order of bytes and the name of the sound's chunk."""
    number, sound = ("<I", b"data") if magic == b"RIFF" else (">I", b"SSND")
    starts, start, missing = [0], 0, 0
    while len(starts) < MOST_PARTS:
        length = struct.unpack(number, _bytes_at(handle, start + 4, 4))[0]
        missing = max(missing, _missing_of_chunk(handle, start, size, number, sound))
        following = start + 8 + length + length % 2
        if length in _UNKNOWN_LENGTHS or following + 12 > size:
            break
        head = _bytes_at(handle, following, 12)
        if head[:4] != magic or head[8:] != _bytes_at(handle, start + 8, 4):
            break
        start = following
        starts.append(start)
    return Structure(tuple(starts), missing)


def _missing_of_chunk(handle: BinaryIO, start: int, size: int, number: str, sound: bytes) -> int:
    position = start + 12
    for _ in range(64):
        header = _bytes_at(handle, position, 8)
        if len(header) < 8:
            return 0
        length = struct.unpack(number, header[4:])[0]
        if header[:4] == sound:
            return 0 if length in _UNKNOWN_LENGTHS else max(0, position + 8 + length - size)
        position += 8 + length + length % 2
    return 0


def _ogg(handle: BinaryIO, size: int) -> Structure:
    """A chain link begins with a page that begins a stream, behind pages that do not."""
    starts = [0]
    body = _behind_first_pages(handle, 0)
    for place in _found(handle, b"OggS\x00\x02", body):
        if place < body:  # a further stream of the same link, played at the same time
            continue
        starts.append(place)
        body = _behind_first_pages(handle, place)
        if len(starts) == MOST_PARTS:
            break
    tail = max(0, size - (1 << 17))
    last = _bytes_at(handle, tail, size - tail).rfind(b"OggS\x00")
    end = size if last < 0 else tail + last + _page_length(handle, tail + last)
    return Structure(tuple(starts), max(0, end - size))


def _behind_first_pages(handle: BinaryIO, position: int) -> int:
    """The first byte behind the pages that begin streams, from ``position`` on."""
    while _bytes_at(handle, position, 6) == b"OggS\x00\x02":
        position += _page_length(handle, position)
    return position


def _page_length(handle: BinaryIO, position: int) -> int:
    header = _bytes_at(handle, position, 27 + 255)
    count = header[26] if len(header) > 26 else 0
    return 27 + count + sum(header[27 : 27 + count])


def _flac(handle: BinaryIO) -> Structure:
    """Every stream begins with the marker and a STREAMINFO block of 34 bytes."""
    starts = []
    for place in _found(handle, b"fLaC", 0):
        if _bytes_at(handle, place + 4, 4) in (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22"):
            starts.append(place)
        if len(starts) == MOST_PARTS:
            break
    return Structure((0, *starts[1:]))


def _mp4(handle: BinaryIO, size: int) -> Structure:
    starts, position, missing, begun = [0], 0, 0, False
    while position + 8 <= size and len(starts) < MOST_PARTS:
        header = _bytes_at(handle, position, 16)
        length, name = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        if name == b"ftyp" and begun:
            starts.append(position)
            begun = False
        begun = begun or name in (b"moov", b"mdat")
        if length < 8 or not name.isalnum():  # 0: to the end of the file; else no box
            break
        position += length
        missing = max(0, position - size)
    return Structure(tuple(starts), missing)


def _matroska(handle: BinaryIO, size: int) -> Structure:
    starts: list[int] = []
    position = missing = 0
    while position + 8 <= size and len(starts) < MOST_PARTS:
        name = _bytes_at(handle, position, 4)
        if name not in (b"\x1aE\xdf\xa3", b"\x18S\x80g"):
            break
        if name == b"\x1aE\xdf\xa3":
            starts.append(position)
        length, used = _vint(_bytes_at(handle, position + 4, 8))
        if length is None:  # a live recording: to the end
            break
        position += 4 + used + length
        missing = max(0, position - size)
    return Structure(tuple(starts) or (0,), missing)


def _vint(raw: bytes) -> tuple[int | None, int]:
    """A Matroska number and how many bytes it took; None where it says unknown."""
    if not raw or not raw[0]:
        return None, 0
    used = 9 - raw[0].bit_length()
    value = int.from_bytes(raw[:used], "big") & ((1 << (7 * used)) - 1)
    unknown = value == (1 << (7 * used)) - 1
    return (None if unknown or len(raw) < used else value), used


def _mp3(handle: BinaryIO, size: int) -> Structure:
    """Parts end where the length header of an encoder (Xing, Info, VBRI) says; without one it is one part."""
    starts, start, missing = [0], 0, 0
    while len(starts) < MOST_PARTS:
        length = _mp3_length(handle, frame := _behind_id3(handle, start))
        if length is None:
            break
        end = frame + length
        missing = max(0, end - size)
        following = _behind_mp3_tags(handle, end)
        if following >= size or _mp3_frame(handle, _behind_id3(handle, following)) is None:
            break
        start = following
        starts.append(start)
    return Structure(tuple(starts), missing)


def _behind_id3(handle: BinaryIO, position: int) -> int:
    while True:
        header = _bytes_at(handle, position, 10)
        if len(header) < 10 or header[:3] != b"ID3" or max(header[6:]) > 127:
            return position
        length = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
        position += 10 + length + (10 if header[5] & 0x10 else 0)


def _behind_mp3_tags(handle: BinaryIO, position: int) -> int:
    """Tags that stand behind the sound: APEv2, then ID3v1."""
    header = _bytes_at(handle, position, 32)
    if header[:8] == b"APETAGEX" and len(header) == 32:
        position += 32 + struct.unpack("<I", header[12:16])[0]
    return position + 128 if _bytes_at(handle, position, 3) == b"TAG" else position


#: kbit/s by (MPEG version 1 or not) for layer III.
_RATES = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_HERTZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _mp3_frame(handle: BinaryIO, position: int) -> tuple[int, int] | None:
    """(bytes, place of a length header) of the layer III frame at ``position``; None where there is none, or
    no other frame behind it."""
    frame = _frame_header(_bytes_at(handle, position, 4))
    if frame is None:
        return None
    behind = _bytes_at(handle, position + frame[0], 4)
    return frame if len(behind) < 4 or _frame_header(behind) is not None else None


def _frame_header(raw: bytes) -> tuple[int, int] | None:
    if len(raw) < 4 or raw[0] != 0xFF or raw[1] & 0xE6 != 0xE2:
        return None
    version, rate, hertz = raw[1] >> 3 & 3, raw[2] >> 4, raw[2] >> 2 & 3
    if version == 1 or rate in (0, 15) or hertz == 3:
        return None
    first, mono = version == 3, raw[3] >> 6 == 3
    slots = (144 if first else 72) * _RATES[first][rate] * 1000 // _HERTZ[version][hertz]
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return slots + (raw[2] >> 1 & 1), 4 + side


def _mp3_length(handle: BinaryIO, position: int) -> int | None:
    """Bytes from the frame at ``position`` to the end of its sound, as the encoder noted them; else None."""
    frame = _mp3_frame(handle, position)
    if frame is None:
        return None
    content = _bytes_at(handle, position, frame[0])
    tag = content[frame[1] : frame[1] + 16]
    if tag[:4] in (b"Xing", b"Info") and len(tag) == 16:
        flags = struct.unpack(">I", tag[4:8])[0]
        length = tag[12:16] if flags & 1 else tag[8:12]
        return int.from_bytes(length, "big") or None if flags & 2 else None
    vbri = content[36:50]
    return int.from_bytes(vbri[10:14], "big") or None if vbri[:4] == b"VBRI" else None
