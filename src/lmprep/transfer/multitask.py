"""Several tasks on one trunk: the model, learned loss weights, and each task's gradient on what is shared.

The weights balance the losses' scales. `pcgrad` and `mgda_two` combine gradients that disagree, and
`LinearTasks` are small enough to know what sharing costs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What stands before exp(−s) L: a Gaussian's ½ for a squared error, Kendall's 1 for a cross-entropy.
COEFFICIENTS = {"mse": 0.5, "ce": 1.0}


class HardShare(nn.Module):
    """One trunk that every task shares, and a head of its own for each task.

    `trunk` maps inputs to features, each head maps features to its task's outputs.

    Raises:
        ValueError: there is no head.

    Source: Caruana (1997).
    """

    def __init__(self, trunk: nn.Module, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not heads:
            raise ValueError("heads is empty: give each task a module, such as {'topic': nn.Linear(32, 4)}")
        self.trunk = trunk
        self.heads = nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Each task's outputs, by name; the trunk runs once."""
        features = self.trunk(x)
        return {name: head(features) for name, head in self.heads.items()}


class UncertaintyWeight(nn.Module):
    """Losses weighted by learned variances: Σᵢ cᵢ exp(−sᵢ) Lᵢ + ½ sᵢ, with sᵢ = log σᵢ².

    cᵢ is ½ for a mean squared error, where this is a Gaussian's negative log-likelihood less ½ log 2π, and 1
    for a cross-entropy, where it only approximates a likelihood. The log-variances are the parameter
    `log_variances`, of the shape of `start`; without `start` they are n zeros.

    Args:
        kinds: of the n tasks, in their order, "mse" or "ce".
        start: (n, …), losses above 0. Each s starts where it is best for them, at log 2cL.

    Raises:
        ValueError: kinds is empty or names another kind, or start has another length or a loss that is not
            above 0 and finite.

    Source: Kendall, Gal and Cipolla (2018).
    """

    coefficients: Tensor

    def __init__(self, kinds: Sequence[str], start: Tensor | None = None) -> None:
        super().__init__()
        unknown = sorted(set(kinds) - set(COEFFICIENTS))
        if not kinds or unknown:
            raise ValueError(f"kinds must name {sorted(COEFFICIENTS)} for each task, got {list(kinds)}")
        coefficients = torch.tensor([COEFFICIENTS[kind] for kind in kinds])
        if start is None:
            self.register_buffer("coefficients", coefficients)
            self.log_variances = nn.Parameter(torch.zeros(len(kinds)))
        else:
            _check_start(start, len(kinds))
            self.register_buffer("coefficients", coefficients.to(start))
            self.log_variances = nn.Parameter(self.best(start.detach()))

    def forward(self, losses: Tensor) -> Tensor:
        """The objective: losses (n, …) to (…), a scalar for n losses.

        Raises:
            ValueError: there are not n losses, or their shape is not that of the log-variances.
        """
        if losses.shape != self.log_variances.shape:
            wanted, came = tuple(self.log_variances.shape), tuple(losses.shape)
            raise ValueError(f"losses must have the shape of the log-variances, {wanted}, got {came}")
        return (self.weights() * losses + 0.5 * self.log_variances).sum(dim=0)

    def weights(self) -> Tensor:
        """What each loss is multiplied by now: c exp(−s), (n, …)."""
        return self._by_task(self.log_variances) * torch.exp(-self.log_variances)

    def best(self, losses: Tensor) -> Tensor:
        """The log-variances that are best for fixed losses: log 2cL, (n, …)."""
        return torch.log(2 * self._by_task(losses) * losses)

    def _by_task(self, like: Tensor) -> Tensor:
        return self.coefficients.view(-1, *[1] * (like.ndim - 1))


def task_gradients(losses: Tensor | Sequence[Tensor], parameters: Iterable[Tensor]) -> Tensor:
    """Each task's gradient on the shared parameters, flattened side by side: (n, P).

    One backward pass a task; the graph is kept, so that the losses can be used again. A parameter that a loss
    does not reach gets zeros. `.grad` is left as it is.

    Args:
        losses: (n,), or n scalars, with their graph.
        parameters: of the trunk, P numbers in all, in the order in which they are wanted.

    Raises:
        ValueError: there is no loss or no parameter, a loss is not a scalar or carries no gradient, or a
            parameter is frozen.
        TypeError: losses or parameters are not tensors, or parameters is a single tensor.
    """
    if isinstance(parameters, Tensor):  # its rows would be taken for parameters that no loss reaches
        raise TypeError("parameters is one tensor: pass a list, such as [weight] or trunk.parameters()")
    tasks, shared = list(losses), list(parameters)
    _check_tasks(tasks, shared)
    rows = []
    for loss in tasks:
        found = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for p, g in zip(shared, found, strict=True)]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows)


def cosine_matrix(G: Tensor) -> Tensor:
    """The cosine between every two tasks' gradients: (n, P) to (n, n).

    A gradient of zeros has no direction: its row and column are NaN. Sizes do not matter, however tiny.

    Raises:
        ValueError: G is not (n, P) with numbers in it.
        TypeError: G is not a floating tensor.
    """
    _check_gradients(G)
    directions = _directions(G)
    directions[~G.any(dim=1)] = torch.nan
    return directions @ directions.T


def pcgrad(G: Tensor, generator: torch.Generator) -> Tensor:
    """The tasks' gradients, each less its parts against the others', and added up: (n, P) to (P,).

    Where gᵢ points against gⱼ, what it has along gⱼ is taken away: gᵢ ← gᵢ − (gᵢ·gⱼ / ‖gⱼ‖²) gⱼ. Each task
    meets the others in a random order of its own, and always their gradients as they were at first. A
    gradient of zeros conflicts with none. Without conflict this is the sum.

    Args:
        G: one gradient a row.
        generator: of the orders, on the CPU; it is drawn from for three tasks or more.

    Raises:
        ValueError: G is not (n, P) with numbers in it.
        TypeError: G is not a floating tensor.

    Source: Yu et al. (2020).
    """
    _check_gradients(G)
    n, directions = len(G), _directions(G)
    total = torch.zeros_like(G[0])
    for i in range(n):
        order = torch.randperm(n, generator=generator).tolist() if n > 2 else range(n)
        g = G[i]
        for j in order:
            if j != i:
                g = g - (g @ directions[j]).clamp(max=0) * directions[j]
        total = total + g
    return total


def mgda_two(g1: Tensor, g2: Tensor) -> Tensor:
    """The α from 0 to 1 for which α g₁ + (1 − α) g₂ is shortest: (P,) and (P,) to ().

    Where that shortest vector is 0, no step lowers both losses at first order. For equal gradients any α
    would do, and it is ½.

    Raises:
        ValueError: g1 or g2 is not (P,) with numbers in it, or their sizes differ.
        TypeError: g1 or g2 is not a floating tensor.

    Source: Désidéri (2012); for two tasks in closed form, Sener and Koltun (2018).
    """
    if g1.shape != g2.shape or g1.ndim != 1:
        raise ValueError(f"g1 and g2 must both be (P,), got {tuple(g1.shape)} and {tuple(g2.shape)}")
    G = torch.stack([g1, g2])
    _check_gradients(G)
    first, second = G / G.abs().max().clamp(min=torch.finfo(G.dtype).tiny)
    gap = second - first
    squared = gap @ gap
    return ((second @ gap) / squared).clamp(0, 1) if squared > 0 else torch.full_like(squared, 0.5)


class Arms(nn.Module):
    """R linear layers side by side, equal at first: (N, D) or (R, N, D) to (R, N, K).

    They share nothing, so the sum of the arms' losses trains each as if it were alone.

    Args:
        sizes: arms R, inputs D, outputs K.
        generator: of the weights, with mean 0 and variance 1/D; biases start at 0.

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        if min(sizes) < 1:
            raise ValueError(f"sizes must be at least 1, got {sizes} for arms, inputs and outputs")
        num_arms, inputs, outputs = sizes
        start = torch.randn(inputs, outputs, generator=generator) / inputs**0.5
        self.weight = nn.Parameter(start.repeat(num_arms, 1, 1))
        self.bias = nn.Parameter(torch.zeros(num_arms, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Every arm's outputs."""
        return x @ self.weight + self.bias


def help_desk(sizes: Sequence[int], generator: torch.Generator) -> list[tuple[Tensor, ...]]:
    """Data sets of messages with three labels, which depend on the same eight hidden numbers.

    Args:
        sizes: how many messages each set holds.
        generator: on the CPU.

    Returns:
        For each set the inputs (N, 20), noisy mixtures of the hidden numbers, topics from 0 to 3, sentiments
        0 or 1, and lengths of variance 1, all (N,).

    Raises:
        ValueError: a size is below 1.
    """
    if any(size < 1 for size in sizes):
        raise ValueError(f"sizes must be at least 1, got {list(sizes)}")
    mix, to_topic = torch.randn(8, 20, generator=generator), torch.randn(8, 4, generator=generator)
    to_sentiment, to_length = torch.randn(2, 8, generator=generator)
    sets: list[tuple[Tensor, ...]] = []
    for size in sizes:
        z = torch.randn(size, 8, generator=generator)
        x = torch.tanh(z @ mix) + 0.3 * torch.randn(size, 20, generator=generator)
        topics, sentiments = (z @ to_topic).argmax(dim=1), (z @ to_sentiment > 0).long()
        sets.append((x, topics, sentiments, z @ to_length / to_length.norm()))
    return sets


def help_desk_network(num_arms: int, width: int, generator: torch.Generator) -> HardShare:
    """For the messages of `help_desk`: a ReLU layer of `width` as the trunk, three linear heads, R arms."""
    trunk = nn.Sequential(Arms((num_arms, 20, width), generator), nn.ReLU())
    sizes = {"topic": 4, "sentiment": 2, "length": 1}
    return HardShare(trunk, {name: Arms((num_arms, width, k), generator) for name, k in sizes.items()})


def help_desk_losses(model: HardShare, data: tuple[Tensor, ...], units: Tensor) -> Tensor:
    """Cross-entropy of topic and sentiment, squared error of the length, for every arm: (3, R).

    Args:
        model: from `help_desk_network`.
        data: one of the sets of `help_desk`, N messages.
        units: (R,), the standard deviation of each arm's lengths, in the dtype of the model.

    Raises:
        ValueError: there is not one unit for each arm.
    """
    x, *classes, length = data
    outputs = model(x.to(units.dtype))
    if units.shape != outputs["topic"].shape[:1]:
        arms, came = len(outputs["topic"]), tuple(units.shape)
        raise ValueError(f"units must hold one number for each of {arms} arms, got shape {came}")
    rows = []
    for logits, labels in zip((outputs["topic"], outputs["sentiment"]), classes, strict=True):  # (R, N, K)
        repeated = labels.repeat(len(logits))
        each = F.cross_entropy(logits.flatten(0, 1), repeated, reduction="none")  # (R · N,)
        rows.append(each.view(len(logits), -1).mean(dim=1))
    error = outputs["length"][..., 0] - units[:, None] * length  # (R, N)
    return torch.stack([*rows, error.square().mean(dim=1)])


@dataclass(frozen=True)
class LinearTasks:
    """Regressions that may share their weights, as far as their mean squared errors L depend on the data.

    Args:
        truth: (n, P), the weights that made the targets.
        second: (n, P, P), XᵀX / N of each task's inputs X, (N, P).
        cross: (n, P), Xᵀy / N with its targets y, (N,).
    """

    truth: Tensor
    second: Tensor
    cross: Tensor

    def gradients(self, weights: Tensor) -> Tensor:
        """∇Lᵢ = 2 (XᵀX w − Xᵀy) / N of every task, (n, P), at shared weights (P,) or their own, (n, P)."""
        return 2 * ((self.second * weights.expand_as(self.cross)[:, None]).sum(dim=2) - self.cross)

    def excess(self, weights: Tensor) -> Tensor:
        """How much more than the noise each task errs on new standard normal inputs: ‖w − truth‖², (n,)."""
        return (weights - self.truth).square().sum(dim=1)

    def alone(self) -> Tensor:
        """Each task's least squares, (n, P)."""
        return torch.linalg.solve(self.second, self.cross)

    def shared(self, loss_weights: Tensor | None = None) -> Tensor:
        """The one vector with the least Σ weightᵢ Lᵢ, (P,); without weights, the plain sum of the losses.

        Args:
            loss_weights: (n,), above 0.

        Raises:
            ValueError: there is not one weight above 0 for each task.
        """
        share = self.cross.new_ones(len(self.cross)) if loss_weights is None else loss_weights
        if share.shape != (len(self.cross),) or not (share > 0).all():
            raise ValueError(f"loss_weights must be {len(self.cross)} numbers above 0, got {share.tolist()}")
        return torch.linalg.solve((share[:, None, None] * self.second).sum(dim=0), share @ self.cross)

    def partly_shared(self, penalty: float) -> Tensor:
        """A shared vector plus a part vᵢ for each task, with the least Σ Lᵢ + penalty · Σ ‖vᵢ‖²: (n, P).

        Raises:
            ValueError: the penalty is not above 0.

        Source: Evgeniou and Pontil (2004), here with squared errors and no penalty on the shared vector.
        """
        if not 0 < penalty < math.inf:
            raise ValueError(f"penalty must be above 0 and finite, got {penalty}: at 0 use alone()")
        stiff = self.second + penalty * torch.eye(len(self.cross[0]), dtype=self.cross.dtype)
        left = penalty * torch.linalg.solve(stiff, torch.cat([self.second, self.cross[..., None]], dim=2))
        shared = torch.linalg.solve(*left.sum(dim=0).split([len(stiff[0]), 1], dim=1))[:, 0]
        return shared + torch.linalg.solve(stiff, self.cross - self.second @ shared)


def linear_tasks(angle: float, sizes: tuple[int, int], generator: torch.Generator) -> LinearTasks:
    """Two regressions with 20 weights, both vectors of length 1, at an angle in degrees to each other.

    Inputs are standard normal, the noise of the targets has standard deviation 0.3; all in float64.

    Args:
        angle: 0 for the same task, 180 for opposed ones.
        sizes: examples of each task, at least 20, so that its least squares is unique.
        generator: on the CPU.

    Raises:
        ValueError: a size is below 20.
    """
    if min(sizes) < 20:
        raise ValueError(f"sizes must be at least 20, one example a weight, got {sizes}")

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    first, across = torch.linalg.qr(normal(20, 2))[0].T
    turn = math.radians(angle)
    truth = torch.stack([first, math.cos(turn) * first + math.sin(turn) * across])
    second, cross = [], []
    for size, weights in zip(sizes, truth, strict=True):
        x = normal(size, 20)
        y = x @ weights + 0.3 * normal(size)
        second.append(x.T @ x / size)
        cross.append(x.T @ y / size)
    return LinearTasks(truth, torch.stack(second), torch.stack(cross))


def _check_start(start: Tensor, number: int) -> None:
    if start.ndim < 1 or len(start) != number:
        raise ValueError(f"start must hold a loss for each of {number} tasks, got shape {tuple(start.shape)}")
    wrong = start[~((start > 0) & start.isfinite())]
    if len(wrong):
        raise ValueError(f"start must be above 0 and finite, got {wrong[0].item():.3g}: s is log 2cL")


def _check_tasks(tasks: list[Tensor], shared: list[Tensor]) -> None:
    if not tasks:
        raise ValueError("losses is empty: pass one scalar for each task")
    if not shared:
        raise ValueError("parameters is empty: pass list(trunk.parameters()); an iterator is used up once")
    for number, loss in enumerate(tasks):
        if not isinstance(loss, Tensor):
            kind = type(loss).__name__
            raise TypeError(f"loss {number} must be a tensor, got {kind}: pass list(losses.values())")
        if loss.ndim != 0:
            raise ValueError(f"loss {number} must be a scalar, got shape {tuple(loss.shape)}: take its mean")
        if not loss.requires_grad:
            raise ValueError(f"loss {number} carries no gradient: drop .detach(), .item() or no_grad()")
    for number, parameter in enumerate(shared):
        if not isinstance(parameter, Tensor):
            kind = type(parameter).__name__
            raise TypeError(f"parameter {number} must be a tensor, got {kind}: pass trunk.parameters()")
        if not parameter.requires_grad:
            raise ValueError(f"parameter {number} is frozen: pass only those with requires_grad=True")


def _directions(G: Tensor) -> Tensor:
    """Each row over its length, rows of zeros left; scaled first, since squares of tiny numbers are 0."""
    largest = G.abs().amax(dim=1, keepdim=True)
    scaled = torch.where(largest > 0, G / largest, G)
    return scaled / scaled.norm(dim=1, keepdim=True).clamp(min=1)  # at least 1, or a row of zeros


def _check_gradients(G: Tensor) -> None:
    if not isinstance(G, Tensor) or not G.is_floating_point():
        kind = G.dtype if isinstance(G, Tensor) else type(G).__name__
        raise TypeError(f"G must be a floating tensor, one gradient a row, got {kind}: use task_gradients")
    if G.ndim != 2 or 0 in G.shape:
        raise ValueError(f"G must be (n, P), one gradient a row, got shape {tuple(G.shape)}")
    if not G.isfinite().all():
        raise ValueError("G holds NaN or infinity: a loss has run away, lower its learning rate")
