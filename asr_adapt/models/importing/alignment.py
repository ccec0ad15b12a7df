"""The attention heads of OpenAI's Whispers that follow the audio, for word times.

Knows OpenAI's lists, by decoder layers, heads and vocabulary. large and large-v2 have the same sizes and
different heads, so neither is here.
"""

from __future__ import annotations

# fmt: off
_HEADS: dict[tuple[int, int, int], str] = {
    (4, 6, 51_864): "1.0 2.0 2.5 3.0 3.1 3.2 3.3 3.4",
    (4, 6, 51_865): "2.2 3.0 3.2 3.3 3.4 3.5",
    (6, 8, 51_864): "3.3 4.7 5.1 5.5 5.7",
    (6, 8, 51_865): "3.1 4.2 4.3 4.7 5.1 5.2 5.4 5.6",
    (12, 12, 51_864): "6.6 7.0 7.3 7.8 8.2 8.5 8.7 9.0 9.4 9.8 9.10 10.0 10.1 10.2 10.3 10.6 10.11 11.2 11.4",
    (12, 12, 51_865): "5.3 5.9 8.0 8.4 8.7 8.8 9.0 9.7 9.9 10.5",
    (24, 16, 51_864): "11.4 14.1 14.12 14.14 15.4 16.0 16.4 16.9 17.12 17.14 18.7 18.10 18.15 20.0 20.3 20.9 "
                      "20.14 21.12",
    (24, 16, 51_865): "13.15 15.4 15.15 16.1 20.0 23.4",
    (32, 20, 51_866): "7.0 10.17 12.18 13.12 16.1 17.14 19.11 21.4 24.1 25.6",
    (4, 20, 51_866): "2.4 2.11 3.3 3.6 3.11 3.14",
}
# fmt: on


def known_heads(layers: int, heads: int, vocabulary: int) -> list[list[int]] | None:
    """Layer and head of each that follows the audio; None for a model that is not OpenAI's."""
    found = _HEADS.get((layers, heads, vocabulary))
    return None if found is None else [[int(part) for part in pair.split(".")] for pair in found.split()]
