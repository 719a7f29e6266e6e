"""Hyperparameter search without a model of the objective: which configurations to try, and for how long; and
many small networks trained at once, to have something to search."""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def loguniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a positive number whose logarithm is uniform: each decade is as likely as the next.

    Raises:
        ValueError: low is not above 0, high is not above low, or one is not finite.
    """
    if not 0 < low < high < math.inf:
        raise ValueError(f"want 0 < low < high, both finite, got low={low} and high={high}")
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def grid(axes: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Every combination of the listed values; with k values on each of d axes there are k^d.

    The last axis changes fastest.

    Raises:
        ValueError: there is no axis, or an axis has no value.
    """
    values = [list(axis) for axis in axes.values()]
    if not values or not all(values):
        raise ValueError(f"axes must name at least one axis, each with a value, got {dict(axes)}")
    return [dict(zip(axes, combination, strict=True)) for combination in itertools.product(*values)]


@dataclass(frozen=True)
class Rung:
    """The configurations that were trained up to the same total budget, lowest index first."""

    indices: tuple[int, ...]
    budget: float


def successive_halving(
    train: Callable[[int, float], float],
    num_configs: int,
    *,
    eta: int = 3,
    min_budget: float = 1,
    max_budget: float = math.inf,
) -> tuple[int, list[Rung]]:
    """Train all configurations a little, keep the best of them, multiply their budget, and so on.

    Args:
        train: maps the index of a configuration and its total budget to a loss. It is called once for each
            configuration of each rung, and may continue where the rung below stopped. NaN ranks last.
        num_configs: configurations are the indices from 0.
        eta: of n configurations max(1, ⌊n / eta⌋) stay, with eta times the budget. Of equal losses the lower
            index stays.
        min_budget: of the first rung.
        max_budget: no rung goes beyond it, but for rounding. The last rung is the one that has a single
            configuration left, or the last within max_budget.

    Returns:
        The index with the lowest loss on the last rung, and the rungs.

    Raises:
        ValueError: num_configs is below 1, eta below 2, or 0 < min_budget ≤ max_budget does not hold.
    Source: Jamieson and Talwalkar (2016), with ⌊n / eta⌋ as in Li et al. (2018).
    """
    _check_counts(num_configs=num_configs)
    _check_eta(eta)
    if not 0 < min_budget <= max_budget or math.isinf(min_budget):
        raise ValueError(f"want 0 < min_budget ≤ max_budget, got {min_budget} and {max_budget}")
    alive, budget, rungs = list(range(num_configs)), min_budget, []
    while True:
        rungs.append(Rung(tuple(alive), budget))
        ranked = _ranked(alive, [train(index, budget) for index in alive])
        # Fractions are rounded: 28 / 25 times 5 times 5 is a little more than 28.
        if len(alive) == 1 or budget * eta > max_budget * (1 + 1e-9):
            return ranked[0], rungs
        alive = sorted(ranked[: max(1, len(alive) // eta)])
        budget *= eta


def hyperband_brackets(max_budget: int, eta: int = 3) -> list[list[tuple[int, float]]]:
    """Hyperband's brackets, most aggressive first: of each rung, how many configurations and their budget.

    Bracket s starts ⌈(s_max + 1) eta^s / (s + 1)⌉ configurations on max_budget / eta^s each, and is one run
    of successive halving; s goes from s_max = ⌊log_eta(max_budget)⌋ down to 0.

    Args:
        max_budget: of one configuration, in units of the smallest budget that is worth looking at.
        eta: of n configurations ⌊n / eta⌋ stay.

    Raises:
        ValueError: max_budget is below 1, or eta below 2.
    Source: Li et al. (2018), algorithm 1.
    """
    _check_counts(max_budget=max_budget)
    _check_eta(eta)
    s_max = 0
    while eta ** (s_max + 1) <= max_budget:  # math.log(243, 3) is below 5
        s_max += 1
    brackets = []
    for s in range(s_max, -1, -1):
        first = -(-(s_max + 1) * eta**s // (s + 1))  # the quotient, rounded up
        brackets.append([(first // eta**i, max_budget / eta ** (s - i)) for i in range(s + 1)])
    return brackets


def train_side_by_side(
    inputs: Tensor,
    labels: Tensor,
    settings: Sequence[tuple[float, float, float]],
    *,
    generator: torch.Generator,
    read_on: Tensor,
    read_after: Collection[int],
    width: int = 32,
    num_steps: int = 270,
    batch_size: int = 32,
) -> dict[int, Tensor]:
    """Train N classifiers with one hidden layer at once, each with its own rate, decay and momentum of SGD.

    All see the same batches, and start from weights of their own. One that diverges leaves the others alone.
    `fit` cannot do this: its optimizers take one rate for a tensor, and here a tensor holds all N networks.

    Args:
        inputs: (M, D) to train on.
        labels: (M,), classes from 0.
        settings: N triples: learning rate, weight decay (added to the gradient), momentum.
        generator: of weights and batches, on the CPU.
        read_on: (Q, D), the inputs that the networks are asked about, after each number of updates in
            `read_after`.
        width: of the hidden layer, whose units are ReLUs.
        num_steps, batch_size: updates, and examples in each, drawn with replacement.

    Returns:
        The logits by number of updates, (N, Q, K) each.

    Raises:
        ValueError: settings is empty or does not hold triples, inputs and labels do not fit together, or
            a number is out of range.
    """
    _check_counts(width=width, num_steps=num_steps, batch_size=batch_size)
    if not settings or any(len(each) != 3 for each in settings):
        raise ValueError("settings must hold (learning rate, weight decay, momentum), at least once")
    if inputs.ndim != 2 or not len(inputs) or labels.shape != inputs.shape[:1]:
        raise ValueError(f"want inputs (M, D) and labels (M,), got {inputs.shape} and {labels.shape}")
    rate, decay, momentum = inputs.new_tensor(settings).T[:, :, None, None]  # (N, 1, 1) each
    N, D, K = len(settings), inputs.shape[1], int(labels.max()) + 1
    shapes = [(N, D, width), (N, 1, width), (N, width, K), (N, 1, K)]
    scales = [(2 / D) ** 0.5, 0.0, width**-0.5, 0.0]
    weights = [
        (scale * torch.randn(shape, generator=generator)).to(inputs)
        for shape, scale in zip(shapes, scales, strict=True)
    ]
    velocities = [torch.zeros_like(weight) for weight in weights]
    read = {}
    for step in range(1, num_steps + 1):
        batch = torch.randint(len(inputs), (batch_size,), generator=generator).to(inputs.device)
        for weight in weights:
            weight.requires_grad_()
        logits = _hidden_layer(weights, inputs[batch])  # (N, B, K)
        losses = F.cross_entropy(logits.mT, labels[batch].expand(N, -1), reduction="none").mean(dim=1)
        # Summed over networks, so that each weight gets the gradient of its own network's loss.
        gradients = torch.autograd.grad(losses.sum(), weights)
        with torch.no_grad():
            for weight, velocity, gradient in zip(weights, velocities, gradients, strict=True):
                velocity.mul_(momentum).add_(gradient + decay * weight)
                weight.sub_(rate * velocity)
            if step in read_after:
                read[step] = _hidden_layer(weights, read_on)
    return read


def _hidden_layer(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """Logits (N, B, K) of N networks for the same inputs (B, D)."""
    first, first_bias, second, second_bias = weights
    return (inputs @ first + first_bias).relu() @ second + second_bias


def _ranked(indices: Iterable[int], losses: Iterable[float]) -> list[int]:
    """Indices by loss, lowest first, NaN last."""
    pairs = zip(indices, losses, strict=True)
    return [index for index, _ in sorted(pairs, key=lambda pair: (math.isnan(pair[1]), pair[1]))]


def _check_counts(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number from 1, got {value!r}")


def _check_eta(eta: int) -> None:
    if isinstance(eta, bool) or not isinstance(eta, int) or eta < 2:
        raise ValueError(f"eta must be a whole number from 2, got {eta!r}: one in eta stays")
