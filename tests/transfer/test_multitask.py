"""lmprep.transfer.multitask against autograd, torch's Gaussian likelihood and closed forms."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lmprep.transfer.multitask import (
    Arms,
    HardShare,
    UncertaintyWeight,
    help_desk,
    help_desk_losses,
    help_desk_network,
    task_gradients,
)

positive = st.floats(1e-6, 1e6)
kinds_and_losses = st.lists(st.tuples(st.sampled_from(["mse", "ce"]), positive), min_size=1, max_size=5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model() -> HardShare:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    return HardShare(trunk, {"a": nn.Linear(4, 2), "b": nn.Linear(4, 5)}).double()


def two_losses(shared: HardShare) -> Tensor:
    x = torch.randn(6, 3, generator=generator(1), dtype=torch.float64)
    outputs = shared(x)
    return torch.stack([outputs["a"].square().mean(), outputs["b"].exp().mean()])


def test_each_task_has_its_own_outputs_from_one_trunk() -> None:
    shared, x = model(), torch.ones(7, 3, dtype=torch.float64)
    outputs = shared(x)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"a": (7, 2), "b": (7, 5)}
    assert torch.equal(outputs["b"], shared.heads["b"](shared.trunk(x)))
    with pytest.raises(ValueError, match="heads is empty"):
        HardShare(nn.Identity(), {})


def test_task_gradients_are_those_of_each_task_alone() -> None:
    shared = model()
    losses, trunk = two_losses(shared), list(shared.trunk.parameters())
    rows = task_gradients(losses, trunk)
    assert rows.shape == (2, 16) and rows.dtype == torch.float64
    for index in range(2):
        shared.zero_grad()
        two_losses(shared)[index].backward()
        alone = torch.cat([parameter.grad.flatten() for parameter in trunk if parameter.grad is not None])
        assert torch.allclose(rows[index], alone, atol=1e-12)
    shared.zero_grad()
    losses.sum().backward()  # the graph is still there
    summed = torch.cat([parameter.grad.flatten() for parameter in trunk if parameter.grad is not None])
    assert torch.allclose(rows.sum(dim=0), summed, atol=1e-12)
    assert torch.equal(task_gradients(list(two_losses(shared)), iter(trunk)), rows)


def test_a_parameter_that_a_loss_does_not_reach_gets_zeros_and_grad_is_left() -> None:
    shared = model()
    head = list(shared.heads["a"].parameters())
    rows = task_gradients(two_losses(shared), head)
    assert rows[0].abs().sum() > 0 and torch.equal(rows[1], torch.zeros(10, dtype=torch.float64))
    assert all(parameter.grad is None for parameter in shared.parameters())
    outputs = shared(torch.ones(2, 3, dtype=torch.float64))  # losses of separate graphs, not unstacked
    rows = task_gradients([outputs["a"].sum(), outputs["b"].sum()], head)
    assert rows[0].abs().sum() > 0 and torch.equal(rows[1], torch.zeros(10, dtype=torch.float64))


def test_task_gradients_say_what_is_wrong() -> None:
    shared = model()
    losses, trunk = two_losses(shared), list(shared.trunk.parameters())
    for bad, parameters, message in (
        (losses, [], "parameters is empty"),
        ([], trunk, "losses is empty"),
        (losses[None], trunk, "loss 0 must be a scalar"),
        (losses.detach(), trunk, "loss 0 carries no gradient"),
        ([losses[0], losses[1].detach()], trunk, "loss 1 carries no gradient"),
        (losses, [trunk[0], torch.ones(3)], "parameter 1 is frozen"),
    ):
        with pytest.raises(ValueError, match=message):
            task_gradients(bad, parameters)
    mistaken: list[tuple[Any, Any, str]] = [
        (losses, trunk[0], "parameters is one tensor"),
        (losses, shared.trunk.named_parameters(), "parameter 0 must be a tensor, got tuple"),
        ({"a": losses[0]}, trunk, "loss 0 must be a tensor, got str"),
    ]
    for bad, parameters, message in mistaken:
        with pytest.raises(TypeError, match=message):
            task_gradients(bad, parameters)


@given(tasks=kinds_and_losses)
@settings(max_examples=50)
def test_minimum_is_at_log_2cL_and_scale_cancels(tasks: list[tuple[str, float]]) -> None:
    kinds = [kind for kind, _ in tasks]
    losses = torch.tensor([loss for _, loss in tasks], dtype=torch.float64, requires_grad=True)
    weighting = UncertaintyWeight(kinds, losses)
    objective = weighting(losses)
    slope, weights = torch.autograd.grad(objective, [weighting.log_variances, losses])
    assert slope.abs().max() <= 1e-12
    assert torch.allclose(weights, 0.5 / losses, rtol=1e-12)
    c = torch.tensor([0.5 if kind == "mse" else 1.0 for kind in kinds], dtype=torch.float64)
    assert torch.allclose(objective, 0.5 * (1 + (2 * c * losses).log()).sum(), rtol=1e-12)
    for step in (-0.3, 0.3):
        with torch.no_grad():
            weighting.log_variances += step
            assert weighting(losses) > objective
            weighting.log_variances -= step


@pytest.mark.parametrize("s", [-2.0, 0.0, 3.0])
def test_squared_error_is_a_gaussian_likelihood(s: float) -> None:
    residuals = torch.randn(20, generator=generator(), dtype=torch.float64)
    weighting = UncertaintyWeight(["mse"]).double()
    weighting.log_variances.data.fill_(s)
    theirs = F.gaussian_nll_loss(
        residuals, torch.zeros_like(residuals), torch.full_like(residuals, math.exp(s))
    )
    assert torch.allclose(weighting(residuals.square().mean()[None]), theirs, atol=1e-12)


def test_log_variances_start_at_zero_and_arms_are_apart() -> None:
    assert torch.equal(UncertaintyWeight(["ce", "mse"]).log_variances.data, torch.zeros(2))
    start = torch.rand(2, 3, generator=generator()) + 0.1
    weighting = UncertaintyWeight(["ce", "mse"], start)
    columns = [UncertaintyWeight(["ce", "mse"], start[:, arm])(start[:, arm]) for arm in range(3)]
    assert torch.allclose(weighting(start), torch.stack(columns))


def test_uncertainty_weight_says_what_is_wrong() -> None:
    for arguments, message in (
        (([],), "kinds must name"),
        ((["mae"],), "kinds must name"),
        ((["ce"], torch.ones(2)), "a loss for each of 1"),
        ((["ce"], torch.tensor(1.0)), "a loss for each of 1"),
        ((["ce"], torch.zeros(1)), "above 0 and finite, got 0"),
        ((["ce", "mse"], torch.tensor([1.0, torch.nan])), "above 0 and finite, got nan"),
        ((["ce", "mse"], torch.tensor([torch.inf, 1.0])), "above 0 and finite, got inf"),
    ):
        with pytest.raises(ValueError, match=message):
            UncertaintyWeight(*arguments)
    with pytest.raises(ValueError, match="shape of the log-variances"):
        UncertaintyWeight(["ce", "mse"])(torch.ones(3))


def test_arms_are_linear_layers_that_share_nothing() -> None:
    layer = Arms((3, 4, 2), generator())
    x = torch.randn(5, 4, generator=generator(1))
    assert layer(x).shape == (3, 5, 2)
    assert torch.allclose(layer(x)[1], F.linear(x, layer.weight[1].T, layer.bias[1, 0]))
    assert torch.allclose(layer(x.repeat(3, 1, 1)), layer(x))
    (gradient,) = torch.autograd.grad(layer(x)[0].sum(), layer.weight)
    assert gradient[0].abs().sum() > 0 and not gradient[1:].any()


def test_help_desk_losses_are_those_of_single_networks() -> None:
    data, other = help_desk((50, 7), generator())
    assert [tuple(part.shape) for part in other] == [(7, 20), (7,), (7,), (7,)]
    assert set(data[1].tolist()) <= {0, 1, 2, 3} and set(data[2].tolist()) <= {0, 1}
    assert help_desk((20_000,), generator())[0][3].var().item() == pytest.approx(1, abs=0.05)
    network = help_desk_network(2, 8, generator(1))
    losses = help_desk_losses(network, data, torch.tensor([1.0, 30.0]))
    assert losses.shape == (3, 2)
    outputs = network(data[0])
    for arm, unit in enumerate((1.0, 30.0)):
        assert torch.allclose(losses[0, arm], F.cross_entropy(outputs["topic"][arm], data[1]))
        assert torch.allclose(losses[1, arm], F.cross_entropy(outputs["sentiment"][arm], data[2]))
        assert torch.allclose(losses[2, arm], F.mse_loss(outputs["length"][arm, :, 0], unit * data[3]))


def test_help_desk_labels_follow_from_the_inputs() -> None:
    """Ridge regression from the noisy mixtures finds most of each label, so the tasks can be learned."""
    (x, topics, sentiments, lengths), *_ = help_desk((4000,), generator())
    labels = torch.stack([(topics == 0).float(), 2.0 * sentiments - 1, lengths], dim=1)
    centered = labels - labels.mean(dim=0)
    found = x @ torch.linalg.solve(x.T @ x + torch.eye(20), x.T @ centered)
    explained = 1 - (centered - found).square().mean(dim=0) / centered.var(dim=0)
    assert explained[0] > 0.15 and explained[1] > 0.3 and explained[2] > 0.6


def test_arms_and_help_desk_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="sizes must be at least 1"):
        Arms((2, 0, 3), generator())
    with pytest.raises(ValueError, match="sizes must be at least 1"):
        help_desk((5, 0), generator())
    (data,) = help_desk((5,), generator())
    with pytest.raises(ValueError, match="one number for each of 2 arms"):
        help_desk_losses(help_desk_network(2, 4, generator()), data, torch.ones(3))
