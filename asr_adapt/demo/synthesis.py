"""English speech in several accents and voices from espeak-ng, inside this process.

Knows the C interface of espeak-ng (through the wheel ``espeakng_loader``: library and data, no system
package), the accents and voice variants that it offers, and which variants a base model may hear.
Does not know sentences, manifests, files or noise: text in, samples out.

Threads and processes: espeak-ng is one global machine per process (voice, rate and buffer are static
variables in C). ``synthesise`` holds a lock, so it may be called from any thread, but only one call runs at
a time; use processes to speak on several cores. A forked child starts its own machine.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from asr_adapt.errors import AsrAdaptError

SAMPLE_RATE = 16_000  # Hz, of every array returned
MAX_DATA_PATH = 140  # espeak-ng keeps its data path in a fixed C buffer of 160 bytes

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 0x01
_PHONEMES = 0x100  # text may hold [[phoneme mnemonics]]
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

_ACCENTS = {
    "us": "en-us",
    "new_york": "en-us-nyc",
    "british": "en",
    "rp": "en-gb-x-rp",
    "scottish": "en-gb-scotland",
    "lancastrian": "en-gb-x-gbclan",
    "west_midlands": "en-gb-x-gbcwmd",
    "caribbean": "en-029",
}

# Left out on purpose: whisper, whisperf, croak, Demonic, *Robot, robosoft*, UniRobot, AnxiousAndy, fast,
# Tweaky, klatt4 and the like: whispered, robotic or sped-up voices that no speaker resembles.
_HELD_OUT_VARIANTS = ("Andy", "belinda", "f2", "m3", "m7", "linda", "edward", "steph", "paul", "klatt2")
_TRAIN_VARIANTS = (
    "Alex", "Alicia", "Andrea", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee",
    "Marco", "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "Reed", "Storm", "adam", "anika",
    "announcer", "antonio", "aunty", "benjamin", "boris", "caleb", "david", "ed", "f1", "f3", "f4", "f5",
    "grandma", "grandpa", "gustave", "ian", "iven", "iven3", "john", "kaukovalta", "klatt", "klatt3",
    "m1", "m2", "m4", "m5", "m6", "m8", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "pedro",
    "quincy", "rob", "robert", "sandro", "shelby", "travis", "victor", "zac",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """One synthetic speaker.

    ``language``: espeak-ng language such as ``en-us`` (see `accents`); ``variant``: timbre, one of
    `train_variants` or `held_out_variants`, or ``""`` for the plain voice; ``rate``: words a minute, 80–450;
    ``pitch`` and ``pitch_range``: 0–99, espeak-ng's scale with 50 as the voice's own; ``word_gap``: pause
    added between words in units of 10 ms (at the voice's normal rate).
    """

    language: str = "en-us"
    variant: str = ""
    rate: int = 170
    pitch: int = 50
    pitch_range: int = 50
    word_gap: int = 0

    @property
    def name(self) -> str:
        """The name under which espeak-ng finds it, for example ``en-us+f3``."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


def accents() -> dict[str, str]:
    """Accents by our name, mapped to espeak-ng's language code; ``us`` is the base model's own."""
    return dict(_ACCENTS)


def train_variants() -> tuple[str, ...]:
    """Voice variants that may train a bundled base."""
    return _TRAIN_VARIANTS


def held_out_variants() -> tuple[str, ...]:
    """Voice variants that no bundled base has heard; every published figure uses these."""
    return _HELD_OUT_VARIANTS


def synthesise(text: str, voice: Voice) -> np.ndarray:
    """Speak ``text``; float32 mono (samples,) at 16 kHz, unit peak at most 1.

    Text in ``[[ ]]`` is read as espeak-ng phoneme mnemonics. The same calls in the same order in a fresh
    process give the same samples; breath and flutter of a voice run on from call to call.
    Raises `AsrAdaptError` when the voice does not exist, the parameters are out of range or nothing audible
    comes out.
    """
    _check(voice)
    with _LOCK:
        samples, native_rate = _machine().speak(text, voice)
    if not samples.size or not float(np.abs(samples).max()) > 1e-4:
        raise AsrAdaptError(
            f"espeak-ng was silent for the text {text!r} with voice {voice.name!r}; change either."
        )
    import soxr

    wave = soxr.resample(samples, native_rate, SAMPLE_RATE)
    return np.clip(wave, -1.0, 1.0).astype(np.float32)  # the filter may overshoot a full-scale peak


def spoken_form(text: str) -> str:
    """An upper-case transcript as espeak-ng should read it: words in lower case, spelled letters named.

    A single letter is spelled, except ``I`` and an ``A`` that is the article (that is: neither the last word
    nor beside another single letter other than ``I``).
    """
    words = text.split()
    return " ".join(_speak_word(words, position) for position in range(len(words)))


def _speak_word(words: list[str], position: int) -> str:
    word = words[position]
    if len(word) != 1 or word == "I":
        return word.lower()
    if word != "A":
        return word
    last = position == len(words) - 1
    following = not last and len(words[position + 1]) == 1
    preceding = position > 0 and len(words[position - 1]) == 1 and words[position - 1] != "I"
    return "[[eI]]" if last or following or preceding else "a"


def _check(voice: Voice) -> None:
    # espeak-ng itself ignores an unknown variant without a word
    if voice.variant and not (Path(_data_path()) / "voices" / "!v" / voice.variant).is_file():
        raise AsrAdaptError(f"espeak-ng has no variant {voice.variant!r}; see train_variants().")
    if not 80 <= voice.rate <= 450:
        raise AsrAdaptError(f"Voice.rate is {voice.rate}, choose 80 to 450 words a minute.")
    for field in ("pitch", "pitch_range"):
        if not 0 <= getattr(voice, field) <= 99:
            raise AsrAdaptError(f"Voice.{field} is {getattr(voice, field)}, choose 0 to 99.")


class _Machine:
    """The library, initialised once in this process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._pieces: list[np.ndarray] = []
        self._library = _load_library()
        self.sample_rate = int(
            self._library.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, 0, _data_path().encode(), _INITIALIZE_DONT_EXIT
            )
        )
        if self.sample_rate <= 0:
            raise AsrAdaptError(
                "espeak-ng could not read its data: run pip install --force-reinstall espeakng-loader."
            )
        self._callback = _CALLBACK(self._receive)  # kept: C holds only a pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            self._pieces.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
        return 0

    def speak(self, text: str, voice: Voice) -> tuple[np.ndarray, int]:
        self._use(voice)
        self._pieces.clear()
        encoded = text.encode()
        status = self._library.espeak_Synth(
            encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _CHARS_UTF8 | _PHONEMES, None, None
        )
        if status != 0 or self._library.espeak_Synchronize() != 0:
            raise AsrAdaptError(f"espeak-ng could not speak {text!r} (status {status}).")
        pieces = [*self._pieces, np.zeros(0, np.int16)]
        return np.concatenate(pieces).astype(np.float32) / 32768.0, self.sample_rate

    def _use(self, voice: Voice) -> None:
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise AsrAdaptError(
                f"espeak-ng has no voice {voice.name!r}; see asr_adapt.demo.synthesis.accents()."
            )
        parameters = {
            _RATE: voice.rate,
            _VOLUME: 100,
            _PITCH: voice.pitch,
            _RANGE: voice.pitch_range,
            _WORD_GAP: voice.word_gap,
        }
        for parameter, value in parameters.items():
            self._library.espeak_SetParameter(parameter, value, 0)


_LOCK = threading.RLock()
_CURRENT: _Machine | None = None


def _machine() -> _Machine:
    global _CURRENT
    if _CURRENT is None or _CURRENT.process != os.getpid():
        _CURRENT = _Machine()
    return _CURRENT


def _load_library() -> ctypes.CDLL:
    try:
        import espeakng_loader
    except ImportError as missing:
        raise AsrAdaptError("Synthetic speech needs espeak-ng: run pip install espeakng-loader.") from missing
    return ctypes.CDLL(espeakng_loader.get_library_path())


@lru_cache(maxsize=1)
def _data_path() -> str:
    """Folder of espeak-ng's data, through a short link when its own path would not fit the C buffer."""
    import espeakng_loader

    path = Path(espeakng_loader.get_data_path())
    if len(str(path)) <= MAX_DATA_PATH:
        return str(path)
    link = Path(tempfile.mkdtemp(prefix="espeak")) / "data"
    link.symlink_to(path, target_is_directory=True)
    return str(link)
