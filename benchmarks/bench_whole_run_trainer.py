"""transformers' documented Whisper recipe, for ``bench_whole_run.py``: one process, one run.

    python benchmarks/bench_whole_run_trainer.py TOLD.json

That of Hugging Face's "Fine-Tune Whisper" page: features computed once, ``Seq2SeqTrainer`` with
``predict_with_generate``, ``generation_max_length`` 225, best model by WER. As in ours the encoder is frozen
(``freeze_encoder``), and the tests are predicted before and after. Gradient checkpointing is left out: it
costs time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as t

from asr_adapt.audio import read_audio
from asr_adapt.manifest import Manifest, Utterance, write_manifest
from asr_adapt.scoring import word_errors
from asr_adapt.text import normalise


@dataclass
class Collator:
    """The documented data collator: features stacked, labels padded with -100, the start token cut off."""

    processor: Any
    start: int

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        inputs = [{"input_features": feature["input_features"]} for feature in features]
        batch = self.processor.feature_extractor.pad(inputs, return_tensors="pt")
        labels = self.processor.tokenizer.pad(
            [{"input_ids": feature["labels"]} for feature in features], return_tensors="pt"
        )
        ids = labels["input_ids"].masked_fill(labels.attention_mask.ne(1), -100)
        if (ids[:, 0] == self.start).all().cpu().item():
            ids = ids[:, 1:]
        return {**batch, "labels": ids}


def main(told: dict[str, Any]) -> None:
    """Predict the tests, train, predict them again."""
    t.set_seed(0)
    folder = Path(told["folder"])
    processor = t.WhisperProcessor.from_pretrained(told["model"])
    model = t.WhisperForConditionalGeneration.from_pretrained(told["model"], dtype=torch.float32)
    model.freeze_encoder()
    rows = {name: list(Manifest.open(path)) for name, path in told["rows"].items()}
    sets: dict[str, Any] = {name: [example(row, processor) for row in found] for name, found in rows.items()}

    def wer(prediction: Any) -> dict[str, float]:
        said, wanted = (decoded(processor, ids) for ids in (prediction.predictions, prediction.label_ids))
        return {"wer": word_errors(wanted, said, "basic").wer}

    settings = t.Seq2SeqTrainingArguments(
        output_dir=str(folder / "checkpoints"), per_device_train_batch_size=told["batch"],
        per_device_eval_batch_size=8, learning_rate=told["rate"], warmup_steps=max(1, told["steps"] // 10),
        max_steps=told["steps"], eval_strategy="steps", eval_steps=told["steps"] // 2, eval_on_start=True,
        save_steps=told["steps"] // 2, predict_with_generate=True, generation_max_length=225,
        load_best_model_at_end=True, metric_for_best_model="dev_wer", greater_is_better=False,
        report_to=[], use_cpu=True, remove_unused_columns=False, disable_tqdm=True, save_total_limit=2,
    )  # fmt: skip
    trainer: Any = t.Seq2SeqTrainer(
        model=model, args=settings, train_dataset=sets["train"],
        eval_dataset={"dev": sets["dev"], "guard": sets["guard"]},
        data_collator=Collator(processor, model.config.decoder_start_token_id), compute_metrics=wer,
        processing_class=processor,
    )  # fmt: skip
    for when in ("before", "after"):
        for part, name in (("target", "test"), ("guard", "guard_test")):
            said = decoded(processor, trainer.predict(sets[name]).predictions)
            predicted = [
                row.replace(extra={**row.extra, "pred_text": text})
                for row, text in zip(rows[name], said, strict=True)
            ]
            write_manifest(folder / f"{part}.{when}.jsonl", predicted)
        if when == "before":
            trainer.train()


def example(row: Utterance, processor: Any) -> dict[str, Any]:
    """What the documented ``prepare_dataset`` makes of a row."""
    wave = read_audio(row.audio_path, offset=row.offset, duration=row.duration)
    features = processor.feature_extractor(wave, sampling_rate=16_000).input_features[0]
    labels = processor.tokenizer(" " + normalise(row.text or "", "basic")).input_ids
    return {"input_features": features, "labels": labels}


def decoded(processor: Any, ids: Any) -> list[str]:
    """Texts of padded ids."""
    ids = ids.copy()
    ids[ids < 0] = processor.tokenizer.pad_token_id
    found: list[str] = processor.batch_decode(ids, skip_special_tokens=True)
    return found


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
