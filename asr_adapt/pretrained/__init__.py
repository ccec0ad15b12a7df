"""Pretrained models by name: the table of names, their sources, the hub, the user's cache.

Knows where files come from and where they lie. Does not know networks, and needs no torch.
"""

#: The model of every command and function that is told none: bundled, so that it needs no network.
DEFAULT_MODEL = "nano-en"
