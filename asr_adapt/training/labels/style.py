"""Labels in the base's own style: its hypotheses of the training rows lend their capitals and punctuation.

Knows when the base is heard, the file that its labels are kept in and when that file may be read back. Does
not know how capitals and marks are taken over (:mod:`asr_adapt.text.truecase`) nor which rows want it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asr_adapt.errors import RecipeError
from asr_adapt.files import write_json
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.models import Recogniser
from asr_adapt.models.fingerprint import prefix_fingerprint
from asr_adapt.scoring.predictions import read_settings, settings_path
from asr_adapt.text.truecase import VERSION, learn_style, styled, trusted
from asr_adapt.training.labels.choice import Taught, label_text, with_texts
from asr_adapt.training.measuring.encoder_context import as_pretrained
from asr_adapt.training.measuring.wer import spread, transcribed
from asr_adapt.transcription import Processes

logger = logging.getLogger(__name__)

#: Rows that show whether the base writes capitals and punctuation at all.
SAMPLE_ROWS = 16

#: Hypotheses of rows, in their order.
Hear = Callable[[Manifest], list[str]]


def hearing(recogniser: Recogniser, batch_seconds: float) -> Hear:
    """Transcripts of rows as dev is measured, by the base as it was pretrained."""

    def hear(rows: Manifest) -> list[str]:
        with as_pretrained(recogniser):
            return transcribed(recogniser, rows, batch_seconds).hypotheses

    return hear


def finish(
    taught: Taught,
    recogniser: Recogniser,
    path: Path,
    hear: Hear,
    spell: Callable[[str], str],
    *,
    forced: bool = False,
) -> Taught:
    """``taught`` with labels in the base's style, kept in ``path`` for a person to read.

    What ``path`` holds is read back where it was made from the same rows by the same base. A base that writes
    neither capitals nor punctuation in a sample of the rows gives plain labels, unless ``forced``.
    """
    file = LabelFile(path, _key(recogniser, taught.rows))
    known = file.read()
    Processes.current().wait()  # all have looked before one writes
    if known is None:
        if not forced and not learn_style(hear(spread(taught.rows, SAMPLE_ROWS))).written:
            return _plain(taught, spell)
        logger.info("the base transcribes %d rows, for capitals and punctuation", len(taught.rows))
        known = _styled(taught.rows, hear(taught.rows), spell)
        if Processes.current().main:
            file.write(recogniser.name, taught.rows, known)
    heard = sum(row["from_base"] for row in known)
    logger.info("%d of %d rows are styled by the base's own transcript; read %s", heard, len(known), path)
    return replace(taught, rows=with_texts(taught.rows, (row["label"] for row in known)), from_base=heard)


def _plain(taught: Taught, spell: Callable[[str], str]) -> Taught:
    reason = f"{taught.reason} But it writes neither in a sample of these rows: labels are plain words."
    logger.info("labels of %s", reason)
    texts = (label_text(row.text or "", "plain", spell) for row in taught.rows)
    return replace(taught, style="plain", rows=with_texts(taught.rows, texts), reason=reason)


def _styled(rows: Manifest, hypotheses: Sequence[str], spell: Callable[[str], str]) -> list[dict[str, Any]]:
    """For each row its label, the base's hypothesis, and whether the label took anything from that."""
    texts = [row.text or "" for row in rows]
    usable = [trusted(text, said) for text, said in zip(texts, hypotheses, strict=True)]
    style = learn_style(hypotheses)
    return [
        {"label": spell(styled(text, said if use else None, style)), "pred_text": said, "from_base": use}
        for text, said, use in zip(texts, hypotheses, usable, strict=True)
    ]


class LabelFile:
    """Styled labels beside the recipe: the rows as in their manifest with ``label``, ``pred_text`` (the
    base's hypothesis) and ``from_base``; ``key`` names the rows, the base and the rules that made them."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key

    def read(self) -> list[dict[str, Any]] | None:
        """The rows' fields that were added; None where nothing fits.

        Raises :class:`RecipeError` where the labels were changed since: a resumed run must see the same.
        """
        settings = read_settings(self.path)
        if settings.get("key") != self.key or not self.path.is_file():
            return None
        content = self.path.read_bytes()
        if settings.get("sha256") != hashlib.sha256(content).hexdigest():
            raise RecipeError(
                "was changed since the base's labels were written to it: to train on corrected labels, make "
                "them the text of a manifest and set labels.style as_written; to go on without, delete it.",
                path=self.path,
            )
        rows = [json.loads(line) for line in content.decode("utf-8").splitlines()]
        return [{name: row[name] for name in ("label", "pred_text", "from_base")} for row in rows]

    def write(self, model: str, rows: Manifest, made: Sequence[dict[str, Any]]) -> None:
        """Write the labels, then what identifies them."""
        added = (row.replace(extra={**row.extra, **fields}) for row, fields in zip(rows, made, strict=True))
        write_manifest(self.path, added)
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        write_json(settings_path(self.path), {"model": model, "key": self.key, "sha256": digest})


def _key(recogniser: Recogniser, rows: Manifest) -> str:
    """The rows' texts and sound, the base, and the rules."""
    parts = [VERSION, prefix_fingerprint(recogniser, len(recogniser.stack)), recogniser.description]
    digest = hashlib.sha256("\n".join(parts).encode())
    for row in rows:
        digest.update(json.dumps(_identity(row), ensure_ascii=True).encode())
    return digest.hexdigest()


def _identity(row: Utterance) -> list[Any]:
    return [row.id, row.text, str(row.audio_path), row.offset, row.duration, row.get("channel")]
