"""lmprep.transfer.multitask against autograd, torch's Gaussian likelihood, scipy and closed forms."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

from lmprep.transfer.multitask import (
    Arms,
    HardShare,
    LinearTasks,
    UncertaintyWeight,
    cosine_matrix,
    help_desk,
    help_desk_losses,
    help_desk_network,
    linear_tasks,
    mgda_two,
    pcgrad,
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


def gradients(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def test_cosines_are_numpys_and_sizes_do_not_matter() -> None:
    G = gradients(4, 7) * torch.tensor([[1e-200], [1.0], [1e200], [3.0]], dtype=torch.float64)
    unit = gradients(4, 7).numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert np.allclose(cosine_matrix(G).numpy(), unit @ unit.T, atol=1e-12)
    tiny = torch.tensor([[1e-30, 1e-30], [1e-30, 0.0]])  # float32, squares are 0
    assert cosine_matrix(tiny)[0, 1].item() == pytest.approx(0.5**0.5, rel=1e-6)


def test_a_gradient_of_zeros_has_no_cosine() -> None:
    found = cosine_matrix(torch.tensor([[3.0, 4.0], [0.0, 0.0], [-3.0, -4.0]]))
    assert found[1].isnan().all() and found[:, 1].isnan().all()
    assert torch.allclose(found[[0, 0, 2, 2], [0, 2, 0, 2]], torch.tensor([1.0, -1.0, -1.0, 1.0]))


@given(seed=st.integers(0, 10_000), n=st.integers(1, 4), size=st.integers(1, 5))
@settings(max_examples=20)
def test_pcgrad_is_one_of_the_outcomes_of_its_orders(seed: int, n: int, size: int) -> None:
    G = gradients(n, size, seed=seed)
    possible = torch.zeros(1, size, dtype=torch.float64)
    for i in range(n):
        ends = []
        for order in itertools.permutations([j for j in range(n) if j != i]):
            g = G[i].numpy()
            for other in G[list(order)].numpy():
                if g @ other < 0:  # what least squares cannot explain by the other gradient
                    g = g - other * np.linalg.lstsq(other[:, None], g)[0]
            ends.append(torch.from_numpy(g))
        possible = (possible[:, None] + torch.stack(ends)).flatten(0, 1)
    found = pcgrad(G, generator(seed))
    assert (possible - found).abs().amax(dim=1).min() <= 1e-9


@given(seed=st.integers(0, 10_000), scale=st.floats(1e-6, 1e6))
@settings(max_examples=20)
def test_two_tasks_are_weighted_and_neither_rises(seed: int, scale: float) -> None:
    a, b = gradients(2, 4, seed=seed) * torch.tensor([[1.0], [scale]])
    b = b if a @ b < 0 else -b
    found = pcgrad(torch.stack([a, b]), generator())
    weighted = (1 - a @ b / (a @ a)) * a + (1 - a @ b / (b @ b)) * b
    assert torch.allclose(found, weighted, atol=1e-9 * (1 + scale))
    assert min(found @ a / a.norm(), found @ b / b.norm()) >= -1e-9 * (1 + scale)


def test_without_conflict_pcgrad_is_the_sum_and_opposed_gradients_cancel() -> None:
    G = gradients(4, 6).abs()
    assert torch.equal(pcgrad(G, generator()), G[0] + G[1] + G[2] + G[3])
    assert torch.equal(pcgrad(G[:1], generator()), G[0])
    g = gradients(5)
    assert pcgrad(torch.stack([g, -7 * g]), generator()).abs().max() <= 1e-14
    with_zeros = torch.stack([g, torch.zeros_like(g), -g + 0.1])
    without = pcgrad(with_zeros[[0, 2]], generator())
    assert torch.allclose(pcgrad(with_zeros, generator()), without, atol=1e-14)
    tiny = torch.tensor([[1e-30, 0.0], [-1e-30, 1e-30]])  # float32, squares are 0
    assert torch.allclose(pcgrad(tiny, generator()) * 1e30, torch.tensor([0.5, 1.5]))


def test_pcgrad_draws_orders_and_leaves_its_input() -> None:
    G = torch.tensor([[3.0, 1.0, 0.0], [-2.0, 1.0, 1.0], [0.5, -2.0, 1.5]])
    before, source = G.clone(), generator()
    answers = {tuple(pcgrad(G, source).tolist()) for _ in range(100)}
    assert len(answers) == 8 and torch.equal(G, before)
    assert torch.equal(pcgrad(G, generator(3)), pcgrad(G, generator(3)))


@given(seed=st.integers(0, 10_000), scale=st.floats(0.05, 20))
@settings(max_examples=10)
def test_mgda_is_the_shortest_combination(seed: int, scale: float) -> None:
    first, second = gradients(2, 3, seed=seed) * torch.tensor([[1.0], [scale]])
    a, b = first.numpy(), second.numpy()
    theirs = minimize(lambda s: ((s * a + (1 - s) * b) ** 2).sum() / scale, 0.4, bounds=[(0, 1)],
                      method="SLSQP", options={"ftol": 1e-15, "maxiter": 500})  # fmt: skip
    assert mgda_two(first, second).item() == pytest.approx(theirs.x[0], abs=1e-5)
    assert mgda_two(second, first).item() == pytest.approx(1 - theirs.x[0], abs=1e-5)


def test_mgda_at_its_ends() -> None:
    g = gradients(4)
    assert mgda_two(g, g).item() == mgda_two(0 * g, 0 * g).item() == 0.5
    assert mgda_two(g, 3 * g).item() == 1 and mgda_two(3 * g, g).item() == 0
    assert mgda_two(g, -g).item() == pytest.approx(0.5)
    assert mgda_two(1e-200 * g, -3e-200 * g).item() == pytest.approx(0.75)
    assert mgda_two(g, 0 * g).item() == 0


def test_combining_gradients_says_what_is_wrong() -> None:
    good = gradients(2, 3)
    functions: list[Any] = [cosine_matrix, lambda G: pcgrad(G, generator())]
    for function in functions:
        for bad in (good[0], good[None], good[:0], good[:, :0]):
            with pytest.raises(ValueError, match=r"must be \(n, P\)"):
                function(bad)
        for mistaken in (good.long(), good.tolist()):
            with pytest.raises(TypeError, match="floating tensor"):
                function(mistaken)
        for value in (torch.nan, torch.inf):
            with pytest.raises(ValueError, match="NaN or infinity"):
                function(torch.where(good == good[1, 1], value, good))
    with pytest.raises(ValueError, match=r"must both be \(P,\)"):
        mgda_two(good[0], good[1, :2])
    with pytest.raises(ValueError, match=r"must both be \(P,\)"):
        mgda_two(good, good)
    with pytest.raises(ValueError, match="NaN or infinity"):
        mgda_two(good[0], good[1] / 0)


def regressions(sizes: tuple[int, ...]) -> tuple[LinearTasks, list[tuple[Tensor, Tensor]]]:
    data = [(gradients(size, 4, seed=size), gradients(size, seed=size + 1)) for size in sizes]
    second = torch.stack([x.T @ x / len(x) for x, _ in data])
    cross = torch.stack([x.T @ y / len(x) for x, y in data])
    return LinearTasks(gradients(len(sizes), 4, seed=9), second, cross), data


def test_linear_tasks_have_the_gradients_of_their_losses() -> None:
    tasks, data = regressions((9, 5, 30))
    shared = gradients(4, seed=3).requires_grad_()
    losses = [(x @ shared - y).square().mean() for x, y in data]
    assert torch.allclose(tasks.gradients(shared.detach()), task_gradients(losses, [shared]))
    own = gradients(3, 4, seed=4).requires_grad_()
    total = sum((x @ w - y).square().mean() for (x, y), w in zip(data, own, strict=True))
    assert torch.allclose(tasks.gradients(own.detach()), torch.autograd.grad(total, own)[0])
    assert tasks.gradients(tasks.alone()).abs().max() <= 1e-12
    assert tasks.gradients(tasks.shared()).sum(dim=0).abs().max() <= 1e-12
    weights = torch.tensor([0.2, 3, 1], dtype=torch.float64)
    assert (weights @ tasks.gradients(tasks.shared(weights))).abs().max() <= 1e-12
    assert torch.allclose(tasks.shared(2 * torch.ones_like(weights)), tasks.shared())
    for bad in (weights[:2], weights[:, None], 0 * weights, weights * math.nan):
        with pytest.raises(ValueError, match="must be 3 numbers above 0"):
            tasks.shared(bad)
    assert tasks.excess(tasks.truth[1])[1] == 0
    assert torch.allclose(tasks.excess(own.detach()), (own - tasks.truth).square().sum(dim=1))


def test_partly_shared_weights_are_the_minimum_and_lie_between() -> None:
    tasks, data = regressions((9, 6))
    penalty = 0.3

    def objective(numbers: Tensor) -> Tensor:
        shared, *private = numbers.view(3, 4)
        errors = sum((x @ (shared + v) - y).square().mean() for (x, y), v in zip(data, private, strict=True))
        return errors + penalty * numbers[4:].square().sum()

    start = torch.zeros(12, dtype=torch.float64)
    curvature = torch.autograd.functional.hessian(objective, start)
    slope = torch.autograd.functional.jacobian(objective, start)
    shared, *private = torch.linalg.solve(curvature, -slope).view(3, 4)
    assert torch.allclose(tasks.partly_shared(penalty), shared + torch.stack(private))
    assert torch.allclose(tasks.partly_shared(1e9), tasks.shared().expand(2, 4), atol=1e-6)
    assert torch.allclose(tasks.partly_shared(1e-9), tasks.alone(), atol=1e-6)
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="penalty must be above 0"):
            tasks.partly_shared(bad)


@pytest.mark.parametrize("angle", [0.0, 60.0, 180.0])
def test_linear_tasks_lie_at_their_angle_and_can_be_learned(angle: float) -> None:
    tasks = linear_tasks(angle, (40, 20_000), generator())
    assert tasks.truth.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert cosine_matrix(tasks.truth)[0, 1].item() == pytest.approx(math.cos(math.radians(angle)), abs=1e-12)
    assert tasks.excess(tasks.alone())[1].item() == pytest.approx(0.09 * 20 / 20_000, rel=0.9)
    assert torch.allclose(tasks.second[1], torch.eye(20, dtype=torch.float64), atol=0.05)


def test_linear_tasks_want_an_example_a_weight() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        linear_tasks(10, (19, 600), generator())
