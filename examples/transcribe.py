"""Transcribe recordings with word times, and write subtitles: python examples/transcribe.py MODEL AUDIO…"""

import sys
from pathlib import Path

import asr_adapt


def main(model_name: str, *names: str) -> None:
    """Print what is said and when; leave NAME.srt beside each recording."""
    model = asr_adapt.load(model_name)
    for found in model.transcribe(list(names), word_timestamps=True):
        for segment in found.segments:
            print(f"{segment.start:7.2f}  {segment.text}")
        found.save(Path(found.source).with_suffix(".srt"), overwrite=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
