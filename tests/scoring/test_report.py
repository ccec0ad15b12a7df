"""The page: its content without a browser, its behaviour in headless Chromium."""

import base64
import io
import json
import re

import numpy as np
import pytest
import soundfile

from asr_adapt.errors import DataError, UsageError
from asr_adapt.scoring import compare, score, write_report
from asr_adapt.scoring.plots import write_plots
from asr_adapt.scoring.report_charts import Bar, Curve, bar_chart, line_chart
from tests.scoring.browser import CHROMIUM, Browser
from tests.scoring.conftest import make_rows, spoil, write_rows

NASTY = "</script><script>alert(1)</script> & <b>"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two systems on a target set, one on a guard set, with sound; and metrics of training."""
    folder = tmp_path_factory.mktemp("report")
    rows = make_rows({"scottish": 0.3, "irish": 0.2}, rows_each=3)
    rows[0] |= {"pred_text": NASTY, "text": "nasty " + NASTY}
    tone = 0.1 * np.sin(np.arange(48_000) / 20)
    for row in rows:
        path = folder / row["audio_filepath"]
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, tone, 16_000)
    before = write_rows(folder / "target.before.jsonl", rows)
    after = write_rows(folder / "target.after.jsonl", spoil(rows, "irish", 0.3)[::-1])
    guard = write_rows(folder / "guard.jsonl", make_rows({"us": 0.05}, rows_each=2))
    metrics = [{"kind": "step", "step": step, "loss": 3 / step} for step in range(1, 900)]
    metrics += [{"kind": "evaluation", "step": step, "dev": 0.5, "guard": 0.1} for step in (0, 400, 800)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, metrics)))
    return {"predictions": [before, after, guard], "metrics": folder / "metrics.jsonl", "folder": folder}


@pytest.fixture(scope="module")
def page(files):
    summary = {"steps": 300, "hours": 0.5, "best_dev_wer": 0.2, "hints": ["train longer"]}
    path = files["folder"] / "report.html"
    return write_report(path, files["predictions"], files["metrics"], title="A <title>", summary=summary)


def data_of(page):
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found[1])


def test_rows_and_errors_on_the_page_are_those_of_the_score(page, files):
    sets = data_of(page)["sets"]
    assert [(s["name"], s["systems"]) for s in sets] == [
        ("target", ["before", "after"]),
        ("guard", ["guard"]),
    ]
    for number, path in enumerate(files["predictions"][:2]):
        assert sum(row[5][number] for row in sets[0]["rows"]) == score(path).counts.errors
    assert sets[0]["fields"] == ["speaker", "accent", "gender"]


def test_nothing_is_fetched_and_nothing_escapes(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)\s*=\s*"(?!data:|#)[^"]*"', text)
    assert "<script>alert" not in text
    assert "A &lt;title&gt;" in text
    assert "default-src 'none'" in text
    assert "train longer" in text
    assert "20.0%" in text  # best_dev_wer


def test_sound_is_embedded_linked_or_left_out(files, tmp_path):
    target = files["predictions"][:1]
    embedded = data_of(write_report(tmp_path / "e.html", target, audio="embed"))["sets"][0]["rows"]
    assert embedded[0][7].startswith("data:audio/mpeg;base64,")
    linked = data_of(write_report(files["folder"] / "l.html", target, audio="link"))["sets"][0]["rows"]
    assert linked[0][7] == "scottish/0.wav"
    none = data_of(write_report(tmp_path / "n.html", target, audio="none"))["sets"][0]["rows"]
    assert {row[7] for row in none} == {""}
    guard = write_report(tmp_path / "g.html", files["predictions"][2:])
    assert "the audio of 20 rows was not found" in guard.read_text()


def test_a_segment_is_cut_or_linked_with_its_times(files, tmp_path):
    row = json.loads(files["predictions"][0].read_text().splitlines()[0])
    path = write_rows(files["folder"] / "segment.jsonl", [row | {"offset": 1.0, "duration": 0.5}])
    linked = data_of(write_report(files["folder"] / "s.html", [path], audio="link"))["sets"][0]["rows"]
    assert linked[0][7].endswith("#t=1.000,1.500")
    url = data_of(write_report(tmp_path / "s.html", [path], audio="embed"))["sets"][0]["rows"][0][7]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert len(samples) / rate == pytest.approx(0.5, abs=0.1)


def test_refusals(files, tmp_path):
    with pytest.raises(UsageError, match="at least one"):
        write_report(tmp_path / "r.html", [])
    with pytest.raises(UsageError, match="audio mode 'loud'"):
        write_report(tmp_path / "r.html", files["predictions"], audio="loud")
    with pytest.raises(DataError, match="no such metrics file"):
        write_report(tmp_path / "r.html", files["predictions"], tmp_path / "m.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"step": 1}\n{')
    with pytest.raises(DataError, match=r"bad.jsonl:2: the line is not JSON"):
        write_report(tmp_path / "r.html", files["predictions"], tmp_path / "bad.jsonl")
    assert not (tmp_path / "r.html").exists()


def test_charts():
    bars = bar_chart([("a<b", [Bar("a<b", 0, "x", 0.2, 0.1, 0.3)])], "t")
    assert "a&lt;b" in bars
    assert "20.00%" in bars
    assert bar_chart([("a", [Bar("a", 0, "x", 0.0, 0.0, 0.0)])], "t").endswith("</svg>")
    curve = line_chart([Curve("l", 1, [(x, 1.0) for x in range(5000)])], "t")
    assert curve.count("L") < 420
    assert line_chart([Curve("l", 1, [])], "t") == ""


def test_plots_as_files(files, tmp_path):
    pytest.importorskip("matplotlib")
    written = write_plots(tmp_path / "plots", files["predictions"])
    assert {path.suffix for path in written} == {".png", ".svg"}
    assert "target-accent.png" in {path.name for path in written}
    assert all(path.stat().st_size > 1000 for path in written)


needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium") / "profile") as browser:
        yield browser


def colours(png):
    pixels, _ = decode(png)
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1])[::7], axis=0))


def decode(png):
    from matplotlib import image

    pixels = image.imread(io.BytesIO(png), format="png")
    return pixels, pixels.shape[:2]


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1440, False), (1440, True)])
def test_page_shows_something_at_every_width(browser, page, width, dark):
    browser.open(page, width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    for place in ("headline", "utterances", "worst"):
        browser.run(f"document.getElementById('{place}').scrollIntoView()")
        png = browser.screenshot(whole=False)
        assert colours(png) > 20
        assert decode(png)[1][1] in (width, width - 15)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    assert browser.errors == []


def test_the_verdict_comes_first(page, files):
    text = page.read_text(encoding="utf-8")
    first = re.search(r'<p class="answer [a-z-]+">(.*?)</p>', text)
    assert first is not None and first.start() < text.index("<h2")
    comparison = compare(*files["predictions"][:2], by=["accent", "gender"])
    assert f"{100 * comparison.overall.difference.wer_b:.1f} %" in first[1]
    worse = [v for v, g in comparison.groups["accent"].items() if g.verdict == "worse"]
    assert all(f"accent {value} (+" in first[1] for value in worse)


@needs_chromium
def test_a_phone_shows_the_words_and_whole_tables(browser, page):
    browser.open(page, 390)
    said = "document.querySelector('#body tr[data-row]').children[0]"
    assert browser.run(f"{said}.getBoundingClientRect().width") > 150
    right = (
        "Math.max(...[...document.querySelectorAll('.cards td')].map((c) => c.getBoundingClientRect().right))"
    )
    assert browser.run(right) <= 390
    assert browser.run("document.querySelectorAll('.worst-row audio').length") > 0


@needs_chromium
def test_a_phone_shows_charts_whose_numbers_can_be_read(browser, page):
    browser.open(page, 390)
    texts = "[...document.querySelectorAll('svg text')].map((text) => [text, text.ownerSVGElement])"
    scale = "drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width"
    sizes = f"{texts}.map(([text, drawing]) => parseFloat(getComputedStyle(text).fontSize) * {scale})"
    assert browser.run(f"Math.min(...{sizes})") >= 8
    left = "text.getBoundingClientRect().left - drawing.getBoundingClientRect().left"
    assert browser.run(f"Math.min(...{texts}.map(([text, drawing]) => {left}))") >= 0


@needs_chromium
def test_sort_and_filter(browser, page):
    browser.open(page)
    first = "document.querySelector('#body tr[data-row]').children"
    browser.run("document.querySelector('[data-key=id]').click()")
    assert browser.run(f"{first}[0].textContent") == "irish-0"
    browser.run("document.querySelector('[data-key=id]').click()")
    assert browser.run(f"{first}[0].textContent") == "scottish-9"
    assert browser.run("document.querySelector('[data-key=id]').closest('th').ariaSort") == "descending"
    browser.run("document.querySelector('[data-key=wer1]').click()")
    rates = browser.run(
        "[...document.querySelectorAll('#body tr[data-row]')].map((row) => "
        "parseFloat(row.children[5].textContent))"
    )
    assert rates == sorted(rates, reverse=True)
    fire = "dispatchEvent(new Event('input', {bubbles: true}))"
    browser.run(f"s = document.querySelector('[data-field=accent]'); s.value = 'irish'; s.{fire}")
    assert browser.run("document.getElementById('count').textContent") == "30 of 60 rows"
    browser.run(f"s = document.getElementById('search'); s.value = 'IRISH-7'; s.{fire}")
    assert browser.run("document.getElementById('count').textContent") == "1 of 60 rows"
    browser.run(f"s.value = ''; s.{fire}; k = document.getElementById('kind'); k.value = 'worse'; k.{fire}")
    worse = int(browser.run("document.getElementById('count').textContent").split()[0])
    assert 0 < worse <= 30
    assert browser.errors == []


@needs_chromium
def test_alignment_in_the_page_counts_the_same_errors(browser, page):
    browser.open(page)
    difference = browser.run(
        "data.sets.flatMap((set) => set.rows.flatMap((row) => row[HEARD].map((text, i) => "
        "align(row[REFERENCE], text).filter((s) => s[0] !== 'hit').length - row[ERRORS][i])))"
        ".filter((d) => d).length"
    )
    assert difference == 0


@needs_chromium
def test_keyboard_and_player(browser, page):
    browser.open(page)
    browser.run("document.getElementById('viewport').focus()")
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    assert browser.run("document.querySelectorAll('#body tr[aria-selected=true]').length") == 1
    assert browser.run("document.querySelectorAll('#detail .alignment').length") == 2
    browser.wait("document.querySelector('#detail audio').readyState > 0")
    assert browser.run("document.querySelector('#detail audio').duration") == pytest.approx(3.0, abs=0.2)
    browser.press("Enter")
    browser.wait("document.querySelector('#detail audio').currentTime > 0")
    browser.run("document.querySelector('#detail audio').pause()")
    assert browser.errors == []


@needs_chromium
def test_linked_players_load(browser, files):
    page = write_report(files["folder"] / "linked.html", files["predictions"][:1], audio="link")
    browser.open(page)
    browser.run("select(0)")
    browser.wait("document.querySelector('#detail audio').readyState > 0")
    assert browser.errors == []


@needs_chromium
def test_ten_thousand_rows_draw_only_what_is_in_view(browser, tmp_path):
    rows = make_rows({"us": 0.1}, speakers_each=20, rows_each=500)
    page = write_report(tmp_path / "many.html", [write_rows(tmp_path / "many.jsonl", rows)], audio="none")
    browser.open(page)
    assert browser.run("document.getElementById('count').textContent") == "10000 of 10000 rows"
    browser.run("document.getElementById('viewport').scrollTop = 200000")
    browser.wait("Number(document.querySelector('#body tr[data-row]').ariaRowIndex) > 5000")
    assert browser.run("document.querySelectorAll('#body tr').length") < 60
    assert browser.errors == []


@needs_chromium
def test_nothing_leaves_the_machine(browser, page):
    browser.requests.clear()
    browser.open(page)
    assert all(url.startswith(("file:", "data:")) for url in browser.requests)
