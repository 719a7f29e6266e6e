"""Successive halving over configurations that a function trains."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `successive_halving(train_fn, n, eta, r_min)` for `n` configurations with the indices from 0 to `n` − 1,
where `train_fn(index, budget)` trains one of them up to a *total* budget and returns its loss, a float, of
which lower is better. Rung 0 trains all with the budget `r_min`; of the $m$ configurations of a rung the best
$\max(1, \lfloor m/\eta \rfloor)$ go on to the next one, whose total budget is `eta` times as large. Of equal
losses the lower index goes on, and NaN is worse than any other loss, infinity included. The last rung is the
first with a single configuration, which is trained as well; call `train_fn` once for each configuration of a
rung, and for no other. Return `(index, log)`: the configuration of the last rung, and a list with one
`(rung, indices, budget)` for each rung, where `indices` lists those that were trained, in increasing order.
`n` $\geq 1$ and `eta` $\geq 2$ are whole numbers, `r_min` is a positive number.
"""

STARTER = '''
from collections.abc import Callable


def successive_halving(
    train_fn: Callable[[int, float], float], n: int, eta: int, r_min: float
) -> tuple[int, list]:
    """The configuration that is left, and (rung, indices, total budget) of each rung."""
    raise NotImplementedError
'''

HINTS = (
    "Write down the rungs for seven configurations and eta = 2 by hand: who is trained, with which total "
    "budget, and when is it over?",
    "Keep the list of the indices that are still in. In a loop: train them, note the rung, stop if it was "
    "one, else keep the best and multiply the budget.",
    "Sort the indices by a key of three parts: is the loss NaN, the loss, the index. The first "
    "max(1, m // eta) stay, and go into the next rung sorted by index.",
)


def successive_halving(
    train_fn: Callable[[int, float], float], n: int, eta: int, r_min: float
) -> tuple[int, list]:
    alive, budget = list(range(n)), r_min
    log: list = []
    while True:
        log.append((len(log), alive, budget))
        losses = {index: train_fn(index, budget) for index in alive}
        if len(alive) == 1:
            return alive[0], log
        # Only NaN differs from itself; True sorts behind False.
        ranked = sorted(alive, key=lambda i: (losses[i] != losses[i], losses[i], i))
        alive = sorted(ranked[: max(1, len(alive) // eta)])
        budget = budget * eta


# What the checks compare with: ranks counted pair by pair.


class Trainer:
    """A `train_fn` with a table of losses by budget, which notes how it is called."""

    def __init__(self, table: dict[float, list[float]]) -> None:
        self.table = table
        self.calls: Counter[tuple[int, float]] = Counter()

    def __call__(self, index: int, budget: float) -> float:
        self.calls[int(index), budget] += 1
        for known, losses in self.table.items():
            if math.isclose(budget, known, rel_tol=1e-9) and 0 <= index < len(losses):
                return losses[int(index)]
        return -1e9  # a configuration or a budget that nobody should ask for looks best

    def __repr__(self) -> str:
        rows = (f"{budget:g}: {[float(f'{loss:.3g}') for loss in row]}" for budget, row in self.table.items())
        return f"losses by budget {{{', '.join(rows)}}}"


def loses(loss: float, index: int, other: float, other_index: int) -> bool:
    """Whether a configuration ranks behind another."""
    if math.isnan(loss) or math.isnan(other):
        return math.isnan(loss) and (not math.isnan(other) or other_index < index)
    return other < loss or (other == loss and other_index < index)


def expected(table: dict[float, list[float]], n: int, eta: int) -> list[tuple[list[int], float]]:
    """Indices and budget of each rung."""
    alive, rungs = list(range(n)), []
    for budget, losses in table.items():
        rungs.append((alive, budget))
        if len(alive) == 1:
            break
        room = max(1, len(alive) // eta)
        behind = {i: sum(loses(losses[i], i, losses[j], j) for j in alive) for i in alive}
        alive = [i for i in alive if behind[i] < room]
    return rungs


def tables(rng: Rng, n: int, eta: int, r_min: float) -> dict[float, list[float]]:
    """Losses of n configurations at each budget, ranked anew at each."""
    budgets, left = [r_min], n
    while left > 1:
        left = max(1, left // eta)
        budgets.append(budgets[-1] * eta)
    return {budget: [float(x) for x in rng.normal(size=n)] for budget in budgets}


def ask(
    candidate: Candidate, table: dict[float, list[float]], n: int, eta: int, r_min: float, cause: str
) -> None:
    """Compare rungs, winner and calls."""
    trainer = Trainer(table)
    call = Call(candidate, train_fn=trainer, n=n, eta=eta, r_min=r_min)
    index, log = read(call)
    want = expected(table, n, eta)
    call.equals("indices of each rung", [rung[1] for rung in log], [rung[0] for rung in want], cause=cause)
    call.same("budget of each rung", [rung[2] for rung in log], [rung[1] for rung in want], cause=cause,
              tolerance=1e-9)  # fmt: skip
    call.equals("rung numbers", [rung[0] for rung in log], list(range(len(want))),
                cause="rungs counted from 1, or not counted")  # fmt: skip
    call.equals("index", index, want[-1][0][0],
                cause="the best of an earlier rung, or a place in a list for an index")  # fmt: skip
    calls = Counter((i, known) for alive, known in want for i in alive)
    made = Counter({(i, nearest(budget, table)): 0 for i, budget in trainer.calls})
    for (i, budget), count in trainer.calls.items():
        made[i, nearest(budget, table)] += count
    for i, budget in sorted(calls | made):
        call.holds(
            calls[i, budget] == made[i, budget],
            expected=f"train_fn({i}, {budget:g}) called {calls[i, budget]} times",
            got=f"{made[i, budget]} times",
            cause="a training that is repeated or left out, a budget that is added in place of the total, or "
            "configurations trained that are out",
        )


def nearest(budget: float, table: dict[float, list[float]]) -> float:
    return next((known for known in table if math.isclose(known, budget, rel_tol=1e-9)), budget)


def read(call: Call) -> tuple[int, list[tuple[int, list[int], float]]]:
    """The answer in plain Python, if it has the form that the statement asks for."""
    cause = "another form than (index, [(rung, indices, budget), …])"
    try:
        index, log = call.value
        plain = [(int(rung), [int(i) for i in indices], float(budget)) for rung, indices, budget in log]
        whole = int(index) == index and all(int(i) == i for _, indices, _ in log for i in indices)
    except (TypeError, ValueError):
        call.fail("(index, log), a log of (rung, indices, budget)", repr(call.value)[:120], cause)
    call.holds(whole, expected="whole numbers for indices", got=repr(call.value)[:120], cause=cause)
    return int(index), plain


# Checks.


def form(candidate: Candidate, rng: Rng) -> None:
    """Returns the index and a log of (rung, indices, budget)."""
    for n, eta in ((2, 2), (9, 3)):
        table = tables(rng, n, eta, 1)
        read(Call(candidate, train_fn=Trainer(table), n=n, eta=eta, r_min=1))


def alone(candidate: Candidate, rng: Rng) -> None:
    """A single configuration is trained once, with r_min."""
    for eta, r_min in ((2, 1), (3, 20)):
        ask(candidate, tables(rng, 1, eta, r_min), 1, eta, r_min,
            "a loop that is not entered, or one rung too many")  # fmt: skip


def powers(candidate: Candidate, rng: Rng) -> None:
    """Keeps the best of each rung, with a total budget that is eta times as large."""
    cause = "the worst kept, the budget not multiplied, or losses of an earlier rung used"
    for n, eta, r_min in ((2, 2, 1), (4, 2, 3), (9, 3, 1), (27, 3, 20), (16, 4, 5)):
        ask(candidate, tables(rng, n, eta, r_min), n, eta, r_min, cause)


def other_sizes(candidate: Candidate, rng: Rng) -> None:
    """Keeps ⌊m/eta⌋ of m, and at least one."""
    cause = "⌈m/eta⌉ or a rounded number kept, rung sizes fixed before, or nobody left when m < eta"
    for n, eta, r_min in ((3, 2, 1), (2, 3, 2), (5, 3, 1), (7, 2, 4), (11, 3, 1), (34, 3, 3), (26, 5, 2)):
        ask(candidate, tables(rng, n, eta, r_min), n, eta, r_min, cause)


def ties(candidate: Candidate, rng: Rng) -> None:
    """Of equal losses the lower index goes on."""
    cause = "a sort that is not stable, or `<=` where `<` is meant"
    for n, eta in ((2, 2), (4, 2), (12, 3), (40, 3)):
        table = tables(rng, n, eta, 1)
        ask(candidate, {budget: [1.0] * n for budget in table}, n, eta, 1, cause)
        ask(candidate, {budget: [float(x) for x in rng.integers(3, size=n)] for budget in table}, n, eta, 1,
            cause)  # fmt: skip


def not_a_number(candidate: Candidate, rng: Rng) -> None:
    """NaN ranks last, behind infinity."""
    cause = "NaN compared with `<`, which is never true and leaves a sort in disorder"
    nan, inf = math.nan, math.inf
    ask(candidate, {1: [nan, 2.0], 2: [nan, 1.0]}, 2, 2, 1, cause)
    ask(candidate, {1: [nan, inf], 2: [1.0, 1.0]}, 2, 2, 1, cause)
    ask(candidate, {1: [nan] * 4, 2: [nan] * 4, 4: [nan] * 4}, 4, 2, 1, cause)
    for n, eta in ((6, 2), (27, 3), (30, 4)):
        table = tables(rng, n, eta, 1)
        for losses in table.values():
            for i in rng.choice(n, n // 2, replace=False):
                losses[i] = [nan, inf, -inf][int(rng.integers(3))]
        ask(candidate, table, n, eta, 1, cause)


def extremes(candidate: Candidate, rng: Rng) -> None:
    """Ranks huge, tiny and negative losses exactly."""
    for n, eta in ((8, 2), (18, 3)):
        for scale, shift in ((1e300, 0.0), (1e-300, 0.0), (1e-9, 1e3), (1.0, -1e6)):
            table = tables(rng, n, eta, 1)
            table = {budget: [shift + scale * x for x in losses] for budget, losses in table.items()}
            ask(candidate, table, n, eta, 1, "losses rounded, made positive, or kept in float32")


def budgets(candidate: Candidate, rng: Rng) -> None:
    """Budgets may be fractions, or large."""
    for r_min in (0.5, 0.1, 7, 10**9):
        ask(candidate, tables(rng, 9, 3, r_min), 9, 3, r_min, "budgets cut to whole numbers")


# Right answers of other style, and wrong ones.


def in_numpy(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    alive, log = np.arange(n), []
    for rung in range(n + 1):
        budget = r_min * eta**rung
        log.append([rung, alive, budget])
        losses = np.array([train_fn(int(i), budget) for i in alive])
        if alive.size == 1:
            break
        order = np.argsort(losses, kind="stable")  # NaN last
        alive = np.sort(alive[order[: max(1, alive.size // eta)]])
    return alive[0], log


def recursive(
    train_fn: Any, n: int, eta: int, r_min: float, alive: list[int] | None = None, rung: int = 0
) -> Any:
    alive = list(range(n)) if alive is None else alive
    scored = [(math.inf if (loss := train_fn(i, r_min)) != loss else loss, loss != loss, i) for i in alive]
    here = [(rung, tuple(alive), r_min)]
    if len(alive) == 1:
        return alive[0], here
    kept = sorted(i for _, _, i in sorted(scored)[: len(alive) // eta or 1])
    winner, rest = recursive(train_fn, n, eta, r_min * eta, kept, rung + 1)
    return winner, here + rest


def removing(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    """Drops the worst one by one; trains a rung backwards."""
    alive, rung, log = list(range(n)), 0, []
    while True:
        budget = r_min * eta**rung
        losses = {i: train_fn(i, budget) for i in reversed(alive)}
        log.append((rung, alive.copy(), budget))
        if len(alive) == 1:
            return alive.pop(), log
        room = max(1, len(alive) // eta)
        while len(alive) > room:
            alive.remove(max(alive, key=lambda i: (losses[i] != losses[i], losses[i], i)))
        rung += 1


def changed(
    keep: Callable[[int, int], int] = lambda m, eta: max(1, m // eta),
    key: Callable[[float, int], Any] = lambda loss, i: (math.isnan(loss), loss, i),
    budget: Callable[[float, int, int], float] = lambda r_min, eta, rung: r_min * eta**rung,
    end: Callable[[int, int], bool] = lambda m, rung: m == 1,
    once: bool = False,
    increasing: bool = True,
) -> Candidate:
    """The right answer with one part changed."""

    def answer(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
        alive, log, losses = list(range(n)), [], {}
        for rung in range(60):
            spent = budget(r_min, eta, rung)
            log.append((rung, alive, spent))
            if not once or rung == 0:
                losses = {i: train_fn(i, spent) for i in alive}
            if end(len(alive), rung):
                break
            ranked = sorted(alive, key=lambda i: key(losses[i], i))
            alive = ranked[: keep(len(alive), eta)]
            alive = sorted(alive) if increasing else alive
        return min(alive, key=lambda i: key(losses[i], i)), log

    return answer


def trains_all(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    index, log = successive_halving(train_fn, n, eta, r_min)
    for _, alive, budget in log:
        for i in set(range(n)) - set(alive):
            train_fn(i, budget)
    return index, log


def last_not_trained(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    alive = list(range(n))
    log: list[Any] = []
    while len(alive) > 1:
        budget = r_min * eta ** len(log)
        log.append((len(log), alive, budget))
        losses = {i: train_fn(i, budget) for i in alive}
        ranked = sorted(alive, key=lambda i: (math.isnan(losses[i]), losses[i], i))
        alive = sorted(ranked[: max(1, len(alive) // eta)])
    return alive[0], log


def places(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    """Takes places in the shrinking list for indices."""
    m = n
    log: list[Any] = []
    while True:
        budget = r_min * eta ** len(log)
        log.append((len(log), list(range(m)), budget))
        losses = [train_fn(i, budget) for i in range(m)]
        if m == 1:
            return int(np.nanargmin(losses)) if not np.isnan(losses).all() else 0, log
        m = max(1, m // eta)


def one_list(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    """Logs the same list at each rung, which shrinks afterwards."""
    index, log = successive_halving(train_fn, n, eta, r_min)
    return index, [(rung, [index], budget) for rung, _, budget in log]


def lowest_ever(train_fn: Any, n: int, eta: int, r_min: float) -> Any:
    """Returns the configuration with the lowest loss of all rungs."""
    seen: list[tuple[bool, float, int]] = []

    def noted(index: int, budget: float) -> float:
        loss = train_fn(index, budget)
        seen.append((math.isnan(loss), loss, index))
        return loss

    _, log = successive_halving(noted, n, eta, r_min)
    return min(seen)[2], log


def infinity_for_nan(loss: float, i: int) -> Any:
    return (math.inf if math.isnan(loss) else loss, i)


def in_float32(loss: float, i: int) -> Any:
    with np.errstate(over="ignore"):
        return (math.isnan(loss), float(np.float32(loss)), i)


TASK = Task(
    name="successive_halving",
    entry="hpo_random_halving",
    statement=STATEMENT,
    starter=STARTER,
    reference=successive_halving,
    hints=HINTS,
    checks=(form, alone, powers, other_sizes, ties, not_a_number, extremes, budgets),
    wrong={
        "the same budget at each rung": changed(budget=lambda r_min, eta, rung: r_min),
        "budget added, not multiplied": changed(budget=lambda r_min, eta, rung: r_min * (1 + rung)),
        "budget doubled, whatever eta": changed(budget=lambda r_min, eta, rung: r_min * 2**rung),
        "only what is added to the budget": changed(
            budget=lambda r_min, eta, rung: r_min * (eta**rung - (eta ** (rung - 1) if rung else 0))
        ),
        "budgets cut to whole numbers": changed(budget=lambda r_min, eta, rung: int(r_min * eta**rung)),
        "the worst kept": changed(key=lambda loss, i: (math.isnan(loss), -loss, i)),
        "smallest in size kept": changed(key=lambda loss, i: (math.isnan(loss), abs(loss), i)),
        "⌈m/eta⌉ kept": changed(keep=lambda m, eta: -(-m // eta) if m > eta else 1),
        "m/eta rounded": changed(keep=lambda m, eta: max(1, round(m / eta))),
        "one in eta dropped": changed(keep=lambda m, eta: max(1, min(m - 1, m - m // eta))),
        "always half": changed(keep=lambda m, eta: max(1, m // 2)),
        "NaN wins": changed(key=lambda loss, i: (not math.isnan(loss), loss, i)),
        "NaN sorted as it comes": changed(key=lambda loss, i: loss),
        "NaN as infinity": changed(key=infinity_for_nan),
        "ties to the higher index": changed(key=lambda loss, i: (math.isnan(loss), loss, -i)),
        "float32": changed(key=in_float32),
        "indices by rank": changed(increasing=False),
        "ranked by the first rung only": changed(once=True),
        "stops before one is left": changed(end=lambda m, rung: m <= 2),
        "one rung too many": changed(end=lambda m, rung: m == 1 and rung > 0),
        "the last one not trained": last_not_trained,
        "those that are out trained as well": trains_all,
        "places for indices": places,
        "one list logged for all rungs": one_list,
        "the lowest loss of any rung": lowest_ever,
        "minus infinity as NaN": changed(key=lambda loss, i: (loss != loss or loss == -math.inf, loss, i)),
    },
    also_right={
        "numpy's stable argsort": in_numpy,
        "recursion, tuples": recursive,
        "worst removed one by one": removing,
    },
    asked=2,
)
