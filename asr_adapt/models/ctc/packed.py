"""A batch run end to end on a CPU without any padding: rows lie one behind another on a single time line.

Knows how wav2vec 2.0's parts compute a packed batch. Does not know training, masking or text: it is only
for inference, and gives what :mod:`anatomy <asr_adapt.models.ctc.anatomy>` gives.

Rows start at multiples of the network's hop, so every convolution sees each row as if it were alone, and
frames that straddle two rows are dropped. All that works frame by frame then runs on one matrix; attention
runs row by row. So nothing is spent on padding or masks, a row's numbers do not depend on its neighbours even
in bfloat16, and sizes are rounded, because a CPU compiles its matrix kernels for each new shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr_adapt.models.ctc.anatomy import Wav2Vec2Anatomy

#: Steps between a size and its double: rounding up then costs a sixteenth of the work on average.
SIZES_PER_OCTAVE = 8


def rounded(count: int) -> int:
    """``count`` or the next greater size of which there are :data:`SIZES_PER_OCTAVE` in an octave."""
    step = max(1, 2 ** math.floor(math.log2(max(count, 1))) // SIZES_PER_OCTAVE)
    return -(-count // step) * step


@dataclass(frozen=True)
class PackedRows:
    """Where each row lies, in frames: ``slots`` on the front end's time line, ``rows`` one behind another.

    ``samples`` counts each row's samples.
    """

    samples: Sequence[int]
    slots: list[int]
    rows: list[range]

    @classmethod
    def of(cls, samples: Sequence[int], frames: Sequence[int], hop: int) -> PackedRows:
        """Slots of rows of that many samples and frames; ``hop`` is samples per frame."""
        slots, rows, slot, frame = [], [], 0, 0
        for length, count in zip(samples, frames, strict=True):
            slots.append(slot)
            rows.append(range(frame, frame + count))
            slot += -(-length // hop)
            frame += count
        return cls(samples, slots, rows)

    @property
    def frames(self) -> int:
        """Frames of all rows."""
        return self.rows[-1].stop


class PackedEncoder:
    """Logits of a wav2vec 2.0, HuBERT or UniSpeech CTC model, computed on packed rows."""

    def __init__(self, anatomy: Wav2Vec2Anatomy) -> None:
        self.anatomy = anatomy
        config = anatomy.config
        self._hop = math.prod(config.conv_stride)
        self._reach = config.num_conv_pos_embeddings // 2

    def logits(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (batch, frames, vocabulary) and frames (batch,) of padded (batch, samples) and (batch,)."""
        counts = self.anatomy.convolved(lengths).clamp_min(0)
        packing = PackedRows.of(lengths.tolist(), counts.tolist(), self._hop)
        features = self._front_end(self._time_line(values, lengths.tolist(), packing), packing)
        hidden = self._embedded(features, packing)
        for layer in self.anatomy.layers:
            hidden = self._layer(layer, hidden, packing)
        if self.anatomy.final_norm:
            hidden = self.anatomy.encoder.layer_norm(hidden)
        logits = self.anatomy.head(hidden)
        rows = [logits[row.start : row.stop] for row in packing.rows]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), counts

    def _time_line(self, values: Tensor, lengths: Sequence[int], packing: PackedRows) -> Tensor:
        """Every row at its slot, silence between them: (samples,)."""
        hop = self._hop
        line = values.new_zeros(rounded(packing.slots[-1] + -(-lengths[-1] // hop)) * hop)
        for row, length, slot in zip(values, lengths, packing.slots, strict=True):
            line[slot * hop : slot * hop + length] = row[:length]
        return line

    def _front_end(self, line: Tensor, packing: PackedRows) -> Tensor:
        """The convolutions, channels last so that normalisation needs no transposition: (time, channels)."""
        states, step, lengths = line[:, None], 1, packing.samples
        for layer in self.anatomy.base.feature_extractor.conv_layers:
            kernel, stride = layer.conv.kernel_size[0], layer.conv.stride[0]
            states, step = _convolution(states, layer.conv), step * stride
            lengths = [(length - kernel) // stride + 1 for length in lengths]
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                starts = [slot * self._hop // step for slot in packing.slots]
                rows = [slice(a, a + n) for a, n in zip(starts, lengths, strict=True)]
                states = _norm_over_time(states, norm, rows)
            elif norm is not None:
                states = norm(states)
            states = _activated(layer.activation, states)
        return states

    def _embedded(self, features: Tensor, packing: PackedRows) -> Tensor:
        """Projection and positions of valid frames, rows one behind another: (frames, width)."""
        index = torch.zeros(rounded(packing.frames), dtype=torch.long)
        for slot, row in zip(packing.slots, packing.rows, strict=True):
            index[row.start : row.stop] = torch.arange(slot, slot + len(row))
        projected = self.anatomy.base.feature_projection(features[index])
        hidden = projected[0] if isinstance(projected, tuple) else projected
        hidden = hidden + self._positions(hidden, packing)
        return hidden if self.anatomy.final_norm else self.anatomy.encoder.layer_norm(hidden)

    def _positions(self, hidden: Tensor, packing: PackedRows) -> Tensor:
        """The position convolution, with as much silence between rows as it reaches."""
        starts = [row.start + number * self._reach for number, row in enumerate(packing.rows)]
        spaced = hidden.new_zeros(rounded(starts[-1] + len(packing.rows[-1])), hidden.shape[1])
        for start, row in zip(starts, packing.rows, strict=True):
            spaced[start : start + len(row)] = hidden[row.start : row.stop]
        spaced = self.anatomy.encoder.pos_conv_embed(spaced[None])[0]
        out = torch.zeros_like(hidden)
        for start, row in zip(starts, packing.rows, strict=True):
            out[row.start : row.stop] = spaced[start : start + len(row)]
        return out

    def _layer(self, layer: Any, hidden: Tensor, packing: PackedRows) -> Tensor:
        """One transformer layer with its norms before (large models) or behind its two branches."""
        if self.anatomy.final_norm:
            hidden = hidden + _attention(layer.attention, layer.layer_norm(hidden), packing.rows)
            hidden = hidden + _feed_forward(layer.feed_forward, layer.final_layer_norm(hidden))
            adapter = getattr(layer, "adapter_layer", None)
            return hidden if adapter is None else hidden + adapter(hidden)
        hidden = layer.layer_norm(hidden + _attention(layer.attention, hidden, packing.rows))
        return layer.final_layer_norm(hidden + _feed_forward(layer.feed_forward, hidden))


def _convolution(states: Tensor, conv: nn.Conv1d) -> Tensor:
    """A convolution of (time, channels), channels last so that nothing is transposed."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    if conv.in_channels == 1:  # the waveform: oneDNN would give channels first; a matrix product does not
        return F.linear(states[:, 0].unfold(0, kernel, stride), conv.weight[:, 0], conv.bias)
    image = states.t()[None, :, None]  # (1, channels, 1, time), whose memory is channels last
    weight = conv.weight[:, :, None].contiguous(memory_format=torch.channels_last)
    return F.conv2d(image, weight, conv.bias, stride=(1, stride))[0, :, 0].t()


def _activated(activation: Any, states: Tensor) -> Tensor:
    """The activation; in place where it can be, because fresh memory costs more than the arithmetic."""
    return states.relu_() if isinstance(activation, nn.ReLU) else activation(states)


def _feed_forward(block: Any, hidden: Tensor) -> Tensor:
    return block.output_dense(_activated(block.intermediate_act_fn, block.intermediate_dense(hidden)))


def _norm_over_time(states: Tensor, norm: nn.GroupNorm, rows: Sequence[slice]) -> Tensor:
    """Group normalisation, which averages over time, of each row by itself."""
    out = torch.zeros_like(states)
    for row in rows:
        out[row] = norm(states[row].t()[None])[0].t()
    return out


def _attention(attention: Any, hidden: Tensor, rows: Sequence[range]) -> Tensor:
    """Self-attention of each row: (frames, width) to the same."""
    shape = (len(hidden), attention.num_heads, attention.head_dim)
    query, key, value = (
        project(hidden).view(shape).transpose(0, 1)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    out = torch.zeros_like(hidden).view(shape)
    for row in rows:
        own = slice(row.start, row.stop)
        heard = F.scaled_dot_product_attention(query[None, :, own], key[None, :, own], value[None, :, own])
        out[own] = heard[0].transpose(0, 1)
    return attention.out_proj(out.view_as(hidden))
