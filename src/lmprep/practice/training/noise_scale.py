"""The simple noise scale of per-example gradients."""

import math
from typing import Any

import numpy as np
import torch

from lmprep.practice.checks import Call, Rng, normal, raises, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `noise_scale(per_sample_grads)`: the batch size at which noise and gradient weigh the same, estimated
from the gradients $g_1, \dots, g_n$ of independent examples, the rows of an $(n, p)$ tensor in float32 or
float64. With $\bar g$ their mean, the noise is $S = \sum_i \lVert g_i - \bar g\rVert^2 / (n - 1)$, and the
signal is $G = \lVert\bar g\rVert^2 - S/n$, since the mean contains noise of its own. Return $S/G$ as one
number: infinity where $G \leq 0$, NaN where an entry is NaN. With fewer than two rows raise a `ValueError`.
Compute in float64: entries may be as small as $10^{-25}$ or as large as $10^{25}$, whose squares do not fit
into float32, and float64 rows may differ by a millionth of their size. Leave the input as it is.
"""

STARTER = '''
import torch


def noise_scale(per_sample_grads: torch.Tensor) -> float:
    """The noise scale S / G, estimated from one gradient per row: (n, p), n ≥ 2."""
    raise NotImplementedError
'''

HINTS = (
    "Which of the two axes holds the examples? Take the mean over it first. Then ask what a variance divides "
    "by if the mean was computed from the same rows.",
    "Two sums of squares: one over all entries of the distances from the mean gradient, one over the entries "
    "of the mean gradient. A mean of n rows strays from the true gradient by the noise over n, squared.",
    "Convert to float64, and refuse fewer than two rows. Noise: the summed squared distances over n − 1. "
    "Signal: the summed squares of the mean, less the noise over n. Where the signal is not positive the "
    "answer is infinity, but compare so that NaN stays NaN; else divide noise by signal.",
)


def noise_scale(per_sample_grads: torch.Tensor) -> float:
    n = len(per_sample_grads)
    if n < 2:
        raise ValueError(f"want at least two gradients, got {n}")
    grads = per_sample_grads.double()
    mean = grads.mean(dim=0)
    noise = (grads - mean).square().sum() / (n - 1)
    signal = mean.square().sum() - noise / n
    return float("inf") if signal <= 0 else (noise / signal).item()


# What the checks compare with: sums over pairs of rows, without a mean or a correction.


def by_pairs(grads: torch.Tensor) -> float:
    """S is half the mean squared distance of two different rows, G their mean inner product."""
    rows = grads.double()
    products = rows @ rows.T
    n, squares = len(rows), products.diagonal()
    signal = (products.sum() - squares.sum()) / (n * (n - 1))
    noise = squares.mean() - signal
    return float(noise / signal)


def gradients(rng: Rng, n: int, p: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Rows around a common gradient that is clearly not zero; the columns differ in size."""
    mean = 2 + normal(rng, p, dtype=dtype).abs()
    sizes = 0.5 + torch.arange(p, dtype=dtype) / p
    return mean + normal(rng, n, p, dtype=dtype) * sizes


def ask(candidate: Candidate, grads: torch.Tensor, cause: str, tolerance: float = 1e-9) -> None:
    call = Call(candidate, per_sample_grads=grads)
    call.same("noise scale", call.number(), by_pairs(grads), cause=cause, tolerance=tolerance)


# Checks.


def a_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number."""
    Call(candidate, per_sample_grads=torch.tensor([[1.0], [3.0]])).number()


def one_weight(candidate: Candidate, rng: Rng) -> None:
    """Is S / G for one weight, with n − 1 below S and S / n taken off the squared mean."""
    call = Call(candidate, per_sample_grads=torch.tensor([[1.0], [3.0]]))
    cause = "a variance divided by n; a squared mean without the correction; or a mean that is not squared"
    call.same("noise scale", call.number(), 2 / 3, cause=cause, tolerance=1e-6)  # S = 2, G = 4 − 1
    for n in (2, 4, 7):
        ask(candidate, gradients(rng, n, 1), cause)


def sums_over_weights(candidate: Candidate, rng: Rng) -> None:
    """Sums noise and signal over all weights before it divides."""
    cause = "a mean of norms, a ratio for each weight, or examples and weights taken for one another"
    for n, p in ((4, 3), (3, 8), (40, 5)):
        ask(candidate, gradients(rng, n, p), cause)


def identical(candidate: Candidate, rng: Rng) -> None:
    """Is 0 where all examples agree."""
    row = 1 + normal(rng, 4, dtype=torch.float64).abs()
    cause = "no noise taken for no answer, or noise found where rows are equal"
    for n in (2, 5):
        call = Call(candidate, per_sample_grads=row.repeat(n, 1))
        call.same("noise scale", call.number(), 0.0, cause=cause, tolerance=1e-12)


def no_signal(candidate: Candidate, rng: Rng) -> None:
    """Is infinite where the signal is not positive."""
    cause = "a division without a look at the sign, NaN for 0/0, or a signal clipped at some small number"
    zeros = torch.zeros(3, 2)
    opposed = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    hidden = torch.tensor([[-4.0], [-1.0], [0.0], [2.0], [4.0], [5.0]])  # mean 1, S / n above 1
    noisy = normal(rng, 6, 4)
    noisy = noisy - noisy.mean(dim=0) + 1e-3
    for grads in (opposed, hidden, zeros, noisy):
        call = Call(candidate, per_sample_grads=grads)
        call.same("noise scale", call.number(), math.inf, cause=cause)


def weak_signal(candidate: Candidate, rng: Rng) -> None:
    """Is finite where the signal is positive, however much the noise exceeds it."""
    apart = normal(rng, 3, 4, dtype=torch.float64)
    mean = normal(rng, 4, dtype=torch.float64)
    row_noise = 2 * apart.square().sum() / 5 / 6  # S / n of the six rows mean ± apart
    mean = mean / mean.norm() * (row_noise * (1 + 1e-4)).sqrt()
    grads = torch.cat([mean + apart, mean - apart])  # S / G is 6e4
    ask(candidate, grads, "a signal taken for zero below some share of the noise", tolerance=1e-6)


def any_size(candidate: Candidate, rng: Rng) -> None:
    """Does not depend on the gradients' unit, be they tiny or huge, in either dtype."""
    cause = "squares in float32, which under- or overflow; an epsilon in the denominator; or a root missing"
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        grads = gradients(rng, 6, 3, dtype)
        for unit in (1e-25, 1e25):
            ask(candidate, grads * unit, cause, tolerance)


def nearly_equal(candidate: Candidate, rng: Rng) -> None:
    """Keeps its digits where float64 rows differ by a millionth of their size."""
    grads = 1e6 + gradients(rng, 6, 3)
    apart = torch.cdist(grads, grads, compute_mode="donot_use_mm_for_euclid_dist").square().sum()
    noise = apart / (2 * 6 * 5)  # half the mean squared distance of two different rows
    want = float(noise / (grads.mean(dim=0).square().sum() - noise / 6))
    call = Call(candidate, per_sample_grads=grads)
    cause = "a mean of squares minus a squared mean, which cancels, or a cast to float32"
    call.same("noise scale × 1e12", 1e12 * call.number(), 1e12 * want, cause=cause, tolerance=1e-6)


def keeps_nan(candidate: Candidate, rng: Rng) -> None:
    """Is NaN where an entry is NaN."""
    grads = gradients(rng, 4, 3)
    grads[2, 1] = math.nan
    call = Call(candidate, per_sample_grads=grads)
    got = call.number()
    cause = "`not G > 0`, which is true of NaN, `nan_to_num` or `nanmean`: the caller would not notice"
    call.holds(math.isnan(got), expected="nan", got=str(got), cause=cause)


def too_few(candidate: Candidate, rng: Rng) -> None:
    """Raises a ValueError for fewer than two rows."""
    for n in (1, 0):
        cause = "0/0, which is NaN in torch, or a single row taken for one without noise"
        raises(ValueError, candidate, cause=cause, per_sample_grads=torch.ones(n, 3))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes rows in any memory order, and leaves them as they were."""
    grads = strided(gradients(rng, 5, 4))
    ask(candidate, grads, "`.view` on memory that is not contiguous")
    call = Call(candidate, per_sample_grads=grads)
    call.unchanged()


# Right answers of other style, and wrong ones.


def in_numpy(per_sample_grads: torch.Tensor) -> Any:
    g = per_sample_grads.numpy().astype(np.float64)
    if g.shape[0] <= 1:
        raise ValueError("one gradient has no variance")
    S = g.var(axis=0, ddof=1).sum()
    G = np.dot(g.mean(axis=0), g.mean(axis=0)) - S / g.shape[0]
    return np.inf if G <= 0 else S / G


def loops(per_sample_grads: torch.Tensor) -> float:
    rows = per_sample_grads.double().tolist()
    n = len(rows)
    if n < 2:
        raise ValueError("n must be at least 2")
    mean = [math.fsum(column) / n for column in zip(*rows, strict=True)]
    noise = math.fsum((x - m) ** 2 for row in rows for x, m in zip(row, mean, strict=True)) / (n - 1)
    signal = math.fsum(m * m for m in mean) - noise / n
    if signal <= 0:
        return float("inf")
    return noise / signal


def as_tensor(per_sample_grads: torch.Tensor) -> torch.Tensor:
    if per_sample_grads.shape[0] < 2:
        raise ValueError("too few rows")
    grads = per_sample_grads.to(torch.float64)
    noise = torch.var(grads, dim=0, unbiased=True).sum()
    signal = grads.mean(0).norm() ** 2 - noise / grads.shape[0]
    return torch.where(signal <= 0, torch.full_like(signal, math.inf), noise / signal)


def changed(
    *,
    ddof: int = 1,
    correct: float = 1.0,
    power: int = 2,
    dtype: torch.dtype | None = torch.float64,
    epsilon: float = 0.0,
    floor: float | None = None,
    root: bool = False,
) -> Candidate:
    """The right answer with one part changed."""

    def answer(per_sample_grads: torch.Tensor) -> float:
        n = len(per_sample_grads)
        if n < 2:
            raise ValueError("too few rows")
        grads = per_sample_grads.to(dtype)
        mean = grads.mean(dim=0)
        noise = (grads - mean).square().sum() / (n - ddof)
        signal = mean.norm() ** power - correct * noise / n
        if floor is not None:
            signal = signal.clamp(min=floor)
        ratio = noise / (signal + epsilon)
        return math.inf if signal <= 0 else (ratio.sqrt() if root else ratio).item()

    return answer


def mean_of_norms(per_sample_grads: torch.Tensor) -> float:
    n = len(per_sample_grads)
    if n < 2:
        raise ValueError("too few rows")
    grads = per_sample_grads.double()
    noise = grads.var(dim=0).sum()
    signal = grads.norm(dim=1).mean() ** 2 - noise / n
    return math.inf if signal <= 0 else (noise / signal).item()


def weight_by_weight(per_sample_grads: torch.Tensor) -> float:
    n = len(per_sample_grads)
    if n < 2:
        raise ValueError("too few rows")
    grads = per_sample_grads.double()
    noise = grads.var(dim=0)
    signal = grads.mean(dim=0).square() - noise / n
    return math.inf if (signal <= 0).any() else (noise / signal).mean().item()


def mean_over_weights(per_sample_grads: torch.Tensor) -> float:
    n = len(per_sample_grads)
    if n < 2:
        raise ValueError("too few rows")
    grads = per_sample_grads.double()
    noise = grads.var(dim=0).mean()
    signal = grads.mean(dim=0).square().sum() - noise / n
    return math.inf if signal <= 0 else (noise / signal).item()


def axes_swapped(per_sample_grads: torch.Tensor) -> float:
    if len(per_sample_grads) < 2:
        raise ValueError("too few rows")
    return noise_scale(per_sample_grads.T) if per_sample_grads.shape[1] > 1 else noise_scale(per_sample_grads)


def one_row_is_fine(per_sample_grads: torch.Tensor) -> float:
    return 0.0 if len(per_sample_grads) == 1 else noise_scale(per_sample_grads)


def no_guard(per_sample_grads: torch.Tensor) -> float:
    n = len(per_sample_grads)
    if n < 2:
        raise ValueError("too few rows")
    grads = per_sample_grads.double()
    noise = grads.var(dim=0).sum()
    return (noise / (grads.mean(dim=0).square().sum() - noise / n)).item()


def weak_is_none(per_sample_grads: torch.Tensor) -> float:
    scale = noise_scale(per_sample_grads)
    return math.inf if scale > 1000 else scale


def nan_is_infinite(per_sample_grads: torch.Tensor) -> float:
    scale = noise_scale(per_sample_grads)
    return scale if scale >= 0 else math.inf


def infinite_without_noise(per_sample_grads: torch.Tensor) -> float:
    return noise_scale(per_sample_grads) or math.inf


def zero_over_zero(per_sample_grads: torch.Tensor) -> float:
    scale = noise_scale(per_sample_grads)
    return 0.0 if not per_sample_grads.any() else scale


def moment_difference(per_sample_grads: torch.Tensor) -> float:
    n = len(per_sample_grads)
    if n < 2:
        raise ValueError("too few rows")
    grads = per_sample_grads.double()
    mean = grads.mean(dim=0)
    noise = (grads.square().mean(dim=0) - mean.square()).sum().clamp(min=0) * n / (n - 1)
    signal = mean.square().sum() - noise / n
    return math.inf if signal <= 0 else (noise / signal).item()


TASK = Task(
    name="noise_scale",
    entry="sgd_noise",
    statement=STATEMENT,
    starter=STARTER,
    reference=noise_scale,
    hints=HINTS,
    checks=(
        a_number,
        one_weight,
        sums_over_weights,
        identical,
        no_signal,
        weak_signal,
        any_size,
        nearly_equal,
        keeps_nan,
        too_few,
        memory,
    ),
    wrong={
        "variance over n": changed(ddof=0),
        "squared mean uncorrected": changed(correct=0.0),
        "noise subtracted whole": changed(correct=2.0),
        "norm not squared": changed(power=1),
        "a ratio of norms": changed(root=True),
        "squares in float32": changed(dtype=torch.float32),
        "squares in the input's dtype": changed(dtype=None),
        "a signal of at least a small number": changed(floor=1e-12),
        "an epsilon below": changed(epsilon=1e-12),
        "no signal below a thousandth of the noise": weak_is_none,
        "infinite without noise": infinite_without_noise,
        "mean of norms": mean_of_norms,
        "weight by weight": weight_by_weight,
        "mean over the weights": mean_over_weights,
        "axes swapped": axes_swapped,
        "a single row has no noise": one_row_is_fine,
        "negative where the signal is": no_guard,
        "infinite for NaN": nan_is_infinite,
        "0 where everything is 0": zero_over_zero,
        "mean of squares minus squared mean": moment_difference,
    },
    also_right={"numpy": in_numpy, "loops over rows": loops, "torch.where, a tensor": as_tensor},
    asked=1,
)
