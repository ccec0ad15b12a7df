"""The GitHub Action, run as a runner runs it: its shell steps in order, and a stand-in of GitHub's API."""

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from asr_adapt.cli.app import run
from tests.scoring.conftest import make_rows, spoil, write_rows

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
ROWS = make_rows({"scottish": 0.3, "us": 0.05})


class _GitHub(BaseHTTPRequestHandler):
    """Comments of one pull request, two on a page."""

    comments: list[dict]
    asked: list[str]

    def do_GET(self):
        page = int((re.search(r"[?&]page=(\d+)", self.path) or [0, 1])[1])
        shown = self.comments[2 * (page - 1) : 2 * page]
        more = f'<{self.server.address}{self.path.split("?")[0]}?page={page + 1}>; rel="next"'
        self._send(shown, {"Link": more} if len(self.comments) > 2 * page else {})

    def do_POST(self):
        self.comments.append({"id": len(self.comments) + 1, **self._body()})
        self._send(self.comments[-1])

    def do_PATCH(self):
        number = int(self.path.rsplit("/", 1)[1])
        self.comments[number - 1] |= self._body()
        self._send(self.comments[number - 1])

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _send(self, value, headers=None):
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(200 if self.headers["Authorization"] == "Bearer secret" else 403)
        data = json.dumps(value).encode()
        for name, text in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def github():
    """Two comments of others are there."""
    comments = [{"id": 1, "body": "Nice"}, {"id": 2, "body": "Please add a test"}]
    handler = type("GitHub", (_GitHub,), {"comments": comments, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, server.address
    server.shutdown()
    server.server_close()


class Runner:
    """Runs the shell steps of the action; ``inputs`` and contexts are put where expressions ask for them."""

    def __init__(self, folder, api):
        self.folder, self.api = folder, api
        self.summary, self.said = "", ""
        self.outputs: dict[str, dict[str, str]] = {}

    def value(self, text, inputs, token="secret"):
        known = {
            "github.action_path": str(ROOT),
            "github.token": token,
            "github.event.pull_request.number": "7",
            "runner.temp": str(self.folder / "temp"),
            **{f"inputs.{name}": value for name, value in inputs.items()},
            **{f"steps.{s}.outputs.{n}": v for s, found in self.outputs.items() for n, v in found.items()},
        }
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda m: known.get(m[1], ""), str(text))

    def run(self, **given):
        """The exit status of the first step that fails, else 0."""
        self.outputs, self.summary, self.said = {}, "", ""
        inputs = {name: self.value(about.get("default", ""), {}) for name, about in ACTION["inputs"].items()}
        inputs |= {name.replace("_", "-"): value for name, value in given.items()}
        for step in ACTION["runs"]["steps"]:
            if "run" not in step or step["name"] in ("Install asr-adapt", "Fetch the audio"):
                continue
            if step["name"] == "Comment" and inputs["comment"] != "true":
                continue
            status = self._step(step, inputs)
            if status:
                return status
        return 0

    def _step(self, step, inputs):
        files = {name: self.folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        environment = {
            **os.environ,
            **{name: str(path) for name, path in files.items()},
            **{name: self.value(text, inputs) for name, text in step.get("env", {}).items()},
            "GITHUB_API_URL": self.api,
            "GITHUB_REPOSITORY": "ann/speech",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.said += ran.stdout + ran.stderr
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        lines = (line.partition("=") for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        self.outputs[step.get("id", step["name"])] = {name: value for name, _, value in lines}
        return ran.returncode


@pytest.fixture
def runner(tmp_path, monkeypatch, github):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "good.jsonl", ROWS)
    write_rows(tmp_path / "worse.jsonl", spoil(ROWS, "us", 0.2))
    assert run(["gate", "good.jsonl", "--baseline", "baseline.json", "--update"]) == 0
    return Runner(tmp_path, github[1])


def test_passing_and_failing_with_summary_junit_and_one_comment(runner, github):
    api, _ = github
    assert runner.run(predictions="good.jsonl", by="accent gender", rise="5%") == 0, runner.said
    assert runner.outputs["gate"]["passed"] == "true" and "WER gate passed" in runner.summary
    assert "accent=us" in runner.summary and "gender=f" in runner.summary
    assert api.comments[2]["body"].startswith("<!-- asr-adapt gate: baseline.json -->\n### WER gate passed")
    assert runner.run(predictions="worse.jsonl", by="accent", rise="5%") == 1
    assert (runner.outputs["gate"]["status"], runner.outputs["gate"]["passed"]) == ("1", "false")
    assert "::error title=asr-adapt gate::WER gate failed" in runner.said
    junit = Path(runner.outputs["gate"]["junit"]).read_text()
    assert 'failures="2"' in junit and "rows that lost most" in runner.summary
    assert len(api.comments) == 3, "the comment is brought up to date, others are left alone"
    assert "### WER gate failed" in api.comments[2]["body"] and api.comments[0]["body"] == "Nice"


def test_what_cannot_be_judged(runner):
    assert runner.run(predictions="none.jsonl") == 3
    assert "nothing was judged" in runner.summary
    changed = [ROWS[0] | {"text": "other words"}, *ROWS[1:]]
    write_rows(runner.folder / "changed.jsonl", changed)
    assert runner.run(predictions="changed.jsonl") == 4
    assert "reference transcripts have changed" in runner.summary
    assert runner.run(predictions="changed.jsonl", accept="references rows") == 0
    assert runner.run() == 2
    assert "needs the inputs model and manifest" in runner.said


def test_updating_shows_what_changes(runner):
    before = (runner.folder / "baseline.json").read_bytes()
    assert runner.run(predictions="worse.jsonl", by="accent", update="true") == 0, runner.said
    assert "something gets worse" in runner.summary and "| accent=us |" in runner.summary
    assert (runner.folder / "baseline.json").read_bytes() != before


def test_a_comment_that_is_refused_is_a_warning(runner, github):
    assert runner.run(predictions="good.jsonl", token="wrong") == 0
    assert "::warning::The comment could not be written" in runner.said
    assert runner.run(predictions="good.jsonl", comment="false") == 0
    assert len(github[0].comments) == 2


def test_a_model_is_run_where_no_predictions_are_given(runner, tone_model, speak):
    rows = [
        {"audio_filepath": str(speak(f"{n}.wav", said)), "text": said}
        for n, said in enumerate(["bad cafe", "gag egg"])
    ]
    write_rows(runner.folder / "test.jsonl", rows)
    given = {"model": str(tone_model), "manifest": "test.jsonl", "baseline": "tones.json", "comment": "false"}
    assert runner.run(**given, update="true") == 0, runner.said
    assert runner.run(**given, evaluate_options="--batch-size 1") == 0, runner.said
    assert "WER gate passed" in runner.summary


def test_no_input_reaches_a_shell_as_text():
    """An input inside ``run`` would be code; it must come as a variable."""
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", ""), step["name"]
        assert ("run" in step) == ("shell" in step) and ("run" in step) != ("uses" in step)
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
    for script in (ROOT / ".github/gate").glob("*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)
