"""How ``asr-adapt train --curve`` shows a learning curve.

Knows columns and words. Does not know how the curve was made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def show_curve(curve: dict[str, Any], folder: Path) -> None:
    """The measured sizes as a table, the fitted law, and how much data some WERs need."""
    from rich.table import Table

    from asr_adapt.screen import console as screen

    console = screen()
    table = Table("fraction", "rows", "hours", "target WER (95 %)", box=None, pad_edge=False)
    for part in curve["parts"]:
        wer = f"{part['wer']:.1%} ({part['low']:.1%}–{part['high']:.1%})"
        table.add_row(f"{part['fraction']:g}", str(part["rows"]), f"{part['hours']:.3g}", wer)
    console.print(table)
    console.print(f"base: {curve['base_wer']:.1%}")
    if curve["fit"]:
        floor, scale, exponent = (curve["fit"][name] for name in ("floor", "scale", "exponent"))
        console.print(f"fit: WER = {floor:.3f} + {scale:.3f} · hours^-{exponent:.2f}")
        for need in curve["needs"]:
            console.print(need["sentence"])
        console.print("This holds for more rows of the same speakers; new speakers usually help more.")
    else:
        console.print(curve["why_not"])
    console.print(f"in {folder}")
