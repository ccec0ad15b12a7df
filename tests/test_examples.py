"""Every Python example of the documentation is type-checked, and all of ``examples/`` is run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import soundfile
from nbclient import NotebookClient

import asr_adapt
from tests.conftest import tones

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "recipes").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
#: Others' code, and pytest's fixtures.
NOT_OURS = ("openai.OpenAI", "from transformers import", "def test_")
#: Packages whose types the examples do not depend on; reading them takes a minute.
LARGE = (
    "torch",
    "transformers",
    "accelerate",
    "scipy",
    "sklearn",
    "librosa",
    "numba",
    "peft",
    "jinja2",
    "rich",
)
WORDS = ("abe", "bad", "cab", "dab", "egg", "fad", "gab")


def examples() -> dict[str, str]:
    """Code by the page and number of its example."""
    found = {}
    for page in PAGES:
        for number, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            if not any(mark in code for mark in NOT_OURS):
                found[f"{page.stem.replace('-', '_')}_{number}"] = code
    return found


def notebook() -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "examples" / "adapt.ipynb", as_version=4)


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    """mypy's word on a folder of files that use the package as an installed, typed one."""
    config = folder / "mypy.ini"
    config.write_text(
        "[mypy]\nplugins = pydantic.mypy\nstrict = True\nfollow_imports = silent\nincremental = False\n"
        f"[mypy-{','.join(f'{name}.*' for name in LARGE)}]\nfollow_imports = skip\n",
        encoding="utf-8",
    )
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(config), str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_every_example_of_the_documentation_has_the_right_types(tmp_path: Path) -> None:
    sources = examples() | {
        "notebook": "\n".join(cell.source for cell in notebook().cells if cell.cell_type == "code")
    }
    assert len(sources) >= 6
    for name, code in sources.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    wrong = tmp_path / "wrong_on_purpose.py"
    wrong.write_text(
        "import asr_adapt\n"
        'asr_adapt.transcribe("a.wav", batchsize=3)\n'
        'asr_adapt.adapt("x", output="y", strategy="everything")\n'
        "asr_adapt.Decoding(beam_size='5')\n",
        encoding="utf-8",
    )
    said = checked(tmp_path).stdout.splitlines()
    errors = [line for line in said if ": error:" in line]
    assert [line for line in errors if "wrong_on_purpose" not in line] == []
    assert len({line.split(":")[1] for line in errors}) == 3, "a checker that finds nothing proves nothing"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Kaldi folder of eight speakers, four sentences each."""
    folder = tmp_path_factory.mktemp("kaldi")
    lines: dict[str, list[str]] = {"wav.scp": [], "text": [], "utt2spk": []}
    for speaker in range(8):
        for number in range(4):
            name = f"s{speaker}-{number}"
            words = " ".join(WORDS[(speaker + number * step) % 7] for step in (1, 2, 3))
            soundfile.write(folder / f"{name}.wav", tones(words), 16_000)
            lines["wav.scp"].append(f"{name} {name}.wav")
            lines["text"].append(f"{name} {words}")
            lines["utt2spk"].append(f"{name} s{speaker}")
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def test_the_notebook_runs_from_top_to_bottom(
    corpus: Path, tone_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"CORPUS": corpus, "MODEL": tone_model, "OUTPUT": tmp_path / "out", "STEPS": 4}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = notebook()
    NotebookClient(ran, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        out["data"].get("text/html", "") for c in ran.cells for out in c.get("outputs", []) if "data" in out
    ]
    page = "\n".join(shown)
    assert "32 rows" in page and "WER before" in page and page.count("<svg") == 2
    assert "<script" not in page and all("<table" in part for part in shown)
    assert asr_adapt.Adapted.open(tmp_path / "out").summary["steps"] == 4


def test_the_scripts_do_what_they_say(
    corpus: Path, tone_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ran(name: str, *arguments: object) -> str:
        found = subprocess.run(
            [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return found.stdout

    wave = tmp_path / "talk.wav"
    soundfile.write(wave, tones("bad cab"), 16_000)
    assert ran("transcribe.py", tone_model, wave).split()[1:] == ["bad", "cab"]
    assert "bad cab" in (tmp_path / "talk.srt").read_text(encoding="utf-8")
    rows = tmp_path / "rows.jsonl"
    asr_adapt.build(corpus).save(rows)
    assert json.loads(rows.read_text(encoding="utf-8").splitlines()[0])["speaker"] == "s0"
    lines = ran("compare_models.py", rows, tone_model, tone_model, "speaker").splitlines()
    assert lines[0].startswith("WER 0.0% → 0.0%") and len(lines) == 9
