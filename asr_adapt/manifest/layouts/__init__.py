"""Foreign layouts: the registry, and recognising which one a source is.

Knows the order in which layouts are asked. Does not know how any of them is read; a new layout is one file
here and one line below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asr_adapt.audio.media import MEDIA_SUFFIXES
from asr_adapt.errors import DataError
from asr_adapt.manifest.layouts.audiofolder import AudioFolderLayout
from asr_adapt.manifest.layouts.commonvoice import CommonVoiceLayout
from asr_adapt.manifest.layouts.contract import ImportOptions, Layout
from asr_adapt.manifest.layouts.folder import FileNamesLayout, SidecarLayout
from asr_adapt.manifest.layouts.kaldi import KaldiLayout
from asr_adapt.manifest.layouts.lhotse import LhotseLayout
from asr_adapt.manifest.layouts.librispeech import LibriSpeechLayout
from asr_adapt.manifest.layouts.nemo import NemoLayout
from asr_adapt.manifest.layouts.parquet import ParquetLayout
from asr_adapt.manifest.layouts.stm import StmLayout
from asr_adapt.manifest.layouts.table import TableLayout
from asr_adapt.manifest.layouts.textgrid import TextGridLayout

#: In the order they are asked: the most telling evidence first, bare audio last.
LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        KaldiLayout(),
        CommonVoiceLayout(),
        LhotseLayout(),
        NemoLayout(),
        AudioFolderLayout(),
        LibriSpeechLayout(),
        TextGridLayout(),
        ParquetLayout(),
        StmLayout(),
        TableLayout(),
        SidecarLayout(),
        FileNamesLayout(),
    )
}


def recognise(source: Path) -> tuple[Layout, str]:
    """The layout of ``source`` and the reason. Raises DataError when nothing fits or ``source`` is absent."""
    if not source.exists():
        raise DataError("does not exist; correct the path.", path=source)
    for layout in LAYOUTS.values():
        reason = layout.recognise(source)
        if reason is not None:
            return layout, reason
    raise DataError(
        f"has no layout that --format auto recognises ({', '.join(LAYOUTS)}); name one with --format.",
        path=source,
    )


__all__ = ["LAYOUTS", "MEDIA_SUFFIXES", "ImportOptions", "Layout", "recognise"]
