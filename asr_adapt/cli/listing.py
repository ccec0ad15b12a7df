"""What ``asr-adapt --help`` says of each command, and the module that is imported once one is called.

Knows names, groups and summaries, which a test compares with the commands' own. Does not know the commands:
importing all of them takes as long as everything else that the help does.
"""

from __future__ import annotations

from dataclasses import dataclass

from asr_adapt.cli.grouped import GroupedCommand
from asr_adapt.cli.panels import ADAPT, DATA, MEASURE, SHARE, SYSTEM, TUNE, USE


@dataclass(frozen=True)
class Listed:
    """One line of the help; a command without a ``panel`` is hidden (a name of before)."""

    name: str
    #: In ``asr_adapt.cli``; it has ``register(app: typer.Typer) -> None``.
    module: str
    panel: str | None
    summary: str

    @property
    def path(self) -> str:
        """The module's whole name."""
        return f"asr_adapt.cli.{self.module}"

    def command(self) -> GroupedCommand:
        """What stands in the list of commands; it cannot be called."""
        return GroupedCommand(
            self.name, help=f"{self.summary}.", rich_help_panel=self.panel, hidden=self.panel is None
        )


COMMANDS = (
    Listed("demo", "demo", ADAPT, "Show the whole story on real accented speech, in minutes"),
    Listed("adapt", "adapt", ADAPT, "Adapt a model to your recordings, in one command"),
    Listed("init", "init", ADAPT, "Write a commented recipe to start from"),
    Listed("train", "train", ADAPT, "Carry out a recipe: train, and state WER before and after"),
    Listed("blend", "blend", ADAPT, "Mix the weights of a model and its adapted form"),
    Listed("merge", "merge", ADAPT, "Put the experts of several accents into one adapter or model"),
    Listed("transcribe", "transcribe", USE, "Transcribe audio or video of any length"),
    Listed("evaluate", "evaluate", MEASURE, "Transcribe a manifest with a model and score the result"),
    Listed("calibrate", "calibrate", TUNE, "Make word confidence mean the share of right words"),
    Listed("publish", "publish", SHARE, "Make an adapted model ready for others: card, figures, licence"),
    Listed("export", "export", SHARE, "Convert a model for ONNX, CTranslate2 or whisper.cpp"),
    Listed("tune-lm", "lm", None, "Find the weight of a language model on a dev manifest"),
    Listed("serve", "serve", USE, "Serve a web page and OpenAI's transcription API"),
    Listed("score", "score", MEASURE, "WER, CER and error counts of a predictions file"),
    Listed("compare", "score", MEASURE, "Say whether B is better than A on the same rows"),
    Listed("report", "score", MEASURE, "Write an HTML page of results, to look at and listen to"),
    Listed("probe", "probe", MEASURE, "Classify accent, age or keywords from a model's layers"),
    Listed("doctor", "system", SYSTEM, "Check this installation and say how to repair it"),
    Listed("lm", "lm", TUNE, "Build and tune language models for CTC decoding"),
    Listed("manifest", "manifest", DATA, "Build, check, split and audit manifests"),
    Listed("gate", "gate", MEASURE, "Fail when a model got worse than its baseline (for CI)"),
    Listed("models", "models", SYSTEM, "List, fetch, import and remove models"),
)
