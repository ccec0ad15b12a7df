"""What kind of folder a published one is, and which of its files count.

Knows names alone, and needs no torch: sending a folder takes no model.
"""

from __future__ import annotations

from pathlib import Path

#: The command that marks its folders.
KIND = "publish"


def sizes(folder: Path) -> list[tuple[str, int]]:
    """Every file of the folder by its path there, with its size in bytes; hidden ones are left out."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    told = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]
    return [(name, size) for name, size in told if not any(part.startswith(".") for part in name.split("/"))]
