"""Every layout: recognised, imported with its audio, and exported to others without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpora import CORPORA, SPOKEN, commonvoice, kaldi, nemo, samples, sidecar, write_audio

from asr_adapt.audio import read_audio
from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Manifest, write_manifest
from asr_adapt.manifest.build import BuildOptions, open_build
from asr_adapt.manifest.export import export_manifest
from asr_adapt.manifest.layouts import LAYOUTS, ImportOptions


def build(source: Path, target: Path, **options) -> Manifest:
    columns = dict(options.pop("columns", ()))
    pattern = options.pop("name_pattern", None)
    tier = options.pop("tier", None)
    job = open_build(source, BuildOptions(source_options=ImportOptions(columns, pattern, tier), **options))
    write_manifest(target, job.rows())
    return Manifest.open(target)


def assert_same_speech(manifest: Manifest, carries: str) -> None:
    rows = {row.text: row for row in manifest}
    assert sorted(rows) == sorted(spoken.text for spoken in SPOKEN)
    for spoken in SPOKEN:
        row = rows[spoken.text]
        assert row.duration == pytest.approx(spoken.seconds, abs=0.08)
        heard = read_audio(row.audio_path, offset=row.offset, duration=row.duration)
        size = min(len(heard), len(samples(spoken)))
        assert np.corrcoef(heard[:size], samples(spoken)[:size])[0, 1] > 0.99
        wanted = {"id": spoken.name, "speaker": spoken.speaker, "gender": spoken.gender}
        assert {name: row.get(name) for name in carries.split()} == {n: wanted[n] for n in carries.split()}
    assert len({row.id for row in manifest}) == len(SPOKEN)


@pytest.mark.parametrize("name", CORPORA)
def test_every_layout_is_recognised_and_imported(tmp_path: Path, name: str) -> None:
    corpus = CORPORA[name]
    source = corpus.make(tmp_path / "corpus")
    job = open_build(source, BuildOptions(source_options=ImportOptions(dict(corpus.columns))))
    assert job.layout.name == corpus.layout
    assert job.reason
    manifest = build(source, tmp_path / "out" / "m.jsonl", columns=corpus.columns)
    assert_same_speech(manifest, corpus.carries)


def test_every_registered_layout_has_a_corpus_here() -> None:
    assert {corpus.layout for corpus in CORPORA.values()} | {"filenames"} == set(LAYOUTS)


@pytest.mark.parametrize(
    ("target", "carries"),
    [
        ("nemo", "id speaker gender"),
        ("commonvoice", "id speaker gender"),
        ("kaldi", "id speaker gender"),
        ("lhotse", "id speaker gender"),
        ("stm", "speaker"),
    ],
)
@pytest.mark.parametrize("origin", ["kaldi", "kaldi-segments", "nemo", "lhotse-cuts"])
def test_exports_round_trip(tmp_path: Path, origin: str, target: str, carries: str) -> None:
    first = build(CORPORA[origin].make(tmp_path / "corpus"), tmp_path / "m.jsonl")
    output = tmp_path / "out" / ("m.stm" if target == "stm" else "m.jsonl" if target == "nemo" else target)
    assert export_manifest(first, target, output) == len(SPOKEN)
    source = output / "validated.tsv" if target == "commonvoice" else output
    again = build(source, tmp_path / "again" / "m.jsonl", layout=target)
    assert_same_speech(again, carries)
    if target in ("nemo", "kaldi", "lhotse", "commonvoice"):
        assert {row.id: row.accent for row in again} == {row.id: row.accent for row in first}


def test_export_refuses_unknown_layouts_and_rows_it_cannot_hold(tmp_path: Path) -> None:
    manifest = build(nemo(tmp_path / "corpus"), tmp_path / "m.jsonl")
    with pytest.raises(UsageError, match="not one of"):
        export_manifest(manifest, "ctm", tmp_path / "x")
    with pytest.raises(DataError, match="has no text"):
        export_manifest([manifest[0].replace(text=None)], "commonvoice", tmp_path / "cv")
    with pytest.raises(DataError, match="holds a space"):
        export_manifest([manifest[0].replace(speaker="a b")], "stm", tmp_path / "x.stm")
    with pytest.raises(DataError, match="occurs twice"):
        export_manifest([manifest[0], manifest[0]], "kaldi", tmp_path / "kaldi")


def test_kaldi_tables_become_fields(tmp_path: Path) -> None:
    rows = {row.id: row for row in build(kaldi(tmp_path / "corpus"), tmp_path / "m.jsonl")}
    assert (rows["84-121-0000"].accent, rows["84-121-0000"].extra) == ("mild", {"score": 8.45})
    assert (rows["174-50-0000"].accent, rows["174-50-0000"].gender) == ("heavy", "m")


def test_common_voice_columns_become_fields(tmp_path: Path) -> None:
    row = build(commonvoice(tmp_path / "corpus"), tmp_path / "m.jsonl")[0]
    assert (row.accent, row.lang, row.age) == ("Northern", "ha", "twenties")
    assert row.extra == {"sentence_id": "x1", "up_votes": "2", "down_votes": "0"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("u1 sph2pipe -f wav x.sph |", r"wav\.scp:4: recording 'u1' is a pipe"),
        ("u1 raw.ark:1234", r"wav\.scp:4: recording 'u1' is not an audio file"),
        ("u1", r"wav\.scp:4: .*empty"),
        ("84-121-0000 again.flac", r"wav\.scp:4: '84-121-0000' occurs twice"),
    ],
)
def test_kaldi_recordings_that_are_no_files(tmp_path: Path, entry: str, message: str) -> None:
    source = kaldi(tmp_path / "corpus")
    with (source / "wav.scp").open("a") as handle:
        handle.write(entry + "\n")
    with pytest.raises(DataError, match=message):
        build(source, tmp_path / "m.jsonl")


def test_file_names_carry_fields_and_values_are_mapped(tmp_path: Path) -> None:
    for name in ("0_jackson_0", "7_theo_12"):
        write_audio(tmp_path / "fsdd" / "recordings" / f"{name}.wav", SPOKEN[0])
    manifest = build(
        tmp_path / "fsdd",
        tmp_path / "m.jsonl",
        name_pattern="{text}_{speaker}_{index}",
        replacements={"text": {"0": "zero", "7": "seven"}},
        values={"lang": "en"},
    )
    assert [(r.text, r.speaker, r.get("index"), r.lang) for r in manifest] == [
        ("zero", "jackson", "0", "en"),
        ("seven", "theo", "12", "en"),
    ]
    with pytest.raises(DataError, match="does not fit --name-pattern"):
        build(tmp_path / "fsdd", tmp_path / "m.jsonl", name_pattern="{text}-{speaker}")
    with pytest.raises(UsageError, match="distinct"):
        build(tmp_path / "fsdd", tmp_path / "m.jsonl", name_pattern="{text}_{text}")


def test_relative_audio_is_found_at_the_root_the_source_or_above(tmp_path: Path) -> None:
    source = nemo(tmp_path / "corpus")
    deep = tmp_path / "corpus" / "lists" / "train" / "m.json"
    deep.parent.mkdir(parents=True)
    deep.write_bytes(source.read_bytes())
    assert_same_speech(build(deep, tmp_path / "m.jsonl"), "id")
    elsewhere = tmp_path / "elsewhere" / "m.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(source.read_bytes())
    with pytest.raises(DataError, match=r"m\.json:1: audio_filepath: .* use --root"):
        build(elsewhere, tmp_path / "m.jsonl")
    assert_same_speech(build(elsewhere, tmp_path / "m.jsonl", root=tmp_path / "corpus"), "id")


def test_unreadable_rows_stop_the_build_or_are_listed(tmp_path: Path) -> None:
    source = commonvoice(tmp_path / "corpus")
    (tmp_path / "corpus" / "clips" / f"{SPOKEN[1].name}.mp3").write_bytes(b"not audio")
    with pytest.raises(DataError, match=r"train\.tsv:3: .*is not audio"):
        build(source, tmp_path / "m.jsonl")
    assert not (tmp_path / "m.jsonl").exists()
    job = open_build(source, BuildOptions(skip_unreadable=True))
    assert len(list(job.rows())) == 2
    assert len(job.left_out) == 1


def test_a_table_without_transcripts_says_which_columns_it_has(tmp_path: Path) -> None:
    source = commonvoice(tmp_path / "corpus")
    source.write_text(source.read_text().replace("\tsentence\t", "\tutterance\t"))
    with pytest.raises(
        DataError, match=r"no column holds the transcript \(columns: client_id, path,.*utterance"
    ):
        build(source, tmp_path / "m.jsonl")
    assert_same_speech(build(source, tmp_path / "m.jsonl", columns={"utterance": "text"}), "id speaker")
    with pytest.raises(DataError, match="did you mean 'utterance'"):
        build(source, tmp_path / "m.jsonl", columns={"utterence": "text"})


def test_auto_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# hello")
    with pytest.raises(DataError, match="has no layout that --format auto recognises"):
        open_build(tmp_path / "notes.md", BuildOptions())
    with pytest.raises(DataError, match="does not exist"):
        open_build(tmp_path / "nothing", BuildOptions())
    with pytest.raises(UsageError, match="not one of auto"):
        open_build(sidecar(tmp_path / "s"), BuildOptions(layout="kladi"))
