"""Prior correction: probabilities for data in which class 1 is rarer or more common than in training."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[np.floating]

STATEMENT = r"""
A classifier was trained on data in which the share of class 1 was `pi_train`, by nature, by resampling or by
weights. Write `prior_correct(p, pi_train, pi_true)`: its probabilities of class 1, `p`, made right for data
in which the share is `pi_true`, while each class by itself looks as it did in training. By Bayes' rule the
odds $p / (1 - p)$ are multiplied by the odds of `pi_true` over the odds of `pi_train`. Both shares lie
strictly between 0 and 1, and either may be the larger. Probabilities of 0 and 1 stay what they are, those
near 0 and near 1 keep their digits, and a `NaN`, a missing score, stays `NaN`. The result has the shape and
dtype of `p`, which is not changed.
"""

STARTER = '''
import numpy as np


def prior_correct(p: np.ndarray, pi_train: float, pi_true: float) -> np.ndarray:
    """P(class 1) where its share is pi_true, from a model that was trained where it was pi_train.

    p: (N,), float32 or float64, from 0 to 1, or NaN.
    Returns (N,), in the dtype of p.
    """
    raise NotImplementedError
'''

HINTS = (
    "By Bayes' rule p is proportional to the share of class 1 times how likely x is in class 1. Which of the "
    "two changes, and by what factor? Then do the same for class 0.",
    "Give both classes their new weight, and only then make the two sum to 1 again. Scaling class 1 alone "
    "leaves you with something that can exceed 1.",
    "Class 1 gets p times pi_true over pi_train; class 0 gets 1 − p times the ratio of the other shares, "
    "1 − pi_true over 1 − pi_train. Divide the first by the sum of both: that sum is never 0.",
)


def prior_correct(p: np.ndarray, pi_train: float, pi_true: float) -> np.ndarray:
    # Python floats: a float64 share would make float64 of float32 probabilities.
    one = p * float(pi_true / pi_train)
    zero = (1 - p) * float((1 - pi_true) / (1 - pi_train))
    return one / (one + zero)


# What the checks compare with.

SIZES = (1, 2, 3, 17)
SHARES = ((0.5, 0.04), (0.04, 0.5), (0.3, 0.2), (0.2, 0.6), (0.9, 0.7))  # pi_train, pi_true


def scores(rng: Rng, N: int, dtype: Any = np.float64) -> Array:
    """Probabilities (N,), every other one of a longer array: not contiguous."""
    return rng.uniform(0.02, 0.98, 2 * N).astype(dtype)[::2]


def called(candidate: Candidate, p: Array, pi_train: float, pi_true: float) -> tuple[Call, Array]:
    """The call, and its answer, of the right shape and dtype. A warning on the way is no wrong answer."""
    with np.errstate(all="ignore"):
        call = Call(candidate, p=p, pi_train=pi_train, pi_true=pi_true)
    return call, call.returns(p.dtype, probability=p.shape)


def exact(x: Array, share: float) -> Array:
    """P(class 1) at x by Bayes' rule: two normal classes, class 1 around 1 and class 0 around 0."""
    f0, f1 = np.exp(-(x**2) / 2), np.exp(-((x - 1) ** 2) / 2)
    return share * f1 / (share * f1 + (1 - share) * f0)


def agrees_with_bayes(
    candidate: Candidate, rng: Rng, pairs: tuple[tuple[float, float], ...], cause: str
) -> None:
    for N in SIZES:
        for pi_train, pi_true in pairs:
            for dtype in (np.float64, np.float32):
                x = rng.normal(0.5, 1.5, 2 * N)[::2]
                before: Array = exact(x, pi_train).astype(dtype)
                call, found = called(candidate, before, pi_train, pi_true)
                call.same("probability", found, exact(x, pi_true), cause=cause)


# Checks.


def shape_and_dtype(candidate: Candidate, rng: Rng) -> None:
    """Returns an array of the shape and dtype of p, also if p is empty."""
    for N in (*SIZES, 0):
        for dtype in (np.float32, np.float64):
            called(candidate, scores(rng, N, dtype), 0.5, 0.04)


def even_odds(candidate: Candidate, rng: Rng) -> None:
    """A half, from a model trained on halves, becomes the true share."""
    for pi_true in (0.04, 0.25, 0.5):
        call, found = called(candidate, np.array([0.5]), 0.5, pi_true)
        call.same("probability", found, np.array([pi_true]),
                  cause="shares swapped, odds times a ratio of shares, or one class alone")  # fmt: skip


def nothing_changed(candidate: Candidate, rng: Rng) -> None:
    """Equal shares change nothing."""
    for N in SIZES:
        for share in (0.04, 0.5, 0.8):
            p = scores(rng, N)
            call, found = called(candidate, p, share, share)
            call.same("probability", found, p,
                      cause="only one of the two shares used, or the scores' own mean")  # fmt: skip


def rarer(candidate: Candidate, rng: Rng) -> None:
    """Exact, by Bayes' rule on two normal classes, where class 1 is rarer than in training."""
    cause = "the probability scaled or shifted, not the odds"
    agrees_with_bayes(candidate, rng, ((0.5, 0.04), (0.3, 0.2), (0.9, 0.7)), cause)


def more_common(candidate: Candidate, rng: Rng) -> None:
    """Exact too where class 1 is more common than in training."""
    cause = "only one direction thought of: a minimum, a clip, or a fixed order of shares"
    agrees_with_bayes(candidate, rng, ((0.04, 0.5), (0.2, 0.6), (0.01, 0.99)), cause)


def certain(candidate: Candidate, rng: Rng) -> None:
    """0 stays 0 and 1 stays 1, in any company."""
    for pi_train, pi_true in SHARES:
        for given in ([0.0], [1.0], [0.0, 1.0, 0.5], [1.0, 0.5, 0.0]):
            for dtype in (np.float32, np.float64):
                p: Array = np.array(given, dtype)
                call, found = called(candidate, p, pi_train, pi_true)
                sure = (p == 0) | (p == 1)
                call.same("probability where it is 0 or 1", found[sure], p[sure],
                          cause="odds of 1 / 0, and ∞ / ∞ is NaN; or a clip, or an ε")  # fmt: skip


def small_ones(candidate: Candidate, rng: Rng) -> None:
    """Small probabilities keep their digits, and 0 is exactly 0."""
    for pi_train, pi_true in SHARES:
        p = 10.0 ** -rng.uniform(5, 14, 4)
        call, found = called(candidate, p, pi_train, pi_true)
        ratio = pi_true / (1 - pi_true) * (1 - pi_train) / pi_train
        call.same("probability over the right one", found / (p * ratio / (1 - p + p * ratio)), np.ones(4),
                  cause="p clipped, an ε added, or the result rounded")  # fmt: skip
        call, found = called(candidate, np.zeros(2), pi_train, pi_true)
        call.same("probability", found, np.zeros(2), tolerance=0.0, cause="p clipped, or an ε added")


def large_ones(candidate: Candidate, rng: Rng) -> None:
    """Probabilities near 1 keep their distance from it."""
    for pi_train, pi_true in SHARES:
        p = 1 - 10.0 ** -rng.uniform(4, 8, 4)
        call, found = called(candidate, p, pi_train, pi_true)
        ratio = (1 - pi_true) / pi_true * pi_train / (1 - pi_train)
        want = (1 - p) * ratio / (p + (1 - p) * ratio)
        call.same("1 − probability, over the right one", (1 - found) / want, np.ones(4), tolerance=1e-5,
                  cause="p clipped from above, or an ε added")  # fmt: skip


def missing_scores(candidate: Candidate, rng: Rng) -> None:
    """NaN stays NaN, and leaves its neighbors alone."""
    for N in (1, 3, 17):
        x = rng.normal(0.5, 1.5, N)
        p = exact(x, 0.5)
        p[N // 2] = np.nan
        call, found = called(candidate, p, 0.5, 0.04)
        call.holds(np.isnan(found[N // 2]), expected=f"probability[{N // 2}] = nan", got=str(found[N // 2]),
                   cause="`nan_to_num`, often put there to mend the ∞ / ∞ of a certain p")  # fmt: skip
        others = np.arange(N) != N // 2
        call.same("the other probabilities", found[others], exact(x[others], 0.04),
                  cause="a sum or a mean over all of p")  # fmt: skip


def input_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves p as it was."""
    for pi_train, pi_true in SHARES:
        called(candidate, scores(rng, 5), pi_train, pi_true)[0].unchanged()


# Right answers of other style, and wrong ones.


def by_elkan(p: Array, pi_train: float, pi_true: float) -> Array:
    """Elkan's theorem 2, in one fraction."""
    top = pi_true * (p - p * pi_train)
    return top / (pi_train - p * pi_train + pi_true * p - pi_train * pi_true)


def by_odds_ratio(p: Array, pi_train: float, pi_true: float) -> Array:
    ratio = (pi_true / (1 - pi_true)) / (pi_train / (1 - pi_train))
    return ratio * p / (1 + (ratio - 1) * p)


def by_sigmoid(p: Array, pi_train: float, pi_true: float) -> Array:
    shift = np.log(pi_true / (1 - pi_true)) - np.log(pi_train / (1 - pi_train))
    with np.errstate(divide="ignore", over="ignore"):
        odds = np.log(p) - np.log1p(-p) + shift
        return (1 / (1 + np.exp(-odds))).astype(p.dtype)


def by_loop(p: Array, pi_train: float, pi_true: float) -> Array:
    out = np.empty_like(p)
    for i, score in enumerate(p.tolist()):
        one, zero = score * pi_true / pi_train, (1 - score) * (1 - pi_true) / (1 - pi_train)
        out[i] = one / (one + zero)
    return out


def in_float64(p: Array, pi_train: float, pi_true: float) -> Array:
    both = np.stack([1 - p.astype(np.float64), p.astype(np.float64)], axis=1)
    both = both * np.array([1 - pi_true, pi_true]) / np.array([1 - pi_train, pi_train])
    return (both / both.sum(axis=1, keepdims=True))[:, 1].astype(p.dtype)


def odds_times(factor: Callable[[float, float], float]) -> Candidate:
    """An answer right in everything but the factor, made of (pi_train, pi_true), on the odds."""

    def answer(p: Array, pi_train: float, pi_true: float) -> Array:
        ratio = factor(pi_train, pi_true)
        return p * ratio / (p * ratio + (1 - p))

    return answer


def scaled(p: Array, pi_train: float, pi_true: float) -> Array:
    return p * (pi_true / pi_train)


def scaled_and_cut(p: Array, pi_train: float, pi_true: float) -> Array:
    return (p * (pi_true / pi_train)).clip(0, 1)


def shifted(p: Array, pi_train: float, pi_true: float) -> Array:
    return (p + (pi_true - pi_train)).clip(0, 1)


def other_class_alone(p: Array, pi_train: float, pi_true: float) -> Array:
    zero = (1 - p) * ((1 - pi_true) / (1 - pi_train))
    return p / (p + zero)


def mean_matched(p: Array, pi_train: float, pi_true: float) -> Array:
    return p * (pi_true / p.mean()) if len(p) else p.copy()


def mean_for_train(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p, float(p.mean()), pi_true) if len(p) else p.copy()


def bare_odds(p: Array, pi_train: float, pi_true: float) -> Array:
    odds = p / (1 - p) * (pi_true / (1 - pi_true)) / (pi_train / (1 - pi_train))
    return odds / (1 + odds)


def mended_odds(p: Array, pi_train: float, pi_true: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(bare_odds(p, pi_train, pi_true), nan=1.0).astype(p.dtype)


def clipped(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p.clip(1e-7, 1 - 1e-7), pi_train, pi_true)


def capped(p: Array, pi_train: float, pi_true: float) -> Array:
    """Odds, kept finite below 1, and 1 itself put back."""
    found = bare_odds(p.clip(max=1 - 1e-6), pi_train, pi_true).astype(p.dtype)
    found[p == 1] = 1
    return found


def rounded(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p, pi_train, pi_true).round(11)


def in_place(p: Array, pi_train: float, pi_true: float) -> Array:
    zero = (1 - p) * ((1 - pi_true) / (1 - pi_train))
    p *= pi_true / pi_train
    return p / (p + zero)


def always_float64(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p.astype(np.float64), pi_train, pi_true)


def float32_inside(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p.astype(np.float32), pi_train, pi_true).astype(p.dtype)


def trained_on_halves(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p, 0.5, pi_true)


def only_down(p: Array, pi_train: float, pi_true: float) -> Array:
    return prior_correct(p, pi_train, min(pi_train, pi_true))


def as_threshold(p: Array, pi_train: float, pi_true: float) -> Array:
    return (p > pi_train).astype(p.dtype)


TASK = Task(
    name="prior_correct",
    entry="class_imbalance",
    statement=STATEMENT,
    starter=STARTER,
    reference=prior_correct,
    hints=HINTS,
    checks=(
        shape_and_dtype,
        even_odds,
        nothing_changed,
        rarer,
        more_common,
        certain,
        small_ones,
        large_ones,
        missing_scores,
        input_kept,
    ),
    wrong={
        "p times the ratio of shares": scaled,
        "p times the ratio, cut off at 1": scaled_and_cut,
        "difference of shares added": shifted,
        "shares swapped": lambda p, pi_train, pi_true: prior_correct(p, pi_true, pi_train),
        "odds times the ratio of shares": odds_times(lambda train, true: true / train),
        "odds times the true odds alone": odds_times(lambda train, true: true / (1 - true)),
        "odds times the inverse odds of training": odds_times(lambda train, true: (1 - train) / train),
        "odds times the square root": odds_times(
            lambda train, true: (true / (1 - true) * (1 - train) / train) ** 0.5
        ),
        "class 0 scaled alone": other_class_alone,
        "applied twice": lambda p, pi_train, pi_true: prior_correct(
            prior_correct(p, pi_train, pi_true), pi_train, pi_true
        ),
        "scaled to the true mean": mean_matched,
        "mean of p as the share of training": mean_for_train,
        "odds of a certain p": bare_odds,
        "odds, and NaN mended": mended_odds,
        "p clipped": clipped,
        "p capped below 1": capped,
        "result rounded": rounded,
        "p changed in place": in_place,
        "float64 whatever comes": always_float64,
        "float32 inside": float32_inside,
        "trained on halves, always": trained_on_halves,
        "never upwards": only_down,
        "a decision, no probability": as_threshold,
    },
    also_right={
        "Elkan's fraction": by_elkan,
        "ratio of odds": by_odds_ratio,
        "shift of log-odds": by_sigmoid,
        "one at a time": by_loop,
        "both classes, float64 inside": in_float64,
    },
    asked=2,
)
