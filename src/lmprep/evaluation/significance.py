"""Is one system better than another, or was the test set kind to it, or the training run?"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Score = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Comparison:
    """What a test set says of the difference between two systems.

    Args:
        difference: score of b minus score of a.
        low, high: ends of the confidence interval of that difference.
        p_value: how often a difference as large would arise if there were none; two-sided.
    """

    difference: float
    low: float
    high: float
    p_value: float


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    score: Score | None = None,
    *,
    rng: np.random.Generator,
    num_samples: int = 1000,
    level: float = 0.95,
) -> Comparison:
    """Compare two systems on test sets that could have been: N items drawn, with replacement, from the N.

    Each draw takes the same items of both systems, so that what makes an item hard for both cancels.

    Args:
        a, b: what the score needs to know of each item: (N,) one number or (N, K) statistics, item by item
            for the same N items.
        score: maps sums of statistics over items, (R, K), to R scores. None: the mean, for (N,).
        rng: the source of randomness.
        num_samples: how many test sets to draw.
        level: of the confidence interval, between 0 and 1.

    Returns:
        The difference on the items given, the interval between quantiles of the resampled differences, and
        a p-value: the share of resampled differences at least as far from their mean as the difference is
        from 0; 1 for a system against itself.

    Raises:
        TypeError: rng is no Generator, or num_samples no whole number.
        ValueError: a and b differ in shape, have fewer than two items or hold NaN; a score is missing for
            (N, K); an option is out of range; or a score is not a finite number.

    Source: Koehn (2004); the p-value: Efron and Tibshirani (1993).
    """
    _check_options(rng, num_samples, level)
    a, b = _checked(a, b, score)
    num_items = len(a)
    both = np.concatenate([a.reshape(num_items, -1), b.reshape(num_items, -1)], axis=1)  # (N, 2K)
    draws = (rng.integers(num_items, size=num_items) for _ in range(num_samples))
    times = (np.bincount(draw, minlength=num_items) for draw in draws)  # how often each item is drawn
    sums = np.stack([both.sum(axis=0), *(count @ both for count in times)])  # (1 + num_samples, 2K)
    sums_a, sums_b = np.split(sums, 2, axis=1)
    differences = score(sums_b) - score(sums_a) if score is not None else (sums_b - sums_a)[:, 0] / num_items
    _check_scores(differences, num_samples)
    observed, resampled = float(differences[0]), differences[1:]
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    further = int((abs(resampled - resampled.mean()) >= abs(observed)).sum())
    return Comparison(observed, float(low), float(high), (1 + further) / (1 + num_samples))


def mcnemar(a_right: ArrayLike, b_right: ArrayLike) -> float:
    """Exact two-sided p-value that two models, as they are, err equally often.

    Only items count that one of them alone gets right. If both were equally good, each such item would be
    a fair coin. The training runs behind the models do not enter: for two runs of one method it may be small.

    Args:
        a_right, b_right: (N,), boolean: what each model gets right, for the same N items.

    Returns:
        min(1, 2 P[at most min(b, c) heads in b + c coins]) for b items that only a gets right, c only b.

    Raises:
        TypeError: they do not hold booleans.
        ValueError: they are not (N,) of one length, or hold no item.

    Source: McNemar (1947); the exact form is the sign test.
    """
    a, b = np.asarray(a_right), np.asarray(b_right)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(f"a_right and b_right must both be (N,) and not empty, got {a.shape} and {b.shape}")
    if a.dtype != bool or b.dtype != bool:
        raise TypeError(
            f"a_right and b_right must be boolean, predictions == labels, got {a.dtype} and {b.dtype}"
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    coins = only_a + only_b
    tail, ways = 0, 1
    for heads in range(min(only_a, only_b) + 1):
        tail += ways  # of `coins` coins to show so many heads
        ways = ways * (coins - heads) // (heads + 1)
    return min(1.0, 2 * tail / 2**coins)


def sign_flip(differences: ArrayLike) -> float:
    """Exact two-sided p-value that paired runs of two methods differ by chance alone.

    If they did, each difference might as well have come with the other sign. All 2^R ways to choose the signs
    are gone through. Even if every difference has the same sign, p is no less than 2 / 2^R.

    Args:
        differences: (R,), score of one method minus the other's, a pair of runs each; 16 at most.

    Returns:
        The share of choices whose mean is at least as far from 0 as the mean observed.

    Raises:
        ValueError: they are not (R,) with R from 1 to 16, or one is NaN or infinite.

    Source: Fisher (1935), "The Design of Experiments"; Pitman (1937).
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not 1 <= len(d) <= 16:
        raise ValueError(f"differences must be (R,) with R from 1 to 16, got shape {d.shape}")
    if not np.isfinite(d).all():
        raise ValueError("differences must be finite: drop the pair of a run that failed")
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(d))))  # (2^R, R)
    sums = abs(signs @ d)
    return float((sums >= sums[0] * (1 - 1e-12)).mean())  # equal sums may differ by rounding


def _check_options(rng: object, num_samples: object, level: float) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator, such as np.random.default_rng(0), got {rng!r}")
    if not isinstance(num_samples, int | np.integer):
        raise TypeError(f"num_samples must be a whole number, got {num_samples!r}")
    if num_samples < 1 or not 0 < level < 1:
        raise ValueError(f"num_samples must be at least 1 and level between 0 and 1, got {num_samples} and "
                         f"{level}")  # fmt: skip


def _checked(a: ArrayLike, b: ArrayLike, score: Score | None) -> tuple[NDArray[Any], NDArray[Any]]:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim not in (1, 2) or a.size == 0:
        raise ValueError(f"a and b must both be (N,) or (N, K), not empty, got {a.shape} and {b.shape}")
    if len(a) == 1:
        raise ValueError("a and b must have at least two items, got 1: one item has no spread to resample")
    if score is None and a.ndim == 2:
        raise ValueError(f"score is needed for statistics of shape {a.shape}: say what becomes of their sums")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a and b must be finite: drop the items that have no score from both, or score them")
    return a, b


def _check_scores(differences: NDArray[Any], num_samples: int) -> None:
    if np.shape(differences) != (1 + num_samples,) or not np.isfinite(differences).all():
        raise ValueError(f"score must map (R, K) to R finite numbers, got {np.shape(differences)} for "
                         f"R = {1 + num_samples}: {differences}")  # fmt: skip
