"""The model card: front matter for the hub, with figures and intervals in its ``model-index``, and the text.

Knows what a reader of a card asks: is it better, than what, on what speech, may I use it, how. Does not
measure anything: every figure is the result's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

import asr_adapt
from asr_adapt.publishing.base import Base
from asr_adapt.publishing.result import SETS, Result
from asr_adapt.scoring import compare
from asr_adapt.scoring.percentages import bounds, percent

_TASK = "automatic-speech-recognition"


@dataclass(frozen=True)
class About:
    """What only a person can say; ``data`` describes the recordings, ``language`` is BCP-47."""

    title: str
    language: tuple[str, ...] = ()
    data: str = ""
    dataset: str = ""
    #: Where it will be found.
    repository: str = "THIS_REPOSITORY"


def about_of(result: Result, title: str, language: str, data: str, dataset: str) -> About:
    """The given texts, with what the rows say where none was given."""
    spoken = Counter(row.lang for name in result.sets for row in result.rows(name) if row.lang)
    codes = tuple(part.strip() for part in language.split(",") if part.strip()) or tuple(sorted(spoken))
    if not codes and result.base.endswith(".en"):
        codes = ("en",)
    return About(title or f"{result.base.rstrip('/').rpartition('/')[2]}-adapted", codes, data, dataset)


def model_card(result: Result, base: Base, about: About, variants: Sequence[str]) -> ModelCard:
    """The card of ``result``; ``variants`` are folders beside the transformers files."""
    data = ModelCardData(
        base_model=base.hub,
        language=list(about.language) or None,
        library_name="transformers",
        license=base.licence,
        model_name=about.title,
        pipeline_tag=_TASK,
        metrics=["wer", "cer"],
        tags=["asr-adapt", _TASK, *variants],
        eval_results=list(_figures(result, about)),
    )
    text = "\n".join(_text(result, base, about, variants))
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


def _figures(result: Result, about: About) -> Iterator[EvalResult]:
    """WER (with its interval) and CER of every set, in per cent as the hub has them."""
    rules = result.summary["normalisation"]
    for name in result.sets:
        pair = result.summary[name]
        own = pair["after_interval"]
        told = {
            "interval_low": round(100 * own["low"], 2),
            "interval_high": round(100 * own["high"], 2),
            "interval_level": own["level"],
            "interval_over": f"{own['unit']}s",
            "before_adaptation": round(100 * pair["before"], 2),
            "normalisation": f"{rules['profile']}@{rules['version']}",
            "utterances": pair["utterances"],
            "speakers": pair["speakers"],
        }
        dataset = _dataset(about, name)
        shared: dict[str, Any] = {
            "task_type": _TASK,
            "task_name": "Automatic Speech Recognition",
            "dataset_type": re.sub(r"[^A-Za-z0-9/._-]+", "-", dataset).strip("-").lower(),
            "dataset_name": dataset,
            "dataset_split": "test",
        }
        yield EvalResult(
            **shared,
            metric_type="wer",
            metric_name=f"WER, 95 % interval {_percent(own['low'])} to {_percent(own['high'])}",
            metric_value=round(100 * pair["after"], 2),
            metric_args=told,
        )
        cer = round(100 * pair["after_cer"], 2)
        yield EvalResult(**shared, metric_type="cer", metric_name="CER", metric_value=cer)


def _dataset(about: About, name: str) -> str:
    return f"{about.dataset} ({name})" if about.dataset else f"private recordings ({name})"


def _text(result: Result, base: Base, about: About, variants: Sequence[str]) -> Iterator[str]:
    linked = f"[{base.name}](https://huggingface.co/{base.hub})" if base.hub else f"`{base.name}`"
    yield f"# {about.title}\n"
    yield f"{linked}, adapted with asr_adapt. {_verdict(result)}\n"
    yield "| speech | utterances | speakers | WER before (95 %) | WER after (95 %) | CER after |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name in result.sets:
        pair = result.summary[name]
        rates = [f"{_percent(pair[w])} ({_bounds(pair[f'{w}_interval'])})" for w in ("before", "after")]
        cells = [f"{name}: {SETS[name]}", pair["utterances"], pair["speakers"], *rates]
        yield f"| {' | '.join(map(str, cells))} | {_percent(pair['after_cer'])} |"
    rules = result.summary["normalisation"]
    units = {result.summary[name]["after_interval"]["unit"] for name in result.sets}
    yield (
        f"\nWord error rates under the text profile `{rules['profile']}`, version {rules['version']}; "
        f"intervals by bootstrap over {' and '.join(sorted(f'{unit}s' for unit in units))}.\n"
    )
    yield "## Use\n"
    yield from _use(variants, about.repository)
    yield "\n## Data\n"
    yield _data(result, about)
    yield "\n## Training\n"
    yield _training(result)
    yield "\n## Limits\n"
    yield (
        "The figures hold for speech like that of the test sets; for other accents, rooms and microphones "
        f"the limits of {linked} hold, and adaptation may have made those worse. Measure on recordings of "
        "your own."
    )
    if notes := result.summary.get("hints"):
        yield "\n".join(["", *(f"- {note}" for note in notes)])
    yield "\n## Licence\n"
    yield f"{base.licence} ({base.where}). The recordings are not part of this repository.\n"


def _verdict(result: Result) -> str:
    """One sentence: how much better, and whether that is more than chance."""
    if "target" not in result.summary:
        return "It was not tested on speech of its own."
    pair = result.summary["target"]
    said = f"WER on the target {_percent(pair['before'])} → {_percent(pair['after'])}"
    before, after = (result.predictions("target", when) for when in ("before", "after"))
    if not (before.is_file() and after.is_file()):
        return f"{said}."
    found = compare(before, after, normalise=result.summary["normalisation"]["profile"])
    own = found.overall.difference.interval
    points = bounds(own.low, own.high, sign=True, decimals=1, between=" to ")
    return f"{said}: {found.verdict} (paired difference {points} points, 95 %)."


def _use(variants: Sequence[str], repository: str) -> Iterator[str]:
    yield "```python\nfrom transformers import pipeline\n"
    yield f'recognise = pipeline("automatic-speech-recognition", model="{repository}")'
    yield 'print(recognise("recording.wav")["text"])\n```\n'
    yield f"```console\n$ asr-adapt transcribe recording.wav --model {repository}\n```"
    told = {
        "ctranslate2": "`ctranslate2/` is for faster-whisper: `WhisperModel('ctranslate2')`.",
        "ggml": "`ggml/` is for whisper.cpp: `whisper-cli -m ggml/ggml-….bin recording.wav`.",
        "onnx": "`onnx/` is for onnxruntime: `asr-adapt transcribe --runtime onnx --model onnx`.",
        "adapter": "`adapter/` is the LoRA adapter alone, for `peft`, to be put on the base.",
    }
    for name in variants:
        yield f"\n{told[name]}"


def _data(result: Result, about: About) -> str:
    """Hours, rows, speakers and groups of the training speech: counts, no names."""
    summary = result.summary
    said = [f"{about.data.rstrip('.')}." if about.data else "The publisher does not describe the recordings."]
    said.append(f"Trained on {summary['rows']} utterances, {summary['hours']:.2f} hours.")
    rows = result.training_rows()
    speakers = {row.speaker for row in rows if row.speaker}
    if speakers:
        said.append(f"{len(speakers)} speakers.")
    for field in ("lang", "accent"):
        values = Counter(str(row.get(field)) for row in rows if row.get(field))
        if values:
            shown = ", ".join(f"{value} {count}" for value, count in values.most_common(8))
            said.append(f"Utterances by {field}: {shown}{' …' if len(values) > 8 else ''}.")
    if summary["dropped_rows"]:
        said.append(f"{len(summary['dropped_rows'])} utterances could not be used.")
    return " ".join(said)


def _training(result: Result) -> str:
    summary = result.summary
    software = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    text = (
        f"Strategy `{summary['strategy']['name']}`, {summary['steps']} steps (best at "
        f"{summary['best_step']}), {summary['trainable_parameters']:,} of {summary['parameters']:,} "
        "parameters, "
        f"{summary['training_seconds']:.0f} seconds. `recipe.yaml` holds every setting. Software: "
        f"{software}; "
        f"published with asr_adapt {asr_adapt.__version__}."
    )
    if "retention" in summary:
        text += f" Weights blended with the base's: {summary['retention']['sentence']}"
    return text


def _percent(rate: float) -> str:
    return percent(rate, decimals=1)


def _bounds(interval: dict[str, Any]) -> str:
    return bounds(interval["low"], interval["high"], decimals=1, between="–")
