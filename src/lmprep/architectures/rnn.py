"""Recurrent networks: a language model, the cells by hand, what to read of their states, and a parallel scan.

The language model is an LSTM that carries what it has read in a state of fixed size. The cells show what such
a layer computes at each step; torch's layers compute the same, faster.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.architectures.attention import check_ids


@dataclass(frozen=True, kw_only=True)
class LSTMConfig:
    """Sizes and choices of an `LSTMLanguageModel`.

    Attributes:
        vocab_size: V.
        width: D, of embeddings and states alike.
        num_layers: L.
        tied_head: whether the head's matrix is that of the token embeddings (Press and Wolf, 2017).
        dropout: probability, for what enters and leaves each layer, never from step to step (Zaremba et al.,
            2014).
    """

    vocab_size: int
    width: int
    num_layers: int = 1
    tied_head: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 to below 1, got {self.dropout}")


@dataclass
class LSTMState:
    """What the model keeps of the tokens read so far: `hidden` and `cell`, (L, B, D) each."""

    hidden: Tensor
    cell: Tensor


class LSTMLanguageModel(nn.Module):
    """Embedding, LSTM and head: at every position, logits of the next token.

    All weights start uniform in ±1/√D, as those of torch's LSTM do.

    Args:
        config: its sizes and choices.
        generator: the source of the first weights, on the CPU.

    Source: Hochreiter and Schmidhuber (1997); Gers et al. (2000) for the forget gate.
    """

    context_length = None  # any number of tokens

    def __init__(self, config: LSTMConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        V, D, L = config.vocab_size, config.width, config.num_layers
        with torch.random.fork_rng(devices=[]):  # torch's layers draw weights on being built: leave no trace
            self.tokens = nn.Embedding(V, D)
            between_layers = config.dropout if L > 1 else 0.0
            self.lstm = nn.LSTM(D, D, L, batch_first=True, dropout=between_layers)
            self.head = nn.Linear(D, V, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        if config.tied_head:
            self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(D), 1 / math.sqrt(D), generator=generator)

    def forward(self, ids: Tensor, cache: LSTMState | None = None) -> Tensor:
        """Logits (B, T, V): row t predicts the token after `ids[:, t]`.

        Args:
            ids: (B, T).
            cache: the state after the tokens before `ids`; it is moved past `ids`. Gradients do not flow
                through it into earlier calls.

        Raises:
            TypeError: ids are not `torch.long`.
            ValueError: ids are not of shape (B, T), not from 0 to V − 1, or not of the cache's batch size.
        """
        check_ids(ids)
        state = self.new_cache(ids.size(0)) if cache is None else cache
        if state.hidden.size(1) != ids.size(0):
            raise ValueError(f"ids hold {ids.size(0)} sequences, the cache {state.hidden.size(1)}")
        try:
            x = self.tokens(ids)  # (B, T, D)
        except IndexError as error:
            last = self.config.vocab_size - 1
            raise ValueError(
                f"ids must be from 0 to {last}, got {int(ids.min())} to {int(ids.max())}"
            ) from error
        x, (hidden, cell) = self.lstm(self.dropout(x), (state.hidden, state.cell))
        state.hidden, state.cell = hidden.detach(), cell.detach()
        logits: Tensor = self.head(self.dropout(x))  # (B, T, V)
        return logits

    def new_cache(self, batch_size: int) -> LSTMState:
        """The state before the first token: zeros."""
        weight = self.tokens.weight
        zeros = weight.new_zeros(self.config.num_layers, batch_size, self.config.width)
        return LSTMState(zeros, zeros)


# --- one step at a time ----------------------------------------------------------------------------------

State = Tensor | tuple[Tensor, Tensor]
"""What a cell carries: h, (B, H); in an LSTM the pair (h, c)."""


class _Cell(nn.Module):
    """What the three cells share: torch's parameters, uniform in ±1/√H, for `blocks` blocks of H rows."""

    blocks: int

    def __init__(self, input_size: int, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.blocks * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        for parameter in self.parameters():
            bound = 1 / math.sqrt(hidden_size)
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def _start(self, x: Tensor, state: Tensor | None, name: str = "h") -> Tensor:
        """The state (B, H), zeros where there is none yet."""
        if x.ndim != 2 or x.size(1) != self.input_size:
            raise ValueError(f"x must have shape (B, {self.input_size}), got {tuple(x.shape)}")
        shape = (x.size(0), self.hidden_size)
        if state is None:
            return x.new_zeros(shape)
        if state.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(state.shape)}")
        return state


class RNNCell(_Cell):
    """h' = tanh(W x + U h + b): the plain recurrence. Parameters as in `torch.nn.RNNCell`.

    Args:
        input_size: D.
        hidden_size: H.
        generator: the source of the first weights, on the CPU.

    Source: Elman (1990).
    """

    blocks = 1

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The state (B, H) after x (B, D).

        Raises:
            ValueError: shapes do not fit.
        """
        h = self._start(x, h)
        return torch.tanh(
            F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        )


class GRUCell(_Cell):
    """The past and a candidate, mixed by one gate. Parameters as in `torch.nn.GRUCell`.

    Args:
        input_size: D.
        hidden_size: H.
        generator: the source of the first weights, on the CPU.

    Source: Cho et al. (2014); as in torch and cuDNN, r multiplies after the matrix, and z is what is kept.
    """

    blocks = 3

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """The state (B, H) after x (B, D).

        Raises:
            ValueError: shapes do not fit.
        """
        h = self._start(x, h)
        from_x = F.linear(x, self.weight_ih, self.bias_ih).chunk(3, dim=-1)  # (B, H) each
        from_h = F.linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=-1)
        r = torch.sigmoid(from_x[0] + from_h[0])  # reset
        z = torch.sigmoid(from_x[1] + from_h[1])  # update
        n = torch.tanh(from_x[2] + r * from_h[2])  # candidate
        return z * h + (1 - z) * n


class LSTMCell(_Cell):
    """A cell that is added to, behind three gates. Parameters as in `torch.nn.LSTMCell`.

    Args:
        input_size: D.
        hidden_size: H.
        generator: the source of the first weights, on the CPU.

    Source: Hochreiter and Schmidhuber (1997); Gers et al. (2000) for the forget gate.
    """

    blocks = 4

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The state (h, c), (B, H) each, after x (B, D).

        Raises:
            ValueError: shapes do not fit.
        """
        h, c = (None, None) if state is None else state
        h, c = self._start(x, h), self._start(x, c, "c")
        sums = F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = sums.chunk(4, dim=-1)  # input, forget, candidate, output: (B, H) each
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


def unroll(
    cell: Callable[[Tensor, Any], State], x: Tensor, state: State | None = None
) -> tuple[Tensor, State]:
    """Apply a cell to one step after the other; return h after each step, and the last state.

    Args:
        cell: maps x_t (B, D) and a state, or None for its zeros, to the next state: a cell of this module or
            one of torch's.
        x: (B, T, D).
        state: from which to start.

    Returns:
        The h of each step, (B, T, H), and the state after the last.

    Raises:
        ValueError: x is not of shape (B, T, D) with T ≥ 1.
    """
    if x.ndim != 3 or x.size(1) == 0:
        raise ValueError(f"x must have shape (B, T, D) with at least one step, got {tuple(x.shape)}")
    states, carried = [], cast(State, state)  # None before the first step
    for x_t in x.unbind(dim=1):  # (B, D)
        carried = cell(x_t, carried)
        states.append(carried[0] if isinstance(carried, tuple) else carried)
    return torch.stack(states, dim=1), carried


def bidirectional(
    forward: Callable[[Tensor, Any], State], backward: Callable[[Tensor, Any], State], x: Tensor
) -> Tensor:
    """Two recurrences, one from each end, their states side by side: (B, T, 2H).

    In column t stand what `forward` has read up to step t, and what `backward` has read from the last step
    back to t. Sequences must fill the T steps: `backward` would read padding first.

    Args:
        forward, backward: cells, as for `unroll`. Each has weights of its own.
        x: (B, T, D).

    Raises:
        ValueError: as `unroll`.

    Source: Schuster and Paliwal (1997).
    """
    ahead, _ = unroll(forward, x)  # (B, T, H)
    behind, _ = unroll(backward, x.flip(1))
    return torch.cat([ahead, behind.flip(1)], dim=-1)


def jacobian_norms(cell: RNNCell | GRUCell | LSTMCell, x: Tensor) -> Tensor:
    """How much of the state ℓ steps before reaches the last one: ‖∂s_T/∂s_{T−ℓ}‖ for ℓ = 1 … T, spectral.

    Here s is all that the cell carries, h or (h, c). It starts at zero.

    Args:
        cell: with parameters of x's dtype.
        x: one sequence, (T, D).

    Returns:
        (T,). The last is the Jacobian by the state before the first step.

    Raises:
        ValueError: x is not of shape (T, D) with T ≥ 1.

    Source: Pascanu et al. (2013).
    """
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"x must have shape (T, D) with at least one step, got {tuple(x.shape)}")
    has_cell = isinstance(cell, LSTMCell)
    width = cell.hidden_size * (2 if has_cell else 1)  # S

    def step(x: Tensor, s: Tensor) -> Tensor:  # (B, D), (B, S) -> (B, S)
        state = cell(x, s.chunk(2, dim=1) if has_cell else s)
        return torch.cat(state, dim=1) if has_cell else state

    states = [x.new_zeros(1, width)]
    with torch.no_grad():
        for t in range(len(x) - 1):
            states.append(step(x[t : t + 1], states[-1]))
    before = torch.cat(states).requires_grad_()  # (T, S)
    with torch.enable_grad():
        # All steps side by side, as a batch: a row of `after` depends on its own row of `before`.
        columns = step(x, before).unbind(dim=1)  # S of (T,)
        rows = [torch.autograd.grad(c.sum(), before, retain_graph=True)[0] for c in columns]
    product, norms = torch.eye(width, dtype=x.dtype, device=x.device), []
    for jacobian in torch.stack(rows, dim=1).flip(0):  # (S, S), the last step's first
        product = product @ jacobian
        norms.append(torch.linalg.matrix_norm(product, ord=2))
    return torch.stack(norms)


# Which block of H rows, in torch's weights and biases, is a gate's. The missing block is the candidate's.
_GATES: dict[tuple[type[nn.Module], ...], dict[str, int]] = {
    (nn.LSTM, nn.LSTMCell, LSTMCell): {"input": 0, "forget": 1, "output": 3},
    (nn.GRU, nn.GRUCell, GRUCell): {"reset": 0, "update": 1},
}


def set_gate_bias(recurrent: nn.RNNBase | nn.RNNCellBase | _Cell, gate: str, value: float) -> None:
    """Let a gate start at σ(value), where input and state are zero, in every layer and direction.

    Torch adds two biases in each gate: the first is set to `value`, the second to 0.

    Args:
        recurrent: an LSTM or GRU, a layer of torch's or a cell.
        gate: "input", "forget" or "output" of an LSTM, "reset" or "update" of a GRU.
        value: the sum of the two biases.

    Raises:
        TypeError: `recurrent` is neither LSTM nor GRU.
        ValueError: it has no such gate, or no biases.
    """
    found = [blocks for kinds, blocks in _GATES.items() if isinstance(recurrent, kinds)]
    if not found:
        raise TypeError(f"recurrent must be an LSTM or a GRU, got {type(recurrent).__name__}")
    if gate not in found[0]:
        raise ValueError(f"gate must be one of {', '.join(found[0])}, got {gate!r}")
    biases = {name: p for name, p in recurrent.named_parameters() if name.startswith("bias_")}
    if not biases:
        raise ValueError("recurrent has no biases: build it with bias=True")
    H = recurrent.hidden_size
    start = found[0][gate] * H
    with torch.no_grad():
        for name, bias in biases.items():
            bias[start : start + H] = value if name.startswith("bias_ih") else 0.0


def last_valid(states: Tensor, lengths: Tensor) -> Tensor:
    """The state after each sequence's last real step: `states[b, lengths[b] − 1]`.

    Args:
        states: (B, T, H), one for each step, with padding at the end.
        lengths: (B,), whole numbers from 1 to T.

    Returns:
        (B, H). Gradients flow to the chosen steps alone.

    Raises:
        TypeError: lengths are not whole numbers.
        ValueError: shapes do not fit together, or a length is not from 1 to T.
    """
    if states.ndim != 3:
        raise ValueError(f"states must have shape (B, T, H), got {tuple(states.shape)}")
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be whole numbers, got {lengths.dtype}")
    B, T, _ = states.shape
    if lengths.shape != (B,):
        raise ValueError(f"lengths must have shape ({B},), got {tuple(lengths.shape)}")
    if B and not (int(lengths.min()) >= 1 and int(lengths.max()) <= T):
        raise ValueError(f"lengths must be from 1 to {T}, got {int(lengths.min())} to {int(lengths.max())}")
    rows = torch.arange(B, device=states.device)
    return states[rows, lengths.to(states.device).long() - 1]


# --- all steps at once -----------------------------------------------------------------------------------


def linear_scan(a: Tensor, b: Tensor) -> Tensor:
    """h_t = a_t · h_{t−1} + b_t for all t, from h = 0, in about 2 log₂ T rounds instead of T.

    Two steps in a row are one step of the same form, h ↦ a'(a h + b) + b' = a'a · h + (a'b + b'). So steps
    are joined in pairs, the half as long sequence is scanned, and each step between two pairs takes one more
    multiplication. About 2T steps are joined in all.

    Args:
        a, b: (B, T, …) of one shape; the time is axis 1.

    Returns:
        h, of the same shape.

    Raises:
        TypeError: dtypes differ.
        ValueError: shapes differ, or there is no time axis or no step.

    Source: Blelloch (1990).
    """
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    if a.ndim < 2 or a.size(1) == 0:
        raise ValueError(f"a and b must have shape (B, T, …) with at least one step, got {tuple(a.shape)}")
    if a.dtype != b.dtype:
        raise TypeError(f"a and b must have one dtype, got {a.dtype} and {b.dtype}")
    T = a.size(1)
    if T == 1:
        return b.clone()  # never the caller's own tensor
    first_a, first_b = a[:, : T - 1 : 2], b[:, : T - 1 : 2]  # of each pair: (B, T // 2, …)
    second_a, second_b = a[:, 1::2], b[:, 1::2]
    odd = linear_scan(second_a * first_a, second_a * first_b + second_b)  # h after each pair
    even = a[:, 2::2] * odd[:, : (T - 1) // 2] + b[:, 2::2]  # and between pairs, one step on
    h = torch.empty_like(b)
    h[:, 0], h[:, 1::2], h[:, 2::2] = b[:, 0], odd, even
    return h
