"""One tokenizer and one model for languages of unequal size: shares, what a text costs, small byte models."""

import functools
import math
import operator
from collections.abc import Callable, Sequence, Sized
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lmprep.data.corpora import multilingual_encoder


def temperature_mix(sizes: Sequence[float], alpha: float) -> NDArray[np.float64]:
    """The share of each language in training, in proportion to its size to the power of alpha.

    Args:
        sizes: (K,), in bytes, tokens or documents; integers may be longer than 64 bits. A language of size 0
            gets the share 0, also at alpha = 0.
        alpha: 1 keeps the natural shares, 0 makes those of all languages that have text equal. Some call
            1 / alpha the temperature.

    Returns:
        (K,), shares that sum to 1.

    Raises:
        ValueError: `sizes` is empty, all zero, negative or not finite; `alpha` is negative or not finite.

    Source: multilingual BERT (Devlin, 2018); Conneau and Lample (2019).
    """
    n = np.array([float(size) for size in sizes])
    if not len(n) or not np.isfinite(n).all() or n.min() < 0 or n.max() == 0:
        raise ValueError(f"sizes must be finite, not negative, and one above 0, got {list(sizes)}")
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be finite and at least 0, got {alpha}")
    weights = np.where(n > 0, (n / n.max()) ** alpha, 0.0)  # divided first, so that no power overflows
    return weights / weights.sum()


class Fertility(NamedTuple):
    """How many tokens a text takes, on average, and how many a character."""

    per_text: float
    per_character: float


def fertility(encode: Callable[[str], Sized], texts: Sequence[str]) -> Fertility:
    """What a tokenizer charges for some texts.

    Where two lists say the same in two languages, the ratio of their `per_text` is the premium of one over
    the other. (Rust et al. (2021) count by word, which languages written without spaces do not mark.)

    Args:
        encode: maps a text to its tokens.
        texts: at least one of them not empty.

    Raises:
        TypeError: `texts` is one string.
        ValueError: there is no character in `texts`.

    Source: Rust et al. (2021); Petrov et al. (2023) for the premium.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a list of strings, got one string: put it into a list")
    characters = sum(map(len, texts))
    if not characters:
        raise ValueError(f"texts must hold a character, got {len(texts)} texts without one")
    tokens = sum(len(encode(text)) for text in texts)
    return Fertility(tokens / len(texts), tokens / characters)


def encoder_pieces() -> Callable[[str], list[str]]:
    """A function from a text to the word pieces that the book's multilingual encoder cuts it into.

    A piece that follows a space begins with "▁". The package keeps its tokenizer under a private name; only
    this function reaches for it. Loading takes a CPU-second.

    Raises:
        ModuleNotFoundError: as `lmprep.data.corpora.multilingual_encoder`.
    """
    tokenizer = multilingual_encoder()._tokenizer
    return functools.partial(tokenizer.encode, out_type=str, add_bos=False, add_eos=False)


def draw_lines(lines: Sequence[str], num_bytes: float, rng: np.random.Generator) -> list[str]:
    """Lines in random order until they fill `num_bytes` of UTF-8: each once, then all again in a new order.

    Args:
        lines: at least one. A line counts with the line end that follows it.
        num_bytes: the last line drawn may reach beyond it; 0 or less draws none.

    Raises:
        ValueError: `lines` is empty, or `num_bytes` not finite.
    """
    if not len(lines) or not math.isfinite(num_bytes):
        raise ValueError(f"lines must not be empty and num_bytes finite, got {len(lines)}, {num_bytes}")
    sizes = [len(line.encode()) + 1 for line in lines]
    drawn: list[str] = []
    while num_bytes > 0:
        for place in rng.permutation(len(lines)):
            if num_bytes <= 0:
                break
            drawn.append(lines[place])
            num_bytes -= sizes[place]
    return drawn


def byte_windows(text: str, context: int) -> tuple[Tensor, Tensor]:
    """Every byte of a text that has `context` bytes before it, and those bytes: (N, C) and (N,), long.

    Raises:
        ValueError: `context` is below 1, or the text has no byte after so many.
    """
    data = torch.tensor(list(text.encode()))
    if operator.index(context) < 1 or len(data) <= context:
        raise ValueError(f"context must be from 1 to {len(data) - 1} for this text, got {context}")
    rows = data.unfold(0, context + 1, 1)  # (N, C + 1)
    return rows[:, :-1], rows[:, -1]


class ByteModels(nn.Module):
    """R language models side by side, each a network with one hidden layer that reads the last C bytes.

    They start from the same weights and share none: trained on the sum of their losses by an optimizer that
    moves each number by its own gradient, each goes the way that it would go alone. Untrained, they give
    every byte the same probability.

    Args:
        runs: R.
        context: C, in bytes.
        width: of a byte's vector.
        hidden: units.

    Raises:
        ValueError: a size is below 1.

    Source: Bengio et al. (2003), on bytes.
    """

    def __init__(
        self, runs: int, context: int, *, width: int = 16, hidden: int = 32, generator: torch.Generator
    ) -> None:
        super().__init__()
        if min(runs, context, width, hidden) < 1:
            raise ValueError(f"sizes must be at least 1, got {runs}, {context}, {width}, {hidden}")

        def stacked(rows: int, columns: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(rows, columns, generator=generator).repeat(runs, 1, 1))

        self.context = context
        self.vectors = stacked(256, width, 1.0)  # (R, 256, D)
        self.hidden = stacked(context * width, hidden, (2 / (context * width)) ** 0.5)  # (R, C D, H)
        self.hidden_bias = nn.Parameter(torch.zeros(runs, 1, hidden))
        self.output = nn.Parameter(torch.zeros(runs, hidden, 256))
        self.output_bias = nn.Parameter(torch.zeros(runs, 1, 256))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the byte that follows: x is (R, B, C), bytes; the result (R, B, 256)."""
        runs = len(self.vectors)
        if x.ndim != 3 or x.shape[0] != runs or x.shape[2] != self.context:
            raise ValueError(f"x must be ({runs}, B, {self.context}), got {tuple(x.shape)}")
        if x.numel() and not 0 <= x.min() <= x.max() <= 255:
            raise ValueError(f"x must hold bytes, 0 to 255, got {int(x.min())} to {int(x.max())}")
        rows = x + 256 * torch.arange(runs, device=x.device)[:, None, None]  # each run's own vectors
        vectors = F.embedding(rows, self.vectors.flatten(0, 1)).flatten(2)  # (R, B, C D)
        hidden = torch.baddbmm(self.hidden_bias, vectors, self.hidden).relu()  # (R, B, H)
        return torch.baddbmm(self.output_bias, hidden, self.output)

    def bits(self, x: Tensor, y: Tensor) -> Tensor:
        """Bits per byte of each run: (R,). x is (R, B, C) and y (R, B)."""
        if y.shape != x.shape[:2]:
            raise ValueError(f"y must be {tuple(x.shape[:2])}, as x {tuple(x.shape)}, got {tuple(y.shape)}")
        surprisal = F.cross_entropy(self(x).flatten(0, 1), y.flatten(), reduction="none")  # nats
        return surprisal.view(y.shape).mean(dim=1) / math.log(2)
