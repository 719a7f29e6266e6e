"""Scores of sampled answers that a program can check."""

import math
import operator
from typing import SupportsIndex


def pass_at_k(num_samples: SupportsIndex, num_correct: SupportsIndex, k: SupportsIndex) -> float:
    """The chance that k answers hold a right one, estimated without bias from n ≥ k answers to one problem.

    Of all ways to pick k of the n answers, it is the share that holds at least one of the c right ones:
    1 − C(n − c, k) / C(n, k). Averaged over the draw of the n answers, this is 1 − (1 − p)^k.

    Args:
        num_samples: n, how many answers were drawn.
        num_correct: c, how many of them are right.
        k: how many answers a user may try.

    Raises:
        TypeError: an argument is no whole number.
        ValueError: not 1 ≤ k ≤ n, or not 0 ≤ c ≤ n.

    Source: Chen et al. (2021).
    """
    n, c, k = map(operator.index, (num_samples, num_correct, k))
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to num_samples, got {k} and {n}: draw more answers, or lower k")
    if not 0 <= c <= n:
        raise ValueError(f"num_correct must be from 0 to num_samples, got {c} and {n}")
    return 1 - math.comb(n - c, k) / math.comb(n, k)
