"""Words of a list, favoured while a decoder spells them: a trie of the tokens that spell them.

Knows token ids. Does not know text, tokenisers, networks or how a search goes on. Source of the method: the
context graphs of shallow-fusion biasing in k2's icefall (``ContextGraph``) and NeMo (``GPUBoostingTree``):
every token of a listed phrase adds its boost, and what was lent is taken back where the phrase is left before
its end, or goes on as a longer word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class _Node:
    """A beginning of phrases: what was lent so far, what of it is kept if the phrase is left here."""

    lent: float = 0.0
    kept: float = 0.0
    ends: bool = False
    #: Whether any token may follow the phrase, as in scripts without spaces.
    open: bool = False
    children: dict[int, _Node] = field(default_factory=dict)


class PhraseBias:
    """What listed phrases add to the log-probabilities (nats) of tokens that go on spelling them.

    ``phrases`` are the token ids of each, the boost of one token, and whether any token may follow.
    ``glued`` (vocabulary,) says which tokens continue a word.
    """

    def __init__(self, phrases: Iterable[tuple[Sequence[int], float, bool]], glued: Tensor) -> None:
        self._root, self._glued = _Node(), glued
        self._deepest = 0
        for ids, boost, open_ in phrases:
            self._add(tuple(ids), boost, open_)
        self._settle(self._root, set(glued.nonzero()[:, 0].tolist()))

    def _add(self, ids: tuple[int, ...], boost: float, open_: bool) -> None:
        node = self._root
        for token in ids:
            child = node.children.setdefault(token, _Node())
            child.lent = max(child.lent, node.lent + boost)
            node = child
        if ids:
            node.ends, node.open = True, node.open or open_
            self._deepest = max(self._deepest, len(ids))

    def _settle(self, node: _Node, glued: set[int]) -> None:
        """Note below ``node`` what is kept of a phrase that is left: the whole phrases in its beginning."""
        for token, child in node.children.items():
            whole = node.open or token not in glued
            child.kept = child.lent if child.ends else node.kept if whole else 0.0
            self._settle(child, glued)

    def _states(self, said: Sequence[int]) -> list[_Node]:
        """The beginnings of phrases with which ``said`` ends, the longest first, the trie's root last."""
        found = []
        for first in range(max(0, len(said) - self._deepest), len(said)):
            node = self._root
            for token in said[first:]:
                if token not in node.children:
                    break
                node = node.children[token]
            else:
                found.append(node)
        return [*found, self._root]

    def added(self, said: Sequence[Sequence[int]], vocabulary: int, *, taken_back: bool = True) -> Tensor:
        """What is added to each token behind what each row ``said`` (rows, vocabulary).

        Without ``taken_back`` nothing is subtracted: a search that cannot return to another hypothesis would
        only be pushed to complete a word that it should not have begun. What begins another phrase gets what
        is left of its boost behind the debt of the one that it breaks off.
        """
        found = torch.zeros(len(said), vocabulary)
        for row, ids in zip(found, said, strict=True):
            longest, *shorter = self._states(ids)
            owed = longest.lent - longest.kept
            if taken_back:
                row -= owed
                if longest.ends and not longest.open:
                    row[: len(self._glued)][self._glued[:vocabulary]] -= longest.kept
            for node in reversed(shorter):
                for token, child in node.children.items():
                    row[token] = child.lent - owed if taken_back else max(0.0, child.lent - owed)
            for token, child in longest.children.items():
                row[token] = child.lent - longest.lent
        return found
