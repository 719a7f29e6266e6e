"""Held-out likelihood in the units in which it is reported."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def perplexity(surprisals: ArrayLike) -> float:
    """e to the mean surprisal: as uncertain as a choice among that many equally likely tokens.

    Args:
        surprisals: (T,), −log p of each token that came, in nats; infinite where p was 0.

    Returns:
        At least 1 for probabilities, infinite where a token was impossible. It is a number per token, and
        compares only models that cut the same text into the same tokens.

    Raises:
        ValueError: `surprisals` is not (T,), is empty, holds NaN or a negative number.

    Source: Jelinek et al. (1977).
    """
    with np.errstate(over="ignore"):  # beyond 10^308 it is infinite
        return float(np.exp(_checked(surprisals).mean()))


def bits_per_byte(surprisals: ArrayLike, text: str | bytes) -> float:
    """The price of a whole text in bits, over its bytes: the same unit for every tokenizer.

    Args:
        surprisals: (T,), −log p of each token of the text, in nats, whatever the tokens are.
        text: the text that the tokens spell; a string counts as UTF-8.

    Raises:
        TypeError: `text` is neither a string nor bytes.
        ValueError: `surprisals` is not (T,), is empty, holds NaN or a negative number; or `text` is empty.
    """
    if not isinstance(text, str | bytes):
        raise TypeError(f"text must be a string or bytes, got {type(text).__name__}: pass the text itself")
    num_bytes = len(text.encode() if isinstance(text, str) else text)
    if num_bytes == 0:
        raise ValueError("text is empty: it has no bytes to divide by")
    return float(_checked(surprisals).sum()) / math.log(2) / num_bytes


def _checked(surprisals: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(surprisals, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"surprisals must have shape (T,) with T at least 1, got {values.shape}")
    if not (values >= 0).all():
        raise ValueError(f"surprisals must be from 0 up, −log p in nats, got a minimum of {values.min():.4g}")
    return values
