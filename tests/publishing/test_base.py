"""Where a base's licence and hub id are found."""

from __future__ import annotations

import pytest

from asr_adapt.errors import UsageError
from asr_adapt.publishing.base import base_of, front_matter


def test_named_bundled_and_fetched_models(tmp_path):
    assert (base_of("tiny.en", None).hub, base_of("tiny.en", None).licence) == (
        "openai/whisper-tiny.en",
        "mit",
    )
    assert base_of("openai/whisper-base", "apache-2.0").licence == "apache-2.0"
    bundled = base_of("nano-en", None)
    assert bundled.hub is None and bundled.licence
    fetched = tmp_path / "whisper-base"
    fetched.mkdir()
    with pytest.raises(UsageError, match=r"no card that says so\): give --licence"):
        base_of(str(fetched), None)
    (fetched / "asr-adapt-model.json").write_text("{}")
    assert base_of(str(fetched), None).hub == "openai/whisper-base"


def test_a_model_that_was_adapted_before_tells_by_its_card(tmp_path):
    card = "---\nlicense: cc-by-4.0\nbase_model: openai/whisper-tiny\n---\n# A card\n"
    (tmp_path / "README.md").write_text(card)
    found = base_of(str(tmp_path), None)
    assert (found.name, found.hub, found.licence) == (tmp_path.name, "openai/whisper-tiny", "cc-by-4.0")
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert front_matter(tmp_path / "README.md") == {}
    with pytest.raises(UsageError):
        base_of(str(tmp_path), None)


def test_a_hub_model_whose_card_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="its card cannot be read"):
        base_of("nobody/nothing", None)
    assert base_of("nobody/nothing", "mit").hub == "nobody/nothing"
