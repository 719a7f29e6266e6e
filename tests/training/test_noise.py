"""Mini-batch noise: brute force over all batches, estimates without bias, and epochs that are complete."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprep.training.noise import GradientNoise, batch_variance, epoch_batches, gradient_noise

SIX = torch.tensor([[-4.0], [-1], [0], [2], [4], [5]], dtype=torch.float64)
NO_INTEGER: Any = 2.5


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Brute force.


@pytest.mark.parametrize("p", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 6])
def test_equals_all_batches_listed(p: int, batch_size: int) -> None:
    rows = normal(p, 6, p)
    for replace, draws in (
        (False, itertools.combinations(range(6), batch_size)),
        (True, itertools.product(range(6), repeat=min(batch_size, 4))),
    ):
        size = min(batch_size, 4) if replace else batch_size
        means = torch.stack([rows[list(draw)].mean(dim=0) for draw in draws])
        torch.testing.assert_close(means.mean(dim=0), rows.mean(dim=0), rtol=0, atol=1e-12)
        expected = (means - rows.mean(dim=0)).square().sum(dim=1).mean().item()
        assert batch_variance(rows, size, replace=replace) == pytest.approx(expected, abs=1e-12)


def test_by_hand() -> None:
    assert batch_variance(SIX, 2) == pytest.approx(56 / 15)
    assert batch_variance(SIX, 2, replace=True) == pytest.approx(14 / 3)
    assert batch_variance(SIX, 6) == 0.0
    assert batch_variance(torch.ones(1, 4), 1) == 0.0
    found = gradient_noise(SIX)
    assert found.noise == pytest.approx(56 / 5)
    assert found.signal == pytest.approx(1 - 56 / 30)
    assert found.scale == math.inf
    assert gradient_noise(torch.tensor([[1.0], [3.0]])).scale == pytest.approx(2 / 3)


@pytest.mark.parametrize("n", [2, 3])
def test_estimates_are_unbiased_over_all_draws(n: int) -> None:
    rows = normal(7, 6, 2)
    found = [gradient_noise(rows[list(draw)]) for draw in itertools.product(range(6), repeat=n)]
    assert np.mean([f.noise for f in found]) == pytest.approx(batch_variance(rows, 1), abs=1e-12)
    expected = rows.mean(dim=0).square().sum().item()
    assert np.mean([f.signal for f in found]) == pytest.approx(expected, abs=1e-12)


def test_equals_numpy() -> None:
    rows = normal(3, 9, 4)
    array = rows.numpy()
    noise = np.trace(np.cov(array.T))
    found = gradient_noise(rows, batch_size=5)
    assert found.noise == pytest.approx(5 * noise, rel=1e-12)
    assert found.signal == pytest.approx((array.mean(axis=0) ** 2).sum() - noise / 9, rel=1e-12)


# Properties.


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12), p=st.integers(1, 5), power=st.integers(-20, 20))
def test_the_scale_has_no_unit(seed: int, n: int, p: int, power: int) -> None:
    rows = 3 + normal(seed, n, p)
    expected, found = gradient_noise(rows), gradient_noise(rows * 10.0**power)
    assert found.scale == pytest.approx(expected.scale, rel=1e-9)
    assert found.noise == pytest.approx(expected.noise * 100.0**power, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 12), p=st.integers(1, 5))
def test_variance_falls_with_the_batch_and_faster_without_replacement(seed: int, n: int, p: int) -> None:
    rows = normal(seed, n, p)
    without = [batch_variance(rows, size) for size in range(1, n + 1)]
    anew = [batch_variance(rows, size, replace=True) for size in range(1, n + 1)]
    assert without[0] == pytest.approx(anew[0])
    assert all(a < b for a, b in itertools.pairwise(without[::-1]))
    assert all(a < b for a, b in zip(without[1:], anew[1:], strict=True))
    assert without[-1] == 0.0


def test_rows_of_batches_estimate_one_example_s_noise() -> None:
    examples = 1 + 3 * normal(1, 60_000, 2)  # noise 18, signal 2
    for size in (1, 10, 100):
        rows = examples.view(-1, size, 2).mean(dim=1)
        found = gradient_noise(rows, batch_size=size)
        assert found.noise == pytest.approx(18, rel=0.2)
        assert found.scale == pytest.approx(9, rel=0.25)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), n=st.integers(1, 40), seed=st.integers(0, 1000))
def test_an_epoch_has_every_example_at_most_once(data: st.DataObject, n: int, seed: int) -> None:
    size = data.draw(st.integers(1, n))
    g = torch.Generator().manual_seed(seed)
    first, second = (epoch_batches(n, size, generator=g) for _ in range(2))
    for batches in (first, second):
        assert batches.shape == (n // size, size)
        assert len(batches.unique()) == batches.numel()
        assert batches.min() >= 0 and batches.max() < n
    if n > 20 and size == 1:
        assert not torch.equal(first, second)
    again = epoch_batches(n, size, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(first, again)


def test_draws_with_replacement_are_even_and_repeat() -> None:
    g = torch.Generator().manual_seed(0)
    draws = epoch_batches(4000, 8, replace=True, generator=g)
    assert draws.shape == (500, 8)
    assert len(draws.unique()) / 4000 == pytest.approx(1 - 1 / math.e, abs=0.03)
    drawn = torch.cat([epoch_batches(5, 1, replace=True, generator=g) for _ in range(2000)]).flatten()
    assert drawn.bincount().double().div(2000).sub(1).abs().max() < 0.1


def test_reads_float32_and_memory_in_any_order_and_leaves_gradients_alone() -> None:
    rows = (2 + normal(5, 4, 6)).float()
    expected = gradient_noise(rows.double())
    leaf = rows.clone().requires_grad_()
    for given_rows in (rows, rows.T.contiguous().T, leaf):
        found = gradient_noise(given_rows)
        assert isinstance(found.noise, float)
        assert found.scale == pytest.approx(expected.scale, rel=1e-12)
    tiny = gradient_noise(rows * 1e-25)
    assert tiny.scale == pytest.approx(expected.scale, rel=1e-4)


def test_zero_gradients_say_nothing() -> None:
    assert GradientNoise(noise=0.0, signal=0.0).scale == math.inf
    assert gradient_noise(torch.ones(3, 2)).scale == 0.0


# Bad input.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: gradient_noise(torch.ones(3, 2).long()), TypeError, "must be floating point"),
        (lambda: gradient_noise(torch.ones(1, 2)), ValueError, "n ≥ 2"),
        (lambda: gradient_noise(torch.ones(4)), ValueError, "flatten and join"),
        (lambda: gradient_noise(torch.ones(4, 0)), ValueError, "p ≥ 1"),
        (lambda: gradient_noise(torch.full((3, 2), math.nan)), ValueError, "must be finite"),
        (lambda: gradient_noise(torch.ones(3, 2), batch_size=0), ValueError, "batch_size must be a whole"),
        (lambda: gradient_noise(torch.ones(3, 2), batch_size=NO_INTEGER), ValueError, "batch_size must be"),
        (lambda: batch_variance(torch.ones(0, 2), 1), ValueError, "n ≥ 1"),
        (lambda: batch_variance(torch.ones(3, 2), 4), ValueError, "at most n=3"),
        (lambda: batch_variance(torch.ones(3, 2), 0), ValueError, "batch_size must be a whole"),
        (lambda: batch_variance(torch.full((3, 2), math.inf), 1), ValueError, "must be finite"),
        (lambda: epoch_batches(3, 4, generator=torch.Generator()), ValueError, "at most num_examples=3"),
        (lambda: epoch_batches(0, 1, generator=torch.Generator()), ValueError, "num_examples must be"),
        (lambda: epoch_batches(3, True, generator=torch.Generator()), ValueError, "batch_size must be"),
    ],
)
def test_refuses_what_cannot_work(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
