"""Schedules: equal to torch's and transformers' at each step, and what they promise at the ends."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
    get_wsd_schedule,
)

from lmprep.training.loop import fit
from lmprep.training.optim import SGD
from lmprep.training.schedules import Schedule, cosine, inverse_sqrt, linear_warmup, one_cycle, plateau, wsd

PEAK = 0.1
NO_INTEGER: Any = 2.5


def rates(make: Callable[[Any], Any], steps: int) -> list[float]:
    """The learning rate that each update of a scheduled torch optimizer is made with."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=PEAK)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def ours(schedule: Schedule, steps: int) -> list[float]:
    return [PEAK * schedule(step) for step in range(steps)]


# Equal to the references.


@pytest.mark.parametrize(("total", "warmup"), [(1, 0), (40, 0), (40, 1), (40, 10), (37, 36)])
def test_equals_transformers(total: int, warmup: int) -> None:
    sizes = {"num_warmup_steps": warmup, "num_training_steps": total}
    pairs: list[tuple[Schedule, Callable[[Any], Any], int]] = [
        (linear_warmup(warmup), lambda o: get_constant_schedule_with_warmup(o, warmup), 2 * total),
        (cosine(total, warmup=warmup), lambda o: get_cosine_schedule_with_warmup(o, **sizes), total + 1),
        (
            cosine(total, warmup=warmup, floor=0.1),
            lambda o: get_cosine_with_min_lr_schedule_with_warmup(o, **sizes, min_lr_rate=0.1),
            total + 1,
        ),
        (
            wsd(total, warmup=warmup, decay=total - warmup),
            lambda o: get_linear_schedule_with_warmup(o, **sizes),
            2 * total,
        ),
        (
            inverse_sqrt(warmup=warmup, timescale=7),
            lambda o: get_inverse_sqrt_schedule(o, warmup, timescale=7),
            2 * total,
        ),
    ]
    for schedule, make, steps in pairs:
        np.testing.assert_allclose(ours(schedule, steps), rates(make, steps), rtol=0, atol=1e-15)


@pytest.mark.parametrize("shape", ["linear", "cosine", "1-sqrt"])
@pytest.mark.parametrize(("warmup", "decay"), [(0, 40), (5, 8), (0, 1), (30, 10), (3, 0)])
def test_wsd_equals_transformers(shape: str, warmup: int, decay: int) -> None:
    def make(optimizer: Any) -> Any:
        return get_wsd_schedule(optimizer, warmup, decay, num_training_steps=40, decay_type=shape)

    schedule = wsd(40, warmup=warmup, decay=decay, shape=shape)
    np.testing.assert_allclose(ours(schedule, 60), rates(make, 60), rtol=0, atol=1e-15)


def test_inverse_sqrt_takes_its_time_scale_from_the_warmup() -> None:
    expected = rates(lambda o: get_inverse_sqrt_schedule(o, 12), 100)
    np.testing.assert_allclose(ours(inverse_sqrt(warmup=12), 100), expected, rtol=0, atol=1e-15)
    assert inverse_sqrt(warmup=12)(48) == 0.5  # √(warmup / step)


def test_cosine_equals_torch() -> None:
    expected = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=50, eta_min=0.2 * PEAK), 51)
    np.testing.assert_allclose(ours(cosine(50, floor=0.2), 51), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("total", [7, 10, 33, 100])
@pytest.mark.parametrize("rise", [0.25, 0.3, 0.5])
def test_one_cycle_equals_torch(total: int, rise: float) -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.OneCycleLR(optimizer, PEAK, total, pct_start=rise, cycle_momentum=False)

    expected = rates(make, total)  # PyTorch subtracts in another order
    np.testing.assert_allclose(ours(one_cycle(total, rise=rise), total), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "schedule", [cosine(30, warmup=5), wsd(30, warmup=5, decay=10), inverse_sqrt(warmup=5), one_cycle(30)]
)
def test_serves_torch_s_lambda_lr_as_it_is(schedule: Schedule) -> None:
    expected = rates(lambda o: lr_scheduler.LambdaLR(o, schedule), 30)
    assert ours(schedule, 30) == expected


def test_fit_makes_its_updates_with_them() -> None:
    model = nn.Linear(1, 1)
    schedule = wsd(12, warmup=3, decay=4)
    history = fit(
        model,
        [torch.ones(1, 1)],
        lambda m, x: m(x).square().mean(),
        optimizer=SGD(model.parameters(), lr=PEAK),
        num_steps=12,
        schedule=schedule,
    )
    assert [record.learning_rate for record in history.records] == ours(schedule, 12)


@settings(max_examples=40, deadline=None)
@given(
    losses=st.lists(st.floats(0, 1), max_size=40),
    patience=st.integers(1, 4),
    factor=st.sampled_from([0.1, 0.5]),
)
def test_plateau_equals_torch_with_one_less_patience(
    losses: list[float], patience: int, factor: float
) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience - 1, threshold=1e-4, threshold_mode="abs", eps=0.0
    )
    for count, loss in enumerate(losses, 1):
        theirs.step(loss)
        found = plateau(losses[:count], factor=factor, patience=patience)
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_plateau_by_hand() -> None:
    assert plateau([]) == 1.0
    assert [plateau([1.0] * n) for n in (5, 6, 10, 11)] == [1.0, 0.5, 0.5, 0.25]
    assert plateau([1.0, 0.99995, 0.99995], patience=2) == 0.5  # less than delta below the best
    assert plateau([3.0, 4.0, 2.0, 4.0, 1.0], patience=2) == 1.0


# What they promise.


def test_the_ends() -> None:
    falling = {"cosine": cosine(10, warmup=4), "wsd": wsd(10, warmup=4, decay=4)}
    for schedule in falling.values():
        assert [schedule(step) for step in (0, 1, 4, 10, 11, 1000)] == [0, 0.25, 1, 0, 0, 0]
        assert schedule(9) > 0  # the last of ten updates
    assert wsd(10, decay=4)(9) == 0.25
    cycle = one_cycle(10)
    assert cycle(0) == 1 / 25 and cycle(2) == 1.0
    assert cycle(9) == cycle(10) == cycle(99) == 1 / 250_000
    assert cosine(10, floor=0.1)(50) == 0.1


def test_transformers_cosine_rises_again_after_the_end_and_ours_does_not() -> None:
    beyond = rates(lambda o: get_cosine_schedule_with_warmup(o, 0, 10), 21)
    assert beyond[20] == pytest.approx(PEAK)
    assert cosine(10)(20) == 0.0
    beyond = rates(lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10), 21)
    assert beyond[20] == pytest.approx(PEAK)


def test_a_decay_of_no_steps_stays_at_the_top() -> None:
    assert [wsd(5, decay=0)(step) for step in range(6)] == [1, 1, 1, 1, 1, 0]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), total=st.integers(2, 300), shape=st.sampled_from(["linear", "cosine", "1-sqrt"]))
def test_rises_stays_falls_within_zero_and_one(data: st.DataObject, total: int, shape: str) -> None:
    warmup = data.draw(st.integers(0, total - 1))
    decay = data.draw(st.integers(1, total - warmup))
    for schedule, top in (
        (cosine(total, warmup=warmup), warmup),
        (wsd(total, warmup=warmup, decay=decay, shape=shape), total - decay),
    ):
        values = np.array([schedule(step) for step in range(total + 3)])
        assert values.min() >= 0 and values.max() == 1 == values[top]
        assert (np.diff(values[: warmup + 1]) >= 0).all() and (np.diff(values[top:]) <= 0).all()
        assert values[0] == (warmup == 0) and values[total] == 0


@settings(max_examples=30, deadline=None)
@given(total=st.integers(4, 400), warmup=st.integers(1, 3), extra=st.integers(1, 500))
def test_a_longer_wsd_has_the_same_trunk_and_a_longer_cosine_has_not(
    total: int, warmup: int, extra: int
) -> None:
    short, long = (wsd(t, warmup=warmup, decay=1) for t in (total, total + extra))
    assert [short(s) for s in range(total)] == [long(s) for s in range(total)]
    if total - warmup > 1:
        assert cosine(total, warmup=warmup)(total - 1) < cosine(total + extra, warmup=warmup)(total - 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plateau([1.0], factor=1.5), "factor must be"),
        (lambda: plateau([1.0], patience=0), "patience of at least 1"),
        (lambda: plateau([1.0], delta=math.nan), "a delta from 0"),
        (lambda: plateau([1.0, math.nan]), "holds a NaN"),
        (lambda: linear_warmup(-1), "warmup must be a whole number"),
        (lambda: linear_warmup(NO_INTEGER), "warmup must be a whole number"),
        (lambda: linear_warmup(True), "warmup must be a whole number"),
        (lambda: linear_warmup(5)(-1), "step must be a whole number"),
        (lambda: cosine(10)(-1), "step must be a whole number"),
        (lambda: wsd(10, decay=2)(-1), "step must be a whole number"),
        (lambda: inverse_sqrt(warmup=3)(-1), "step must be a whole number"),
        (lambda: one_cycle(10)(-1), "step must be a whole number"),
        (lambda: cosine(10, warmup=10), "warmup must be below total=10"),
        (lambda: cosine(0), "warmup must be below"),
        (lambda: cosine(10, floor=1.5), "floor is a share"),
        (lambda: cosine(10, floor=math.nan), "floor is a share"),
        (lambda: wsd(10, warmup=6, decay=5), "do not fit"),
        (lambda: wsd(10, decay=5, shape="exponential"), "shape must be one of linear"),
        (lambda: inverse_sqrt(warmup=0), "timescale must be at least 1"),
        (lambda: one_cycle(2), "puts the peak at step"),
        (lambda: one_cycle(10, rise=1.0), "puts the peak at step 9"),
        (lambda: one_cycle(10, rise=-0.1), "rise must be from 0 to 1"),
        (lambda: one_cycle(10, end=math.nan), "end must be from 0 to 1"),
    ],
)
def test_refuses_what_cannot_work(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
