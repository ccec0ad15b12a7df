"""What a transcript of long audio must be besides right: the same after a kill, with readable subtitles.

Knows the command line and the rules of subtitles. Does not know how audio is heard.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import srt

#: Characters of a line, lines of a cue, and the least seconds that one is shown.
LENGTH, LINES, SHORTEST = 42, 2, 0.3


def killed_and_resumed(audio: Path, model: str, folder: Path) -> dict[str, Any]:
    """Whether JSON and SRT of a run that was killed equal those of one that was not, and its cues."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder))  # what an earlier run left there is no journal
    once, twice = fresh / "once", fresh / "twice"
    started = time.monotonic()
    _command(audio, model, once).wait()
    seconds = time.monotonic() - started
    killed = _command(audio, model, twice)
    journal = 0
    while killed.poll() is None and time.monotonic() - started < 4 * seconds:
        time.sleep(0.1)
        journal = max([len(p.read_bytes().splitlines()) for p in twice.rglob("*.partial.jsonl")] or [0])
        if journal > 2:  # the key and some pieces
            break
    was_running = killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    status = _command(audio, model, twice).wait()
    same = [_compared(once / f"{audio.stem}.{end}", twice / f"{audio.stem}.{end}") for end in ("json", "srt")]
    cues = faulty_cues((once / f"{audio.stem}.srt").read_text(encoding="utf-8"))
    return {"killed": was_running, "pieces": journal - 1, "status": status, "same": all(same), **cues}


def faulty_cues(text: str) -> dict[str, int]:
    """Cues in all, and those that are too short, too long to read, or overlap."""
    cues = list(srt.parse(text))
    lines = [cue.content.splitlines() for cue in cues]
    return {
        "cues": len(cues),
        "short": sum(cue.end - cue.start < timedelta(seconds=SHORTEST) for cue in cues),
        "large": sum(len(own) > LINES or any(len(line) > LENGTH for line in own) for own in lines),
        "overlapping": sum(before.end > after.start for before, after in pairwise(cues)),
    }


def _command(audio: Path, model: str, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "asr_adapt", "transcribe", str(audio), "--model", model, "--quiet"]
    command += ["--runtime", "ctranslate2", "--compute-type", "float32", "-f", "json,srt", "-o", str(output)]
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(command, env={**os.environ, **one})


def _compared(one: Path, other: Path) -> bool:
    """Whether two transcripts are alike, but for the time that they took."""
    if one.suffix != ".json":
        return one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")
    trees = [json.loads(path.read_text(encoding="utf-8")) for path in (one, other)]
    for tree in trees:
        tree.pop("compute_seconds", None)
    return bool(trees[0] == trees[1])
