"""Who said what, where: rows, foreign layouts, checks, splits and the leak audit.

Knows metadata and, for building and checking, audio headers and samples. Does not know models or torch.
"""

from asr_adapt.manifest.limits import ModelLimits
from asr_adapt.manifest.manifest import Manifest, require_rows
from asr_adapt.manifest.sound import file_print, read_waveform, sound_fields, sound_print
from asr_adapt.manifest.utterance import ROW_FIELDS, Place, Utterance, default_id, from_row, parse_line
from asr_adapt.manifest.write import PathRewriter, write_manifest, write_rows

__all__ = [
    "ROW_FIELDS",
    "Manifest",
    "ModelLimits",
    "PathRewriter",
    "Place",
    "Utterance",
    "default_id",
    "file_print",
    "from_row",
    "parse_line",
    "read_waveform",
    "require_rows",
    "sound_fields",
    "sound_print",
    "write_manifest",
    "write_rows",
]
