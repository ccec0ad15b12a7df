"""Ready recipes: commented YAML for common purposes, and their places filled in.

Knows the purposes, the two families and which lines name models and manifests. Does not know what a field
does (:mod:`asr_adapt.training.recipe.schema`); it copies text, so that the comments stay.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

from asr_adapt.errors import UsageError
from asr_adapt.files import user_path
from asr_adapt.pretrained import DEFAULT_MODEL

#: Purpose → what it is for.
PURPOSES = {
    "accent": "an accent of a language that the model recognises",
    "child-speech": "children, for a model that learnt from adults",
    "new-language": "a language that the model does not recognise yet",
    "commands-and-digits": "short utterances from a closed list",
    "phone-calls": "telephone speech",
}
FAMILIES = ("whisper", "ctc")
#: Types of configuration (``model_type``) of encoder–decoder models.
_WITH_DECODER = ("whisper", "moonshine", "speech_to_text")
#: Blocks that need speech that must not get worse: without any they are commented out.
_GUARDED = re.compile(r"^(?:guard: .*|retention: .*|replay:(?:\n  .*)*)$", re.M)


def template(purpose: str, family: str) -> str:
    """The recipe for a purpose; raises UsageError that lists what there is."""
    if purpose not in PURPOSES or family not in FAMILIES:
        known = ", ".join(PURPOSES)
        raise UsageError(f"there is no recipe for {purpose} and {family}: purposes are {known}.")
    place = resources.files("asr_adapt.assets") / "recipes" / f"{purpose}-{family}.yaml"
    return place.read_text(encoding="utf-8")


def family_of(model: str) -> str:
    """``whisper`` for a model with a decoder, else ``ctc``; by its configuration, else by its name."""
    config = user_path(model) / "config.json"
    if config.is_file():
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
        return "whisper" if kind in _WITH_DECODER else "ctc"
    from asr_adapt.pretrained.catalogue import find

    named = find(model) is not None or any(kind in model.lower() for kind in ("whisper", "moonshine", "s2t"))
    return "whisper" if named and model != DEFAULT_MODEL else "ctc"


def filled(text: str, values: Mapping[str, str]) -> str:
    """The recipe with other names of model and manifests; ``replay`` is the manifest of the replayed rows.

    Where manifests are given but no guard, the lines that need one are commented out.
    """
    for name, value in values.items():
        place = r"^(?:# )?(  manifest: )\S+" if name == "replay" else rf"^(?:# )?({name}: +)\S+"
        written = json.dumps(value) if re.search(r"[^\w./+-]", value) else value
        text, count = re.subn(place, _put(written), text, count=1, flags=re.M)
        if not count:
            raise UsageError(f"this recipe has no place for {name}.")
    if "train" in values and "guard" not in values:
        text = _GUARDED.sub(lambda block: re.sub("^", "# ", block[0], flags=re.M), text)
    elif "train" in values and "replay" not in values:
        text = re.sub(
            r"^replay:(?:\n  .*)*$", lambda b: re.sub("^", "# ", b[0], flags=re.M), text, flags=re.M
        )
    return text


def _put(value: str) -> Callable[[re.Match[str]], str]:
    return lambda found: found[1] + value


def seen_from(path: str, folder: Path) -> str:
    """A path of the working folder as a recipe in ``folder`` must name it."""
    return path if Path(path).is_absolute() else Path(os.path.relpath(user_path(path), folder)).as_posix()
