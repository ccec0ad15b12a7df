"""A baseline that is replaced: its file, what ``gate --update`` says and asks, and ``gate history``."""

import difflib
import json
import subprocess

import pytest

from asr_adapt.cli.app import run
from asr_adapt.errors import DataError
from asr_adapt.scoring import Baseline
from asr_adapt.scoring.baseline_file import COLUMNS, LATER
from tests.scoring.browser import CHROMIUM, Browser
from tests.scoring.conftest import make_rows, spoil, write_rows

ROWS = make_rows({"scottish": 0.3, "us": 0.05})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Predictions of a model, of one that is worse for an accent, and the first one's baseline."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "good.jsonl", ROWS)
    write_rows(tmp_path / "worse.jsonl", spoil(ROWS, "us", 0.2))
    assert run(["gate", "good.jsonl", "--baseline", "b.json", "--update"]) == 0
    return tmp_path


def test_a_version_differs_in_the_lines_of_rows_that_changed(folder):
    changed = [ROWS[0] | {"pred_text": "nothing of it"}, *ROWS[1:]]
    write_rows(folder / "changed.jsonl", changed)
    before = (folder / "b.json").read_text().splitlines()
    assert run(["gate", "changed.jsonl", "--baseline", "b.json", "--update", "--yes"]) == 0
    after = (folder / "b.json").read_text().splitlines()
    differing = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert len(differing) == 4, "the WER at the top and one row"
    assert sum('"id": "scottish-0"' in line for line in differing) == 2


def test_a_baseline_of_before_is_read(folder):
    value = json.loads((folder / "b.json").read_text())
    rows = value.pop("rows")
    columns = {name: [row[key] for row in rows] for name, key in COLUMNS.items()}
    for lacking in ((), LATER):
        kept = {name: column for name, column in columns.items() if name not in lacking}
        (folder / "old.json").write_text(json.dumps(value | {"format": 1} | kept))
        assert run(["gate", "good.jsonl", "--baseline", "old.json", "--by", "accent"]) == 0
    assert Baseline.load("old.json").ids == Baseline.load("b.json").ids


@pytest.mark.parametrize(
    ("damage", "field"),
    [({"errors": -1}, "errors"), ({"id": 3}, "ids"), ({"words": None}, "words"), (3, "rows")],
)
def test_a_damaged_row_is_named(folder, damage, field):
    value = json.loads((folder / "b.json").read_text())
    value["rows"][2] = value["rows"][2] | damage if isinstance(damage, dict) else damage
    (folder / "b.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match=f"b.json: {field}: is damaged or edited by hand"):
        Baseline.load("b.json")
    del value["rows"][2:]
    del value["rows"][1]["words"]
    (folder / "b.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match=r"rows\[1\].words"):
        Baseline.load("b.json")


def test_what_gets_worse_is_shown_and_asks_for_yes(folder, capfd):
    call = ["gate", "worse.jsonl", "--baseline", "b.json", "--by", "accent", "--update"]
    before = (folder / "b.json").read_bytes()
    assert run([*call, "--markdown", "change.md"]) == 1
    said = capfd.readouterr()
    assert "WORSE accent=us: WER" in said.out and "WORSE accent=scottish" not in said.out
    assert "us-" in said.out and "errors" in said.out, "rows that lose most"
    assert "give --yes" in said.err and (folder / "b.json").read_bytes() == before
    assert "| accent=us |" in (folder / "change.md").read_text()
    assert run([*call, "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert (told["written"], told["change"]["worse"]) == (False, True)
    assert run([*call, "--yes"]) == 0
    assert (folder / "b.json").read_bytes() != before
    assert run(["gate", "good.jsonl", "--baseline", "b.json", "--update"]) == 0, "better: nobody is asked"
    assert (folder / "b.json").read_bytes() == before


def test_rows_that_are_gone_and_another_profile_ask_too(folder, capfd):
    write_rows(folder / "fewer.jsonl", ROWS[1:])
    assert run(["gate", "fewer.jsonl", "--baseline", "b.json", "--update"]) == 1
    assert "CHANGED rows: 1 rows of the baseline are missing (scottish-0)" in capfd.readouterr().out
    assert run(["gate", "good.jsonl", "--baseline", "b.json", "--update", "--normalise", "none"]) == 1
    assert "CHANGED normaliser" in capfd.readouterr().out
    (folder / "b.json").write_text((folder / "b.json").read_text().replace('"words": 10', '"words": "ten"'))
    assert run(["gate", "good.jsonl", "--baseline", "b.json", "--update"]) == 1
    assert "cannot be compared" in capfd.readouterr().err
    assert run(["gate", "good.jsonl", "--baseline", "b.json", "--update", "--yes"]) == 0


def test_a_rise_for_one_field(folder, capfd):
    assert run(["gate", "worse.jsonl", "--baseline", "b.json", "--rise", "accent:1%"]) == 1
    assert "accent=us" in capfd.readouterr().out


def _commit(folder, message, when):
    def git(*words):
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *name, *words], cwd=folder, check=True, capture_output=True, env=None)

    if not (folder / ".git").exists():
        git("init", "-q")
    git("add", "b.json")
    git("commit", "-q", "-m", message, f"--date={when}T12:00:00+00:00")


@pytest.fixture
def repository(folder, capfd):
    """Three commits of a baseline: the second is worse, the third has fewer rows; then it is renamed."""
    _commit(folder, "First baseline | with a bar", "2026-01-05")
    run(["gate", "worse.jsonl", "--baseline", "b.json", "--update", "--yes"])
    _commit(folder, "A faster model", "2026-02-06")
    write_rows(folder / "fewer.jsonl", ROWS[5:])
    run(["gate", "fewer.jsonl", "--baseline", "b.json", "--update", "--yes"])
    _commit(folder, "Remove five rows", "2026-03-07")
    capfd.readouterr()
    return folder


def test_history_over_commits(repository, capfd):
    assert run(["gate", "history", "--baseline", "b.json", "--by", "accent", "--rows", "good.jsonl"]) == 0
    said = capfd.readouterr().out
    assert said.index("First baseline") < said.index("A faster model") < said.index("Remove five")
    call = ["gate", "history", "--baseline", "b.json", "--json"]
    assert run([*call, "--by", "accent", "--rows", "good.jsonl"]) == 0
    first, second, third = json.loads(capfd.readouterr().out)
    assert second["rates"]["accent=us"]["wer"] > first["rates"]["accent=us"]["wer"]
    assert second["rates"]["accent=scottish"] == first["rates"]["accent=scottish"]
    assert "5 rows of the baseline are missing" in third["broken"] and not second["broken"]
    low, wer, high = (first["rates"]["all rows"][name] for name in ("low", "wer", "high"))
    assert low < wer < high
    run(["gate", "good.jsonl", "--baseline", "b.json", "--update", "--yes"])
    capfd.readouterr()
    assert run(call) == 0
    assert json.loads(capfd.readouterr().out)[-1]["commit"] == "not committed"
    subprocess.run(["git", "mv", "-f", "b.json", "renamed.json"], cwd=repository, check=True)
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@x", "commit", "-qam", "Rename"],
        cwd=repository,
        check=True,
    )
    assert run(["gate", "history", "--baseline", "renamed.json", "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)) == 4, "followed through its new name"


def test_history_files(repository, capfd):
    call = ["gate", "history", "--baseline", "b.json", "-o"]
    for name in ("h.html", "h.svg", "h.md"):
        assert run([*call, name]) == 0
    assert (repository / "h.svg").read_text().startswith("<svg")
    table = (repository / "h.md").read_text()
    assert "First baseline \\| with a bar" in table and table.count("\n| 2026") == 3
    assert run([*call, "h.pdf"]) == 2
    assert run(["gate", "history", "--baseline", "b.json", "--by", "accent"]) == 2
    assert "--rows" in capfd.readouterr().err


def test_history_outside_a_repository(folder, tmp_path_factory, capfd):
    assert run(["gate", "history", "--baseline", "b.json"]) == 2
    assert "no git repository" in capfd.readouterr().err
    _commit(folder, "One", "2026-01-05")
    assert run(["gate", "history", "--baseline", "other.json"]) == 3
    assert "neither there nor in any commit" in capfd.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser(repository, tmp_path_factory):
    run(["gate", "history", "--baseline", "b.json", "-o", "h.html", "--by", "accent", "--rows", "good.jsonl"])
    with Browser(tmp_path_factory.mktemp("chromium")) as browser:
        for width, kind, other in ((390, "narrow", "wide"), (1440, "wide", "narrow")):
            for dark in (False, True):
                browser.open(repository / "h.html", width=width, dark=dark)
                fits = "document.documentElement.scrollWidth <= innerWidth"
                assert browser.run(fits), f"nothing sticks out at {width}"
                assert browser.run(f"document.querySelector('.{kind}').offsetHeight") > 150
                assert browser.run(f"document.querySelector('.{other}').offsetHeight") == 0
                letters = f"document.querySelector('.{kind} .tick').getBoundingClientRect().height"
                assert browser.run(letters) >= 10, "labels are readable"
        assert browser.run("document.querySelectorAll('.wide circle').length") == 9
        assert browser.run("document.querySelectorAll('.wide .gone').length") == 1
        assert not browser.errors and all(url.startswith("file:") for url in browser.requests)
