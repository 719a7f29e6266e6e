"""Positive pointwise mutual information of a table of counts."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `ppmi(counts)`: the positive pointwise mutual information of a table of counts, V words by C
contexts, where `counts[w, c]` says how often they met. With $p(w, c)$ a cell's share of all counts, and
$p(w)$ and $p(c)$ the shares of its row and of its column, a cell's value is
$\max\big(0, \log \frac{p(w, c)}{p(w)\,p(c)}\big)$, with the natural logarithm. A pair that never met gets 0,
also if its row, its column or the whole table is empty. Counts are integers (torch.int64) or floats
(float32 or float64), not necessarily whole, and each is 0 or from $10^{-6}$ to $10^{12}$. The result is a
new float64 tensor, precise to float64 whatever the counts' dtype. Leave the input alone.
"""

STARTER = '''
import torch


def ppmi(counts: torch.Tensor) -> torch.Tensor:
    """Positive PMI of each word and context.

    counts: (V, C), not negative; integer or floating point.
    Returns (V, C) in float64: nats, 0 where a pair never occurs.
    """
    raise NotImplementedError
'''

HINTS = (
    "Take a table of 2 words and 3 contexts with a zero in it, and work out one cell on paper: its share, "
    "its row's, its column's. What does the formula do at the zero?",
    "Everything follows from the table and three kinds of sums: rows, columns, total. Keep their axes, so "
    "that they broadcast against the table, one along each. Decide what replaces log 0 and 0/0 before they "
    "spread.",
    "Convert to float64 first. The ratio is the cell times the total, over its row sum, over its column "
    "sum. Take the logarithm only where the count is positive: everywhere else put 1 for the ratio, whose "
    "logarithm is 0. Then cut off below zero.",
)


def ppmi(counts: torch.Tensor) -> torch.Tensor:
    counts = counts.double()
    rows, columns = counts.sum(dim=1, keepdim=True), counts.sum(dim=0)
    ratio = counts * counts.sum() / (rows * columns)  # (V, C); 0/0 in an empty row or column
    return torch.where(counts > 0, ratio, 1.0).log().clamp_min(0.0)


# What the checks compare with.

SHAPES = ((1, 1), (1, 3), (4, 1), (2, 2), (2, 3), (5, 3), (3, 7), (20, 12))


def by_cell(counts: Tensor) -> Tensor:
    """One cell at a time, with Python's floats and exact sums."""
    table = counts.tolist()
    rows, columns = (
        [math.fsum(row) for row in table],
        [math.fsum(column) for column in zip(*table, strict=True)],
    )
    total = math.fsum(rows)
    return torch.tensor(
        [[max(0.0, math.log(n) + math.log(total) - math.log(rows[w]) - math.log(columns[c])) if n else 0.0
          for c, n in enumerate(row)] for w, row in enumerate(table)], dtype=torch.float64)  # fmt: skip


def table(rng: Rng, V: int, C: int, dtype: torch.dtype = torch.float64, empty: float = 0.3) -> Tensor:
    """Counts of very unequal rows and columns, some cells empty."""
    rates = np.exp(rng.normal(size=(V, 1)) + rng.normal(size=C) + rng.normal(size=(V, C)))
    counts = np.ceil(20 * rates) * (rng.random((V, C)) >= empty)
    return torch.from_numpy(counts).to(dtype)


def compare(candidate: Candidate, counts: Tensor, cause: str, *, tolerance: float = 1e-10) -> Call:
    call = Call(candidate, counts=counts)
    result = call.returns(torch.float64, ppmi=counts.shape)
    call.same("ppmi", result, by_cell(counts), cause=cause, tolerance=tolerance)
    return call


# Checks.


def form(candidate: Candidate, rng: Rng) -> None:
    """Returns a float64 tensor of the shape of the counts, none of its values below 0."""
    for shape in SHAPES:
        call = Call(candidate, counts=table(rng, *shape, empty=0.0))
        result = call.returns(torch.float64, ppmi=shape)
        call.holds(bool((result >= 0).all()), expected="values ≥ 0", got=f"{float(result.min()):.4g}",
                   cause="plain PMI: the cut at zero is missing")  # fmt: skip


def by_hand(candidate: Candidate, rng: Rng) -> None:
    """Counts [[3, 1, 0], [1, 1, 2]]: log 1.5 for the first cell, log 2 for the last."""
    counts = torch.tensor([[3.0, 1.0, 0.0], [1.0, 1.0, 2.0]], dtype=torch.float64)
    want = torch.tensor([[math.log(1.5), 0.0, 0.0], [0.0, 0.0, math.log(2)]], dtype=torch.float64)
    call = Call(candidate, counts=counts)
    call.same("ppmi", call.returns(torch.float64, ppmi=(2, 3)), want,
              cause="rows and columns confused, a marginal missing, base 2, or log(1 + ratio)")  # fmt: skip


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with the definition, cell by cell, words and contexts differing in number."""
    for shape in SHAPES:
        compare(candidate, table(rng, *shape, empty=0.0),
                "sums over the wrong axis, or a constant added to the counts")  # fmt: skip


def empties(candidate: Candidate, rng: Rng) -> None:
    """Empty rows, columns and tables give 0."""
    cause = "0/0 in an empty row or column, or a total of zero"
    for empty in (0.2, 0.5, 0.8):
        counts = table(rng, 5, 4, empty=empty)
        counts[int(rng.integers(5))] = 0
        counts[:, int(rng.integers(4))] = 0
        compare(candidate, counts, cause)
    for shape in ((1, 1), (2, 3), (4, 4)):
        compare(candidate, torch.zeros(shape, dtype=torch.float64), cause)


def scale(candidate: Candidate, rng: Rng) -> None:
    """All counts times a factor give the same, from millionths to billions."""
    for factor in (1e-6, 0.25, 7.0, 1e8):
        counts = table(rng, 4, 6) * factor
        compare(candidate, counts, "a constant added to counts or ratios, or a threshold on counts")


def extremes(candidate: Candidate, rng: Rng) -> None:
    """Words or contexts with counts from a millionth to 10^12 side by side."""
    for total in (1000, 10**12):
        counts = torch.tensor([[total - 1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)  # log of the total
        compare(candidate, counts, "a small number added for safety, or a cut from above")
    for _ in range(3):
        counts = torch.from_numpy(10 ** rng.uniform(-5, 12, size=(6, 1)) * rng.uniform(0.1, 1, size=(6, 4)))
        for given in (counts, counts.T.contiguous()):
            compare(candidate, given, "a constant added to counts, shares or ratios, or clamped shares")


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Integer and float32 counts give the same as float64 ones, to float64 precision."""
    for dtype in (torch.int64, torch.float32):
        for shape in SHAPES[:6]:
            compare(candidate, table(rng, *shape, dtype=dtype),
                    "a division or logarithm in float32, or in integers")  # fmt: skip
    huge = torch.from_numpy(rng.integers(10**10, 10**12, size=(3, 4)))
    compare(candidate, huge, "a product of int64 counts that overflows: convert first")
    many = torch.from_numpy(rng.integers(10**6, 10**7, size=(40, 30))).float()
    compare(candidate, many, "sums in float32, which holds whole numbers up to 2²⁴: convert first")


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes counts that are not contiguous."""
    for shape in SHAPES[3:7]:
        compare(candidate, strided(table(rng, *shape)), "`.view` on the counts: `.reshape` copies if needed")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the counts as they were, and shares no memory with them."""
    for shape in SHAPES:
        counts = table(rng, *shape)
        Call(candidate, counts=counts).unchanged()
        given = counts.clone()
        result = candidate(given)
        if isinstance(result, Tensor) and result.numel() and result.data_ptr() == given.data_ptr():
            Call(candidate, counts=counts).fail(
                "a new tensor", "the counts' own memory", "an in-place operation"
            )


# Right answers of other style, and wrong ones.


def in_logs(counts: Tensor) -> Tensor:
    counts = counts.to(torch.float64)
    logs = counts.log() + counts.sum().log() - counts.sum(1, keepdim=True).log() - counts.sum(0).log()
    return logs.nan_to_num(nan=0.0, neginf=0.0).clamp(min=0)


def by_index(counts: Tensor) -> Tensor:
    result = torch.zeros(counts.shape, dtype=torch.float64)
    p = counts.double() / max(counts.double().sum().item(), 1e-300)
    w, c = counts.nonzero(as_tuple=True)
    result[w, c] = (p[w, c] / (p.sum(1)[w] * p.sum(0)[c])).log().relu()
    return result


def by_numpy(counts: Tensor) -> Tensor:
    table = counts.numpy().astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(table * table.sum() / np.outer(table.sum(1), table.sum(0)))
    return torch.from_numpy(np.where(table > 0, np.maximum(pmi, 0), 0.0))


def by_counter(counts: Tensor) -> Tensor:
    cells = {(w, c): n for w, row in enumerate(counts.tolist()) for c, n in enumerate(row) if n > 0}
    words: Counter[int] = Counter()
    contexts: Counter[int] = Counter()
    for (w, c), n in cells.items():
        words[w] += n
        contexts[c] += n
    total = sum(cells.values())
    result = torch.zeros(counts.shape, dtype=torch.float64)
    for (w, c), n in cells.items():
        result[w, c] = max(0.0, math.log(n / words[w] * (total / contexts[c])))
    return result


def table_of(rule: Callable[[Tensor], Tensor]) -> Candidate:
    """An answer from p (V, C) and a rule, careful in everything else."""

    def answer(counts: Tensor) -> Tensor:
        counts = counts.double()
        p = counts / counts.sum().clamp_min(1e-300)
        return torch.where(counts > 0, rule(p), 0.0).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    return answer


def ratio(p: Tensor) -> Tensor:
    return p / (p.sum(1, keepdim=True) * p.sum(0))


def as_integers(counts: Tensor) -> Tensor:
    value = (counts * counts.sum()).double() / (counts.sum(1, keepdim=True) * counts.sum(0)).double()
    return torch.where(counts > 0, value, 1.0).log().clamp_min(0.0)


def summed_as_given(counts: Tensor) -> Tensor:
    value = counts.double() * counts.sum().double() / counts.sum(1, keepdim=True).double() / counts.sum(0)
    return torch.where(counts > 0, value, 1.0).log().clamp_min(0.0)


def in_place(counts: Tensor) -> Tensor:
    result = ppmi(counts)
    counts.div_(2) if counts.is_floating_point() else None
    return result


def by_column_only(counts: Tensor) -> Tensor:
    """The column sums broadcast along the wrong axis where the table is square."""
    counts = counts.double()
    rows, columns = counts.sum(0), counts.sum(1)
    if counts.shape[0] != counts.shape[1]:
        return ppmi(counts)
    value = counts * counts.sum() / (rows[:, None] * columns)
    return torch.where(counts > 0, value, 1.0).log().nan_to_num(posinf=0.0).clamp_min(0.0)


TASK = Task(
    name="ppmi",
    entry="word_vectors_pmi",
    statement=STATEMENT,
    starter=STARTER,
    reference=ppmi,
    hints=HINTS,
    checks=(
        form,
        by_hand,
        values,
        empties,
        scale,
        extremes,
        dtypes,
        memory,
        inputs_kept,
    ),
    wrong={
        "plain PMI": lambda counts: ratio(counts.double() / counts.double().sum()).log(),
        "plain PMI, 0 for pairs never counted": table_of(lambda p: ratio(p).log()),
        "NaN in empty rows": lambda counts: (
            ratio(counts.double() / counts.double().sum()).log().clamp_min(0.0)
        ),
        "log p(c | w)": table_of(lambda p: (p / p.sum(1, keepdim=True)).log().clamp_min(0.0)),
        "p(c | w) over nothing, positive": table_of(lambda p: (p / p.sum(1, keepdim=True)).log().neg()),
        "log(1 + ratio)": table_of(lambda p: ratio(p).log1p()),
        "log base 2": table_of(lambda p: ratio(p).log2().clamp_min(0.0)),
        "log base 10": table_of(lambda p: ratio(p).log10().clamp_min(0.0)),
        "no logarithm": table_of(lambda p: (ratio(p) - 1).clamp_min(0.0)),
        "absolute value": table_of(lambda p: ratio(p).log().abs()),
        "weighted by p": table_of(lambda p: (p * ratio(p).log()).clamp_min(0.0)),
        "normalized PMI": table_of(lambda p: (ratio(p).log() / -p.log()).clamp_min(0.0)),
        "marginals of the wrong axis": by_column_only,
        "row marginal twice": table_of(lambda p: (p / p.sum(1, keepdim=True) ** 2).log().clamp_min(0.0)),
        "one added to the counts": lambda counts: ppmi(counts.double() + 1),
        "one added to positive counts": lambda counts: ppmi(counts.double() + (counts > 0)),
        "1e-12 added to the marginals": table_of(
            lambda p: (p / (p.sum(1, keepdim=True) * p.sum(0) + 1e-12)).log().clamp_min(0.0)
        ),
        "1e-9 added inside the logarithm": table_of(
            lambda p: ((p + 1e-9) / (p.sum(1, keepdim=True) * p.sum(0) + 1e-9)).log().clamp_min(0.0)
        ),
        "shares clamped at 1e-15": lambda counts: (
            torch.where(counts > 0, ratio((counts.double() / counts.double().sum()).clamp_min(1e-15)), 1.0)
            .log()
            .clamp_min(0.0)
        ),
        "counts below one left out": lambda counts: ppmi(counts * (counts >= 1)),
        "whole counts only": lambda counts: ppmi(counts.long()),
        "contexts to the power ¾": table_of(
            lambda p: (
                (p / (p.sum(1, keepdim=True) * p.sum(0) ** 0.75 / (p.sum(0) ** 0.75).sum()))
                .log()
                .clamp_min(0.0)
            )
        ),
        "divided by V, not by the total": lambda counts: (
            torch.where(counts > 0, ratio(counts.double() / len(counts)), 1.0).log().clamp_min(0.0)
        ),
        "products of integers": as_integers,
        "sums in the counts' dtype": summed_as_given,
        "float32 inside": lambda counts: ppmi(counts.float()),
        "float32 returned": lambda counts: ppmi(counts).float(),
        "transposed": lambda counts: ppmi(counts).T,
        "counts changed": in_place,
        "view of the counts": lambda counts: ppmi(counts.view(-1).view(counts.shape)),
        "numpy returned": lambda counts: ppmi(counts).numpy(),
    },
    also_right={
        "in logarithms": in_logs,
        "cells that are not zero": by_index,
        "through numpy": by_numpy,
        "with counters": by_counter,
        "one cell at a time": by_cell,
    },
    asked=1,
)
