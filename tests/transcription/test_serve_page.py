"""The page of ``asr-adapt serve`` in a real browser, as a phone and a desktop show it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr_adapt.transcription.serve import ServerSettings, make_server
from tests.scoring.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@pytest.fixture
def address(tone_recogniser) -> Iterator[str]:
    server = make_server(ServerSettings({"tones": tone_recogniser}), "0.0.0.0")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f":{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_a_recording_becomes_words_and_fits_the_screen(address: str, speak, tmp_path: Path) -> None:
    sound = base64.b64encode(speak("talk.wav", "bad cafe").read_bytes()).decode()
    send = (
        f"fetch('data:audio/wav;base64,{sound}').then(a => a.blob())"
        ".then(blob => transcribe(blob, 'talk', 'talk.wav')).then(() => true)"
    )
    with Browser(tmp_path / "profile") as browser:
        # the page's policy admits no data: addresses, which are only how this test brings a recording in
        browser.call("Page.setBypassCSP", enabled=True)
        backgrounds = set()
        for width, dark in ((390, False), (1440, False), (390, True), (1440, True)):
            browser.visit(f"http://127.0.0.1{address}", width=width, dark=dark)
            assert browser.run("at('status').textContent") == "Nothing leaves this computer."
            browser.wait("models.length === 1")
            assert browser.run(send)
            assert browser.run("[...document.querySelectorAll('.word')].map(w => w.textContent)") == [
                "bad",
                "cafe",
            ]
            assert browser.run("document.documentElement.scrollWidth") <= width
            backgrounds.add((dark, browser.run("matchMedia('(prefers-color-scheme: dark)').matches")))
        assert backgrounds == {(False, False), (True, True)}
        assert browser.errors == []


def test_who_comes_from_elsewhere_is_told_where_the_recording_goes(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.visit(f"http://0.0.0.0{address}")
        told = browser.run("at('status').textContent")
    assert told == "Recordings are sent to 0.0.0.0, which deletes them once they are transcribed."
