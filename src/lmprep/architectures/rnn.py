"""The recurrent language model: an LSTM that carries what it has read in a state of fixed size."""

import math
from dataclasses import dataclass

import torch
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
