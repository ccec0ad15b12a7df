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
    #: The tokens that go on, and what is lent once each is said.
    following: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    lending: Tensor = field(default_factory=lambda: torch.zeros(0))


class PhraseBias:
    """What listed phrases add to the log-probabilities (nats) of tokens that go on spelling them.

    ``phrases`` are the token ids of each, the boost of one token, and whether any token may follow.
    ``glued`` (vocabulary,) says which tokens continue a word.
    """

    def __init__(self, phrases: Iterable[tuple[Sequence[int], float, bool]], glued: Tensor) -> None:
        self._root, self._glued = _Node(), glued
        self._deepest = 0
        #: What the phrase that is worth most adds.
        self.most = 0.0
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
            self.most = max(self.most, node.lent)
            self._deepest = max(self._deepest, len(ids))

    def _settle(self, node: _Node, glued: set[int]) -> None:
        """Note below ``node`` what is kept of a phrase that is left: the whole phrases in its beginning."""
        node.following = torch.tensor(list(node.children), dtype=torch.long)
        node.lending = torch.tensor([child.lent for child in node.children.values()])
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

    def added(self, said: Sequence[Sequence[int]], vocabulary: int) -> Tensor:
        """What is added to each token behind what each row ``said`` (rows, vocabulary).

        What begins another phrase gets what is left of its boost behind the debt of the one that it breaks
        off.
        """
        found, glued = self._beginning(vocabulary).repeat(len(said), 1), torch.zeros(vocabulary)
        glued[: len(self._glued)] = self._glued[:vocabulary].float()
        for row, ids in zip(found, said, strict=True):
            longest, *shorter = self._states(ids)
            owed = torch.full((vocabulary,), longest.lent - longest.kept)
            if longest.ends and not longest.open:
                owed += longest.kept * glued  # which makes another word of it
            row -= owed
            for node in reversed(shorter[:-1]):
                row[node.following] = node.lending - owed[node.following]
            if shorter:
                row[longest.following] = longest.lending - longest.lent
        return found

    def worth(self, said: Sequence[int]) -> float:
        """What is added to all tokens of a transcript ``said`` with its end, together."""
        before = [said[:place] for place in range(len(said))]
        added = self.added(before, max(len(self._glued), *said) + 1)
        return float(added.gather(1, torch.tensor(said)[:, None]).sum())

    def _beginning(self, vocabulary: int) -> Tensor:
        """What is lent (vocabulary,) to the first tokens of phrases."""
        found = torch.zeros(vocabulary)
        found[self._root.following] = self._root.lending
        return found
