"""The rows of ``asr-adapt models``: what is bundled, cached, imported, and can be fetched.

Knows what a row says. Does not print, and loads no network.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def listed() -> list[dict[str, Any]]:
    """One row a model: name, state, architecture, megabytes, licence, source, path, summary, other names."""
    from asr_adapt.pretrained.catalogue import MODELS
    from asr_adapt.pretrained.hub import in_cache
    from asr_adapt.pretrained.store import cached_models

    ours = {model.origin.name: model for model in cached_models()}
    rows = bundled()
    for model in MODELS:
        held, hub = ours.pop(model.name, None), None
        if held is None:
            hub = in_cache(model.hub)
        row = _row(model.name, f"Whisper, {model.languages}", model.licence, also=model.aliases)
        if held is not None:
            row |= {"state": "cached", "megabytes": held.megabytes, "source": held.origin.source}
            row["path"] = str(held.folder)
        elif hub is not None:
            row |= {"state": "cached", "megabytes": _megabytes(hub), "source": f"the hub ({model.hub})"}
            row["path"] = str(hub)
        else:
            sources = [model.hub, *(model.packages.requirements if model.packages else ())]
            row |= {"state": "fetchable", "megabytes": float(model.megabytes), "source": ", ".join(sources)}
        rows.append(row)
    for name, held in ours.items():
        row = _row(name, "Whisper", "")
        row |= {"state": "imported", "megabytes": held.megabytes, "source": held.origin.source}
        rows.append(row | {"path": str(held.folder)})
    return rows


def bundled() -> list[dict[str, Any]]:
    """Models that travel with the package, with one line of their card."""
    root = Path(__file__).parent.parent / "assets"
    rows = []
    for config in sorted(root.glob("*/config.json")):
        settings = json.loads(config.read_text(encoding="utf-8"))
        card = config.with_name("README.md")
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        architecture = ", ".join(settings.get("architectures") or [settings["model_type"]])
        licence = _front_matter(text, "license") or "licence: see its card"
        row = _row(config.parent.name, architecture, licence, summary=_first_sentence(text))
        row |= {"state": "bundled", "megabytes": _megabytes(config.parent), "source": "asr-adapt"}
        rows.append(row | {"path": str(config.parent)})
    return rows


def _row(
    name: str, architecture: str, licence: str, *, also: tuple[str, ...] = (), summary: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "state": "",
        "architecture": architecture,
        "megabytes": 0.0,
        "licence": licence,
        "source": "",
        "path": None,
        "also": list(also),
        "summary": summary,
    }


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _front_matter(card: str, name: str) -> str:
    for line in card.splitlines()[:30]:
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    return ""


def _first_sentence(card: str) -> str:
    """The first sentence of prose below the front matter."""
    body = card.split("---", 2)[2] if card.startswith("---") and card.count("---") > 1 else card
    paragraphs = [" ".join(paragraph.split()) for paragraph in body.split("\n\n")]
    prose = next((text for text in paragraphs if text and text[0] not in "#|-<!["), "")
    return re.split(r"(?<=[^.\d]\.)\s", prose, maxsplit=1)[0]
