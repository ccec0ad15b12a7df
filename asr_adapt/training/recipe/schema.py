"""The recipe: every decision of a training run, typed, documented and checked before anything is loaded.

Knows fields, ranges and which combinations make no sense. Does not know how any of it is carried out, nor
where a recipe is stored (:mod:`asr_adapt.training.recipe.file`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator

from asr_adapt.pretrained import DEFAULT_MODEL
from asr_adapt.training.recipe.augmentation import Augment
from asr_adapt.training.recipe.budget import Retention
from asr_adapt.training.recipe.decoder import Decoder
from asr_adapt.training.recipe.optimiser import Optimiser, Schedule
from asr_adapt.training.recipe.section import Count, Positive, Section, Share
from asr_adapt.training.recipe.strategy import Averaging, Strategy

__all__ = ["Averaging", "Optimiser", "Recipe", "Schedule", "Strategy"]

Paths = Annotated[list[str], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)]


def _seconds_or_auto(value: Any) -> float | str | None:
    """One message for both kinds, at the field itself, where a union has one each."""
    if value in ("auto", None):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 < value < float("inf"):
        return float(value)
    raise ValueError("must be a number of seconds above 0, or auto")


class Batch(Section):
    """How rows are put together."""

    seconds: Annotated[float | Literal["auto"] | None, PlainValidator(_seconds_or_auto)] = Field(
        None,
        description="Seconds that the network computes in one micro-batch, padding included; Whisper "
        "computes 30 s a row. auto: the most that the device's memory holds; empty: 80, for Whisper 16 rows.",
    )
    quadratic_seconds: Positive = Field(
        60.0, description="Length q at which attention doubles a clip's cost: cost = d + d²/q."
    )
    rows: Count | None = Field(None, description="Maximum rows in a micro-batch.")
    accumulate: Count = Field(1, description="Micro-batches per optimiser step and process.")
    pack: Literal["auto"] | bool = Field(
        "auto",
        description="Join clips, with pauses, into windows that are filled to a random share. auto: where "
        "the network computes 30 s for any clip (Whisper) and layers of its encoder learn.",
    )
    prefetch: Count = Field(4, description="Micro-batches to decode ahead, one thread each.")


class SpecAugmentation(Section):
    """SpecAugment at the boundary of the frozen prefix."""

    time_share: Share = Field(0.08, description="Expected share of frames masked.")
    time_length: Count = Field(8, description="Frames per span.")
    feature_share: Share = Field(0.02, description="Expected share of features masked.")
    feature_length: Count = Field(8, description="Features per span.")


class Regularisation(Section):
    """What keeps the model from learning the training rows by heart; empty fields keep the model's own."""

    hidden_dropout: Share | None = Field(None, description="Dropout on layer outputs.")
    attention_dropout: Share | None = Field(None, description="Dropout on attention weights.")
    activation_dropout: Share | None = Field(None, description="Dropout inside the feed-forward block.")
    final_dropout: Share | None = Field(None, description="Dropout before the head.")
    layer_drop: Share | None = Field(None, description="Probability of skipping a trainable layer in a step.")
    label_smoothing: Share = Field(
        0.0, description="Share of the target spread over all labels (sequence-to-sequence models only)."
    )
    pull: Annotated[float, Field(ge=0.0)] = Field(
        0.0,
        description="Decoupled L2-SP strength: each step moves trained weights back to their start "
        "by rate · pull.",
    )
    spec_augment: SpecAugmentation = SpecAugmentation()


def _switch(value: object) -> object:
    """YAML 1.1 reads a bare ``on`` or ``off`` as true or false."""
    return ("on" if value else "off") if isinstance(value, bool) else value


class Cache(Section):
    """The output of the frozen prefix, computed once a row and read from disk from then on."""

    mode: Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="auto: use the cache if it saves work and fits on the disk."
    )
    folder: str | None = Field(None, description="Folder of the cache. Default: the user's cache folder.")
    gigabytes: Positive = Field(
        20.0,
        description="Maximum size for all runs together; the least recently used entries are removed first.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: the type of the run's precision."
    )
    transcripts: bool = Field(
        True,
        description="Reuse the base's transcripts of the same rows from earlier runs, and save them "
        "for later ones.",
    )
    copies: Count = Field(
        4, description="Versions of each row if waveforms are augmented; used in turn by the epochs."
    )


class Replay(Section):
    """Old-accent rows in every batch, against forgetting."""

    manifest: Paths = Field(description="Rows of the old accent.")
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(0.3, description="Share of each batch's rows.")
    labels: Literal["text", "base"] = Field(
        "text",
        description="text: the manifest's transcripts; base: the base's own transcripts; the rows "
        "need no transcript.",
    )


class Silence(Section):
    """Rows without speech, which teach to write nothing where nobody speaks."""

    share: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        0.0, description="Share of each batch's rows. Left out, pretrained Whisper models take 0.06."
    )
    manifest: Paths | None = Field(
        None,
        description="Recordings without speech, text empty; default: bundled sounds, which are computed.",
    )


class Evaluation(Section):
    """When the model is measured and which one is kept."""

    every: Count = Field(100, description="Steps between evaluations on dev and guard.")
    patience: Count | None = Field(
        None, description="Stop after this many evaluations without a better dev WER; empty: never."
    )
    batch_seconds: Positive = Field(160.0, description="Padded audio in an evaluation batch, in seconds.")
    rows: Count | None = Field(None, description="Maximum rows of dev and guard, evenly spread. Empty: all.")


class Vocabulary(Section):
    """Characters of the CTC head."""

    mode: Literal["keep", "extend", "replace"] = Field(
        "keep",
        description="replace (also written from_manifest): the train text's characters; extend: add them.",
    )
    minimum: Count = Field(
        1, description="Characters seen less often are mapped to their base letter or <unk>."
    )


class Labels(Section):
    """What a row teaches; how WER is counted is ``normalise``'s business."""

    style: Literal["auto", "as_written", "model", "plain"] = Field(
        "auto",
        description="as_written: the transcript; model: its words with capitals and punctuation as in the "
        "base's own transcripts, kept in labels.jsonl; plain: lower-case words. auto: plain for a model "
        "without capitals, else as_written where most rows have capitals or punctuation, else model.",
    )


def _labels(value: object) -> object:
    return {"style": value} if isinstance(value, str) else value


def _vocabulary(value: object) -> object:
    value = {"mode": value} if isinstance(value, str) else value
    if isinstance(value, dict) and value.get("mode") == "from_manifest":
        return {**value, "mode": "replace"}
    return value


def _strategy(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Recipe(Section):
    """One training run."""

    model: str = Field(DEFAULT_MODEL, description="Model name, directory or file, or hub id.")
    train: Paths = Field(description="Training manifest(s): a path, a list or a glob.")
    dev: Paths = Field(description="Manifest(s) for choosing the best step and early stopping.")
    test: Paths | None = Field(
        None, description="Manifest(s) for before/after in summary.json. Default: dev."
    )
    guard: Paths | None = Field(None, description="Manifest(s) of the old accent, to measure forgetting.")
    guard_test: Paths | None = Field(
        None, description="Manifest(s) of the old accent for before/after. Default: guard."
    )
    replay: Replay | None = None
    silence: Silence = Silence()
    augment: Augment = Augment()
    initialise: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: same architecture from scratch (a control)."
    )
    labels: Annotated[Labels, BeforeValidator(_labels)] = Labels()
    normalise: Literal["none", "basic", "whisper-en", "alnum-en", "spelled-en"] = Field(
        "basic", description="Text profile for WER; does not change labels."
    )
    vocabulary: Annotated[Vocabulary, BeforeValidator(_vocabulary)] = Vocabulary()
    invalid_rows: Literal["error", "drop"] = Field(
        "error", description="What to do with unusable rows: stop, or drop and list them."
    )
    strategy: Annotated[Strategy, BeforeValidator(_strategy)] = Strategy()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    batch: Batch = Batch()
    cache: Cache = Cache()
    regularisation: Regularisation = Regularisation()
    averaging: Averaging = Averaging()
    retention: Retention = Retention()
    decoder: Decoder = Decoder()
    evaluation: Evaluation = Evaluation()
    checkpoint_every: Count = Field(100, description="Steps between checkpoints for --resume.")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Precision of training steps; trained weights stay float32. auto: bfloat16 if fast on "
        "the device, float16 with loss scaling on older GPUs, else float32.",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Store only the inputs of trainable layers and recompute the rest: far less "
        "memory, the same numbers, steps a third slower.",
    )
    trackers: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = Field(
        ["tensorboard"],
        description="Where training curves go besides metrics.jsonl; wandb, mlflow and trackio are extras.",
    )
    compile: bool = Field(
        False,
        description="Compile trainable layers with torch.compile: a slow first step, then faster ones; "
        "needs a C++ compiler on a CPU, Triton on a GPU.",
    )
    device: str = Field("auto", description="auto, cpu, cuda, mps.")
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="Seed of data order, masks, dropout and new weights."
    )

    @model_validator(mode="after")
    def _one_way_to_run_layers(self) -> Recipe:
        if self.compile and self.gradient_checkpointing:
            raise ValueError("compile and gradient_checkpointing cannot be combined: remove one")
        if self.compile and (self.strategy.quantise or self.strategy.offload):
            raise ValueError("compile cannot be combined with strategy.quantise or offload: remove one")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.strategy.feature_encoder and self.strategy.name != "full":
            raise ValueError("strategy.feature_encoder needs strategy.name full")
        if (
            self.strategy.name == "lora"
            and self.strategy.lora.head is False
            and self.vocabulary.mode != "keep"
        ):
            raise ValueError("a changed vocabulary needs strategy.lora.head: its new rows must learn")
        if self.guard_test and not self.guard:
            raise ValueError("guard_test needs guard")
        if self.decoder.language_from and not self.decoder.language:
            raise ValueError("decoder.language_from needs decoder.language, the language that starts from it")
        if self.decoder.timestamps_share and self.augment.speed:
            raise ValueError(
                "decoder.timestamps_share needs augment.speed off, which would shift the timestamps"
            )
        if self.retention.guard_budget is not None and not self.guard:
            raise ValueError("retention.guard_budget needs guard: the budget is of its WER")
        if self.initialise == "random" and self.strategy.name != "full":
            raise ValueError("initialise random needs strategy.name full: frozen random layers are useless")
        return self

    @model_validator(mode="after")
    def _blendable(self) -> Recipe:
        asked = [name for name in ("guard_budget", "share") if getattr(self.retention, name) is not None]
        if asked and (self.vocabulary.mode != "keep" or self.initialise == "random"):
            raise ValueError(
                f"retention.{asked[0]} needs vocabulary keep and initialise pretrained: only weights that "
                "started from the base's can be blended with them"
            )
        return self
