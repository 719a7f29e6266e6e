"""Search: what is tried and for how long, as Optuna, scikit-learn and torch do it."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import HyperbandPruner
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, ParameterGrid
from torch import nn

from lmprep.training.search import (
    Rung,
    grid,
    hyperband_brackets,
    loguniform,
    successive_halving,
    train_side_by_side,
)

NO_INTEGER: Any = 2.5

# loguniform and grid.


@pytest.mark.parametrize(("low", "high"), [(1e-5, 1e-1), (0.5, 2.0), (1e-300, 1e300)])
def test_loguniform_gives_each_decade_its_share(low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    draws = np.array([loguniform(rng, low, high) for _ in range(2000)])
    assert draws.min() >= low and draws.max() <= high
    share = (np.log(draws) - math.log(low)) / (math.log(high) - math.log(low))
    counts, _ = np.histogram(share, bins=4, range=(0, 1))
    assert np.abs(counts - 500).max() < 100  # five standard deviations


def test_grid_holds_the_combinations_of_scikit_learn() -> None:
    axes = {"rate": [0.1, 0.01], "width": range(3), "norm": ["pre"]}
    ours = grid(axes)
    assert len(ours) == 6
    assert ours[0] == {"rate": 0.1, "width": 0, "norm": "pre"}
    assert ours[1] == {"rate": 0.1, "width": 1, "norm": "pre"}  # the last axis with a choice goes first
    theirs = list(ParameterGrid({name: list(values) for name, values in axes.items()}))
    assert all(point in ours for point in theirs) and len(theirs) == len(ours)


def test_grid_takes_an_iterator_and_leaves_its_input_alone() -> None:
    axes = {"a": [1, 2]}
    assert grid({"a": iter([1, 2])}) == grid(axes) == [{"a": 1}, {"a": 2}]
    assert axes == {"a": [1, 2]}


# Successive halving.


class Lookup(BaseEstimator):
    losses: np.ndarray  # (rungs, n)

    def __init__(self, index: int = 0, steps: int = 1) -> None:
        self.index, self.steps = index, steps

    def fit(self, X: Any, y: Any = None) -> "Lookup":
        return self

    def score(self, X: Any, y: Any = None) -> float:
        return -float(self.losses[round(math.log(self.steps, 3)), self.index])


@pytest.mark.parametrize("n", [3, 9, 27])
def test_keeps_what_scikit_learn_keeps(n: int) -> None:
    last = round(math.log(n, 3))
    Lookup.losses = np.random.default_rng(n).normal(size=(last + 1, n))
    found = HalvingGridSearchCV(Lookup(), {"index": range(n)}, resource="steps", min_resources=1,
                                max_resources=n, cv=[([0], [1])], refit=False).fit([[0], [1]])  # fmt: skip
    table = found.cv_results_
    best, rungs = successive_halving(lambda i, b: Lookup.losses[round(math.log(b, 3)), i], n)
    ours = [(rung.budget, i) for rung in rungs for i in rung.indices]
    assert ours == sorted(zip(table["n_resources"], table["param_index"], strict=True))
    assert [len(rung.indices) for rung in rungs] == found.n_candidates_
    assert best == found.best_params_["index"]


def test_by_hand() -> None:
    losses = {1: [5, 1, 4, 2, 3, 9, 9], 2: [0, 3, 0, 2, 1, 0, 0], 4: [0, 0, 0, 0, 7, 0, 0]}
    best, rungs = successive_halving(lambda i, b: losses[int(b)][i], 7, eta=2)
    assert rungs == [Rung((0, 1, 2, 3, 4, 5, 6), 1), Rung((1, 3, 4), 2), Rung((4,), 4)]
    assert best == 4


def test_stops_at_the_largest_budget_and_takes_the_best_there() -> None:
    best, rungs = successive_halving(lambda i, b: -i, 6, eta=3, min_budget=9, max_budget=27)
    assert rungs == [Rung((0, 1, 2, 3, 4, 5), 9), Rung((4, 5), 27)]
    assert best == 5
    assert successive_halving(lambda i, b: -i, 4, min_budget=27, max_budget=27)[0] == 3


def test_nan_ranks_last_and_ties_go_to_the_lower_index() -> None:
    nan, inf = math.nan, math.inf
    assert successive_halving(lambda i, b: [nan, inf][i], 2, eta=2)[0] == 1
    assert successive_halving(lambda i, b: [nan, nan, -1.0][i], 3)[0] == 2
    assert successive_halving(lambda i, b: nan, 5, eta=2)[0] == 0
    assert successive_halving(lambda i, b: [2, 1, 1, 2][i], 4, eta=2)[0] == 1


@given(n=st.integers(1, 200), eta=st.integers(2, 6), seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_rungs_shrink_by_eta_and_budgets_grow(n: int, eta: int, seed: int) -> None:
    rng, calls = np.random.default_rng(seed), []

    def train(index: int, budget: float) -> float:
        calls.append((index, budget))
        return float(rng.normal())

    best, rungs = successive_halving(train, n, eta=eta, min_budget=2)
    assert rungs[0].indices == tuple(range(n)) and rungs[-1].indices == (best,)
    for before, after in itertools.pairwise(rungs):
        assert len(after.indices) == max(1, len(before.indices) // eta)
        assert set(after.indices) < set(before.indices)
        assert after.budget == eta * before.budget
    assert calls == [(i, rung.budget) for rung in rungs for i in rung.indices]


# Hyperband.


@pytest.mark.parametrize(("max_budget", "eta"), [(1, 2), (8, 2), (81, 3), (27, 3), (100, 3), (64, 4), (2, 3)])
def test_brackets_start_as_many_as_optuna(max_budget: int, eta: int) -> None:
    pruner = HyperbandPruner(min_resource=1, max_resource=max_budget, reduction_factor=eta)
    pruner._try_initialization(None)  # type: ignore[arg-type]
    brackets = hyperband_brackets(max_budget, eta)
    assert [bracket[0][0] for bracket in brackets] == pruner._trial_allocation_budgets
    for s, bracket in enumerate(reversed(brackets)):
        assert len(bracket) == s + 1
        assert bracket[0][1] == pytest.approx(max_budget / eta**s)
        assert bracket[-1][1] == max_budget


def test_brackets_of_algorithm_1() -> None:
    assert hyperband_brackets(81) == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


def test_rounding_of_logarithms_loses_no_bracket() -> None:
    assert int(math.log(243) / math.log(3)) == 4
    assert len(hyperband_brackets(243)) == 6
    assert len(hyperband_brackets(242)) == 5
    assert len(hyperband_brackets(1000, 10)) == 4


@pytest.mark.parametrize(("max_budget", "eta"), [(81, 3), (28, 5), (29, 3), (100, 3)])
def test_a_bracket_is_a_run_of_halving_also_where_budgets_are_rounded(max_budget: int, eta: int) -> None:
    for bracket in hyperband_brackets(max_budget, eta):
        n, budget = bracket[0]
        _, rungs = successive_halving(lambda i, b: i, n, eta=eta, min_budget=budget, max_budget=max_budget)
        assert [len(rung.indices) for rung in rungs] == [n for n, _ in bracket]
        assert [rung.budget for rung in rungs] == pytest.approx([budget for _, budget in bracket])


# Training side by side.

SETTINGS = [(0.1, 1e-3, 0.9), (0.5, 0.0, 0.0), (0.01, 0.1, 0.5)]


def data(*, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 6, generator=g, dtype=dtype)
    return inputs, torch.randint(3, (40,), generator=g), torch.randn(7, 6, generator=g, dtype=dtype)


def run(chosen: list[tuple[float, float, float]], **options: Any) -> dict[int, torch.Tensor]:
    inputs, labels, asked = data()
    given: dict[str, Any] = {"width": 5, "num_steps": 20, "batch_size": 8, "read_after": (1, 20)} | options
    return train_side_by_side(inputs, labels, chosen, read_on=asked, **given,
                              generator=torch.Generator().manual_seed(1))  # fmt: skip


def test_equals_torch_sgd_one_network_at_a_time() -> None:
    inputs, labels, asked = data()
    found = run(SETTINGS)
    for n, (rate, decay, momentum) in enumerate(SETTINGS):
        g = torch.Generator().manual_seed(1)
        first = torch.randn(3, 6, 5, generator=g).double() * (2 / 6) ** 0.5
        torch.randn(3, 1, 5, generator=g)
        second = torch.randn(3, 5, 3, generator=g).double() * 5**-0.5
        torch.randn(3, 1, 3, generator=g)
        layers = nn.Linear(6, 5), nn.Linear(5, 3)
        model = nn.Sequential(layers[0], nn.ReLU(), layers[1]).double()
        with torch.no_grad():
            for layer, start in zip(layers, (first, second), strict=True):
                layer.weight.copy_(start[n].T)
                layer.bias.zero_()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, weight_decay=decay)
        for step in range(1, 21):
            batch = torch.randint(40, (8,), generator=g)
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
            if step in found:
                torch.testing.assert_close(found[step][n], model(asked).detach(), rtol=1e-6, atol=1e-7)


def test_a_diverging_network_leaves_the_others_alone() -> None:
    sound, broken = run(SETTINGS), run([SETTINGS[0], (1e30, 0.0, 0.9), SETTINGS[2]])
    assert not broken[20][1].isfinite().all()
    assert torch.equal(sound[20][0], broken[20][0])
    assert torch.equal(sound[20][2], broken[20][2])


def test_reads_when_asked_and_leaves_its_input_alone() -> None:
    found = run(SETTINGS, read_after=(3, 7, 99))
    assert set(found) == {3, 7}
    assert found[3].shape == (3, 7, 3) and not found[3].requires_grad
    assert not torch.equal(found[3], found[7])
    assert all(torch.equal(a, b) for a, b in zip(data(), data(), strict=True))


# Bad input.


@pytest.mark.parametrize("bad", [(0, 1), (-1, 1), (2, 1), (1, 1), (1, math.inf), (math.nan, 1)])
def test_loguniform_refuses_an_empty_range(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="low < high"):
        loguniform(np.random.default_rng(0), *bad)


@pytest.mark.parametrize("bad", [{}, {"a": []}, {"a": [1], "b": []}])
def test_grid_refuses_an_empty_axis(bad: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match="axis"):
        grid(bad)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"num_configs": 0}, "num_configs"),
        ({"num_configs": NO_INTEGER}, "num_configs"),
        ({"eta": 1}, "eta"),
        ({"eta": True}, "eta"),
        ({"min_budget": 0}, "min_budget"),
        ({"min_budget": 5, "max_budget": 4}, "min_budget"),
        ({"min_budget": math.nan}, "min_budget"),
        ({"min_budget": math.inf}, "min_budget"),
    ],
)
def test_successive_halving_refuses(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        successive_halving(lambda i, b: 0.0, **({"num_configs": 4} | options))


@pytest.mark.parametrize(("max_budget", "eta"), [(0, 3), (NO_INTEGER, 3), (9, 1), (9, NO_INTEGER)])
def test_hyperband_refuses(max_budget: int, eta: int) -> None:
    with pytest.raises(ValueError, match=r"max_budget|eta"):
        hyperband_brackets(max_budget, eta)


def test_training_refuses() -> None:
    bad: list[Any] = [[], [(0.1, 0.0)]]
    for each in bad:
        with pytest.raises(ValueError, match="settings"):
            run(each)
    with pytest.raises(ValueError, match="num_steps"):
        run(SETTINGS, num_steps=0)
    inputs, labels, asked = data()
    with pytest.raises(ValueError, match="inputs"):
        train_side_by_side(inputs, labels[:-1], SETTINGS, generator=torch.Generator(), read_on=asked,
                           read_after=())  # fmt: skip
