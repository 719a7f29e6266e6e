"""Gradients of several tasks, projected where they conflict, and added up."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `pcgrad(G, generator)`. Row $i$ of `G`, $(n, P)$ with $n, P \ge 1$, is task $i$'s gradient $g_i$;
entries other than 0 lie between $10^{-12}$ and $10^{12}$ in size. Each task starts from its $g_i$ and meets
all other tasks $j$ in turn: if what it has by then has a negative dot product with row $j$, as it came in
`G`, the projection onto that row is subtracted (a row of zeros conflicts with none). Return the *sum* over
the tasks of what they end with, a tensor of shape `(P,)` in the dtype of `G`, float32 or float64, and leave
`G` as it is; gradients need not flow. Each task draws the order of the others anew, all orders equally
likely, from `generator`, which is on the CPU and the only source of randomness: the same state gives the
same answer.
"""

STARTER = '''
import torch


def pcgrad(G: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The tasks' gradients, the rows of G (n, P), projected where they conflict, summed (P,)."""
    raise NotImplementedError
'''

HINTS = (
    "Begin with two tasks. When do their gradients conflict, and what is left of the first if you take away "
    "all that it has along the second?",
    "Two loops, over the tasks and over the others in a random order. The inner loop changes a copy of the "
    "task's gradient; what it is compared with comes from G and does not change.",
    "For each i, take a copy of row i and a random permutation of the rows. For each j other than i, compute "
    "the dot product of the copy with row j of G; if it is negative, subtract that product, divided by row "
    "j's squared length, times row j. Add the copies up.",
)


def pcgrad(G: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    total = torch.zeros_like(G[0])
    for i in range(len(G)):
        g = G[i].clone()
        for j in torch.randperm(len(G), generator=generator).tolist():
            dot = g @ G[j]
            if j != i and dot < 0:
                g -= dot / (G[j] @ G[j]) * G[j]
        total += g
    return total


# What the checks compare with.

Rows = tuple[tuple[float, ...], ...]

# Every pair of these conflicts, and all eight outcomes of the orders are apart.
THREE: Rows = ((3.0, 1.0, 0.0), (-2.0, 1.0, 1.0), (0.5, -2.0, 1.5))

# Only the first depends on its order: six outcomes, one an order.
FOUR: Rows = ((-1.0, -2.0, -2.0), (3.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 1.0))

# The first conflicts with both others, but no longer with the third once it has met the second.
SETTLED: Rows = ((1.0, 0.0), (-1.0, 1.0), (-1.0, 2.0))


def source(rng: Rng) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def projected(g: Tensor, others: tuple[Tensor, ...]) -> Tensor:
    """What remains of g after it has met the others in this order, in float64."""
    for other in others:
        if (dot := g @ other) < 0:
            g = g - dot / (other @ other) * other
    return g


def outcomes(G: Tensor) -> Tensor:
    """The answers under every choice of an order for each task, (orders, P)."""
    rows = tuple(G.double())
    ends = [
        [projected(g, order) for order in itertools.permutations(rows[:i] + rows[i + 1 :])]
        for i, g in enumerate(rows)
    ]
    total = torch.zeros(1, G.shape[1], dtype=torch.float64)
    for end in ends:
        total = (total[:, None] + torch.stack(end)).flatten(0, 1)
    return total


@functools.cache
def known_outcomes(rows: Rows) -> Tensor:
    """The answers that differ, (outcomes, P); kept, since each grading asks for the same ones."""
    return outcomes(torch.tensor(rows, dtype=torch.float64)).round(decimals=12).unique(dim=0)


def two_in_conflict(rng: Rng, P: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Two gradients of unlike lengths with a negative dot product."""
    first, other = normal(rng, 2, P, dtype=dtype)
    return torch.stack([first, -0.4 * first + 0.7 * other * (1 if first @ other < 0 else -1)])


def answered(candidate: Candidate, G: Tensor, rng: Rng) -> tuple[Call, Tensor]:
    call = Call(candidate, G=G, generator=source(rng))
    return call, call.returns(G.dtype, gradient=(G.shape[1],))


def compare(candidate: Candidate, G: Tensor, rng: Rng, cause: str, size: float = 1.0) -> Call:
    """With the only outcome, if there is one, else with the nearest; numbers are of about `size`."""
    call, got = answered(candidate, G, rng)
    possible = outcomes(G)
    nearest = possible[(possible - got.double()).abs().amax(dim=1).argmin()]
    name = "gradient" if size == 1 else f"gradient / {size:g}"
    call.same(name, (got.double() / size).to(G.dtype), nearest / size, cause=cause)
    return call


# Checks.


def one_vector(candidate: Candidate, rng: Rng) -> None:
    """Returns a tensor (P,) in the dtype of G, for one task and for several."""
    for dtype in (torch.float32, torch.float64):
        for n, P in ((1, 1), (1, 3), (2, 1), (2, 5), (3, 2), (5, 4)):
            answered(candidate, normal(rng, n, P, dtype=dtype), rng)


def sum_without_conflict(candidate: Candidate, rng: Rng) -> None:
    """Without conflict it is the sum, and for one task its gradient."""
    for n, P in ((1, 3), (2, 2), (3, 4), (4, 3)):
        G = normal(rng, n, P, dtype=torch.float64).abs()
        call, got = answered(candidate, G, rng)
        call.same("gradient", got, G.sum(dim=0), cause="projected although nothing conflicts, or a mean")


def by_hand(candidate: Candidate, rng: Rng) -> None:
    """Two tasks by hand: (2, 0) and (−1, 1) give (1, 1) + (0, 1)."""
    G = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    for rows, want in ((G, [1.0, 2.0]), (G.flip(0), [1.0, 2.0]), (2 * G, [2.0, 4.0])):
        call, got = answered(candidate, rows, rng)
        cause = "a division by ‖g‖ instead of ‖g‖² or by the wrong length, or rows changed on the way"
        call.same("gradient", got, torch.tensor(want), cause=cause)


def two_tasks(candidate: Candidate, rng: Rng) -> None:
    """For two tasks in conflict the formula holds, and the step lowers no task's slope below 0."""
    for P in (1, 2, 3, 7):
        G = two_in_conflict(rng, P)
        call, got = answered(candidate, G, rng)
        a, b = G
        want = (1 - a @ b / (a @ a)) * a + (1 - a @ b / (b @ b)) * b
        call.same("gradient", got, want, cause="one of the two left unprojected, or a wrong length")
        call.holds((G @ got).min() >= -1e-9, expected="dot products with both gradients of at least 0",
                   got=f"{(G @ got).min().item():.3g}", cause="a sign, or a projection too many")  # fmt: skip


def three_tasks(candidate: Candidate, rng: Rng) -> None:
    """Three tasks and more: always the others' original gradients, and the own one as it is by then."""
    cause = "projected against gradients that were projected already, or all at once from the original one"
    for n, P in ((3, 2), (3, 5), (4, 3)):
        compare(candidate, normal(rng, n, P, dtype=torch.float64), rng, cause)
    looked_up = "conflicts looked up in the original dot products, which no longer hold"
    for rows, times, usual in ((THREE, 4, cause), (SETTLED, 12, looked_up)):
        for _ in range(times):  # a wrong order is not drawn each time
            call, got = answered(candidate, torch.tensor(rows, dtype=torch.float64), rng)
            possible = known_outcomes(rows)
            nearest = possible[(possible - got).abs().amax(dim=1).argmin()]
            call.same("gradient", got, nearest, cause=usual)


def orders(candidate: Candidate, rng: Rng) -> None:
    """Each task meets the others in every order, whatever the other tasks' orders are."""
    for rows in (THREE, FOUR):
        G, generator = torch.tensor(rows, dtype=torch.float64), source(rng)
        possible = known_outcomes(rows)
        seen: set[int] = set()
        for _ in range(120):  # that one of eight stays away has a chance of 10⁻⁶
            call = Call(candidate, G=G, generator=generator)
            got = call.returns(torch.float64, gradient=(3,))
            seen.add(int((possible - got).abs().amax(dim=1).argmin()))
            if len(seen) == len(possible):
                break
        cause = "a fixed order, one order for all tasks, a rotated one, or a generator that is not used"
        want = f"all {len(possible)} outcomes in 120 calls"
        call.holds(len(seen) == len(possible), expected=want, got=f"{len(seen)} of them", cause=cause)


def repeatable(candidate: Candidate, rng: Rng) -> None:
    """The same state of the generator gives the same answer."""
    G = torch.tensor(THREE, dtype=torch.float64)
    for _ in range(6):
        number = int(rng.integers(2**31))
        first, again = (
            Call(candidate, G=G, generator=torch.Generator().manual_seed(number)) for _ in range(2)
        )
        want = first.returns(torch.float64, gradient=(3,))
        got = again.returns(torch.float64, gradient=(3,))
        again.same("gradient", got, want, cause="`random`, numpy or torch's global random numbers used")


def zeros(candidate: Candidate, rng: Rng) -> None:
    """A row of zeros changes nothing."""
    for dtype in (torch.float32, torch.float64):
        G = torch.cat([two_in_conflict(rng, 3, dtype), torch.zeros(1, 3, dtype=dtype)])
        for rows in (G, G.flip(0), torch.zeros(2, 3, dtype=dtype), torch.zeros(1, 3, dtype=dtype)):
            compare(candidate, rows, rng, "0 divided by 0: a cosine or a projection without a check")


def sizes(candidate: Candidate, rng: Rng) -> None:
    """Tiny and huge gradients, and rows of very different lengths."""
    cause = "a constant added to ‖g‖², a threshold other than 0, or lengths made equal"
    for dtype in (torch.float32, torch.float64):
        for scale in (1e-9, 1e9):
            compare(candidate, scale * two_in_conflict(rng, 3, dtype), rng, cause, scale)
    for ratio in (1e-3, 1e3):
        G = two_in_conflict(rng, 3)
        compare(candidate, torch.stack([G[0], ratio * G[1]]), rng, cause, max(ratio, 1.0))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes memory that is not contiguous."""
    for n, P in ((2, 5), (3, 4)):
        compare(candidate, strided(normal(rng, n, P, dtype=torch.float64)), rng, "a `.view`")


def input_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves G as it was."""
    for G in (two_in_conflict(rng, 3), torch.tensor(THREE), normal(rng, 1, 3)):
        answered(candidate, G, rng)[0].unchanged()


# Right answers of other style, and wrong ones.


def variant(
    *,
    met: Callable[[Tensor, Tensor, int], Tensor] = lambda G, done, j: G[j],
    length: Callable[[Tensor], Tensor] = lambda other: other @ other,
    conflict: Callable[[Tensor], Any] = lambda dot: dot < 0,
    taken: Callable[[Tensor, Tensor], Tensor] = lambda g, start: g,
    order: Callable[[int, torch.Generator], list[int]] = lambda n, generator: torch.randperm(
        n, generator=generator
    ).tolist(),
    last: Callable[[Tensor], Tensor] = lambda rows: rows.sum(dim=0),
) -> Candidate:
    """Right in everything but the piece that is replaced."""

    def answer(G: Tensor, generator: torch.Generator) -> Tensor:
        done = G.clone()
        for i in range(len(G)):
            g = done[i].clone()
            for j in order(len(G), generator):
                other = met(G, done, j)
                dot = taken(g, G[i]) @ other
                if j != i and conflict(dot):
                    g = g - dot / length(other) * other
            done[i] = g
        return last(done)

    return answer


def same_order(G: Tensor, generator: torch.Generator) -> Tensor:
    """One order, drawn once, for all tasks."""
    drawn = torch.randperm(len(G), generator=generator).tolist()
    return variant(order=lambda n, generator: drawn)(G, generator)


def by_clamp(G: Tensor, generator: torch.Generator) -> Tensor:
    """Unit vectors, and a dot product that is cut off at 0."""
    units = torch.nn.functional.normalize(G, dim=1, eps=1e-30)
    total = torch.zeros(G.shape[1], dtype=G.dtype)
    for i, g in enumerate(G):
        others = [j for j in range(len(G)) if j != i]
        for k in torch.randperm(len(others), generator=generator).tolist():
            unit = units[others[k]]
            g = g - torch.clamp(g @ unit, max=0) * unit
        total = total + g
    return total


def by_sorting(G: Tensor, generator: torch.Generator) -> Tensor:
    """Orders from sorted uniform numbers, all drawn first; the projection as a matrix."""
    keys = torch.rand(len(G), len(G), generator=generator, dtype=torch.float64).argsort(dim=1)
    ends = []
    for i in range(len(G)):
        g = G[i]
        for j in keys[i]:
            if j != i and torch.dot(g, G[j]) < 0:
                g = g - torch.outer(G[j], G[j]) @ g / G[j].square().sum()
        ends.append(g)
    return torch.stack(ends).sum(dim=0)


def by_products(G: Tensor, generator: torch.Generator) -> Tensor:
    """Never touches a gradient: the coefficients of the rows, from their n × n dot products."""
    products, coefficients = (G @ G.T).double(), torch.eye(len(G), dtype=torch.float64)
    for i in range(len(G)):
        for j in torch.randperm(len(G), generator=generator).tolist():
            dot = coefficients[i] @ products[:, j]
            if j != i and dot < 0:
                coefficients[i, j] -= dot / products[j, j]
    return (coefficients.sum(dim=0) @ G.double()).to(G.dtype)


def in_place(G: Tensor, generator: torch.Generator) -> Tensor:
    """Rows of G changed while others still need them."""
    for i in range(len(G)):
        for j in torch.randperm(len(G), generator=generator).tolist():
            dot = G[i] @ G[j]
            if j != i and dot < 0:
                G[i] -= dot / (G[j] @ G[j]) * G[j]
    return G.sum(dim=0)


def spoiled(G: Tensor, generator: torch.Generator) -> Tensor:
    result = pcgrad(G, generator)
    G /= G.norm(dim=1, keepdim=True).clamp(min=1e-30)
    return result


def globally(G: Tensor, generator: torch.Generator) -> Tensor:
    return variant(order=lambda n, generator: torch.randperm(n).tolist())(G, generator)


def rotated(G: Tensor, generator: torch.Generator) -> Tensor:
    """Each task begins anywhere, but then goes round."""

    def order(n: int, generator: torch.Generator) -> list[int]:
        begin = int(torch.randint(n, (1,), generator=generator))
        return [(begin + step) % n for step in range(n)]

    return variant(order=order)(G, generator)


def first_only(G: Tensor, generator: torch.Generator) -> Tensor:
    """Only the first task gives way."""
    return pcgrad(G, generator) if len(G) == 1 else _first(G, generator) + G[1:].sum(dim=0)


def _first(G: Tensor, generator: torch.Generator) -> Tensor:
    g = G[0]
    for j in (1 + torch.randperm(len(G) - 1, generator=generator)).tolist():
        dot = g @ G[j]
        g = g - dot / (G[j] @ G[j]) * G[j] if dot < 0 else g
    return g


def against_the_sum(G: Tensor, generator: torch.Generator) -> Tensor:
    """Each task against the sum of the others."""
    rest = G.sum(dim=0) - G
    dots = (G * rest).sum(dim=1).clamp(max=0)
    lengths = rest.square().sum(dim=1)
    return (G - torch.where(lengths > 0, dots / lengths, 0)[:, None] * rest).sum(dim=0)


def by_first_conflicts(G: Tensor, generator: torch.Generator) -> Tensor:
    """Which rows conflict is decided once, before any projection."""
    conflicts = G @ G.T < 0
    total = torch.zeros_like(G[0])
    for i, g in enumerate(G):
        for j in torch.randperm(len(G), generator=generator).tolist():
            if j != i and conflicts[i, j]:
                g = g - g @ G[j] / (G[j] @ G[j]) * G[j]
        total = total + g
    return total


def shortest(G: Tensor, generator: torch.Generator) -> Tensor:
    """MGDA, for two tasks."""
    if len(G) != 2:
        return pcgrad(G, generator)
    gap = G[1] - G[0]
    share = ((G[1] @ gap) / (gap @ gap).clamp(min=1e-300)).clamp(0, 1)
    return share * G[0] + (1 - share) * G[1]


TASK = Task(
    name="pcgrad",
    entry="negative_transfer_pcgrad",
    statement=STATEMENT,
    starter=STARTER,
    reference=pcgrad,
    hints=HINTS,
    checks=(
        one_vector,
        sum_without_conflict,
        by_hand,
        two_tasks,
        three_tasks,
        orders,
        repeatable,
        zeros,
        sizes,
        memory,
        input_kept,
    ),
    wrong={
        "always projected": variant(conflict=lambda dot: dot != 0),
        "projected where they agree": variant(conflict=lambda dot: dot > 0),
        "never projected": lambda G, generator: G.sum(dim=0),
        "against projected gradients": variant(met=lambda G, done, j: done[j]),
        "divided by the length": variant(length=lambda other: other.norm()),
        "not divided": variant(length=lambda other: torch.ones((), dtype=other.dtype)),
        "an epsilon": variant(length=lambda other: other @ other + 1e-8),
        "a threshold": variant(conflict=lambda dot: dot < -1e-6),
        "all from the original": variant(taken=lambda g, start: start),
        "mean of the tasks": variant(last=lambda rows: rows.mean(dim=0)),
        "ascending order": variant(order=lambda n, generator: list(range(n))),
        "descending order": variant(order=lambda n, generator: list(range(n))[::-1]),
        "one order for all tasks": same_order,
        "a fixed seed": lambda G, generator: pcgrad(G, torch.Generator().manual_seed(0)),
        "global random numbers": globally,
        "G changed on the way": in_place,
        "G normalized afterwards": spoiled,
        "only the first task projected": first_only,
        "against the sum of the others": against_the_sum,
        "the shortest combination": shortest,
        "conflicts of the original rows": by_first_conflicts,
        "orders that go round": rotated,
        "rows made equally long": lambda G, generator: pcgrad(
            torch.nn.functional.normalize(G, dim=1), generator
        ),
        "zeros divided by zeros": variant(conflict=lambda dot: dot <= 0),
        "a view of all rows": lambda G, generator: pcgrad(G.view(-1).view(G.shape), generator),
        "the projected rows": variant(last=lambda rows: rows),
        "float32 inside": lambda G, generator: pcgrad(G.float(), generator).to(G.dtype),
    },
    also_right={
        "unit vectors and a clamp": by_clamp,
        "orders sorted, projections as matrices": by_sorting,
        "coefficients from the products of all rows": by_products,
        "a list of copies": variant(),
        "float64 inside": computed_in(torch.float64, pcgrad),
    },
    asked=1,
)
