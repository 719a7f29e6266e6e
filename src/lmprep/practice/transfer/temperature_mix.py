"""Shares of languages in training, in proportion to their sizes to the power of alpha."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[np.float64]

STATEMENT = r"""
Write `temperature_mix(sizes, alpha)`: the shares in which languages are sampled for training. `sizes` holds
how much text each of $K \geq 1$ languages has, as whole numbers from 0 to $10^{30}$, at least one of them
above 0. The share of language $k$ is $p_k = n_k^\alpha / \sum_j n_j^\alpha$ with $0 \leq \alpha \leq 2$: at
$\alpha = 1$ the natural shares, at $\alpha = 0$ equal ones. A language without text has the share 0, at
$\alpha = 0$ too, where only those that have text are equal. Shares keep their digits however unlike the sizes
are. Return a float64 array of shape $(K,)$ in the order of `sizes`, a list that is left as it was.
"""

STARTER = '''
import numpy as np


def temperature_mix(sizes: list[int], alpha: float) -> np.ndarray:
    """Sampling shares in proportion to sizes to the power of alpha.

    sizes: K whole numbers from 0 to 10**30, not all 0; alpha: from 0 to 2.
    Returns (K,), float64.
    """
    raise NotImplementedError
'''

HINTS = (
    "Which of the three steps, a power, a sum, a division, goes wrong for a size of 0, and which for one "
    "that fills no 64-bit integer?",
    "Zero to the power of zero is 1 in Python and numpy alike. And 10 to the power of 30 fits no 64-bit "
    "integer: make floats of the sizes before anything else.",
    "Make the sizes float64, take the power, put 0 wherever the size is 0, and divide by the sum of what is "
    "left.",
)


def temperature_mix(sizes: list[int], alpha: float) -> np.ndarray:
    n = np.array(sizes, dtype=np.float64)
    weights = np.where(n > 0, n**alpha, 0.0)
    return weights / weights.sum()


# What the checks compare with: logarithms of Python's integers, one language at a time.

SIZES = (1, 2, 3, 5)
ALPHAS = (0.3, 0.5, 0.7, 0.95)


def by_ratios(sizes: Sequence[int], alpha: float) -> list[float]:
    """1 / Σ_j (n_j / n_k)^α for each k that has text."""
    logs = [math.log(size) for size in sizes if size > 0]
    return [
        1 / sum(math.exp(alpha * (other - math.log(size))) for other in logs) if size > 0 else 0.0
        for size in sizes
    ]


def drawn(rng: Rng, K: int, top: float = 6.0) -> list[int]:
    """K sizes of 1 to 10^top, spread evenly over the powers of ten."""
    return [int(10**power) for power in rng.uniform(0, top, K)]


def compare(candidate: Candidate, sizes: list[int], alpha: float, cause: str) -> Array:
    """The shares, each right to nine digits however small it is."""
    with np.errstate(all="ignore"):
        call = Call(candidate, sizes=sizes, alpha=alpha)
    found: Array = call.returns(np.float64, shares=(len(sizes),))
    want = np.array(by_ratios(sizes, alpha))
    call.same("shares", found, want, cause=cause)
    some = want > 0
    call.same("shares over the right ones", found[some] / want[some], np.ones(some.sum()),
              cause="float32, or an ε in the sum or under the power", tolerance=1e-9)  # fmt: skip
    return found


# Checks.


def shape_and_dtype(candidate: Candidate, rng: Rng) -> None:
    """Returns a float64 array (K,)."""
    for K in SIZES:
        for alpha in (0, 1, 0.3):
            Call(candidate, sizes=drawn(rng, K), alpha=alpha).returns(np.float64, shares=(K,))


def one_language(candidate: Candidate, rng: Rng) -> None:
    """Gives a language that is alone all of it."""
    for size in (1, 7, int(rng.integers(10, 10**9))):
        for alpha in (0.0, 0.3, 1.0):
            compare(candidate, [size], alpha, "a power that is not divided by the sum")


def natural(candidate: Candidate, rng: Rng) -> None:
    """Keeps the natural shares at alpha = 1."""
    compare(candidate, [3, 1], 1.0, "a softmax of the sizes, or a power that is not divided by the sum")
    for K in SIZES:
        compare(candidate, drawn(rng, K), 1.0, "a softmax of the sizes, or of their logarithms in base 10")


def equal(candidate: Candidate, rng: Rng) -> None:
    """Makes shares equal at alpha = 0."""
    for K in SIZES:
        compare(candidate, drawn(rng, K), 0.0, "1 / alpha as the power: alpha is the exponent itself")


def between(candidate: Candidate, rng: Rng) -> None:
    """Follows n to the power of alpha in between, in the order given."""
    cause = "1 / alpha as the power, a mean of natural and equal shares, or sizes sorted"
    compare(candidate, [1, 16, 81], 0.25, cause)  # 1 : 2 : 3
    for K in SIZES:
        for alpha in ALPHAS:
            compare(candidate, drawn(rng, K), alpha, cause)


def sharper(candidate: Candidate, rng: Rng) -> None:
    """Sharpens with alpha above 1."""
    for alpha in (1.5, 2.0):
        compare(candidate, [1, 3, 2], alpha, "alpha cut off at 1, or 1 / alpha as the power")
        compare(candidate, drawn(rng, 4), alpha, "alpha cut off at 1, or 1 / alpha as the power")


def without_text(candidate: Candidate, rng: Rng) -> None:
    """Gives nothing to a language without text, and its neighbors what they get without it."""
    for sizes in ([0, 1], [5, 0], [0, *drawn(rng, 3), 0]):
        for alpha in (0.3, 1.0, 2.0):
            compare(candidate, sizes, alpha, "log(0), 1 added to each size, or a smoothing constant")


def without_text_at_zero(candidate: Candidate, rng: Rng) -> None:
    """Gives nothing to a language without text at alpha = 0 either."""
    for sizes in ([0, 1], [5, 0, 2], [0, *drawn(rng, 3), 0, 0]):
        for alpha in (0.0, 0):
            compare(candidate, sizes, alpha, "0 ** 0, which is 1: ask for the size, not for the power")


def huge(candidate: Candidate, rng: Rng) -> None:
    """Takes sizes that no 64-bit integer holds, and keeps the digits of the smallest."""
    for sizes in ([10**30, 1], [10**30, 10**30 - 10**29, 3], [10**19, 0, 10**25], [2**63, 2**64]):
        for alpha in (0, 0.3, 1.0, 2.0):
            compare(candidate, sizes, alpha, "whole numbers left to numpy, float32, or an exp of the sizes")


def input_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves sizes as they were."""
    call = Call(candidate, sizes=[0, *drawn(rng, 4)], alpha=0.3)
    call.unchanged()


# Right answers of other style, and wrong ones.


def by_softmax(sizes: list[int], alpha: float) -> Array:
    logs = np.array([math.log(size) if size else -math.inf for size in sizes])
    some = np.isfinite(logs)
    weights = np.zeros(len(sizes))
    weights[some] = np.exp(alpha * (logs[some] - logs[some].max()))
    return weights / weights.sum()


def by_loop(sizes: list[int], alpha: float) -> Array:
    total = sum(float(size) ** alpha for size in sizes if size)
    return np.array([float(size) ** alpha / total if size else 0.0 for size in sizes])


def shares_first(sizes: list[int], alpha: float) -> Array:
    total = sum(sizes)
    p = np.array([float(Fraction(size, total)) for size in sizes])
    p[p > 0] **= alpha
    return p / p.sum()


def softmax_of_sizes(sizes: list[int], alpha: float) -> Array:
    n = np.array(sizes, dtype=float) * alpha
    weights = np.exp(n - n.max())
    return weights / weights.sum()


def one_over_alpha(sizes: list[int], alpha: float) -> Array:
    return temperature_mix(sizes, 1 / alpha if alpha else 0.0)


def not_divided(sizes: list[int], alpha: float) -> Array:
    n = np.array(sizes, dtype=float)
    return np.where(n > 0, n**alpha, 0.0)


def shares_not_divided_again(sizes: list[int], alpha: float) -> Array:
    return np.where(np.array(sizes, dtype=float) > 0, temperature_mix(sizes, 1.0) ** alpha, 0.0)


def zero_to_the_zero(sizes: list[int], alpha: float) -> Array:
    weights = np.array(sizes, dtype=float) ** alpha
    return weights / weights.sum()


def mean_of_both(sizes: list[int], alpha: float) -> Array:
    return alpha * temperature_mix(sizes, 1.0) + (1 - alpha) * temperature_mix(sizes, 0.0)


def one_added(sizes: list[int], alpha: float) -> Array:
    return temperature_mix([size + 1 for size in sizes], alpha)


def left_to_numpy(sizes: list[int], alpha: float) -> Array:
    n = np.array(sizes)
    weights = np.where(n > 0, n**alpha, 0.0)
    return (weights / weights.sum()).astype(np.float64)


def zero_taken_for_one(sizes: list[int], alpha: float) -> Array:
    return temperature_mix([max(size, 1) for size in sizes], alpha)


def log_of_zero(sizes: list[int], alpha: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = alpha * np.log(np.array(sizes, dtype=float))
        weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def in_64_bits(sizes: list[int], alpha: float) -> Array:
    return temperature_mix([int(np.int64(size)) for size in sizes], alpha)


def in_float32(sizes: list[int], alpha: float) -> Array:
    n = np.array(sizes, dtype=np.float32)
    weights = np.where(n > 0, n ** np.float32(alpha), 0)
    return (weights / weights.sum()).astype(np.float64)


def with_epsilon(sizes: list[int], alpha: float) -> Array:
    n = np.array(sizes, dtype=float)
    weights = np.where(n > 0, (n / n.max() + 1e-9) ** alpha, 0.0)
    return weights / weights.sum()


def in_place(sizes: list[int], alpha: float) -> Array:
    for k, size in enumerate(sizes):
        sizes[k] = float(size) ** alpha if size else 0.0  # type: ignore[assignment]
    return np.array(sizes) / sum(sizes)


def from_large_to_small(sizes: list[int], alpha: float) -> Array:
    return temperature_mix(sorted(sizes, reverse=True), alpha)


def cut_at_one(sizes: list[int], alpha: float) -> Array:
    return temperature_mix(sizes, min(alpha, 1.0))


TASK = Task(
    name="temperature_mix",
    entry="multilingual_mixture",
    statement=STATEMENT,
    starter=STARTER,
    reference=temperature_mix,
    hints=HINTS,
    checks=(
        shape_and_dtype,
        one_language,
        natural,
        equal,
        between,
        sharper,
        without_text,
        without_text_at_zero,
        huge,
        input_kept,
    ),
    wrong={
        "softmax of the sizes": softmax_of_sizes,
        "power of 1 / alpha": one_over_alpha,
        "not divided by the sum": not_divided,
        "shares to the power, not divided again": shares_not_divided_again,
        "0 ** 0 is 1": zero_to_the_zero,
        "a mean of natural and equal shares": mean_of_both,
        "1 added to every size": one_added,
        "a size of 0 taken for 1": zero_taken_for_one,
        "0 times log 0": log_of_zero,
        "64-bit integers": in_64_bits,
        "float32 inside": in_float32,
        "an epsilon under the power": with_epsilon,
        "list changed in place": in_place,
        "largest first": from_large_to_small,
        "alpha cut off at 1": cut_at_one,
    },
    also_right={
        "softmax of alpha log n": by_softmax,
        "one at a time": by_loop,
        "Python's integers in a numpy array": left_to_numpy,
        "shares first, then the power": shares_first,
    },
    asked=1,
)
