"""McNemar's test, exact."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `mcnemar(a_right, b_right)`: the exact two-sided p-value of McNemar's test. Two models answered the
same N ≥ 1 items, and the arrays say which items each got right. Let $b$ be the number of items that only the
first got right and $c$ the number that only the second got right; return $\min(1, 2 P[X \le \min(b, c)])$
for $X$ binomial with $b + c$ trials and probability ½, the sum itself and not its approximation by a
chi-square, and 1 if there is no such item. There may be thousands of them, and a relative error of $10^{-9}$
is allowed. The arrays stay as they were.
"""

STARTER = '''
import math

import numpy as np


def mcnemar(a_right: np.ndarray, b_right: np.ndarray) -> float:
    """Exact two-sided p-value of McNemar's test; a_right, b_right: (N,) bool."""
    raise NotImplementedError
'''

HINTS = (
    "Which items tell the two models apart? Count those, in two numbers, and forget the rest.",
    "If the models were equally good, each of those items would be a coin toss. How likely is it that the "
    "rarer side comes up at most as often as it did? Two-sided: either side might have been the rarer one.",
    "Count the items that only the first and that only the second got right. Add up the binomial "
    "coefficients of their sum over 0, 1, …, up to the smaller count, double that, divide by the power of "
    "two as whole numbers, and cap it at 1. Whole numbers in Python have no upper limit; floats end near 2 "
    "to the power of 1024.",
)


def mcnemar(a_right: np.ndarray, b_right: np.ndarray) -> float:
    b = int((a_right & ~b_right).sum())
    c = int((b_right & ~a_right).sum())
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    return min(1.0, 2 * tail / 2 ** (b + c))


# What the checks compare with.


def answers(rng: Rng, only_a: int, only_b: int, both: int, neither: int) -> dict[str, np.ndarray]:
    """Two models' answers with these counts, in random order."""
    a = np.repeat([True, False, True, False], [only_a, only_b, both, neither])
    b = np.repeat([False, True, True, False], [only_a, only_b, both, neither])
    order = rng.permutation(len(a))
    return {"a_right": a[order], "b_right": b[order]}


def by_scipy(only_a: int, only_b: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def compare(candidate: Candidate, rng: Rng, counts: tuple[int, int, int, int], cause: str) -> None:
    call = Call(candidate, **answers(rng, *counts))
    got, want = call.number(), by_scipy(*counts[:2])
    call.holds(abs(got - want) <= 1e-9 * want, got=f"{got:.10g}", cause=cause,
               expected=f"p = {want:.10g}, as {counts[0]} and {counts[1]} items tell them apart")  # fmt: skip


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number above 0, at most 1."""
    for counts in ((1, 0, 0, 0), (1, 2, 3, 4), (6, 5, 20, 10)):
        call = Call(candidate, **answers(rng, *counts))
        p = call.number()
        call.holds(0 < p <= 1 + 1e-12, expected="a number above 0, at most 1", got=f"{p:.6g}",
                   cause="both tails doubled without a cap, or a statistic in place of p")  # fmt: skip


def nothing_apart(candidate: Candidate, rng: Rng) -> None:
    """If no item tells the models apart, p is 1."""
    for both, neither in ((1, 0), (0, 1), (5, 3)):
        compare(candidate, rng, (0, 0, both, neither), "0 divided by 0, or the items that both got right")


def as_many(candidate: Candidate, rng: Rng) -> None:
    """As many items for one as for the other: p is 1."""
    for n in (1, 2, 7):
        compare(candidate, rng, (n, n, 3, 2), "no cap at 1, or the middle of the distribution left out")


def few_items(candidate: Candidate, rng: Rng) -> None:
    """Few items, with the sums done by hand: 3 to 0 gives 2/8, 4 to 1 gives 12/32."""
    for counts in ((1, 0, 2, 1), (3, 0, 2, 2), (4, 1, 3, 2), (0, 6, 1, 0)):
        cause = (
            "one side in place of two, the probability of the count alone in place of at most that count, "
            "the chi-square approximation, or half the weight on the count itself"
        )
        compare(candidate, rng, counts, cause)


def rest_ignored(candidate: Candidate, rng: Rng) -> None:
    """Items that both got right, or both wrong, change nothing."""
    bare = Call(candidate, **answers(rng, 9, 3, 0, 0)).number()
    for both, neither in ((3, 0), (0, 3), (25, 60)):
        call = Call(candidate, **answers(rng, 9, 3, both, neither))
        cause = "accuracies compared as if the models had answered different items, or N in place of b + c"
        call.same("p", call.number(), bare, tolerance=1e-9, cause=cause)


def either_way(candidate: Candidate, rng: Rng) -> None:
    """Neither model is the first: exchanged, they give the same p."""
    for only_a, only_b in ((2, 0), (2, 5), (12, 4)):
        given = answers(rng, only_a, only_b, 4, 4)
        call = Call(candidate, **given)
        swapped = Call(candidate, a_right=given["b_right"], b_right=given["a_right"])
        swapped.same("p", swapped.number(), call.number(), tolerance=1e-9,
                     cause="one of the two counts in place of the smaller")  # fmt: skip


def any_counts(candidate: Candidate, rng: Rng) -> None:
    """Agrees with SciPy's binomial test of the items that tell the models apart."""
    for most in (3, 8, 30, 120):
        counts = [int(n) for n in rng.integers(0, most + 1, size=4)]
        compare(candidate, rng, (counts[0] + 1, counts[1], counts[2], counts[3]), "see the checks above")


def many_items(candidate: Candidate, rng: Rng) -> None:
    """Thousands of items: no overflow, no approximation, no 0."""
    for counts in ((620, 560, 900, 200), (1500, 1380, 10, 10), (700, 320, 0, 0)):
        cause = "a power of 2 as a float, factorials as floats, or 1 − P with nothing left of the digits"
        compare(candidate, rng, counts, cause)


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the arrays as they were."""
    for counts in ((2, 1, 1, 1), (5, 8, 3, 4)):
        Call(candidate, **answers(rng, *counts)).unchanged()


# Right answers of other style, and wrong ones.


def counted(a_right: np.ndarray, b_right: np.ndarray) -> tuple[int, int, int]:
    """b, c and N."""
    return int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum()), len(a_right)


def from_counts(p: Callable[[int, int, int], float]) -> Candidate:
    """An answer that needs only b, c and N."""

    def answer(a_right: np.ndarray, b_right: np.ndarray) -> float:
        return p(*counted(a_right, b_right))

    return answer


def tail(k: int, n: int) -> float:
    """P[X ≤ k], X binomial with n fair trials."""
    return sum(math.comb(n, j) for j in range(k + 1)) / 2**n


def by_binomtest(a_right: np.ndarray, b_right: np.ndarray) -> float:
    from scipy.stats import binomtest

    b, c = np.count_nonzero(a_right > b_right), np.count_nonzero(a_right < b_right)
    return float(binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0


def by_logarithms(b: int, c: int, N: int) -> float:
    n = b + c
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(min(b, c) + 1)]
    return min(1.0, 2 * sum(math.exp(log - n * math.log(2)) for log in logs))


def by_loop(a_right: np.ndarray, b_right: np.ndarray) -> Any:
    b = c = 0
    for a, other in zip(a_right.tolist(), b_right.tolist(), strict=True):
        b += a and not other
        c += other and not a
    ways, total = 1, 0
    for k in range(min(b, c) + 1):
        total += ways
        ways = ways * (b + c - k) // (k + 1)
    return np.float64(min(1.0, 2 * total / (1 << (b + c))))


def chi_square(correction: float) -> Callable[[int, int, int], float]:
    def p(b: int, c: int, N: int) -> float:
        if b + c == 0:
            return 1.0
        return math.erfc(math.sqrt(max(abs(b - c) - correction, 0) ** 2 / (b + c) / 2))

    return p


def two_proportions(a_right: np.ndarray, b_right: np.ndarray) -> float:
    n, p, q = len(a_right), a_right.mean(), b_right.mean()
    pooled = (p + q) / 2
    if pooled in (0, 1):
        return 1.0
    return math.erfc(abs(p - q) / math.sqrt(2 * pooled * (1 - pooled) / n) / math.sqrt(2))


def float_powers(b: int, c: int, N: int) -> float:
    return min(1.0, 2 * sum(math.comb(b + c, k) * 0.5 ** (b + c) for k in range(min(b, c) + 1)))


def in_place(a_right: np.ndarray, b_right: np.ndarray) -> float:
    p = mcnemar(a_right, b_right)
    a_right &= ~b_right
    return p


TASK = Task(
    name="mcnemar",
    entry="evaluate_transfer",
    statement=STATEMENT,
    starter=STARTER,
    reference=mcnemar,
    hints=HINTS,
    checks=(
        one_number,
        nothing_apart,
        as_many,
        rest_ignored,
        either_way,
        few_items,
        any_counts,
        many_items,
        inputs_kept,
    ),
    wrong={
        "one-sided": from_counts(lambda b, c, N: tail(min(b, c), b + c)),
        "no cap at 1": from_counts(lambda b, c, N: 2 * tail(min(b, c), b + c)),
        "the probability of the count alone": from_counts(
            lambda b, c, N: min(1.0, 2 * math.comb(b + c, min(b, c)) / 2 ** (b + c))
        ),
        "fewer than the count": from_counts(
            lambda b, c, N: min(1.0, 2 * tail(min(b, c) - 1, b + c)) if b != c else 1.0
        ),
        "mid-p": from_counts(
            lambda b, c, N: (
                min(1.0, 2 * tail(min(b, c), b + c) - math.comb(b + c, min(b, c)) / 2 ** (b + c))
                if b + c
                else 1.0
            )
        ),
        "the larger count": from_counts(lambda b, c, N: min(1.0, 2 * tail(max(b, c), b + c))),
        "the first count": from_counts(lambda b, c, N: min(1.0, 2 * tail(b, b + c))),
        "N trials": from_counts(lambda b, c, N: min(1.0, 2 * tail(min(b, c), N))),
        "chi-square": from_counts(chi_square(0.0)),
        "chi-square with continuity correction": from_counts(chi_square(1.0)),
        "chi-square above 25 items": from_counts(
            lambda b, c, N: chi_square(1.0)(b, c, N) if b + c > 25 else min(1.0, 2 * tail(min(b, c), b + c))
        ),
        "two proportions, unpaired": two_proportions,
        "numbers right, compared as coins": lambda a_right, b_right: min(
            1.0, 2 * tail(min(int(a_right.sum()), int(b_right.sum())), int(a_right.sum() + b_right.sum()))
        ),
        "agreements as the coins": from_counts(lambda b, c, N: min(1.0, 2 * tail(min(b + c, N - b - c), N))),
        "no items: 0 / 0": lambda a_right, b_right: (
            mcnemar(a_right, b_right) if (a_right != b_right).any() else math.nan
        ),
        "powers as floats": from_counts(float_powers),
        "rounded to four digits": lambda a_right, b_right: max(round(mcnemar(a_right, b_right), 4), 1e-9),
        "1 − p": lambda a_right, b_right: 1 - mcnemar(a_right, b_right),
        "an array changed in place": in_place,
    },
    also_right={
        "scipy.stats.binomtest": by_binomtest,
        "logarithms": from_counts(by_logarithms),
        "a loop, coefficients one from another": by_loop,
    },
    asked=1,
)
