"""Several tasks on one trunk: the model, learned loss weights, and each task's gradient on what is shared."""

from collections.abc import Iterable, Mapping, Sequence

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
