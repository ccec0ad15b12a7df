"""What reaches a terminal: text of files and models without control characters that would move its cursor.

Knows the process's streams and rich's consoles. Does not know what is written.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

#: Control characters and separators of lines, but for line feed, tab, and a carriage return that begins
#: a text (a counter writes its line anew) or ends a line.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]|(?<=.)\r(?!\n)", re.DOTALL)


def escaped(text: str) -> str:
    """``text`` with its control characters written as ``\\uXXXX``, as JSON does."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _EscapingStream:
    """A text stream that escapes what is printed; :func:`console`, whose codes are wanted, writes past it."""

    def __init__(self, stream: TextIO) -> None:
        self.plain = stream

    def write(self, text: str) -> int:
        return self.plain.write(escaped(text))

    def writelines(self, texts: Iterable[str]) -> None:
        self.plain.writelines(map(escaped, texts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


@contextmanager
def protected() -> Iterator[None]:
    """Within, what is printed to stderr, and to stdout where that is a terminal, holds no control characters.

    A pipe or file on stdout gets what was written, to the byte.
    """
    before = sys.stdout, sys.stderr
    if _is_terminal(sys.stdout) and not isinstance(sys.stdout, _EscapingStream):
        sys.stdout = _EscapingStream(sys.stdout)
    if sys.stderr is not None and not isinstance(sys.stderr, _EscapingStream):
        sys.stderr = _EscapingStream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def console(*, stderr: bool = False) -> Console:
    """A rich console for tables and bars: no markup but styles given as such, no control characters.

    80 columns where standard output is no terminal. rich is imported here, since it is not free.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Escaping(Console):
        """Escapes the text of what it shows, before lines are measured."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else escaped(segment.text)
                yield segment if text == segment.text else Segment(text, segment.style)

    stream = sys.stderr if stderr else sys.stdout
    wide = stderr or _is_terminal(stream)
    file = getattr(stream, "plain", stream)
    return Escaping(file=file, width=None if wide else 80, highlight=False, markup=False)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
