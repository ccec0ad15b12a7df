"""Standard output and error that take every character, whatever the terminal's encoding, and the log.

Knows encodings of streams and whose log lines are shown. Does not know what is written.
"""

from __future__ import annotations

import codecs
import io
import sys

_HANDLER = "asr-adapt-escape"


#: Whose news say nothing about the work: fonts, connections, weights that are loaded.
_CHATTY = ("httpx", "huggingface_hub", "transformers", "accelerate")


def log_to_stderr(level: int) -> None:
    """From now on what we log at ``level`` is a line on stderr; of others' logs only warnings are."""
    import logging  # not free, and --help logs nothing

    logging.basicConfig(level=max(level, logging.WARNING), format="%(message)s")
    logging.getLogger("asr_adapt").setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


class _Escapes:
    """Writes what an encoding lacks as ``\\uXXXX``, as JSON does, and counts such characters."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        part = error.object[error.start : error.end]
        self.count += len(part)
        units = part.encode("utf-16-be", "surrogatepass")
        codes = (units[i] << 8 | units[i + 1] for i in range(0, len(units), 2))
        return "".join(f"\\u{code:04x}" for code in codes), error.end


_escapes = _Escapes()


def escape_what_streams_lack() -> None:
    """From now on a character outside a stream's encoding is escaped instead of ending the run."""
    codecs.register_error(_HANDLER, _escapes)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def remark_on_escapes() -> None:
    """Say on stderr how many characters were escaped, and what to do about it."""
    if _escapes.count:
        count, _escapes.count = _escapes.count, 0
        print(
            f"{count} characters that {sys.stdout.encoding} lacks were written as \\uXXXX: "
            "set PYTHONUTF8=1, or write to a file with -o.",
            file=sys.stderr,
        )
