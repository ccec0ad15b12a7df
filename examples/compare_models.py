"""Is one model better than another? python examples/compare_models.py MANIFEST MODEL MODEL [FIELD]"""

import sys

import asr_adapt


def main(manifest: str, before: str, after: str, field: str | None = None) -> None:
    """Print the WER of both, and the verdict of the paired comparison, overall and by field."""
    old, new = (asr_adapt.evaluate(manifest, model=model).rows for model in (before, after))
    found = asr_adapt.compare(old, new, by=[field] if field else [])
    difference = found.overall.difference
    print(f"WER {difference.wer_a:.1%} → {difference.wer_b:.1%}: {found.verdict}")
    for value, group in found.groups.get(field or "", {}).items():
        print(f"  {value}: {group.difference.wer_a:.1%} → {group.difference.wer_b:.1%}: {group.verdict}")


if __name__ == "__main__":
    main(*sys.argv[1:])
