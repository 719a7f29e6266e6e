"""lmprep.trust.privacy against opacus, SciPy and brute force, as properties, and at the edges."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus import GradSampleModule
from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.accountants.analysis.rdp import compute_rdp
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from lmprep.trust.privacy import (
    ORDERS,
    clip_and_noise,
    dp_sgd,
    epsilon,
    epsilon_lower_bound,
    epsilon_of_evidence,
    membership_game,
    per_example_gradients,
    rdp_subsampled_gaussian,
    rdp_to_epsilon,
)

seeds = st.integers(0, 2**32)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def classifier(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def examples(B: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    return normal(B, 4, seed=seed), torch.randint(3, (B,), generator=seeded(seed + 1))


def stepped(gradients: dict[str, Tensor], **options: Any) -> dict[str, Tensor]:
    defaults = {"max_norm": 1.0, "noise_multiplier": 0.0, "expected_batch_size": 1.0, "generator": seeded(0)}
    return clip_and_noise(gradients, **(defaults | options))


# --- per_example_gradients -----------------------------------------------------------------------------


@given(B=st.integers(1, 6), seed=seeds)
def test_gradients_are_those_of_one_backward_pass_an_example(B: int, seed: int) -> None:
    model, (x, y) = classifier(seed), examples(B, seed)
    found = per_example_gradients(model, F.cross_entropy, x, y)
    parameters = dict(model.named_parameters())
    for i in range(B):
        wanted = torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), parameters.values())
        for name, gradient in zip(parameters, wanted, strict=True):
            torch.testing.assert_close(found[name][i], gradient, atol=1e-12, rtol=0)


def test_gradients_are_opacus() -> None:
    model, (x, y) = classifier(), examples(7)
    found = per_example_gradients(model, F.cross_entropy, x, y)
    reference = GradSampleModule(model)
    F.cross_entropy(reference(x.requires_grad_()), y).backward()
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(
            found[name.removeprefix("_module.")], parameter.grad_sample, atol=1e-12, rtol=0
        )


def test_shared_and_frozen_parameters() -> None:
    """A tied weight gets the gradient of both uses, a frozen one none."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5)
            self.head.weight = self.embed.weight
            self.head.bias.requires_grad_(False)

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.embed(ids))

    model, ids, y = Tied(), torch.tensor([0, 3]), torch.tensor([1, 1])
    found = per_example_gradients(model, F.cross_entropy, ids, y)
    assert list(found) == ["embed.weight"]
    for i in range(2):
        (wanted,) = torch.autograd.grad(
            F.cross_entropy(model(ids[i : i + 1]), y[i : i + 1]), model.embed.weight
        )
        torch.testing.assert_close(found["embed.weight"][i], wanted)
    assert all(p.grad is None for p in model.parameters())


def test_an_empty_batch_has_no_rows_of_gradients() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    found = per_example_gradients(model, F.cross_entropy, torch.zeros(0, 1, 4, 4), torch.zeros(0).long())
    assert {name: tuple(g.shape) for name, g in found.items()} == {
        "0.weight": (0, 2, 1, 3, 3), "0.bias": (0, 2), "2.weight": (0, 2, 8), "2.bias": (0, 2)
    }  # fmt: skip


def test_batch_norm_is_refused_in_training_only() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
    x, y = examples(4)
    with pytest.raises(ValueError, match=r"1 is a batch norm.*GroupNorm"):
        per_example_gradients(model, F.cross_entropy, x, y)
    assert set(per_example_gradients(model.eval(), F.cross_entropy, x, y)) == {
        "0.weight", "0.bias", "1.weight", "1.bias"
    }  # fmt: skip


def test_gradients_of_bad_input() -> None:
    x, y = examples(3)
    with pytest.raises(ValueError, match="one length, got 3 and 2"):
        per_example_gradients(classifier(), F.cross_entropy, x, y[:2])
    with pytest.raises(ValueError, match="parameter that requires a gradient"):
        per_example_gradients(classifier().requires_grad_(False), F.cross_entropy, x, y)


# --- clip_and_noise ------------------------------------------------------------------------------------


@given(B=st.integers(0, 5), C=st.floats(0.01, 100), scale=st.sampled_from([1e-6, 1.0, 1e6]), seed=seeds)
def test_one_example_more_moves_the_sum_by_at_most_the_norm(
    B: int, C: float, scale: float, seed: int
) -> None:
    """The sensitivity, on which every guarantee rests."""
    gradients = {"w": scale * normal(B + 1, 3, 2, seed=seed), "b": scale * normal(B + 1, 2, seed=seed + 1)}
    with_it = stepped(gradients, max_norm=C)
    without = stepped({name: g[:-1] for name, g in gradients.items()}, max_norm=C)
    moved = math.sqrt(sum(float((with_it[name] - without[name]).square().sum()) for name in gradients))
    assert moved <= C * (1 + 1e-9)


@given(B=st.integers(1, 6), C=st.floats(0.1, 10), seed=seeds)
def test_a_noiseless_step_is_the_mean_of_examples_clipped_one_by_one(B: int, C: float, seed: int) -> None:
    gradients = {"w": 3 * normal(B, 3, 2, seed=seed), "b": normal(B, 2, seed=seed + 1)}
    found = stepped(gradients, max_norm=C, expected_batch_size=4.5)
    flat = torch.cat([g.flatten(1) for g in gradients.values()], dim=1)
    wanted = torch.renorm(flat, p=2, dim=0, maxnorm=C).sum(0) / 4.5
    # torch.renorm adds 1e-7 to the norms.
    torch.testing.assert_close(torch.cat([f.flatten() for f in found.values()]), wanted, atol=0, rtol=1e-5)


def test_a_noiseless_step_is_opacus() -> None:
    model, (x, y) = classifier(), examples(9)
    found = stepped(
        per_example_gradients(model, F.cross_entropy, x, y), max_norm=0.4, expected_batch_size=6.0
    )
    reference = GradSampleModule(model)
    optimizer = DPOptimizer(
        torch.optim.SGD(reference.parameters(), lr=1.0),
        noise_multiplier=0.0, max_grad_norm=0.4, expected_batch_size=6,
    )  # fmt: skip
    F.cross_entropy(reference(x.requires_grad_()), y).backward()
    optimizer.step()
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(found[name.removeprefix("_module.")], parameter.grad, atol=1e-6, rtol=0)


def test_small_gradients_and_zeros_come_through_exactly() -> None:
    gradients = {"w": torch.tensor([[0.0, 0.0], [0.25, 0.5], [0.0, 1.0]])}
    assert stepped(gradients)["w"].tolist() == [0.25, 1.5]


@pytest.mark.parametrize("B", [0, 1, 50])
def test_noise_has_standard_deviation_sigma_c_over_the_expected_size(B: int) -> None:
    gradients = {"w": torch.zeros(B, 400, 100)}
    noise = stepped(gradients, max_norm=0.5, noise_multiplier=3.0, expected_batch_size=6.0)["w"]
    assert noise.shape == (400, 100)
    assert scipy.stats.kstest(noise.flatten().numpy() / 0.25, "norm").pvalue > 1e-4


def test_noise_follows_the_generator_and_the_dtype() -> None:
    for dtype in (torch.float32, torch.float64):
        gradients = {"w": torch.zeros(2, 3, dtype=dtype), "scalar": torch.zeros(2, dtype=dtype)}
        first = stepped(gradients, noise_multiplier=1.0, generator=seeded(3))
        again = stepped(gradients, noise_multiplier=1.0, generator=seeded(3))
        other = stepped(gradients, noise_multiplier=1.0, generator=seeded(4))
        assert first["w"].dtype == dtype and first["scalar"].shape == ()
        assert torch.equal(first["w"], again["w"]) and not torch.equal(first["w"], other["w"])


def test_nan_is_not_hidden() -> None:
    gradients = {"w": torch.tensor([[math.nan, 1.0], [1.0, 1.0]]), "b": torch.ones(2, 1)}
    assert all(value.isnan().all() for value in stepped(gradients).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_norm": 0.0}, "max_norm must be positive and finite, got 0.0"),
        ({"max_norm": math.inf}, "max_norm must be positive and finite"),
        ({"noise_multiplier": -1.0}, "noise_multiplier must be finite and not negative"),
        ({"noise_multiplier": math.nan}, "noise_multiplier must be finite and not negative"),
        ({"expected_batch_size": 0}, "expected_batch_size must be positive"),
    ],
)
def test_numbers_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stepped({"w": torch.zeros(2, 3)}, **options)


def test_gradients_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="at least one parameter"):
        stepped({})
    with pytest.raises(ValueError, match="one row an example"):
        stepped({"w": torch.zeros(2, 3), "b": torch.zeros(3, 3)})
    with pytest.raises(ValueError, match="one row an example"):
        stepped({"w": torch.zeros(())})
    with pytest.raises(TypeError, match=r"torch.int64 for 'w'"):
        stepped({"w": torch.zeros(2, 3).long()})
    with pytest.raises(TypeError, match=r"one dtype, got torch\.float32 and torch\.float64"):
        stepped({"w": torch.zeros(2, 3), "b": torch.zeros(2, 3).double()})


# --- dp_sgd --------------------------------------------------------------------------------------------


def train(model: nn.Module, seed: int = 0, **options: Any) -> None:
    x, y = examples(12)
    defaults: dict[str, Any] = {
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.5), "num_steps": 3, "sample_rate": 0.5,
        "max_norm": 0.3, "noise_multiplier": 0.0, "generator": seeded(seed),
    }  # fmt: skip
    dp_sgd(model, F.cross_entropy, x, y, **(defaults | options))


def test_with_every_example_and_no_noise_it_is_gradient_descent_on_clipped_gradients() -> None:
    model, by_hand, (x, y) = classifier(), classifier(), examples(12)
    train(model, sample_rate=1.0)
    for _ in range(3):
        step = stepped(
            per_example_gradients(by_hand, F.cross_entropy, x, y), max_norm=0.3, expected_batch_size=12
        )
        with torch.no_grad():
            for name, parameter in by_hand.named_parameters():
                parameter -= 0.5 * step[name]
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    assert not model.training


def test_unclipped_and_noiseless_it_is_plain_gradient_descent() -> None:
    model, by_torch, (x, y) = classifier(), classifier(), examples(12)
    train(model, sample_rate=1.0, max_norm=1e6)
    optimizer = torch.optim.SGD(by_torch.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(by_torch(x), y).backward()
        optimizer.step()
    for ours, theirs in zip(model.parameters(), by_torch.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_batches_are_poisson_and_may_be_empty() -> None:
    """Each example's gradient is 1, so that the first step shows how many were drawn."""
    model, g, drawn = nn.Linear(1, 1, bias=False), seeded(0), []
    for _ in range(600):
        nn.init.zeros_(model.weight)
        dp_sgd(
            model, lambda outputs, targets: outputs.sum(), torch.ones(12, 1), torch.ones(12),
            optimizer=torch.optim.SGD(model.parameters(), lr=1.0), num_steps=1, sample_rate=0.1,
            max_norm=1.0, noise_multiplier=0.0, generator=g,
        )  # fmt: skip
        drawn.append(round(-1.2 * model.weight.item()))
    counts = np.bincount(drawn, minlength=13)[:5]
    expected = 600 * scipy.stats.binom.pmf(range(5), 12, 0.1)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()


def test_training_follows_the_generator_and_any_optimizer() -> None:
    models = [classifier() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train(model, seed, noise_multiplier=1.0, optimizer=torch.optim.Adam(model.parameters()))
    first, again, other = (torch.cat([p.flatten() for p in model.parameters()]) for model in models)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("num_steps", [1, 4])
def test_every_step_adds_noise_of_its_own(num_steps: int) -> None:
    """All gradients are zero and all examples drawn, so that the weights are nothing but noise."""
    model = nn.Linear(100, 400, bias=False)
    nn.init.zeros_(model.weight)
    dp_sgd(
        model, lambda outputs, targets: 0 * outputs.sum(), torch.ones(8, 100), torch.ones(8),
        optimizer=torch.optim.SGD(model.parameters(), lr=2.0), num_steps=num_steps, sample_rate=1.0,
        max_norm=0.5, noise_multiplier=3.0, generator=seeded(0),
    )  # fmt: skip
    std = 2.0 * 3.0 * 0.5 / 8 * math.sqrt(num_steps)
    assert scipy.stats.kstest(model.weight.detach().flatten().numpy() / std, "norm").pvalue > 1e-4


def test_noise_is_divided_by_the_expected_batch_size() -> None:
    model = nn.Linear(100, 400, bias=False)
    nn.init.zeros_(model.weight)
    dp_sgd(
        model, lambda outputs, targets: 0 * outputs.sum(), torch.ones(8, 100), torch.ones(8),
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0), num_steps=1, sample_rate=0.1,
        max_norm=1.0, noise_multiplier=1.0, generator=seeded(0),
    )  # fmt: skip
    assert scipy.stats.kstest(model.weight.detach().flatten().numpy() * 0.8, "norm").pvalue > 1e-4


def test_training_bad_input() -> None:
    with pytest.raises(ValueError, match="sample_rate must be above 0 and at most 1, got 0"):
        train(classifier(), sample_rate=0)
    with pytest.raises(ValueError, match="sample_rate"):
        train(classifier(), sample_rate=1.5)
    model = classifier()
    with pytest.raises(ValueError, match="at least one example"):
        dp_sgd(
            model, F.cross_entropy, *examples(0), optimizer=torch.optim.SGD(model.parameters()),
            num_steps=1, sample_rate=0.5, max_norm=1.0, noise_multiplier=1.0, generator=seeded(0),
        )  # fmt: skip


# --- the accountant ------------------------------------------------------------------------------------


@given(q=st.floats(1e-4, 1.0), sigma=st.floats(0.5, 20), steps=st.integers(1, 5000))
def test_rdp_is_opacus(q: float, sigma: float, steps: int) -> None:
    orders = (2, 3, 17, 64, 128)
    found = rdp_subsampled_gaussian(q, sigma, steps, orders)
    wanted = compute_rdp(q=q, noise_multiplier=sigma, steps=steps, orders=orders)
    # Where log A is near 0, the sum's rounding near 1 is all that is left of it.
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-9, atol=1e-12 * steps)


@pytest.mark.parametrize(("q", "sigma"), [(0.2, 2.0), (0.05, 0.8), (0.9, 1.3)])
@pytest.mark.parametrize("order", [2, 3, 8])
def test_rdp_is_the_larger_of_both_divergences(q: float, sigma: float, order: int) -> None:
    """By numerical integration of the definition, with example and without."""

    def without(x: float) -> float:
        return float(-(x**2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi)))

    def with_it(x: float) -> float:
        return float(np.logaddexp(math.log1p(-q) + without(x), math.log(q) + without(x - 1)))

    def divergence(p: Any, r: Any) -> float:  # of log-densities
        spread = 12 * sigma + order
        moment, _ = scipy.integrate.quad(
            lambda x: math.exp(order * p(x) + (1 - order) * r(x)), -spread, spread, epsabs=1e-13, limit=400
        )
        return math.log(moment) / (order - 1)

    found = float(rdp_subsampled_gaussian(q, sigma, 1, [order])[0])
    assert found == pytest.approx(divergence(with_it, without), rel=1e-6)
    assert found >= divergence(without, with_it) - 1e-9


def test_without_sampling_it_is_the_gaussian_mechanism() -> None:
    found = rdp_subsampled_gaussian(1.0, 3.0, 7, [2, 5, 64])
    torch.testing.assert_close(found, 7 * torch.tensor([2.0, 5.0, 64.0]).double() / 18, atol=0, rtol=1e-12)


@pytest.mark.parametrize(
    ("q", "sigma", "steps", "delta"),
    [(0.01, 1.0, 1000, 1e-5), (0.2, 2.0, 33, 1e-4), (1.0, 9.0, 1, 1e-2), (0.001, 0.6, 50, 1e-12)],
)
def test_epsilon_is_opacus(q: float, sigma: float, steps: int, delta: float) -> None:
    accountant = RDPAccountant()
    accountant.history = [(sigma, q, steps)]
    wanted = accountant.get_epsilon(delta, alphas=ORDERS)
    assert epsilon(q, sigma, steps, delta) == pytest.approx(wanted, rel=1e-9)


def test_epsilon_is_above_what_a_tight_accountant_finds() -> None:
    tight = PRVAccountant()
    tight.history = [(1.0, 0.01, 1000)]
    assert tight.get_epsilon(1e-5) < epsilon(0.01, 1.0, 1000, 1e-5) == pytest.approx(2.108, abs=1e-3)


@given(sigma=st.floats(0.7, 5), q=st.floats(0.01, 0.5), steps=st.integers(1, 500))
@settings(max_examples=10)
def test_epsilon_grows_with_steps_and_rate_and_falls_with_noise_and_delta(
    sigma: float, q: float, steps: int
) -> None:
    here = epsilon(q, sigma, steps, 1e-5)
    assert epsilon(q, sigma, steps + 1, 1e-5) >= here
    assert epsilon(q * 1.1, sigma, steps, 1e-5) >= here
    assert epsilon(q, sigma * 1.1, steps, 1e-5) <= here
    assert epsilon(q, sigma, steps, 1e-4) <= here


def test_epsilon_is_never_negative() -> None:
    assert epsilon(1e-4, 20.0, 1, 0.5) == 0.0


def test_accountant_bad_input() -> None:
    rdp = rdp_subsampled_gaussian(0.1, 1.0, 1)
    for wrong in (0.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="sample_rate"):
            rdp_subsampled_gaussian(wrong, 1.0, 1)
    with pytest.raises(ValueError, match="noise_multiplier must be positive"):
        rdp_subsampled_gaussian(0.1, 0.0, 1)
    with pytest.raises(ValueError, match="num_steps must be positive"):
        rdp_subsampled_gaussian(0.1, 1.0, 0)
    for orders in ([], [1], [2.5], [2, 1]):
        with pytest.raises(ValueError, match="orders must be whole numbers from 2"):
            rdp_subsampled_gaussian(0.1, 1.0, 1, orders)  # type: ignore[arg-type]
    for delta in (0.0, 1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="delta must be between 0 and 1"):
            rdp_to_epsilon(rdp, ORDERS, delta)
    with pytest.raises(ValueError, match="one for each order"):
        rdp_to_epsilon(rdp[:3], ORDERS, 1e-5)


# --- the audit -----------------------------------------------------------------------------------------


def play(member: Tensor, seed: int = 0, N: int = 4, **options: Any) -> tuple[Tensor, Tensor]:
    x, y = normal(N, 3, seed=1), torch.arange(N).remainder(2).double()
    x[0] *= 10
    defaults: dict[str, Any] = {
        "num_steps": 6, "sample_rate": 0.3, "max_norm": 0.2, "noise_multiplier": 1.5, "learning_rate": 0.5,
        "generator": seeded(seed),
    }  # fmt: skip
    return membership_game(x, y, member, **(defaults | options))


def test_the_watchers_evidence_is_a_likelihood_ratio() -> None:
    """Its mean over games without the example is 1, that of its inverse over games with it too."""
    member = torch.arange(40_000) < 20_000
    _, evidence = play(member)
    assert evidence[~member].exp().mean().item() == pytest.approx(1, abs=0.03)
    assert (-evidence[member]).exp().mean().item() == pytest.approx(1, abs=0.03)


def test_one_step_against_scipys_densities() -> None:
    """One other example, never in the first batch: the published gradient is noise, plus a share or not."""
    x, y = normal(2, 3, seed=1), torch.tensor([1.0, 0.0]).double()
    x[1] = 0  # whose gradient is zero
    weights, evidence = membership_game(
        x, y, torch.tensor([True, False] * 20), num_steps=1, sample_rate=0.3, max_norm=0.1,
        noise_multiplier=2.0, learning_rate=1.0, generator=seeded(0),
    )  # fmt: skip
    share = -0.5 * x[0] * min(1, 0.1 / float((0.5 * x[0]).norm())) / 0.3
    std = 2.0 * 0.1 / 0.3
    noise, shifted = (
        scipy.stats.multivariate_normal(mean, std**2 * np.eye(3)).pdf(-weights.numpy())
        for mean in (np.zeros(3), share.numpy())
    )
    np.testing.assert_allclose(evidence.numpy(), np.log((0.7 * noise + 0.3 * shifted) / noise), atol=1e-9)


def test_the_game_trains_what_dp_sgd_trains() -> None:
    """With every example in every batch and no noise there is no chance left."""
    x, y = normal(4, 3, seed=1), torch.arange(4).remainder(2).double()
    x[0] *= 10
    weights, _ = play(torch.tensor([False]), sample_rate=1.0, noise_multiplier=0.0)
    model = nn.Linear(3, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    dp_sgd(
        model, lambda z, t: F.binary_cross_entropy_with_logits(z[:, 0], t), x[1:], y[1:], num_steps=6,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5), sample_rate=1.0, max_norm=0.2,
        noise_multiplier=0.0, generator=seeded(0),
    )  # fmt: skip
    torch.testing.assert_close(weights, model.weight.detach(), atol=1e-12, rtol=0)


def test_without_noise_the_watcher_knows() -> None:
    member = torch.arange(200) < 100
    _, evidence = play(member, noise_multiplier=0.0, num_steps=30)
    assert (evidence[member] > 1e3).double().mean() > 0.95
    assert (evidence[~member] < 0).all() and not evidence.isnan().any()


def test_game_bad_input() -> None:
    with pytest.raises(ValueError, match="member must be boolean"):
        play(torch.ones(3))
    with pytest.raises(ValueError, match="with N at least 2"):
        play(torch.ones(3).bool(), N=1)
    with pytest.raises(ValueError, match="sample_rate"):
        play(torch.ones(3).bool(), sample_rate=0.0)
    with pytest.raises(ValueError, match="max_norm"):
        play(torch.ones(3).bool(), max_norm=0.0)


@given(
    hits=st.integers(0, 60), alarms=st.integers(0, 80), delta=st.floats(1e-6, 0.1), level=st.floats(0.5, 0.99)
)
def test_lower_bound_by_beta_quantiles(hits: int, alarms: int, delta: float, level: float) -> None:
    """Clopper and Pearson's interval ends, written as quantiles of the beta distribution."""
    member = torch.arange(140) < 60
    called = torch.cat([torch.arange(60) < hits, torch.arange(80) < alarms])
    tail = (1 - level) / 2
    low = scipy.stats.beta.ppf(tail, hits, 61 - hits) if hits else 0.0
    high = scipy.stats.beta.ppf(1 - tail, alarms + 1, 80 - alarms) if alarms < 80 else 1.0
    wanted = max(0.0, math.log((low - delta) / high)) if low > delta else 0.0
    assert epsilon_lower_bound(called, member, delta, level) == pytest.approx(wanted, abs=1e-7)


def test_the_lower_bound_holds_as_often_as_it_says() -> None:
    """Randomized response keeps its secret with probability p: ε = log(p / (1 − p)) exactly."""
    g, truth, exceeded = seeded(0), math.log(0.75 / 0.25), 0
    for _ in range(150):
        member = torch.arange(400) < 200
        called = torch.where(torch.rand(400, generator=g) < 0.75, member, ~member)
        exceeded += epsilon_lower_bound(called, member, 1e-9, confidence=0.8) > truth
    assert 0 < exceeded <= 0.2 * 150


def test_lower_bound_bad_input() -> None:
    yes, no = torch.ones(3).bool(), torch.zeros(3).bool()
    mixed = torch.tensor([True, False, True])
    with pytest.raises(ValueError, match="one kind only"):
        epsilon_lower_bound(mixed, yes, 1e-5)
    with pytest.raises(ValueError, match="one kind only"):
        epsilon_lower_bound(mixed, no, 1e-5)
    with pytest.raises(ValueError, match="boolean and of one shape"):
        epsilon_lower_bound(mixed[:2], mixed, 1e-5)
    with pytest.raises(ValueError, match="boolean and of one shape"):
        epsilon_lower_bound(mixed.float(), mixed, 1e-5)
    with pytest.raises(ValueError, match="delta must be"):
        epsilon_lower_bound(mixed, mixed, 0.0)
    with pytest.raises(ValueError, match="confidence must be"):
        epsilon_lower_bound(mixed, mixed, 1e-5, confidence=1.0)


def gaussian_evidence(mean: float, K: int) -> Tensor:
    """Of one number with noise of deviation 1, moved by `mean` where the example is in."""
    return mean * (normal(K, seed=3) + mean) - mean**2 / 2


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_the_epsilon_of_a_threshold_by_normal_tails(threshold: float) -> None:
    found = epsilon_of_evidence(gaussian_evidence(1.0, 200_000), 1e-3, threshold)
    true, false = (scipy.stats.norm.sf(threshold + 0.5 - mean) for mean in (1.0, 0.0))
    assert found == pytest.approx(math.log((true - 1e-3) / false), abs=0.02)


@pytest.mark.parametrize("delta", [0.1, 1e-2, 1e-3])
def test_the_epsilon_of_the_best_threshold_is_the_gaussian_mechanisms(delta: float) -> None:
    """Balle and Wang (2018), Theorem 8: δ(ε) in closed form."""

    def excess(epsilon: float) -> float:
        tails = [scipy.stats.norm.cdf(sign * 0.5 - epsilon) for sign in (1, -1)]
        return float(tails[0] - math.exp(epsilon) * tails[1] - delta)

    wanted = scipy.optimize.brentq(excess, 0, 20)
    assert epsilon_of_evidence(gaussian_evidence(1.0, 200_000), delta) == pytest.approx(wanted, abs=0.05)


def test_the_epsilon_of_a_clipped_watcher_is_the_tight_accountants() -> None:
    """Of an example that is always longer than the norm, and so the worst case."""
    x = torch.tensor([[100.0], [0.0]]).double()
    _, evidence = membership_game(
        x, torch.tensor([1.0, 0.0]).double(), torch.ones(40_000).bool(), num_steps=6, sample_rate=0.3,
        max_norm=1e-3, noise_multiplier=1.5, learning_rate=0.1, generator=seeded(0),
    )  # fmt: skip
    tight = PRVAccountant()
    tight.history = [(1.5, 0.3, 6)]
    assert epsilon_of_evidence(evidence, 1e-2) == pytest.approx(tight.get_epsilon(1e-2), rel=0.03)


def test_the_epsilon_of_evidence_at_the_edges() -> None:
    assert epsilon_of_evidence(torch.tensor([0.5, -0.5]), 1e-4, threshold=2.0) == 0.0
    assert epsilon_of_evidence(torch.tensor([-3.0]), 1e-4) == 0.0
    assert epsilon_of_evidence(torch.tensor([1e4]), 1e-4) == math.inf
    for wrong in (torch.zeros(0), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="evidence must be"):
            epsilon_of_evidence(wrong, 1e-4)
    with pytest.raises(ValueError, match="delta must be"):
        epsilon_of_evidence(torch.zeros(3), 1.0)
