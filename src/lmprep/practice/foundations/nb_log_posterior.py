"""Naive Bayes on a text: normalized log-posteriors of the classes, with additive smoothing."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Array = NDArray[Any]

STATEMENT = r"""
Write `nb_log_posterior(counts, priors, x, alpha)`: multinomial naive Bayes on one text. `counts[c, v]` says
how often word $v$ occurred in the training texts of class $c$, `priors` holds the probabilities of the
classes, all above 0, and `x[v]` says how often word $v$ occurs in the new text; `counts` and `x` hold whole
numbers, as int64 or float64. Class $c$ draws each word independently, word $v$ with the probability
(`counts[c, v]` + α) / (the sum of row $c$ + α $V$), α > 0 being `alpha`, whether or not it has seen the
word, or any word. Return $\log p(c \mid x)$ for each of the $C$ classes: natural logarithms in float64, whose
exponentials sum to 1. They are finite and right for long texts too, also for a class that is hopelessly
behind, and no input is changed.
"""

STARTER = '''
import numpy as np


def nb_log_posterior(
    counts: np.ndarray, priors: np.ndarray, x: np.ndarray, alpha: float
) -> np.ndarray:
    """log p(class | text), by multinomial naive Bayes.

    counts: (C, V), words in the training texts of each class.
    priors: (C,), sum to 1. x: (V,), words in the new text. alpha: above 0.
    Returns (C,), float64.
    """
    raise NotImplementedError
'''

HINTS = (
    "What is p(c, x)? A prior times a product over the words of the text, with repetitions. What does that "
    "product become in logarithms, and which matrix product is it?",
    "Smooth before you take logarithms: alpha for each word of the vocabulary, so the row sum grows by alpha "
    "times V. Then normalize. Exponentials of these scores underflow; a difference of scores does not.",
    "Add alpha to the counts, take logarithms, subtract the logarithm of each row's sum: (C, V). Multiply by "
    "x and add the logarithms of the priors: (C,). Subtract the largest score, then the logarithm of the sum "
    "of the exponentials of what is left.",
)


def nb_log_posterior(counts: np.ndarray, priors: np.ndarray, x: np.ndarray, alpha: float) -> np.ndarray:
    smoothed = counts + alpha
    log_word = np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))  # (C, V)
    scores = log_word @ x + np.log(priors)  # log p(c, x)
    scores = scores - scores.max()
    return scores - np.log(np.exp(scores).sum())


# What the checks compare with.

SIZES = ((1, 1), (1, 3), (2, 1), (2, 3), (3, 2), (4, 7), (11, 5))  # C, V


def drawn(rng: Rng, C: int, V: int, *, most: int = 9, words: int = 4) -> dict[str, Any]:
    priors = rng.dirichlet(np.ones(C) * 3) if C > 1 else np.ones(1)
    return {
        "counts": rng.integers(most + 1, size=(C, V)).astype(float),
        "priors": priors,
        "x": rng.integers(words + 1, size=V).astype(float),
        "alpha": float(rng.choice([0.1, 0.5, 1.0, 2.5])),
    }


def answered(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, Array]:
    """The call, and its answer, of the right shape and dtype. A warning on the way is no wrong answer."""
    with np.errstate(all="ignore"):
        call = Call(candidate, **given)
    return call, call.returns(np.float64, log_posterior=given["priors"].shape)


def exact(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    """In whole fractions, one logarithm at the end."""
    C, V = counts.shape
    a = Fraction(alpha)
    joint = []
    for c in range(C):
        total = sum(Fraction(int(n)) for n in counts[c]) + a * V
        product = Fraction(float(priors[c]))
        for n, times in zip(counts[c], x, strict=True):
            product *= ((Fraction(int(n)) + a) / total) ** int(times)
        joint.append(product)
    shares = [product / sum(joint) for product in joint]
    return np.array([math.log(share.numerator) - math.log(share.denominator) for share in shares])


def expect(candidate: Candidate, given: dict[str, Any], cause: str) -> None:
    call, found = answered(candidate, given)
    call.same("log_posterior", found, exact(**given), cause=cause)


def case(counts: Any, priors: Any, x: Any, alpha: float = 1.0) -> dict[str, Any]:
    return {
        "counts": np.array(counts, dtype=float),
        "priors": np.array(priors, dtype=float),
        "x": np.array(x, dtype=float),
        "alpha": alpha,
    }


# Checks.


def shape(candidate: Candidate, rng: Rng) -> None:
    """Returns a float64 array with one number a class."""
    for C, V in SIZES:
        answered(candidate, drawn(rng, C, V))


def normalized(candidate: Candidate, rng: Rng) -> None:
    """The exponentials sum to 1."""
    for C, V in SIZES:
        call, found = answered(candidate, drawn(rng, C, V))
        call.same("the sum of exp(log_posterior)", np.exp(found).sum(), 1.0,
                  cause="joint log-probabilities returned as they are, or no logarithms")  # fmt: skip


def empty_text(candidate: Candidate, rng: Rng) -> None:
    """A text without words leaves the priors."""
    for C, V in SIZES:
        given = drawn(rng, C, V) | {"x": np.zeros(V)}
        call, found = answered(candidate, given)
        call.same("log_posterior", found, np.log(given["priors"]),
                  cause="the priors left out, uniform, or used once for each word")  # fmt: skip


def by_hand(candidate: Candidate, rng: Rng) -> None:
    """Two words, two classes, by hand."""
    # (3 + 1) / (4 + 2) against (0 + 1) / (0 + 2): 2/3 against 1/2, so 4/7 against 3/7.
    cause = "alpha missing in the denominator, or added to it once and not once for each word"
    expect(candidate, case([[3, 1], [0, 0]], [0.5, 0.5], [1, 0]), cause)
    expect(candidate, case([[3, 1], [0, 0]], [0.25, 0.75], [1, 1]), cause)


def repeated(candidate: Candidate, rng: Rng) -> None:
    """A word that occurs three times counts three times."""
    for times in (1, 2, 3, 7):
        given = case([[4, 1, 2], [1, 3, 3]], [0.6, 0.4], [times, 0, 1])
        expect(candidate, given, "x read as present or absent, as ids, or as shares of the text")


def unseen(candidate: Candidate, rng: Rng) -> None:
    """A word that a class, or every class, has never seen counts as smoothed."""
    for counts, x in (
        ([[5, 0], [2, 3]], [1, 2]),
        ([[5, 0], [2, 0]], [0, 3]),
        ([[0, 0, 0], [4, 0, 1]], [1, 1, 1]),
    ):
        given = case(counts, [0.3, 0.7], x)
        expect(candidate, given, "unseen words skipped, or not smoothed by alpha")


def smoothing(candidate: Candidate, rng: Rng) -> None:
    """Exact for every alpha, for any number of classes, and for classes of different size."""
    for C, V in SIZES:
        for alpha in (0.01, 0.5, 1.0, 3.0):
            given = drawn(rng, C, V) | {"alpha": alpha}
            given["counts"] = given["counts"] * (1 + 5 * np.arange(C))[:, None]
            expect(candidate, given, "another alpha than the one given, or the sums of another axis")


def long_texts(candidate: Candidate, rng: Rng) -> None:
    """Long texts neither underflow nor round the losers to log 0."""
    for words in (300, 3_000, 30_000):
        # Word 0 is twice as likely in class 0, word 1 in class 1: a difference of one word is worth log 2.
        for ahead in (0, 1, words):
            given = case([[199, 99], [99, 199]], [0.5, 0.5], [words + ahead, words])
            odds = ahead * math.log(2)
            want = np.array([-math.log1p(math.exp(-odds)), -odds - math.log1p(math.exp(-odds))])
            call, found = answered(candidate, given)
            cause = (
                "a product of probabilities, exp of the scores without subtracting the largest, or the "
                "logarithm of a softmax: it is log 0 for a class far behind"
            )
            call.same("log_posterior", found, want, tolerance=1e-8, cause=cause)


def extremes(candidate: Candidate, rng: Rng) -> None:
    """Huge counts, a tiny or huge alpha and a tiny prior keep their digits."""
    cause = "an ε added, or a probability clipped"
    for alpha in (1e-12, 1e-6, 1e6):
        expect(candidate, case([[3, 0, 9], [1, 2, 2]], [0.5, 0.5], [1, 1, 2], alpha), cause)
    expect(candidate, case([[10**9, 7], [3, 10**9]], [0.5, 0.5], [1, 1], 0.1), cause)
    expect(candidate, case([[3, 1], [1, 3]], [1e-30, 1.0], [2, 0]), cause)


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Takes whole numbers as int64, and arrays that are not contiguous."""
    for C, V in SIZES:
        given = drawn(rng, C, V) | {"alpha": 0.5}
        whole = given | {"counts": given["counts"].astype(np.int64), "x": given["x"].astype(np.int64)}
        expect(candidate, whole, "alpha added in place to whole numbers, or made one of them")
        spread = given | {"counts": np.asfortranarray(given["counts"]), "x": np.repeat(given["x"], 2)[::2]}
        expect(candidate, spread, "a view that needs contiguous memory")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves counts, priors and x as they were."""
    for C, V in SIZES:
        answered(candidate, drawn(rng, C, V))[0].unchanged()


# Right answers of other style, and wrong ones.


def by_loop(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    scores = []
    for row, prior in zip(counts.tolist(), priors.tolist(), strict=True):
        total = sum(row) + alpha * len(row)
        terms = [times * math.log((n + alpha) / total) for n, times in zip(row, x.tolist(), strict=True)]
        scores.append(math.log(prior) + math.fsum(terms))
    top = max(scores)
    norm = top + math.log(sum(math.exp(score - top) for score in scores))
    return np.array([score - norm for score in scores])


def by_logaddexp(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    theta = (counts + alpha) / (counts.sum(axis=1) + alpha * counts.shape[1])[:, None]
    joint = np.log(priors) + (x * np.log(theta)).sum(axis=1)
    return joint - np.logaddexp.reduce(joint)


def by_odds(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    """1 / p(c | x) is the sum of the odds of all classes against c."""
    theta = np.log(counts + alpha) - np.log(np.sum(counts + alpha, axis=1, keepdims=True))
    joint = np.einsum("cv,v->c", theta, x) + np.log(priors)
    return -np.logaddexp.reduce(joint[None, :] - joint[:, None], axis=1)


def by_torch(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    import torch

    c, p, text = (torch.tensor(np.ascontiguousarray(a), dtype=torch.float64) for a in (counts, priors, x))
    theta = ((c + alpha) / (c + alpha).sum(1, keepdim=True)).log()
    return np.asarray(torch.log_softmax(theta @ text + p.log(), dim=0).numpy())


def pieces(
    counts: Array,
    priors: Array,
    x: Array,
    alpha: float,
    *,
    added: Any = None,
    prior: float = 1.0,
    text: Any = None,
) -> Array:
    """Right in everything but the piece that is replaced."""
    more = alpha * counts.shape[1] if added is None else added(counts, alpha)
    totals = counts.sum(axis=1, keepdims=True) + more
    words = x if text is None else text(x)
    joint = (np.log(counts + alpha) - np.log(totals)) @ words + prior * np.log(priors)
    return np.asarray(joint - np.logaddexp.reduce(joint))


def joint_only(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    smoothed = counts + alpha
    return np.asarray(np.log(smoothed / smoothed.sum(axis=1, keepdims=True)) @ x + np.log(priors))


def product(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    theta = (counts + alpha) / (counts + alpha).sum(axis=1, keepdims=True)
    joint = priors * (theta**x).prod(axis=1)
    return np.asarray(np.log(joint / joint.sum()))


def log_of_softmax(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    joint = joint_only(counts, priors, x, alpha)
    e = np.exp(joint - joint.max())
    return np.asarray(np.log(e / e.sum()))


def mended_softmax(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    joint = joint_only(counts, priors, x, alpha)
    e = np.exp(joint - joint.max())
    return np.asarray(np.log(e / e.sum() + 1e-300))


def exp_unshifted(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    joint = joint_only(counts, priors, x, alpha)
    return np.asarray(joint - np.log(np.exp(joint).sum()))


def without_smoothing(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    theta = counts / counts.sum(axis=1, keepdims=True)
    joint = np.log(theta + 1e-12) @ x + np.log(priors)
    return np.asarray(joint - np.logaddexp.reduce(joint))


def seen_words_only(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    seen = counts.sum(axis=0) > 0
    return nb_log_posterior(counts[:, seen], priors, x[seen], alpha)


def prior_each_word(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    return pieces(counts, priors, x, alpha, prior=max(1.0, float(x.sum())))


def words_normalized(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    """p(v | c) normalized over the classes, not over the words."""
    smoothed = counts + alpha
    joint = np.log(smoothed / smoothed.sum(axis=0)) @ x + np.log(priors)
    return np.asarray(joint - np.logaddexp.reduce(joint))


def bernoulli(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    theta = (counts + alpha) / (counts.sum(axis=1, keepdims=True) + alpha * counts.shape[1])
    joint = np.log(np.where(x > 0, theta, 1 - theta)).sum(axis=1) + np.log(priors)
    return np.asarray(joint - np.logaddexp.reduce(joint))


def in_place(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    answer = nb_log_posterior(counts, priors, x, alpha)
    counts += 1 if counts.dtype.kind == "i" else alpha
    return answer


def float32_inside(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    c, p, text = (a.astype(np.float32) for a in (counts, priors, x))
    return nb_log_posterior(c, p, text, alpha).astype(np.float64)


def prior_plus_epsilon(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    return nb_log_posterior(counts, priors + 1e-15, x, alpha)


def words_clipped(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    theta = (counts + alpha) / (counts + alpha).sum(axis=1, keepdims=True)
    joint = np.log(theta.clip(1e-10)) @ x + np.log(priors)
    return np.asarray(joint - np.logaddexp.reduce(joint))


def alpha_as_a_count(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    smoothed = counts + np.full_like(counts, alpha)
    joint = (np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True))) @ x + np.log(priors)
    return np.asarray(joint - np.logaddexp.reduce(joint))


def sigmoid_of_two(counts: Array, priors: Array, x: Array, alpha: float) -> Array:
    joint = joint_only(counts, priors, x, alpha)
    if len(joint) < 2:
        return np.zeros(len(joint))
    answer = np.full(len(joint), -np.inf)
    answer[:2] = -np.logaddexp(0, joint[1] - joint[0]), -np.logaddexp(0, joint[0] - joint[1])
    return answer


TASK = Task(
    name="nb_log_posterior",
    entry="naive_bayes_vs_logistic",
    statement=STATEMENT,
    starter=STARTER,
    reference=nb_log_posterior,
    hints=HINTS,
    checks=(
        shape,
        normalized,
        empty_text,
        by_hand,
        repeated,
        unseen,
        smoothing,
        long_texts,
        extremes,
        dtypes,
        inputs_kept,
    ),
    wrong={
        "joint log-probabilities": joint_only,
        "a product of probabilities": product,
        "the logarithm of a softmax": log_of_softmax,
        "the logarithm of a softmax plus ε": mended_softmax,
        "exp without subtracting the largest": exp_unshifted,
        "probabilities, no logarithms": lambda counts, priors, x, alpha: np.exp(
            nb_log_posterior(counts, priors, x, alpha)
        ),
        "base 2": lambda counts, priors, x, alpha: nb_log_posterior(counts, priors, x, alpha) / math.log(2),
        "alpha missing in the denominator": lambda *given: pieces(*given, added=lambda counts, alpha: 0.0),
        "alpha once in the denominator": lambda *given: pieces(*given, added=lambda counts, alpha: alpha),
        "alpha times the classes in the denominator": lambda *given: pieces(
            *given, added=lambda counts, alpha: alpha * len(counts)
        ),
        "alpha times the seen words in the denominator": lambda *given: pieces(
            *given, added=lambda counts, alpha: alpha * (counts > 0).sum(axis=1, keepdims=True)
        ),
        "Laplace whatever alpha": lambda counts, priors, x, alpha: nb_log_posterior(counts, priors, x, 1.0),
        "ε in place of smoothing": without_smoothing,
        "words no class has seen left out": seen_words_only,
        "no prior": lambda *given: pieces(*given, prior=0.0),
        "the prior once for each word": prior_each_word,
        "present or absent": lambda *given: pieces(*given, text=lambda x: (x > 0).astype(float)),
        "Bernoulli": bernoulli,
        "words normalized over classes": words_normalized,
        "mean over the text's words": lambda *given: pieces(*given, text=lambda x: x / max(1.0, x.sum())),
        "alpha added in place": in_place,
        "float32 inside": float32_inside,
        "an ε added to the priors": prior_plus_epsilon,
        "probabilities clipped": words_clipped,
        "alpha in the counts' dtype": alpha_as_a_count,
        "two classes only": sigmoid_of_two,
    },
    also_right={
        "one word at a time": by_loop,
        "logaddexp": by_logaddexp,
        "odds against every class": by_odds,
        "torch's log_softmax": by_torch,
        "exact fractions": lambda counts, priors, x, alpha: (
            exact(counts, priors, x, alpha) if x.sum() < 1000 else by_loop(counts, priors, x, alpha)
        ),
    },
    asked=2,
)
