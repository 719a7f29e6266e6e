"""pass@k of a benchmark: the unbiased estimate for each problem, averaged over problems."""

import itertools
import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng, raises
from lmprep.practice.task import Candidate, Task

Results = list[list[bool]]

STATEMENT = r"""
Write `pass_at_k(results, k)`: pass@k of a benchmark, one number from 0 to 1. `results` holds, for each of one
or more problems, a list of bools: whether each sampled answer is right; problems may have different numbers
of answers, up to several thousand. For one problem with n answers, the estimate is the share of all ways to
pick k of the n answers, without replacement, that hold at least one right answer. Return the mean of the
problems' estimates, in which each problem counts the same. Raise `ValueError` if k is below 1 or if any
problem has fewer than k answers. There are no warnings, and the inputs stay as they were.
"""

STARTER = '''
import math


def pass_at_k(results: list[list[bool]], k: int) -> float:
    """Mean over problems of the unbiased estimate of pass@k.

    results: for each problem, whether each of its sampled answers is right; lengths may differ.
    """
    raise NotImplementedError
'''

HINTS = (
    "Count the complement. In how many ways can all k picked answers be wrong?",
    "A binomial coefficient counts all picks, and another one the picks that hold no right answer. Both are "
    "too large for a float once there are thousands of answers, and their quotient is not.",
    "For each problem, compare its length with k and count the right answers. Take one minus the quotient of "
    "two binomial coefficients, wrong answers choose k over all answers choose k, in whole numbers of any "
    "size: the first is zero where fewer than k are wrong. Average over the problems at the end.",
)


def pass_at_k(results: list[list[bool]], k: int) -> float:
    total = 0.0
    for answers in results:
        n, c = len(answers), sum(answers)
        if not 1 <= k <= n:
            raise ValueError(f"k must be from 1 to the number of answers, got {k} and {n}")
        total += 1 - math.comb(n - c, k) / math.comb(n, k)
    return total / len(results)


# What the checks compare with.


def answers(rng: Rng, n: int, c: int) -> list[bool]:
    """n answers, c of them right, in random order."""
    return [bool(x) for x in rng.permutation([True] * c + [False] * (n - c))]


def enumerated(results: Results, k: int) -> float:
    """Every pick, one after the other."""
    shares = [np.mean([any(pick) for pick in itertools.combinations(problem, k)]) for problem in results]
    return float(np.mean(shares))


def exact(results: Results, k: int) -> float:
    """In fractions. "No pick is right" means "no right answer is picked": a product over the fewer."""
    none = Fraction(0)
    for problem in results:
        n, c = len(problem), problem.count(True)
        fewer, more = sorted((c, k))
        left = max(n - more, 0)  # where each of the fewer may be
        none += Fraction(math.perm(left, fewer), math.perm(n, fewer))
    return float(1 - none / len(results))


def compare(candidate: Candidate, results: Results, k: int, want: float, cause: str) -> None:
    call = Call(candidate, results=results, k=k)
    call.same("pass@k", call.number(), want, cause=cause, tolerance=1e-9)


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number."""
    for n in (1, 2, 5):
        Call(candidate, results=[answers(rng, n, 1)], k=1).number()


def first_try(candidate: Candidate, rng: Rng) -> None:
    """For k = 1 it is the share of right answers."""
    for n, c in ((1, 0), (1, 1), (2, 1), (3, 2), (7, 3)):
        compare(candidate, [answers(rng, n, c)], 1, c / n, "1 where any answer is right, whatever k is")


def none_and_all(candidate: Candidate, rng: Rng) -> None:
    """No right answer gives 0, only right answers 1."""
    for n, k in ((1, 1), (2, 1), (3, 3), (6, 4)):
        cause = "a quotient turned around, or 1 − forgotten"
        compare(candidate, [[False] * n], k, 0.0, cause)
        compare(candidate, [[True] * n], k, 1.0, cause)


def every_pick(candidate: Candidate, rng: Rng) -> None:
    """One problem: the share of all picks of k answers that hold a right one."""
    for n in range(2, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                results = [answers(rng, n, c)]
                compare(candidate, results, k, enumerated(results, k),
                        "1 − (1 − c/n)^k, which picks with replacement; the first k answers only; or a "
                        "product that goes on past zero where fewer than k answers are wrong")  # fmt: skip


def problems_averaged(candidate: Candidate, rng: Rng) -> None:
    """Several problems: the mean of their estimates, not the estimate of their pooled answers."""
    for n in (3, 5, 8):
        for k in (1, 2, 3):
            results = [answers(rng, n, c) for c in (0, 1, n)]
            compare(candidate, results, k, enumerated(results, k),
                    "right answers added up over problems before the formula; a product, a sum or a median "
                    "in place of the mean")  # fmt: skip


def lengths_differ(candidate: Candidate, rng: Rng) -> None:
    """Problems of different numbers of answers count the same."""
    for k in (1, 2, 3):
        for _ in range(3):
            sizes = [3, *rng.integers(3, 10, size=3)]
            results = [answers(rng, int(n), int(rng.integers(n + 1))) for n in sizes]
            compare(candidate, results, k, enumerated(results, k),
                    "the first problem's n used for all, answers pooled, or problems weighted by their "
                    "answers")  # fmt: skip


def agreement(candidate: Candidate, rng: Rng) -> None:
    """Agrees with exact fractions, for hundreds of answers."""
    for n, k in ((50, 10), (200, 100), (300, 7)):
        results = [answers(rng, n, int(c)) for c in (0, 1, 2, rng.integers(3, n), n - k, n - k + 1)]
        compare(candidate, results, k, exact(results, k), "factorials or rounding that lose digits")


def thousands(candidate: Candidate, rng: Rng) -> None:
    """Thousands of answers: no overflow, no NaN, no warning."""
    cause = "binomial coefficients or factorials as floats, which overflow; use whole numbers or a product"
    for n, c, k in ((3000, 1, 1500), (3000, 40, 100), (3000, 2990, 1500), (4000, 3, 2000)):
        results = [answers(rng, n, c)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call = Call(candidate, results=results, k=k)
        call.same("pass@k", call.number(), exact(results, k), cause=cause, tolerance=1e-9)
        call.holds(not caught, expected="no warning", got=" ".join(str(w.message) for w in caught[:1]),
                   cause=cause)  # fmt: skip


def too_few(candidate: Candidate, rng: Rng) -> None:
    """Raises ValueError if k is below 1 or some problem has fewer than k answers."""
    cause = "a k that no pick can have, answered with a number: check every problem before counting"
    for results, k in (([[True]], 2), ([[False]], 2), ([[True] * 3, [True]], 2), ([[False], [True] * 3], 2)):
        raises(ValueError, candidate, cause=cause, results=results, k=k)
    for k in (0, -1):
        raises(ValueError, candidate, cause=cause, results=[[True, False]], k=k)


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the results as they were."""
    results = [answers(rng, 5, 2), answers(rng, 7, 3)]
    Call(candidate, results=results, k=2).unchanged(cause="sorting or emptying the caller's lists")


# Right answers of other style, and wrong ones.


def checked(answer: Callable[[Results, int], Any]) -> Candidate:
    """`answer`, after the checks of k that the statement asks for."""

    def guarded(results: Results, k: int) -> Any:
        if k < 1 or min(map(len, results)) < k:
            raise ValueError("k")
        return answer(results, k)

    return guarded


def each(estimate: Callable[[int, int, int], float]) -> Candidate:
    """The mean of `estimate(n, c, k)` over problems."""
    return checked(lambda results, k: sum(estimate(len(r), sum(r), k) for r in results) / len(results))


def chens(n: int, c: int, k: int) -> float:
    """The product of Chen et al. (2021)."""
    return 1.0 if n - c < k else float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def by_logarithms(n: int, c: int, k: int) -> float:
    if n - c < k:
        return 1.0
    log = math.lgamma(n - c + 1) - math.lgamma(n - c - k + 1) - math.lgamma(n + 1) + math.lgamma(n - k + 1)
    return -math.expm1(min(log, 0.0))


def one_by_one(n: int, c: int, k: int) -> float:
    none = 1.0
    for i in range(k):
        none *= max(n - c - i, 0) / (n - i)
    return 1 - none


def by_fractions(results: Results, k: int) -> np.float64:
    return np.float64(exact(results, k))


def pooled(results: Results, k: int) -> float:
    together = [answer for problem in results for answer in problem]
    return pass_at_k([together], k)


def sorted_in_place(results: Results, k: int) -> float:
    for problem in results:
        problem.sort()
    return pass_at_k(results, k)


def one_before_the_check(results: Results, k: int) -> float:
    """Fewer wrong answers than k counts as 1, also where there are fewer than k answers."""
    if k < 1:
        raise ValueError("k")
    shares = [1.0 if r.count(False) < k else pass_at_k([r], k) for r in results]
    return sum(shares) / len(shares)


def hopeless_skipped(results: Results, k: int) -> float:
    hopeful = [problem for problem in results if any(problem)]
    return pass_at_k(hopeful, k) if hopeful else 0.0


def by_pascals_triangle(n: int, c: int, k: int) -> float:
    """Coefficients as 64-bit whole numbers: beyond some 60 answers they wrap around."""
    row, rows = np.array([1] + [0] * k), []
    for _ in range(n + 1):
        rows.append(row[k])
        row = row + np.concatenate([[0], row[:-1]])
    with np.errstate(all="ignore"):
        return float(1 - rows[n - c] / rows[n])


def by_floats(n: int, c: int, k: int) -> float:
    """Coefficients as floats: they overflow."""
    if n - c < k:
        return 1.0
    with np.errstate(all="ignore"):
        wrong, every = (np.prod(np.arange(m - k + 1, m + 1, dtype=float)) for m in (n - c, n))
        return float(1 - wrong / every)


TASK = Task(
    name="pass_at_k",
    entry="lm_metrics",
    statement=STATEMENT,
    starter=STARTER,
    reference=pass_at_k,
    hints=HINTS,
    checks=(
        one_number,
        first_try,
        none_and_all,
        every_pick,
        problems_averaged,
        lengths_differ,
        agreement,
        thousands,
        too_few,
        inputs_kept,
    ),
    wrong={
        "1 − (1 − c/n)^k": each(lambda n, c, k: 1 - (1 - c / n) ** k),
        "any answer right": each(lambda n, c, k: float(c > 0)),
        "the share of right answers": each(lambda n, c, k: c / n),
        "k · c/n, at most 1": each(lambda n, c, k: min(1.0, k * c / n)),
        "the first k answers": checked(
            lambda results, k: sum(any(problem[:k]) for problem in results) / len(results)
        ),
        "blocks of k": checked(
            lambda results, k: (
                sum(np.mean([any(r[i : i + k]) for i in range(0, len(r), k)]) for r in results) / len(results)
            )
        ),
        "all k right": each(lambda n, c, k: math.comb(c, k) / math.comb(n, k)),
        "all k wrong": each(lambda n, c, k: math.comb(n - c, k) / math.comb(n, k)),
        "exactly one right": each(lambda n, c, k: c * math.comb(n - c, k - 1) / math.comb(n, k)),
        "a product past zero": each(
            lambda n, c, k: 1 - math.prod((n - c - i) / (n - i) for i in range(k)) if k < n else 1.0
        ),
        "Chen's product without its first line": each(
            lambda n, c, k: float(1 - np.prod(1 - k / np.arange(n - c + 1, n + 1)))
        ),
        "answers pooled": checked(pooled),
        "problems weighted by answers": checked(
            lambda results, k: sum(len(r) * pass_at_k([r], k) for r in results) / sum(map(len, results))
        ),
        "summed, not averaged": checked(lambda results, k: sum(pass_at_k([r], k) for r in results)),
        "the median problem": checked(
            lambda results, k: float(np.median([pass_at_k([r], k) for r in results]))
        ),
        "mean share in the formula": checked(
            lambda results, k: 1 - (1 - sum(sum(r) / len(r) for r in results) / len(results)) ** k
        ),
        "the first problem's n": checked(
            lambda results, k: (
                sum(chens(len(results[0]), min(sum(r), len(results[0])), k) for r in results) / len(results)
            )
        ),
        "in percent": checked(lambda results, k: 100 * pass_at_k(results, k)),
        "rounded": checked(lambda results, k: round(pass_at_k(results, k), 3)),
        "64-bit binomial coefficients": each(by_pascals_triangle),
        "falling factorials as floats": each(by_floats),
        "k cut to n": lambda results, k: (
            sum(
                1 - math.comb(len(r) - sum(r), min(k, len(r))) / math.comb(len(r), min(k, len(r)))
                for r in results
            )
            / len(results)
        ),
        "short problems skipped": lambda results, k: pass_at_k(
            [r for r in results if len(r) >= k] or [[]], k
        ),
        "only the first problem checked": lambda results, k: (
            checked(lambda first, k: 0.0)(results[:1], k)
            or sum(1.0 if len(r) < k else pass_at_k([r], k) for r in results) / len(results)
        ),
        "1 before the check": one_before_the_check,
        "problems without a right answer skipped": checked(hopeless_skipped),
        "k = 0 taken": lambda results, k: 0.0 if k == 0 else pass_at_k(results, k),
        "sorted in place": sorted_in_place,
    },
    also_right={
        "Chen's product": each(chens),
        "logarithms of the gamma function": each(by_logarithms),
        "one pick after the other": each(one_by_one),
        "fractions, as a numpy number": checked(by_fractions),
    },
    asked=2,
)
