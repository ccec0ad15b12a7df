"""Names of options and commands as other tools of the field spell them, understood everywhere.

Knows which of our names each stands for. Does not know which command has which option.
"""

from __future__ import annotations

#: Theirs (openai-whisper, faster-whisper, transformers, NeMo, American English) and ours.
OURS = {
    "normalize": "normalise",
    "normalizer": "normalise",
    "quantization": "quantisation",
    "quantize": "quantisation",
    "lang": "language",
    "group-by": "by",
    "max-wer": "ceiling",
    "output-dir": "output",
    "output-file": "output",
    "output-path": "output",
    "num-beams": "beam-width",
    "dtype": "compute-type",
    "torch-dtype": "compute-type",
    "num-threads": "threads",
    "resume-from-checkpoint": "resume",
    "model-path": "model",
    "model-name-or-path": "model",
    "pretrained-name": "model",
    # commands
    "finetune": "train",
    "fine-tune": "train",
    "eval": "evaluate",
    "wer": "score",
    "convert": "export",
    "validate": "check",
    "download": "fetch",
}


def ours(name: str) -> str:
    """Our name for a word behind the dashes or a command: ``batch_size`` is ``batch-size``."""
    dashes = len(name) - len(name.lstrip("-"))
    plain = name[dashes:].replace("_", "-")
    return name[:dashes] + OURS.get(plain, plain)
