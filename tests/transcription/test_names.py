"""Names of outputs: equal names from several folders, unknown endings, pipes, terminals without UTF-8."""

from __future__ import annotations

import io
import os
import sys
import threading

import pytest
import soundfile

from asr_adapt.audio import read_audio
from asr_adapt.cli import terminal
from asr_adapt.cli.transcribe import _outputs
from asr_adapt.errors import UsageError, shown
from asr_adapt.transcription.inputs import expand
from asr_adapt.transcription.writing.writers import WriterOptions


def names(paths, spool, **options):
    return [source.name for source in expand(list(map(str, paths)), spool=spool, **options).sources]


def test_equal_names_from_several_folders_never_share_an_output(speak, tmp_path):
    paths = [speak(f"{folder}/talk.wav", "bad") for folder in ("mon/am", "tue/am", "tue/pm")]
    assert names(paths, tmp_path) == ["mon/am/talk", "tue/am/talk", "tue/pm/talk"]
    assert names(reversed(paths), tmp_path) == ["tue/pm/talk", "tue/am/talk", "mon/am/talk"]
    assert names(paths[:1], tmp_path) == ["talk"]
    assert names(paths[1:], tmp_path) == ["am/talk", "pm/talk"]


def test_endings_case_and_unicode_forms_are_told_apart(speak, tmp_path):
    paths = [
        speak(name, "bad") for name in ("x.wav", "x.flac", "Y.wav", "y.wav", "e\u0301.wav", "\u00e9.wav")
    ]
    found = names(paths, tmp_path)
    assert found[:2] == ["x.wav", "x.flac"]
    assert len({name.casefold() for name in found}) == 6


@pytest.mark.parametrize("name", ["talk.ass", "notes.docx", "talk.text", "talk.sub", "talk.wav", "page.html"])
def test_a_file_of_a_format_that_is_not_written_is_no_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"for a folder of that name give -o {name}/"):
        _outputs(name, "", WriterOptions())
    assert _outputs(f"{name}/", "", WriterOptions()).directory is not None
    (tmp_path / name).mkdir()
    assert _outputs(name, "", WriterOptions()).directory is not None


@pytest.mark.parametrize("name", ["out", "results.v2", "2024.11.05", "talks.recorded"])
def test_folders_may_have_dots(name):
    assert _outputs(name, "", WriterOptions()).directory is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_read_like_standard_input(speak, tmp_path):
    sound = speak("a.wav", "bad cafe")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(sound.read_bytes()))
    writer.start()
    spool = tmp_path / "spool"
    spool.mkdir()
    (source,) = expand([str(pipe)], spool=spool).sources
    writer.join()
    assert len(read_audio(source.path)) == soundfile.info(sound).frames


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_that_nobody_writes_to_is_named_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("asr_adapt.transcription.inputs._PIPE_SECONDS", 0.1)
    os.mkfifo(tmp_path / "pipe")
    (failure,) = expand([str(tmp_path / "pipe")], spool=tmp_path).failures
    assert "is an empty pipe" in failure.message


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_what_a_terminal_lacks_is_escaped_and_counted(encoding, monkeypatch, capfd):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.escape_what_streams_lack()
    print("會議 🎤 ok \udce9")
    expected = "會議 🎤 ok \\udce9\n" if encoding == "utf-8" else "\\u6703\\u8b70 \\ud83c\\udfa4 ok \\udce9\n"
    assert stream.buffer.getvalue().decode(encoding) == expected
    terminal.remark_on_escapes()
    count = 1 if encoding == "utf-8" else 4
    assert f"{count} characters that {encoding} lacks" in capfd.readouterr().err


def test_no_name_moves_the_cursor():
    assert shown("a\x1b[2J\nb\x07.wav") == "a\\x1b[2J\\nb\\x07.wav"
    assert shown("caf\udce9 ☕.wav") == "caf\\xe9 ☕.wav"
