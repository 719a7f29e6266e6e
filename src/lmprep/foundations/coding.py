"""Arithmetic coding: a model's probabilities turn a text into a file, and the file into the text again."""

import copy
import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, SupportsIndex

import numpy as np
from torch import Tensor

_TOTAL_BITS = 40
_TOTAL = 1 << _TOTAL_BITS  # what the frequencies of a distribution add up to
# The interval: 64 bits. Once it is shorter than 2^56, its first byte is settled but for a carry.
_FULL, _SHORT = 1 << 64, 1 << 56


class Predictor(Protocol):
    """What the coder wants of a language model: `foundations.ngram.WittenBellLM` has it.

    With `ArithmeticCoder(..., adaptive=True)` also `update(context, token)`, which tells it the next token.
    """

    def probs(self, context: Sequence[int]) -> Any:
        """The distribution (V,) of the token after `context`, as an array or a tensor.

        It must depend on nothing but the context, to the last bit; so must what an `update` changes.
        """


def frequencies(probs: Any) -> np.ndarray:
    """Whole numbers in proportion to `probs`, none of them 0, that add up to 2^40: (V,) int64.

    A token of probability 0 gets 1 as well, so that whatever comes can be coded. Equal input, bit for bit,
    gives equal output, on which the decoder relies.

    Args:
        probs: (V,), V ≥ 1: a list, array or tensor.

    Raises:
        ValueError: `probs` is not of shape (V,), holds NaN or a negative number, or does not add up to 1
            within 1 %.
    """
    plain = probs.detach().cpu().double() if isinstance(probs, Tensor) else probs
    p = np.asarray(plain, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0:
        raise ValueError(f"probs must have shape (V,) with V at least 1, got {p.shape}")
    total = p.sum()
    if not (p.min() >= 0 and abs(total - 1) <= 0.01):
        raise ValueError(
            f"probs must be from 0 up and add up to 1, got a sum of {total:.6g} and a minimum of "
            f"{p.min():.6g}: give probabilities, not logits"
        )
    whole = 1 + (p * ((_TOTAL - len(p)) / total)).astype(np.int64)  # rounds down
    whole[p.argmax()] += _TOTAL - whole.sum()
    return whole


class ArithmeticCoder:
    """Writes token ids in about Σ −log₂ p bits, p being a model's probabilities, and reads them back.

    What has been written so far is an interval, of the length p(text so far). Each token keeps its share of
    it, in proportion to its probability, and the file is a number in the last interval. Only whole numbers
    are computed with: of the interval's ends 64 bits are kept, and bytes that are settled go to the file.

    Args:
        model: see `Predictor`. It is left as it is.
        adaptive: whether a copy of the model learns each token by `update`, in writing and in reading alike.

    Raises:
        TypeError: `adaptive`, and the model has no `update`.

    Source: Rissanen (1976), Pasco (1976); Witten, Neal and Cleary (1987) for the use with a model.
    """

    def __init__(self, model: Predictor, *, adaptive: bool = False) -> None:
        if adaptive and not hasattr(model, "update"):
            raise TypeError(f"adaptive coding needs a model with update, {type(model).__name__} has none")
        self.model = model
        self.adaptive = adaptive

    def encode(self, ids: Iterable[SupportsIndex]) -> bytes:
        """The file for `ids`, (T,). T is not in it.

        Raises:
            TypeError: an id is no whole number.
            ValueError: an id is outside 0 … V − 1, or what the model gives is no distribution.
        """
        file, low, length = bytearray(), 0, _FULL
        model, seen = self._start(), list[int]()
        for token in map(operator.index, ids):
            share = frequencies(model.probs(seen))  # (V,)
            if not 0 <= token < len(share):
                raise ValueError(f"ids must be from 0 to {len(share) - 1}, got {token}")
            unit = length // _TOTAL
            low += unit * int(share[:token].sum())
            length = unit * int(share[token])
            low = _carry(file, low)
            while length < _SHORT:
                file.append(low // _SHORT)  # its first byte
                low, length = low % _SHORT * 256, length * 256
            self._learn(model, seen, token)
        last = _carry(file, low + _SHORT - 1)  # one more byte, rounded up, lies in the interval
        file.append(last // _SHORT)
        return bytes(file)

    def decode(self, file: bytes, num_tokens: int) -> list[int]:
        """The `num_tokens` ids from which `encode` made `file`, with a model equal to the last bit.

        There is no checksum: other bytes, or another model, give other ids.

        Raises:
            TypeError: `file` is not bytes.
            ValueError: `num_tokens` is negative, or what the model gives is no distribution.
        """
        if not isinstance(file, bytes | bytearray):
            raise TypeError(f"file must be bytes, got {type(file).__name__}")
        if num_tokens < 0:
            raise ValueError(f"num_tokens must not be negative, got {num_tokens}")
        rest = itertools.chain(file, itertools.repeat(0))
        above, length = 0, _FULL  # above: the file's number minus the interval's lower end
        for _ in range(8):
            above = above * 256 + next(rest)
        model, seen = self._start(), list[int]()
        for _ in range(num_tokens):
            ends = frequencies(model.probs(seen)).cumsum()  # (V,)
            unit = length // _TOTAL
            place = min(above // unit, _TOTAL - 1)
            token = int(ends.searchsorted(place, side="right"))
            start = int(ends[token - 1]) if token else 0
            above, length = above - unit * start, unit * (int(ends[token]) - start)
            while length < _SHORT:
                above, length = above * 256 + next(rest), length * 256
            self._learn(model, seen, token)
        return seen

    def _start(self) -> Any:
        return copy.deepcopy(self.model) if self.adaptive else self.model

    def _learn(self, model: Any, seen: list[int], token: int) -> None:
        if self.adaptive:
            model.update(seen, token)
        seen.append(token)


def _carry(file: bytearray, low: int) -> int:
    """Add what exceeds 64 bits to the bytes already written; return the rest."""
    if low >= _FULL:
        position = len(file) - 1
        while file[position] == 255:
            file[position] = 0
            position -= 1
        file[position] += 1
    return low % _FULL
