"""The site: built with every link checked, and looked at in Chromium, narrow and wide, light and dark."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("material")
from browser import CHROMIUM, Browser

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_pages_are_filled_in(site):
    """Help and API come from the code: every command and every public name has its heading."""
    import asr_adapt

    commands = (site / "commands.html").read_text()
    assert all(f'id="asr-adapt-{name}"' in commands for name in ("adapt", "manifest-split", "gate"))
    api = (site / "api.html").read_text()
    for name in asr_adapt.__all__:
        if not name.startswith("__"):
            assert f'.{name}"' in api, name
    assert ":func:" not in api and ":class:" not in api
    assert "Keep a Changelog" in (site / "changelog.html").read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_pages_fit_the_window(site, tmp_path):
    """Nothing is fetched from elsewhere, no error is logged, and no page is wider than its window."""
    pages = sorted(path for path in site.rglob("*.html") if path.name != "404.html")
    with Browser(tmp_path) as browser:
        for page in pages:
            for width, dark in ((390, False), (1440, True)):
                browser.open(page, width=width, dark=dark)
                assert browser.run("document.documentElement.scrollWidth") <= width, (page.name, width)
        elsewhere = {url for url in browser.requests if not url.startswith(("file:", "data:"))}
        assert not elsewhere and not browser.errors


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_system(site, tmp_path, dark):
    """Text and background differ clearly in both schemes."""
    with Browser(tmp_path) as browser:
        browser.open(site / "index.html", dark=dark)
        background = browser.run("getComputedStyle(document.body).backgroundColor")
        red, green, blue = (int(part) for part in background.removeprefix("rgb(").rstrip(")").split(",")[:3])
        assert (red + green + blue < 200) == dark
