"""The code length of a text under a model's probabilities, in bits."""

import math
import warnings
from collections.abc import Callable

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `sequence_bits(probs, ids)`: how many bits a text takes under a model, as one number:
$\sum_t -\log_2 \text{probs}[t, \text{ids}[t]]$. Row $t$ is already the distribution of token $t$ given the
tokens before it, so nothing is shifted, and rows are taken as they are, also if they do not add up
to 1. An empty text ($T = 0$) takes 0 bits; a token of probability 0 takes infinitely many (return `inf`,
without a warning), and one of probability NaN makes the result NaN, while zeros and NaNs of tokens that
did not come do not matter. Compute in float64, whatever the dtype of `probs`. Texts have thousands of
tokens, and any probability above 0 that float64 can hold counts in full. Leave the inputs as they are.
"""

STARTER = '''
import numpy as np


def sequence_bits(probs: np.ndarray, ids: np.ndarray) -> float:
    """The code length of a text in bits: the sum of −log₂ p of its tokens.

    probs: (T, V), float32 or float64; row t predicts ids[t].
    ids: (T,), whole numbers from 0 to V − 1, of any integer dtype.
    """
    raise NotImplementedError
'''

HINTS = (
    "Which of the T · V probabilities does the text's length depend on? Pick those first, one a row.",
    "A product of thousands of probabilities is 0 in floating point, a sum of logarithms is not. And what do "
    "NumPy and `math` each do with the logarithm of 0?",
    "Index with two arrays, the row numbers and the ids; turn what you get into float64; take the base-2 "
    "logarithm where NumPy is told to ignore division by zero; return minus the sum. An empty sum is 0.",
)


def sequence_bits(probs: np.ndarray, ids: np.ndarray) -> float:
    picked = probs[np.arange(len(ids)), ids].astype(np.float64)  # (T,)
    with np.errstate(divide="ignore"):  # log 0 = −∞ is what we want
        return float(-np.log2(picked).sum())


# What the checks compare with.

SIZES = ((1, 1), (1, 2), (2, 1), (2, 3), (3, 2), (4, 4), (5, 9), (40, 7))  # T, V


def inputs(rng: Rng, T: int, V: int) -> dict[str, np.ndarray]:
    weights = rng.uniform(0.05, 1, size=(T, V)) ** 3
    return {"probs": weights / weights.sum(axis=1, keepdims=True), "ids": rng.integers(V, size=T)}


def bits(probs: np.ndarray, ids: np.ndarray) -> float:
    """One token after the other, with `math`."""
    picked = [float(row[token]) for row, token in zip(probs, ids.tolist(), strict=True)]
    return math.fsum(-math.log2(p) if p else math.inf for p in picked)


def compare(candidate: Candidate, given: dict[str, np.ndarray], cause: str) -> Call:
    call = Call(candidate, **given)
    call.same("bits", call.number(), bits(**given), cause=cause, tolerance=1e-10)
    return call


def quietly(candidate: Candidate, given: dict[str, np.ndarray], cause: str) -> None:
    """As `compare`, and no warning may come out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call = compare(candidate, given, cause)
    said = " ".join(f"a warning: {each.message}" for each in caught[:1])
    call.holds(not caught, expected="no warning", got=said,
               cause="`np.log2` meets a 0 outside `np.errstate(divide='ignore')`; the whole table's "
               "logarithm, where the text's tokens should be picked first")  # fmt: skip


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number."""
    for sizes in SIZES:
        Call(candidate, **inputs(rng, *sizes)).number()


def uniform(candidate: Candidate, rng: Rng) -> None:
    """Equal probabilities cost log₂ V bits a token: T · log₂ V in all."""
    for T, V in SIZES:
        given = {"probs": np.full((T, V), 1 / V), "ids": rng.integers(V, size=T)}
        compare(candidate, given, "nats (the natural logarithm), a mean in place of the sum, or the sign")


def values(candidate: Candidate, rng: Rng) -> None:
    """Row t is scored with ids[t], for any distributions."""
    for sizes in SIZES:
        compare(candidate, inputs(rng, *sizes),
                "a shift by one, which belongs before this function; the rows' entropy or largest entry "
                "in place of the text's tokens; or each token rounded up to whole bits")  # fmt: skip


def as_they_are(candidate: Candidate, rng: Rng) -> None:
    """Rows are not made to add up to 1."""
    for sizes in SIZES:
        given = inputs(rng, *sizes)
        compare(candidate, given | {"probs": given["probs"] / 2}, "rows divided by their sum, or a softmax")


def certain(candidate: Candidate, rng: Rng) -> None:
    """A text that was certain takes 0 bits, whatever zeros stand beside it."""
    for T, V in SIZES:
        ids = rng.integers(V, size=T)
        compare(candidate, {"probs": np.eye(V)[ids], "ids": ids},
                "0 · log 0 = NaN: a one-hot product, where one probability should be picked; or an epsilon "
                "inside the logarithm")  # fmt: skip


def impossible(candidate: Candidate, rng: Rng) -> None:
    """A token of probability 0 makes the length infinite, without a warning or an error."""
    for T, V in ((1, 1), (1, 2), (3, 2), (5, 9)):
        for place in {0, T - 1}:
            given = inputs(rng, T, V)
            given["probs"][place, given["ids"][place]] = 0.0
            quietly(candidate, given, "probabilities clipped from below, an epsilon added, or `math.log2`, "
                    "which raises at 0")  # fmt: skip


def elsewhere(candidate: Candidate, rng: Rng) -> None:
    """Zeros and NaNs of tokens that did not come do not matter."""
    for T, V in ((1, 2), (3, 2), (5, 9)):
        for odd in (0.0, np.nan):
            given = inputs(rng, T, V)
            others = np.arange(V) != given["ids"][:, None]
            given["probs"][others] = odd
            quietly(candidate, given, "0 · log 0 = NaN, or a look at the whole row")


def not_a_number(candidate: Candidate, rng: Rng) -> None:
    """A NaN at a token of the text makes the result NaN."""
    for T, V in ((1, 2), (3, 2), (5, 9)):
        given = inputs(rng, T, V)
        given["probs"][-1, given["ids"][-1]] = np.nan
        call = Call(candidate, **given)
        got = call.number()
        call.holds(math.isnan(got), expected="nan", got=f"{got:.4g}",
                   cause="`nan_to_num`, `nansum`, or a maximum that drops NaN")  # fmt: skip


def empty(candidate: Candidate, rng: Rng) -> None:
    """A text of no tokens takes 0 bits."""
    for V in (1, 3, 9):
        given = {"probs": np.zeros((0, V)), "ids": np.zeros(0, dtype=np.int64)}
        compare(candidate, given, "a mean over nothing, or a first token that is not there")


def long_text(candidate: Candidate, rng: Rng) -> None:
    """Thousands of tokens, and tiny probabilities, count in full."""
    compare(candidate, inputs(rng, 3000, 20), "a product of probabilities, which underflows to 0")
    for tiny in (1e-12, 1e-40, 1e-300):
        for T, V in ((1, 2), (3, 2), (5, 9)):
            given = inputs(rng, T, V)
            given["probs"][0, given["ids"][0]] = tiny
            compare(candidate, given, "an epsilon, a clip, or float32 on the way")


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Takes float32 and computes in float64; takes ids of any integer dtype."""
    for T, V in ((1, 2), (3, 2), (40, 7), (3000, 20)):
        given = inputs(rng, T, V)
        compare(
            candidate,
            given | {"probs": given["probs"].astype(np.float32)},
            "logarithms or sums taken in float32",
        )
        for dtype in (np.uint8, np.int32):
            compare(
                candidate,
                given | {"ids": given["ids"].astype(dtype)},
                "arithmetic done in the dtype of the ids",
            )


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes arrays that are not contiguous."""
    for T, V in ((2, 3), (5, 9)):
        given = inputs(rng, 2 * T, V)
        probs = np.asfortranarray(given["probs"])[::2]
        compare(candidate, {"probs": probs, "ids": given["ids"][::2]}, "a look at the memory's order")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves probs and ids as they were."""
    for sizes in ((2, 3), (5, 9)):
        given = inputs(rng, *sizes)
        Call(candidate, **given).unchanged()
        given["probs"][0, given["ids"][0]] = 0.0
        Call(candidate, **given).unchanged()


# Right answers of other style, and wrong ones.


def by_loop(probs: np.ndarray, ids: np.ndarray) -> float:
    total = 0.0
    for row, token in zip(probs, ids, strict=True):
        p = float(row[token])
        if p == 0:
            return math.inf
        total -= math.log2(p)
    return total


def by_take_along_axis(probs: np.ndarray, ids: np.ndarray) -> float:
    picked = np.take_along_axis(probs, ids[:, None].astype(np.int64), axis=1).astype(np.float64)
    if (picked == 0).any():
        return math.inf
    return -np.log(picked).sum() / math.log(2)


def by_torch(probs: np.ndarray, ids: np.ndarray) -> object:
    import torch

    log_p = torch.tensor(probs).double().log()
    return torch.nn.functional.nll_loss(log_p, torch.tensor(ids).long(), reduction="sum") / math.log(2)


def by_mask(probs: np.ndarray, ids: np.ndarray) -> np.float64:
    chosen = np.arange(probs.shape[1]) == ids[:, None]  # (T, V)
    with np.errstate(all="ignore"):
        return np.where(chosen, -np.log2(probs.astype(np.float64)), 0.0).sum()


def picked(length: Callable[[np.ndarray], object]) -> Candidate:
    """An answer that picks the right probabilities (T,), in float64, and takes `length` of them."""

    def answer(probs: np.ndarray, ids: np.ndarray) -> object:
        with np.errstate(all="ignore"):
            return length(probs[np.arange(len(ids)), ids].astype(np.float64))

    return answer


def rows(change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Candidate:
    """An answer right in everything but which probabilities it takes from which rows."""

    def answer(probs: np.ndarray, ids: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            return sequence_bits(*change(probs, ids))

    return answer


def with_warning(probs: np.ndarray, ids: np.ndarray) -> float:
    return float(-np.log2(probs[np.arange(len(ids)), ids].astype(np.float64)).sum())


def by_math(probs: np.ndarray, ids: np.ndarray) -> float:
    return -sum(math.log2(row[token]) for row, token in zip(probs, ids, strict=True))


def one_hot_product(probs: np.ndarray, ids: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(-(np.eye(probs.shape[1])[ids] * np.log2(probs.astype(np.float64))).sum())


def whole_table(probs: np.ndarray, ids: np.ndarray) -> float:
    return float(-np.log2(probs.astype(np.float64))[np.arange(len(ids)), ids].sum())


def entropy(probs: np.ndarray, ids: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(-(probs.astype(np.float64) * np.log2(probs.astype(np.float64))).sum())


def in_float32(probs: np.ndarray, ids: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(-np.log2(probs.astype(np.float32)[np.arange(len(ids)), ids]).sum())


def own_dtype(probs: np.ndarray, ids: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return float(-np.log2(probs[np.arange(len(ids)), ids]).sum())


def nan_anywhere(probs: np.ndarray, ids: np.ndarray) -> float:
    return math.nan if np.isnan(probs).any() else sequence_bits(probs, ids)


def as_in_memory(probs: np.ndarray, ids: np.ndarray) -> float:
    places = np.arange(len(ids)) * probs.shape[1] + ids
    with np.errstate(all="ignore"):
        return float(-np.log2(probs.ravel("K").astype(np.float64)[places]).sum())


def clipped_in_place(probs: np.ndarray, ids: np.ndarray) -> float:
    result = sequence_bits(probs, ids)
    probs[probs == 0] = np.finfo(np.float64).tiny
    return result


def flat_places(probs: np.ndarray, ids: np.ndarray) -> float:
    places = np.arange(len(ids), dtype=ids.dtype) * ids.dtype.type(probs.shape[1]) + ids
    with np.errstate(all="ignore"):
        return float(-np.log2(probs.astype(np.float64).ravel()[places]).sum())


def normalized(probs: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return probs / probs.sum(axis=1, keepdims=True), ids


TASK = Task(
    name="sequence_bits",
    entry="next_token_prediction",
    statement=STATEMENT,
    starter=STARTER,
    reference=sequence_bits,
    hints=HINTS,
    checks=(
        one_number,
        uniform,
        values,
        as_they_are,
        certain,
        impossible,
        elsewhere,
        not_a_number,
        empty,
        long_text,
        dtypes,
        memory,
        inputs_kept,
    ),
    wrong={
        "nats": picked(lambda p: -np.log(p).sum()),
        "decimal digits": picked(lambda p: -np.log10(p).sum()),
        "mean": picked(lambda p: -np.log2(p).mean()),
        "mean, 0 for nothing": picked(lambda p: -np.log2(p).mean() if len(p) else 0.0),
        "sign turned around": picked(lambda p: np.log2(p).sum()),
        "perplexity": picked(lambda p: 2 ** -np.log2(p).mean()),
        "one number a token": picked(lambda p: -np.log2(p)),
        "logarithm of the product": picked(lambda p: -np.log2(p.prod())),
        "logarithm of the sum": picked(lambda p: -np.log2(p.sum())),
        "rounded up for each token": picked(lambda p: np.ceil(-np.log2(p)).sum()),
        "rounded up in the end": picked(lambda p: np.ceil(-np.log2(p).sum())),
        "mean times T": picked(lambda p: -np.log2(p).mean() * len(p)),
        "NaN if there is one anywhere": nan_anywhere,
        "places counted as they lie in memory": as_in_memory,
        "an epsilon inside": picked(lambda p: -np.log2(p + 1e-12).sum()),
        "clipped from below": picked(lambda p: -np.log2(np.maximum(p, 1e-300)).sum()),
        "impossible tokens left out": picked(lambda p: -np.log2(p[p > 0]).sum()),
        "NaN left out": picked(lambda p: -np.nansum(np.log2(p))),
        "infinite when anything is wrong": picked(
            lambda p: -np.log2(p).sum() if np.isfinite(p).all() else math.inf
        ),
        "row t with the token before": rows(lambda p, i: (p[1:], i[:-1])),
        "row t with the token after": rows(lambda p, i: (p[:-1], i[1:])),
        "first token left out": rows(lambda p, i: (p[1:], i[1:])),
        "rolled by one": rows(lambda p, i: (p, np.roll(i, 1))),
        "the likeliest token's": rows(lambda p, i: (p, p.argmax(axis=1))),
        "rows made to add up to 1": rows(normalized),
        "entropy of the rows": entropy,
        "one-hot times logarithms": one_hot_product,
        "logarithm of the whole table": whole_table,
        "a warning for 0": with_warning,
        "an error for 0": by_math,
        "float32 inside": in_float32,
        "float32 where it comes so": own_dtype,
        "places counted in the ids' dtype": flat_places,
        "zeros replaced in place": clipped_in_place,
    },
    also_right={
        "one token at a time": by_loop,
        "take_along_axis and nats": by_take_along_axis,
        "PyTorch's nll_loss": by_torch,
        "a mask of what came": by_mask,
        "fsum of log2": picked(lambda p: math.fsum(-np.log2(p)) if (p > 0).all() else -np.log2(p).sum()),
    },
    asked=1,
)
