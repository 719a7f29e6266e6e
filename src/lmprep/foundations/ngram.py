"""The n-gram language model: counts of what followed, smoothed by Witten and Bell's rule."""

import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np
import torch
from torch import Tensor, nn


class WittenBellLM:
    """Next-token probabilities from the last `order` − 1 tokens, each context mixed with its shorter one.

    After a context h that was followed c(h) times, by T(h) different tokens, and in which token w followed
    c(hw) times,

        p(w | h) = (c(hw) + T(h) · p(w | h without its first token)) / (c(h) + T(h)).

    T(h) / (c(h) + T(h)) estimates how likely it is that something new follows. Below the empty context lies
    1/V, so that no probability is zero; a context never seen hands over to its shorter one.

    Args:
        order: n; the context is n − 1 tokens, and 1 ignores it.
        vocab_size: V; token ids are 0 to V − 1.

    Raises:
        ValueError: `order` or `vocab_size` is below 1.

    Source: Witten and Bell (1991), method C; the interpolation is Chen and Goodman's (1999).
    """

    def __init__(self, order: int, vocab_size: int) -> None:
        for name, value in (("order", order), ("vocab_size", vocab_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.order = order
        self.vocab_size = vocab_size
        self._followers: dict[tuple[int, ...], dict[int, int]] = {}  # context -> token -> count
        self._known: dict[tuple[int, ...], np.ndarray] = {}  # distributions since the last change

    def fit(self, ids: Iterable[SupportsIndex]) -> "WittenBellLM":
        """Count one sequence, in place of what was counted before; return self.

        Args:
            ids: (T,), T ≥ 1: a list, array or tensor.

        Raises:
            ValueError: `ids` is empty, or an id is outside 0 … V − 1.
        """
        tokens = self._checked("ids", ids)
        if not tokens:
            raise ValueError("ids is empty: there is nothing to count")
        self._followers, self._known = {}, {}
        for length in range(self.order):
            ngrams = Counter(zip(*(tokens[start:] for start in range(length + 1)), strict=False))
            for ngram, count in ngrams.items():
                self._followers.setdefault(ngram[:-1], {})[ngram[-1]] = count
        return self

    def update(self, context: Sequence[SupportsIndex], token: SupportsIndex) -> None:
        """Count that `token` followed `context` (all tokens before it): what `fit` does, one at a time.

        Raises:
            ValueError: an id is outside 0 … V − 1.
        """
        recent = self._recent(context)
        (new,) = self._checked("token", [token])
        for start in range(len(recent) + 1):
            followers = self._followers.setdefault(recent[start:], {})
            followers[new] = followers.get(new, 0) + 1
        self._known = {}

    def probs(self, context: Sequence[SupportsIndex]) -> np.ndarray:
        """The distribution of the token after `context`: (V,) float64, read-only.

        Args:
            context: any number of ids; the last `order` − 1 count.

        Raises:
            ValueError: an id is outside 0 … V − 1.
        """
        recent = self._recent(context)
        if recent not in self._known:
            self._known[recent] = self._mixed(recent)
        return self._known[recent]

    def surprisals(self, ids: Sequence[SupportsIndex]) -> np.ndarray:
        """−log p of each token given all before it, in nats: (T,) float64.

        Raises:
            ValueError: an id is outside 0 … V − 1.
        """
        tokens = self._checked("ids", ids)
        found = (self.probs(tokens[max(0, t - self.order + 1) : t])[token] for t, token in enumerate(tokens))
        return -np.log(np.fromiter(found, dtype=np.float64, count=len(tokens)))

    def _mixed(self, recent: tuple[int, ...]) -> np.ndarray:
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        for start in range(len(recent), -1, -1):  # from the empty context to the longest one
            followers = self._followers.get(recent[start:])
            if followers is None:
                break  # then no longer context was seen either
            different = len(followers)
            total = sum(followers.values()) + different
            p *= different / total
            for token, count in followers.items():
                p[token] += count / total
        p.flags.writeable = False
        return p

    def _recent(self, context: Sequence[SupportsIndex]) -> tuple[int, ...]:
        """The last n − 1 ids of a context."""
        return tuple(self._checked("context", context[max(0, len(context) - self.order + 1) :]))

    def _checked(self, name: str, ids: Iterable[SupportsIndex]) -> list[int]:
        plain = (
            ids.tolist() if isinstance(ids, np.ndarray | Tensor) else ids
        )  # many times faster to go through
        tokens = [operator.index(each) for each in plain]
        if tokens and not (min(tokens) >= 0 and max(tokens) < self.vocab_size):
            bad = min(tokens) if min(tokens) < 0 else max(tokens)
            raise ValueError(f"{name} must be from 0 to {self.vocab_size - 1}, got {bad}")
        return tokens


class CausalNGram(nn.Module):
    """A `WittenBellLM` as `architectures.generate` wants a model; for its `cache=False`."""

    context_length = None  # any number of tokens

    def __init__(self, counts: WittenBellLM) -> None:
        super().__init__()
        self.counts = counts

    def forward(self, ids: Tensor, cache: None = None) -> Tensor:
        """Log-probabilities (B, 1, V), float64 on the CPU, of the token after each sequence.

        Args:
            ids: (B, T).
            cache: None: the counts have no state.

        Raises:
            ValueError: an id is outside 0 … V − 1.
        """
        return torch.from_numpy(np.log([self.counts.probs(row) for row in ids.tolist()]))[:, None]
