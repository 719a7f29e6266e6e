"""The optimizers against torch.optim, step by step in float64."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmprep.training.optim import SGD, Adam, AdamW, Optimizer, PooledAdam

Make = Callable[[list[Any]], Any]

PAIRS: dict[str, tuple[Make, Make]] = {
    "SGD": (lambda p: SGD(p, lr=0.05), lambda p: torch.optim.SGD(p, lr=0.05)),
    "momentum": (
        lambda p: SGD(p, lr=0.02, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    ),
    "Nesterov, decayed": (
        lambda p: SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
    ),
    "Adam": (lambda p: Adam(p), lambda p: torch.optim.Adam(p)),
    "Adam, decayed": (
        lambda p: Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2),
    ),
    "AdamW": (lambda p: AdamW(p, lr=0.1), lambda p: torch.optim.AdamW(p, lr=0.1)),
    "AdamW, strongly decayed": (
        lambda p: AdamW(p, lr=0.1, betas=(0.9, 0.95), weight_decay=0.5),
        lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.95), weight_decay=0.5),
    ),
}


def weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in [(3, 4), (4,), ()]
    ]


def loss(weights: list[Tensor], step: int) -> Tensor:
    """Of two weights that meet, and of a third that gets no gradient in every third step."""
    matrix, bias, scale = weights
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    value = (x @ matrix + bias).tanh().square().sum()
    return value if step % 3 == 2 else value * (1 + scale**2)


def descend(make: Make, steps: int = 100) -> list[Tensor]:
    trained = weights()
    optimizer = make(trained)
    for step in range(steps):
        optimizer.zero_grad()
        loss(trained, step).backward()
        optimizer.step()
    return trained


@pytest.mark.parametrize("name", PAIRS)
def test_equals_torch_after_a_hundred_steps(name: str) -> None:
    for ours, theirs in zip(*map(descend, PAIRS[name]), strict=True):
        assert not ours.equal(torch.zeros_like(ours))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_groups_keep_their_own_settings_and_follow_a_schedule() -> None:
    results = []
    for make in (AdamW, torch.optim.AdamW):
        first, *others = trained = weights()
        optimizer: Any = make(
            [{"params": [first], "lr": 0.1}, {"params": others, "weight_decay": 0.0}], lr=0.01
        )
        for step in range(20):
            for group in optimizer.param_groups:
                group["lr"] *= 0.9
            optimizer.zero_grad()
            loss(trained, step).backward()
            optimizer.step()
        results.append(trained)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_what_has_no_gradient_stays_and_takes_no_decay() -> None:
    for optimizer_class in (SGD, Adam, AdamW):
        weight = torch.ones(2, requires_grad=True)
        optimizer_class([weight], lr=1.0, weight_decay=0.5).step()
        assert weight.tolist() == [1, 1]


def test_a_step_leaves_the_gradient_as_it_was() -> None:
    for optimizer in (SGD([w := torch.ones(2, requires_grad=True)], lr=0.1, momentum=0.9), Adam([w])):
        w.grad = torch.tensor([1.0, 2.0])
        optimizer.step()
        optimizer.step()
        assert w.grad.tolist() == [1, 2]


def test_zero_grad_forgets() -> None:
    weight = torch.ones(2, requires_grad=True)
    weight.sum().backward()
    SGD([weight]).zero_grad()
    assert weight.grad is None


def test_the_first_step_by_hand() -> None:
    weight = torch.tensor([2.0, 2.0, 2.0], dtype=torch.float64, requires_grad=True)
    weight.grad = torch.tensor([3.0, -1e-3, 0.0], dtype=torch.float64)
    AdamW([weight], lr=0.5, weight_decay=0.1).step()
    # 2 (1 − 0.5 · 0.1) = 1.9, and then 0.5 against the gradient's sign, whatever its size
    torch.testing.assert_close(weight.detach(), torch.tensor([1.4, 2.4, 1.9]).double(), rtol=0, atol=1e-5)


def test_pooled_adam_is_adam_where_a_pool_holds_one_coordinate_or_equal_ones() -> None:
    column = torch.randn(20, 5, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for gradients, over in ((column, (1,)), (column.expand(20, 5, 3), (-1,)), (column[:, :1], (0, 1))):
        ends = []
        for make in (Adam, partial(PooledAdam, over=over)):
            weight = torch.ones(gradients.shape[1:], dtype=torch.float64)
            optimizer = make([weight], lr=0.1, weight_decay=0.3)
            for gradient in gradients:
                weight.grad = gradient
                optimizer.step()
            ends.append(weight)
        torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-12)


def test_pooled_adam_divides_a_pool_by_its_root_mean_square() -> None:
    for over, divisors in (((0, 1), [[5.0, 5.0], [5.0, 5.0]]), ((1,), [[1.0, 1.0], [7.0, 7.0]])):
        weight = torch.zeros(2, 2, dtype=torch.float64)
        weight.grad = torch.tensor([[1.0, -1.0], [7.0, 7.0]]).double()
        PooledAdam([weight], lr=0.1, eps=0.0, over=over).step()
        torch.testing.assert_close(weight, -0.1 * weight.grad / torch.tensor(divisors).double())


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), adam=st.sampled_from([Adam, AdamW]))
def test_adam_does_not_see_the_scale_of_the_loss(scale: float, adam: type[Adam]) -> None:
    ends = []
    for factor in (1.0, scale):
        weight = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        optimizer = adam([weight], lr=0.1, eps=0.0)
        for _ in range(10):
            optimizer.zero_grad()
            (factor * (weight - 0.3).pow(4).sum()).backward()
            optimizer.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: SGD([]), "params is empty"),
        (lambda w: SGD([w, w]), "twice"),
        (lambda w: SGD([w * 2]), "result of a computation"),
        (lambda w: SGD([w], lr=-1.0), "lr must be"),
        (lambda w: SGD([w], lr=float("nan")), "lr must be"),
        (lambda w: SGD([w], momentum=1.0), "momentum must be"),
        (lambda w: SGD([w], nesterov=True), "momentum above 0"),
        (lambda w: Adam([w], betas=(0.9, 1.0)), "betas must be"),
        (lambda w: Adam([w], eps=-1e-8), "eps must be"),
        (lambda w: PooledAdam([w], over=(1,)), r"over must hold axes of shape \(2,\)"),
        (lambda w: PooledAdam([w], over=()), "over must hold axes"),
        (lambda w: AdamW([{"params": [w], "weight_decay": -1.0}]), "weight_decay must be"),
    ],
)
def test_refuses_what_cannot_work(make: Callable[[Tensor], Optimizer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(torch.ones(2, requires_grad=True))


def test_refuses_what_is_no_tensor() -> None:
    names: Any = ["weight"]
    with pytest.raises(TypeError, match="got str"):
        SGD(names)
