"""The accent benchmark's script: rows that may not meet do not, tables go where they belong."""

from __future__ import annotations

import pytest

from asr_adapt.manifest import Manifest
from tests.benchmark_scripts import script


@pytest.fixture(scope="module")
def bench():
    with script("bench_accents") as found:
        yield found


def _result(title: str, wer: float) -> dict[str, object]:
    row = {"test": "theo", "utterances": 50, "speakers": 1, "wer": wer, "interval": {"low": 0.1, "high": 0.2}}
    return {"name": title, "title": title, "corpus": "FSDD", "rows": [row]}


def test_tables_replace_only_what_stands_between_their_markers(bench, tmp_path, capsys):
    from report import publish

    document = tmp_path / "benchmarks.md"
    document.write_text("# Benchmarks\n\nSpeed: fast.\n", encoding="utf-8")
    publish(bench.tables([_result("base", 0.5)]), "accents", document)
    both = [_result("base", 0.5), _result("adapted", 0.125)]
    publish(bench.tables(both), "accents", document)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("# Benchmarks\n\nSpeed: fast.\n")
    assert text.count("<!-- accents:begin -->") == text.count("<!-- accents:end -->") == 1
    assert "| theo | adapted | 50 | 1 | 12.5% | 10.0%–20.0% |" in text
    assert text.count("| theo | base |") == 1
    assert capsys.readouterr().out.count("| theo | adapted |") == 1, "it is printed too"


def test_tables_and_hardware_read_as_markdown(bench):
    from report import hardware, table

    assert table(["name", ">count"], [("a", 1)]) == ["| name | count |", "|---|--:|", "| a | 1 |"]
    assert hardware("One GPU").startswith("One GPU, torch 2.")


@pytest.mark.realdata
def test_fsdd_parts_of_a_speaker_share_no_recording(bench, real_data, tmp_path):
    written = bench.prepare_fsdd(real_data, tmp_path)
    for speaker in bench.FSDD_ACCENTS:
        parts = {part: Manifest.open(written[f"{speaker}_{part}"]) for part in ("train", "dev", "test")}
        assert [len(parts[part]) for part in ("train", "dev", "test")] == [400, 50, 50]
        assert {row.extra["index"] for row in parts["test"]} == set("01234")
        assert {row.text for row in parts["test"]} >= {"ZERO", "NINE"}
        paths = [{row.audio_path.resolve() for row in rows} for rows in parts.values()]
        assert len(set.union(*paths)) == 500


@pytest.mark.realdata
def test_speechocean_parts_share_no_speaker(bench, real_data, tmp_path):
    written = bench.prepare_speechocean(real_data, tmp_path)
    speakers = {name: {row.speaker for row in Manifest.open(path)} for name, path in written.items()}
    names = list(speakers)
    assert all(not speakers[one] & speakers[other] for n, one in enumerate(names) for other in names[n + 1 :])
    assert len(speakers["test"]) == 64
    for name, band in (("heavy_train", "heavy"), ("heavy_dev", "heavy"), ("mild_replay", "mild")):
        assert {row.accent for row in Manifest.open(written[name])} == {band}
