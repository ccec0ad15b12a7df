"""The greedy search of a token-and-duration transducer: a token or none, and how many frames to move on.

Knows the prediction and joint networks of transformers' Parakeet-TDT. Does not know audio, encoders or text.
Gives the tokens of transformers' ``generate``, row by row: no row depends on another one's steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Emitted:
    """Tokens of one row, the frame at which each was said, how many frames it spans, its probability."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)


@dataclass
class _State:
    """The prediction network's memory of some rows, and what it says next (rows, width)."""

    hidden: Tensor
    cell: Tensor
    said: Tensor

    def rows(self, chosen: Tensor) -> _State:
        return _State(self.hidden[:, chosen], self.cell[:, chosen], self.said[chosen])


def search(model: Any, states: Tensor, lengths: Tensor, most: Tensor) -> list[Emitted]:
    """Decode the projected encoder output ``states`` (rows, frames, width) of ``lengths`` frames each.

    ``model`` is a ``ParakeetForTDT``. A blank moves on by one frame at least. A row that has not come to its
    end after ``most`` (rows,) steps, blanks among them, is cut there, as ``generate`` does.
    """
    config = model.config
    found = [Emitted() for _ in range(len(states))]
    rows = torch.arange(len(states), device=states.device)[lengths > 0]
    frame = torch.zeros_like(lengths)
    state = _begun(model, states, len(states)).rows(rows)
    step = 0
    while len(rows):
        step += 1
        logits = model.joint(state.said, states[rows, frame[rows]]).float()
        tokens = logits[:, : config.vocab_size].argmax(-1)
        probable = logits[:, : config.vocab_size].log_softmax(-1).gather(1, tokens[:, None])[:, 0].exp()
        silent = tokens == config.blank_token_id
        moves = logits[:, config.vocab_size :].argmax(-1)  # transformers takes the index for the frames
        moves = torch.where(silent, moves.clamp(min=1), moves)
        _note(found, rows[~silent], tokens[~silent], frame, moves[~silent], probable[~silent])
        state = _heard(model, state, tokens, ~silent)
        frame[rows] += moves
        going = (frame[rows] < lengths[rows]) & (step < most[rows])
        if not bool(going.all()):
            rows, state = rows[going], state.rows(going)
    return found


def _begun(model: Any, like: Tensor, rows: int) -> _State:
    """The memory before the first token: the prediction network has heard a blank."""
    layers, width = model.config.num_decoder_layers, model.config.decoder_hidden_size
    empty = like.new_zeros(layers, rows, width)
    start = _State(empty, empty.clone(), like.new_zeros(rows, width))
    blank = torch.full((rows,), model.config.blank_token_id, device=like.device)
    return _heard(model, start, blank, torch.ones(rows, dtype=torch.bool, device=like.device))


def _heard(model: Any, state: _State, tokens: Tensor, fresh: Tensor) -> _State:
    """The memory once the rows ``fresh`` have heard their token; the others keep theirs."""
    if not bool(fresh.any()):
        return state
    decoder, own = model.decoder, state.rows(fresh)
    said, (hidden, cell) = decoder.lstm(
        decoder.embedding(tokens[fresh])[:, None], (own.hidden.contiguous(), own.cell.contiguous())
    )
    after = _State(state.hidden.clone(), state.cell.clone(), state.said.clone())
    after.hidden[:, fresh], after.cell[:, fresh] = hidden, cell
    after.said[fresh] = decoder.decoder_projector(said)[:, 0]
    return after


def _note(
    found: Sequence[Emitted], rows: Tensor, tokens: Tensor, frame: Tensor, moves: Tensor, probable: Tensor
) -> None:
    values = zip(
        rows.tolist(), tokens.tolist(), frame[rows].tolist(), moves.tolist(), probable.tolist(), strict=True
    )
    for row, token, at, span, probability in values:
        own = found[row]
        own.tokens.append(token)
        own.frames.append(at)
        own.spans.append(span)
        own.probabilities.append(probability)
