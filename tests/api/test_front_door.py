"""The public functions: what they take, what they refuse before a model is loaded, what they give."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asr_adapt
from asr_adapt import DataError, Decoding, RecipeError, Transcriber, UsageError
from asr_adapt.cli.decoding_options import BATCHES, FILES, MEASURED
from asr_adapt.decoding import names_of
from asr_adapt.training.recipe.schema import Recipe
from tests.training.conftest import corpus, muddled_model  # noqa: F401  fixtures


def test_no_function_hides_its_options() -> None:
    for name in asr_adapt.__all__:
        value = getattr(asr_adapt, name)
        if not inspect.isfunction(value):
            continue
        for parameter in inspect.signature(value).parameters.values():
            assert parameter.kind is not inspect.Parameter.VAR_KEYWORD, f"{name}(**{parameter.name})"
            assert parameter.annotation is not inspect.Parameter.empty, f"{name}({parameter.name})"
        assert value.__doc__


def test_the_names_for_type_checkers_are_those_that_are_loaded() -> None:
    source = Path(asr_adapt.__file__).read_text(encoding="utf-8")
    typed = source.partition("if TYPE_CHECKING:")[2].partition("_PUBLIC")[0]
    assert [name for name in asr_adapt._PUBLIC if not re.search(rf"\b{name}\b", typed)] == []
    assert set(asr_adapt.__all__) == {"__version__", *asr_adapt._PUBLIC}
    assert all(getattr(asr_adapt, name) is not None for name in asr_adapt.__all__)


def test_every_field_of_a_recipe_is_a_keyword_of_adapt() -> None:
    keywords = inspect.signature(asr_adapt.adapt).parameters.keys()
    assert Recipe.model_fields.keys() - keywords == set()


def test_every_option_of_decoding_is_on_the_command_line_or_speed_alone() -> None:
    given = {*MEASURED, *FILES, *BATCHES}
    every = {*names_of("search"), *names_of("hearing"), *names_of("speed")}
    assert every - given == {"channel", "pool_seconds", "workers"}, "--channels may also be each"
    assert given <= every


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"beam_size": 0}, "beam_size must be at least 1"),
        ({"speech_threshold": 1.0}, "speech_threshold must be below 1"),
        ({"speech_end_threshold": 0.7}, "must not be above speech_threshold"),
        ({"segmenter": "magic"}, "segmenter is one of auto, windows"),
        ({"task": "sing"}, "task is one of transcribe, translate"),
        ({"hotwords": ["Leith:loud"]}, "WORD or WORD:BOOST"),
        ({"window_seconds": 5.0}, "at least twice overlap_seconds"),
        ({"fallback": True, "guard": False}, "--no-hallucination-checks"),
        ({"batch_seconds": "many"}, "batch_seconds must be a number"),
    ],
)
def test_what_cannot_be_is_refused_at_once(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Decoding(**options)


def test_nothing_is_loaded_for_what_is_refused() -> None:
    """In a process of its own, without torch: a wrong word costs no seconds."""
    code = (
        "import sys, asr_adapt\n"
        "calls = [lambda: asr_adapt.transcribe('a.wav', hotwords=['x:y']),\n"
        "  lambda: asr_adapt.load('nano-en', decoding=asr_adapt.Decoding(language_model='absent.arpa')),\n"
        "  lambda: asr_adapt.load('nano-en', runtime='abacus'),\n"
        "  lambda: asr_adapt.load('nano-en', device='tpu'),\n"
        "  lambda: asr_adapt.load('nano-en', runtime='onnx', device='cuda')]\n"
        "for call in calls:\n"
        "  try: call()\n"
        "  except asr_adapt.AsrAdaptError as error: print(error)\n"
        "print('torch' in sys.modules)\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = child.stdout.splitlines()
    assert len(said) == 6 and said[-1] == "False"
    for line, word in zip(
        said, ("WORD:BOOST", "absent.arpa", "ctranslate2", "tpu", "on the CPU"), strict=False
    ):
        assert word in line


def test_the_main_job_in_three_lines(corpus: Path, muddled_model: Path, tmp_path: Path) -> None:  # noqa: F811
    quick = {"schedule": {"steps": 40}, "strategy": "head", "evaluation": {"every": 20}}
    result = asr_adapt.adapt(
        corpus / "train.jsonl",
        dev=corpus / "dev.jsonl",
        test=corpus / "dev.jsonl",
        model=str(muddled_model),
        output=tmp_path / "out",
        optimiser={"head_learning_rate": 0.1, "learning_rate": 1e-3},
        device="cpu",
        quiet=True,
        **quick,  # type: ignore[arg-type]
    )
    before, after = (result.summary["target"][when] for when in ("before", "after"))
    assert after < before and result.report.is_file()
    assert result.score("after").wer == pytest.approx(after)
    assert result.compare().overall.difference.wer_a == pytest.approx(before)
    assert isinstance(result.model, Transcriber)
    row = asr_adapt.Manifest.open(corpus / "dev.jsonl")[0]
    assert result.model.transcribe(row.audio_path).text
    page = result._repr_html_()
    assert page.count("<svg") == 2 and "WER before" in page and "<script" not in page
    assert asr_adapt.Adapted.open(tmp_path / "out").summary == result.summary
    again = asr_adapt.train(tmp_path / "out" / "recipe.yaml", tmp_path / "again", quiet=True)
    assert again.summary["target"]["after"] == after, "the recipe in the result repeats it exactly"


class _Heard(asr_adapt.Callback):
    """What a caller's own callback is told."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.measured: list[float] = []

    def step_done(self, values: dict[str, Any], elapsed: float) -> None:
        self.steps.append(values["step"])

    def evaluated(self, values: Any, weights: Any, progress: Any) -> None:
        self.measured.append(values["dev"])


def test_callbacks_hear_all(corpus: Path, muddled_model: Path, tmp_path: Path) -> None:  # noqa: F811
    heard = _Heard()
    recipe = asr_adapt.Recipe(
        model=str(muddled_model),
        train=[str(corpus / "train.jsonl")],
        dev=[str(corpus / "dev.jsonl")],
        device="cpu",
    )
    quick = ["schedule.steps=4", "evaluation.every=2", "strategy=head"]
    result = asr_adapt.train(recipe, tmp_path / "out", overrides=quick, quiet=True, callbacks=[heard])
    assert heard.steps == [1, 2, 3, 4]
    assert heard.measured == [one["dev"] for one in result.summary["evaluations"]]


def test_adapt_refuses_before_it_reads(corpus: Path, tmp_path: Path) -> None:  # noqa: F811
    for wrong, field in (({"schedule": {"stepps": 3}}, "steps"), ({"precision": "int4"}, "precision")):
        with pytest.raises(RecipeError, match=field):
            asr_adapt.adapt("absent", output=tmp_path / "out", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        asr_adapt.adapt(corpus / "train.jsonl", output=corpus)
    with pytest.raises(DataError, match="summary\\.json"):
        asr_adapt.Adapted.open(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_loaded_model_transcribes_streams_and_searches_otherwise(
    tone_model: Path, speak: Any, say: Any, tmp_path: Path
) -> None:
    model = asr_adapt.load(tone_model, device="cpu", compute_type="float32")
    path = speak("talk.wav", "bad cafe")
    one = model.transcribe(path, word_timestamps=True)
    assert one.text == "bad cafe" and [word.text for word in one.words] == ["bad", "cafe"]
    assert [t.text for t in model.transcribe([path, say("egg")])] == ["bad cafe", "egg"]
    assert " ".join(segment.text for segment in model.stream(path)) == "bad cafe"
    forced = model.decoding_with(hotwords={"bade": 300.0})
    assert "bade" in forced.transcribe(path).text and model.transcribe(path).text == "bad cafe"
    assert (
        asr_adapt.transcribe(path, model=model, hotwords={"bade": 300.0}).text == forced.transcribe(path).text
    )
    with pytest.raises(UsageError, match="whole recording"):
        model.decoding_with(diarize=True).stream(path)
    assert one.to_srt().startswith("1\n00:00:00,") and one.to_vtt().startswith("WEBVTT")
    one.save(tmp_path / "talk.srt")
    assert (tmp_path / "talk.srt").read_text(encoding="utf-8") == one.to_srt()
    with pytest.raises(UsageError, match="already"):
        one.save(tmp_path / "talk.srt")
    with pytest.raises(UsageError, match="one of txt, srt"):
        one.save(tmp_path / "talk.doc")
    assert "bad cafe" in one._repr_html_()


def test_results_show_as_tables_and_hide_no_markup(tone_model: Path, speak: Any, tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": str(speak(f"{n}.wav", words)), "text": words, "accent": accent, "speaker": accent}
        for n, (words, accent) in enumerate([("bad cab", "<b>x</b>"), ("egg fad", "y")])
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    found = asr_adapt.evaluate(path, model=tone_model, output=tmp_path / "p.jsonl", device="cpu")
    assert found.wer == 0.0
    shown = [
        asr_adapt.Manifest.open(path), found, found.score(by=["accent"]), asr_adapt.check(path, audio=False),
        asr_adapt.compare(tmp_path / "p.jsonl", tmp_path / "p.jsonl", by=["accent"]),
    ]  # fmt: skip
    for one in shown:
        page = one._repr_html_()
        assert "<table" in page and "<b>" not in page
    assert "&lt;b&gt;" in shown[2]._repr_html_() and "<svg" in shown[2]._repr_html_()


def test_arrays_of_a_wrong_form_are_refused(tone_model: Path) -> None:
    with pytest.raises(Exception, match="an array of shape"):
        asr_adapt.transcribe(np.zeros((2, 16_000), np.float32), model=tone_model)
