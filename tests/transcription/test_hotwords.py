"""Hot words as users give them, and what they do to transcripts of every family."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from asr_adapt import Decoding, evaluate, transcribe
from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.decoding.hotwords import parse_hotwords, with_boosts
from asr_adapt.errors import DataError, UsageError
from asr_adapt.manifest import Utterance, write_manifest
from asr_adapt.models import Recogniser, Search, load_recogniser
from asr_adapt.models.search.phrases import glued_tokens, phrase_bias
from asr_adapt.transcription.decoding.fusion import with_decoding
from tests.models.plain_models import save_tiny_moonshine, save_tiny_speech2text
from tests.models.whisper_models import save_tiny_whisper


@pytest.fixture(scope="module")
def spoken() -> Path:
    return next(Path(str(files("asr_adapt.assets"))).rglob("arctic_*.ogg"))


@pytest.fixture(scope="module")
def nano() -> Recogniser:
    return load_recogniser("nano-whisper", device="cpu", compute_type="float32")


def test_a_list_is_read_from_commas_files_and_mappings(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\ufeffLeith:8\n\nArthur's Seat\n", encoding="utf-8")
    wanted = {"Leith": 8.0, "Arthur's Seat": None, "Portobello": None, "Zoë": 2.5}
    assert parse_hotwords([str(path), "Portobello, Zoë:2.5"]) == wanted
    assert parse_hotwords("Leith,Portobello") == {"Leith": None, "Portobello": None}
    assert parse_hotwords(wanted) == wanted
    assert with_boosts(wanted, None, 6.0)["Portobello"] == 6.0
    assert with_boosts(wanted, 3.0, 6.0) == wanted | {"Portobello": 3.0, "Arthur's Seat": 3.0}


def test_a_bad_list_names_its_file_and_line(tmp_path, capsys):
    path = tmp_path / "names.txt"
    path.write_text("Leith\nSeat:high\n")
    with pytest.raises(DataError, match=r"names\.txt:2: 'Seat:high': write WORD or WORD:BOOST"):
        parse_hotwords([str(path)])
    with pytest.raises(UsageError, match="a word is empty"):
        parse_hotwords(["Leith,,Seat"])
    assert run(["transcribe", "x.wav", "--hotwords", str(path)]) == 3
    assert f"{path}:2: " in capsys.readouterr().err
    assert run(["transcribe", "x.wav", "--hotwords", "a:b"]) == 2


#: Enough to change what the bundled toy writes.
LISTED, BOOST = "lucie", 2.0


def test_what_cannot_be_written_is_refused(tmp_path):
    model = load_recogniser(str(save_tiny_moonshine(tmp_path / "model")), device="cpu")
    with pytest.raises(UsageError, match="cannot write the hot word 'Zoë'"):
        with_decoding(model, Decoding(hotwords=["the", "Zoë"]))


@pytest.mark.parametrize("save", [save_tiny_moonshine, save_tiny_speech2text, save_tiny_whisper])
@pytest.mark.parametrize("beams", [1, 3])
def test_every_family_with_a_decoder_is_biased(save, beams, tmp_path):
    """Untrained weights say anything; a boost that is high enough makes them spell the listed word."""
    model = load_recogniser(str(save(tmp_path / "model")), device="cpu").searching(Search(beams=beams))
    waves = [np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 10]

    def written(boost: float) -> str:
        biased = model.searching(replace(model.search, hotwords=(("the", boost),)))
        assert "1 hotwords" in biased.description and biased.description != model.description
        return biased.transcribe(waves)[0].text.lower()

    assert "the" not in model.transcribe(waves)[0].text.lower()
    assert any("the" in written(2.0**power) for power in range(1, 9))


def test_glued_tokens_are_those_that_go_on_a_word(nano):
    tokenizer = nano.processor.tokenizer
    glued = glued_tokens(tokenizer)
    ids = tokenizer(" the cat's", add_special_tokens=False).input_ids
    assert not glued[ids[0]] and not glued[tokenizer.eos_token_id]
    assert not glued[tokenizer("'s", add_special_tokens=False).input_ids[0]]
    assert glued[tokenizer("ing", add_special_tokens=False).input_ids[0]]
    bias = phrase_bias([("the", 1.0)], lambda text: ids[:1], glued)
    assert float(bias.added([[]], len(tokenizer))[0, ids[0]]) == 1.0


def test_the_commands_and_python_take_a_list(spoken, nano, tmp_path, capsys):
    plain = transcribe(spoken, model=nano).text
    wanted = transcribe(spoken, model=nano, decoding=Decoding(hotwords=[LISTED], hotwords_weight=BOOST)).text
    searched = nano.searching(Search(beams=5, hotwords=((LISTED, BOOST),)))
    assert "lucie" in wanted and wanted == transcribe(spoken, model=searched).text
    assert wanted not in (plain, transcribe(spoken, model=nano.searching(Search(beams=5))).text)
    assert nano.search == Search(), "the recogniser itself stays as it was"
    assert transcribe(spoken, model=nano, hotwords={LISTED: BOOST}).text == wanted
    options = ["--model", "nano-whisper", "--compute-type", "float32", "--quiet", "--device", "cpu"]
    given = ["--hotwords", LISTED, "--hotwords-weight", str(BOOST)]
    assert run(["transcribe", str(spoken), *options, *given]) == 0
    assert capsys.readouterr().out.strip().replace("\n", " ") == wanted
    write_manifest(tmp_path / "m.jsonl", [Utterance(audio_filepath=str(spoken), text=wanted, duration=3.3)])
    out = tmp_path / "p.jsonl"
    assert run(["evaluate", str(tmp_path / "m.jsonl"), "-o", str(out), *options, *given]) == 0
    boosted = Decoding(hotwords=[LISTED], hotwords_weight=BOOST)
    here = evaluate(tmp_path / "m.jsonl", model=nano, decoding=boosted)
    assert f'"pred_text": "{here.hypotheses[0]}"' in out.read_text()


def test_ctc_models_take_a_weight_too(tone_recogniser, say):
    """``cafe`` mumbled is heard as the list wants it, by the weight given."""
    heard = say("bad cafe")
    plain = transcribe(heard, model=tone_recogniser).text
    assert plain == "bad cafe"
    little = Decoding(hotwords=["face"], hotwords_weight=0.1)
    assert transcribe(heard, model=tone_recogniser, decoding=little).text == plain
    much = Decoding(hotwords=["bade"], hotwords_weight=300.0)
    forced = transcribe(heard, model=tone_recogniser, decoding=much).text
    assert "bade" in forced.split()
    one, two = (with_decoding(tone_recogniser, Decoding(hotwords=[w])).description for w in ("face", "bade"))
    assert one != two, "an interrupted run with another list is not gone on with"


def test_ctranslate2_refuses_hot_words_and_auto_takes_torch(spoken, tmp_path, capsys):
    pytest.importorskip("ctranslate2")
    from asr_adapt.api.opening import ChosenModel, Runtime

    decoding = Decoding(hotwords=["Leith"])
    assert ChosenModel("nano-whisper", decoding, Runtime.auto).chosen_runtime is Runtime.torch
    assert ChosenModel("nano-whisper", Decoding(), Runtime.auto).chosen_runtime is Runtime.ctranslate2
    arguments = ["transcribe", str(spoken), "--model", "nano-whisper", "--runtime", "ctranslate2"]
    assert run([*arguments, "--hotwords", "Leith"]) == 2
    assert "use --runtime torch" in capsys.readouterr().err


@pytest.mark.pretrained
@pytest.mark.parametrize(("beams", "alone"), [(1, "quadrant"), (5, "quarter")])
def test_tiny_en_hears_the_listed_word(whisper_tiny_en, beams, alone):
    """Of "still only the first quarter" the model alone makes a quadrant in greedy search."""
    path = next(Path(str(files("asr_adapt.assets"))).rglob("096000002.ogg"))
    model = load_recogniser(whisper_tiny_en, device="cpu", compute_type="float32")
    hidden = model.heard(waves := [read_audio(path, sample_rate=model.sample_rate)])

    def written(*words: str) -> str:
        search = Search(beams=beams, hotwords=tuple((word, 2.0) for word in words))
        found = model.searching(search).transcribe_hidden(hidden, model.stack.prefix_limit, [len(waves[0])])
        return found[0].text

    plain = written()
    assert alone in plain and "quarter" in written("quarter") and "quadrant" not in written("quarter")
    assert written("Leith", "Portobello", "zygote") == plain, "what nobody says changes nothing"
