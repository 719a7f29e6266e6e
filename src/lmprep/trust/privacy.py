"""Differential privacy: DP-SGD, the Rényi accountant that says what it promises, and an audit of the promise.

Two data sets are neighbors here if one has one example more than the other, and each step draws its batch by
Poisson sampling: every example on its own, with the same probability.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from lmprep.training.loop import fit
from lmprep.training.optim import SGD, Optimizer

ORDERS = tuple(range(2, 129))
"""The Rényi orders over which the accountant minimizes."""


def per_example_gradients(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
) -> dict[str, Tensor]:
    """The gradient of each example's own loss with respect to every trained parameter.

    Args:
        model: maps inputs (B, …) to outputs (B, …), each example by itself.
        loss: maps outputs and targets to a scalar; it gets batches of one.
        inputs, targets: (B, …), also with B = 0.

    Returns:
        By name of the parameter, (B, *shape of the parameter), cut off from autograd.

    Raises:
        ValueError: inputs and targets differ in length, no parameter is trained, or a batch norm in training
            mode mixes the examples.
    """
    _check_examples(model, inputs, targets)
    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    if len(inputs) == 0:
        return {name: p.new_zeros(0, *p.shape) for name, p in parameters.items()}

    def loss_of_one(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(model, parameters, (x[None],)), y[None])

    gradient = vmap(grad(loss_of_one), in_dims=(None, 0, 0), randomness="different")
    gradients: dict[str, Tensor] = gradient(parameters, inputs, targets)
    return gradients


def clip_and_noise(
    gradients: Mapping[str, Tensor],
    *,
    max_norm: float,
    noise_multiplier: float,
    expected_batch_size: float,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """The noisy mean gradient of DP-SGD: clip each example, add up, add noise, divide.

    Args:
        gradients: by parameter, (B, *shape), B the same for all and possibly 0. NaN spreads to the result.
        max_norm: C, the most that one example's gradient, all parameters together, may have as L2 norm.
        noise_multiplier: σ; the noise on the sum has standard deviation σC.
        expected_batch_size: what the noisy sum is divided by: sample rate times size of the data set, which
            thereby counts as public. The size of the batch that was drawn depends on who is in it.
        generator: of the noise.

    Returns:
        By parameter, (*shape).

    Raises:
        TypeError: a gradient is not floating point, or of another dtype than the rest.
        ValueError: a number is out of range, or the gradients are none or differ in B.

    Source: Abadi et al. (2016), Algorithm 1.
    """
    _check_positive(max_norm=max_norm, expected_batch_size=expected_batch_size)
    _check_gradients(gradients, noise_multiplier)
    by_parameter = [g[..., None].flatten(1).norm(dim=1) for g in gradients.values()]
    norms = torch.stack(by_parameter).norm(dim=0)  # (B,)
    factors = max_norm / norms.clamp(min=max_norm)  # (B,): 1 for short gradients, and for 0
    private = {}
    for name, gradient in gradients.items():
        total = torch.tensordot(factors, gradient, dims=1)  # (*shape)
        noise = torch.randn(total.shape, generator=generator, device=generator.device, dtype=total.dtype).to(
            total.device
        )
        private[name] = (total + noise_multiplier * max_norm * noise) / expected_batch_size
    return private


def dp_sgd(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    optimizer: Optimizer | torch.optim.Optimizer,
    num_steps: int,
    sample_rate: float,
    max_norm: float,
    noise_multiplier: float,
    generator: torch.Generator,
) -> None:
    """Train `model` in place with differential privacy; `epsilon` says how much. Ends in eval mode.

    No loss is recorded: it would be computed from the examples, and is not paid for. N is taken to be public,
    since it divides every step; where it is secret, pass a constant to `clip_and_noise` instead. torch's
    generators are not cryptographically secure: whoever knows the state can subtract the noise.

    Args:
        model, loss, inputs, targets: as for `per_example_gradients`, with N examples.
        optimizer: of the model's parameters. Any will do: it sees nothing but the noisy gradients.
        sample_rate: the probability with which each example comes into a batch.
        max_norm, noise_multiplier: as for `clip_and_noise`.
        generator: of batches and noise.

    Raises:
        FloatingPointError: a gradient is NaN or infinite.
        ValueError: a number is out of range, or as `per_example_gradients`.

    Source: Abadi et al. (2016).
    """
    _check_rate(sample_rate)
    if len(inputs) == 0:
        raise ValueError("inputs must hold at least one example, got none")

    def batch(step: int) -> tuple[Tensor, Tensor]:
        chance = torch.rand(len(inputs), generator=generator, device=generator.device)
        drawn = (chance < sample_rate).to(inputs.device)
        return inputs[drawn], targets[drawn]

    def surrogate(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """A function of the parameters whose gradient is the noisy one."""
        private = clip_and_noise(
            per_example_gradients(model, loss, *batch),
            max_norm=max_norm,
            noise_multiplier=noise_multiplier,
            expected_batch_size=sample_rate * len(inputs),
            generator=generator,
        )
        parameters = dict(model.named_parameters())
        return torch.stack([(parameters[name] * g).sum() for name, g in private.items()]).sum()

    fit(model, batch, surrogate, optimizer=optimizer, num_steps=num_steps)


def rdp_subsampled_gaussian(
    sample_rate: float,
    noise_multiplier: float,
    num_steps: int,
    orders: Sequence[int] = ORDERS,
) -> Tensor:
    """Rényi divergence that steps of DP-SGD allow between two neighbors, for each order.

    Args:
        sample_rate: q, the probability with which each example comes into a batch.
        noise_multiplier: σ, above 0.
        num_steps: divergences of steps add up.
        orders: α, whole numbers from 2.

    Returns:
        (len(orders),), float64: num_steps / (α − 1) · log Σₖ C(α, k) (1 − q)^(α−k) q^k exp(k(k − 1) / 2σ²).

    Raises:
        ValueError: a number is out of range.

    Source: Mironov, Talwar and Zhang (2019), Section 3.3; composition: Mironov (2017), Proposition 1.
    """
    _check_rate(sample_rate)
    _check_positive(noise_multiplier=noise_multiplier, num_steps=num_steps)
    _check_orders(orders)
    q = torch.tensor(sample_rate, dtype=torch.float64)
    divergences = []
    for order in orders:
        k = torch.arange(order + 1, dtype=torch.float64)
        log_ways = math.lgamma(order + 1) - torch.lgamma(k + 1) - torch.lgamma(order - k + 1)
        log_chance = torch.xlogy(k, q) + torch.xlogy(order - k, 1 - q)  # 0 log 0 = 0: q = 1
        overlap = k * (k - 1) / (2 * noise_multiplier**2)
        log_moment = torch.logsumexp(log_ways + log_chance + overlap, dim=0)
        divergences.append(num_steps * log_moment / (order - 1))
    return torch.stack(divergences)


def rdp_to_epsilon(rdp: Tensor, orders: Sequence[int], delta: float) -> float:
    """The smallest ε for which Rényi divergences give (ε, δ)-differential privacy.

    Args:
        rdp: (len(orders),).
        orders: whole numbers from 2.
        delta: between 0 and 1.

    Raises:
        ValueError: delta or an order is out of range, or the lengths differ.

    Source: Balle et al. (2020), Theorem 21 of the arXiv version, 1905.09982v2.
    """
    _check_orders(orders, rdp)
    _check_share(delta=delta)
    alpha = torch.tensor(orders, dtype=torch.float64)
    conversion = torch.log1p(-1 / alpha) - (math.log(delta) + alpha.log()) / (alpha - 1)
    return max(float((rdp + conversion).min()), 0.0)


def epsilon(sample_rate: float, noise_multiplier: float, num_steps: int, delta: float) -> float:
    """The ε that `num_steps` steps of DP-SGD guarantee at `delta`, over `ORDERS`.

    Raises:
        ValueError: a number is out of range.
    """
    rdp = rdp_subsampled_gaussian(sample_rate, noise_multiplier, num_steps)
    return rdp_to_epsilon(rdp, ORDERS, delta)


def membership_game(
    inputs: Tensor,
    targets: Tensor,
    member: Tensor,
    *,
    num_steps: int,
    sample_rate: float,
    max_norm: float,
    noise_multiplier: float,
    learning_rate: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Train K logistic regressions by DP-SGD, some with example 0, some without, and watch.

    The watcher knows everything but `member`: the examples, who else is drawn, and every noisy gradient. She
    subtracts the others' share and compares what is left with the two things it can be, which is the most
    powerful test that there is (Neyman and Pearson, 1933).

    Args:
        inputs: (N, D), the last column a constant where an intercept is wanted.
        targets: (N,), 0 or 1.
        member: (K,), boolean: whether example 0 is in the k-th data set. The others always are.
        num_steps, sample_rate, max_norm, noise_multiplier: as for `dp_sgd`.
        learning_rate: of plain SGD, from zero weights.
        generator: of batches and noise, on the CPU.

    Returns:
        The weights (K, D), which are published, and the watcher's evidence (K,): the log of how much likelier
        what she saw is with example 0 than without.

    Raises:
        ValueError: a number is out of range, or shapes do not fit.

    Source: Nasr et al. (2023).
    """
    _check_rate(sample_rate)
    _check_game(inputs, targets, member)
    K, (N, D) = len(member), inputs.shape
    models = nn.Embedding.from_pretrained(inputs.new_zeros(K, D), freeze=False)
    evidence = inputs.new_zeros(K)
    expected_size = sample_rate * (N - 1)  # the same with example 0 and without
    spread = max(noise_multiplier * max_norm / expected_size, 1e-12)  # of the noise
    out, drawn_in = inputs.new_tensor([1 - sample_rate, sample_rate]).log()

    def batch(step: int) -> Tensor:
        drawn = torch.rand(K, N, generator=generator) < sample_rate
        drawn[:, 0] &= member
        return drawn[..., None].to(inputs)  # (K, N, 1)

    def noisy_mean(gradients: Tensor, noise_multiplier: float) -> Tensor:  # (K, D)
        step = functools.partial(
            clip_and_noise, max_norm=max_norm, noise_multiplier=noise_multiplier,
            expected_batch_size=expected_size, generator=generator,
        )  # fmt: skip
        return vmap(step, randomness="different")({"weight": gradients})["weight"]

    def watched(models: nn.Embedding, drawn: Tensor) -> Tensor:
        p = (models.weight.detach() @ inputs.T).sigmoid()  # (K, N)
        gradients = (p - targets)[..., None] * inputs  # (K, N, D), one for each example
        share = noisy_mean(gradients[:, :1], 0.0)  # what example 0 adds when it is drawn
        gradients = gradients * drawn
        published = noisy_mean(gradients, noise_multiplier)
        rest = published - noisy_mean(gradients[:, 1:], 0.0)  # noise, maybe a share
        log_ratio = ((rest - share / 2) * share).sum(1) / spread**2  # drawn or not
        evidence.add_(torch.logaddexp(out, drawn_in + log_ratio))
        return (models.weight * published).sum()  # its gradient is what is published

    optimizer = SGD(models.parameters(), lr=learning_rate)
    fit(models, batch, watched, optimizer=optimizer, num_steps=num_steps)
    return models.weight.detach(), evidence


def epsilon_lower_bound(called: Tensor, member: Tensor, delta: float, confidence: float = 0.95) -> float:
    """The largest ε that a membership test refutes: below it, such hit rates would be too unlikely.

    Args:
        called: (K,), boolean: what the test said, by a rule fixed before it saw these K.
        member: (K,), boolean: what was true, both at least once.
        delta: of the promise, TPR ≤ exp(ε) · FPR + δ.
        confidence: that the bound holds.

    Returns:
        log((TPR − δ) / FPR) at the ends of the rates' Clopper–Pearson intervals, or 0 if that is negative.

    Raises:
        ValueError: shapes differ, one kind is missing, or a number is out of range.
    """
    if called.shape != member.shape or called.dtype != torch.bool or member.dtype != torch.bool:
        got = [f"{answer.dtype} {tuple(answer.shape)}" for answer in (called, member)]
        raise ValueError(f"called and member must be boolean and of one shape, got {got[0]} and {got[1]}")
    if not member.any() or member.all():
        raise ValueError("member must hold both members and others, got one kind only")
    _check_share(delta=delta, confidence=confidence)
    rates = [
        binomtest(int(called[kind].sum()), int(kind.sum())).proportion_ci(confidence, "exact")
        for kind in (member, ~member)
    ]
    true_positive, false_positive = rates[0].low, rates[1].high  # each fails with (1 − confidence) / 2
    return max(0.0, math.log(max(true_positive - delta, 1e-300) / false_positive))


def epsilon_of_evidence(evidence: Tensor, delta: float, threshold: float | None = None) -> float:
    """The ε that a threshold on the watcher's evidence would prove in endless plays.

    What is seen in a play is exp(−evidence) times as likely without the example as with it. So plays with the
    example give both rates, the false positive one also where it is far below 1 / K.

    Args:
        evidence: (K,), from `membership_game`, of games with the example.
        delta: of the promise, TPR ≤ exp(ε) · FPR + δ.
        threshold: above which the watcher says "in"; the best one if None.

    Returns:
        log((TPR − δ) / FPR), or 0 if that is negative: an estimate, no bound.

    Raises:
        ValueError: evidence is empty or not (K,), or delta is out of range.
    """
    if evidence.ndim != 1 or len(evidence) == 0:
        raise ValueError(f"evidence must be (K,), with K at least 1, got {tuple(evidence.shape)}")
    _check_share(delta=delta)
    ranked = evidence.double().sort(descending=True).values
    true_positive = torch.arange(1, len(ranked) + 1) / len(ranked)
    false_positive = (-ranked).exp().cumsum(0) / len(ranked)
    proven = ((true_positive - delta).clamp(min=0) / false_positive).log()  # saying "in" to the first k
    if threshold is not None:
        proven = proven[ranked > threshold][-1:]
    return max([0.0, *proven.tolist()])


def _check_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")


def _check_rate(sample_rate: float) -> None:
    if not 0 < sample_rate <= 1:
        raise ValueError(f"sample_rate must be above 0 and at most 1, got {sample_rate}")


def _check_share(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")


def _check_orders(orders: Sequence[int], rdp: Tensor | None = None) -> None:
    wrong = [order for order in orders if order != int(order) or order < 2]
    if wrong or not orders:
        raise ValueError(f"orders must be whole numbers from 2, got {wrong[0] if wrong else 'none'}")
    if rdp is not None and rdp.shape != (len(orders),):
        raise ValueError(f"rdp must have shape ({len(orders)},), one for each order, got {tuple(rdp.shape)}")


def _check_examples(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    if len(inputs) != len(targets):
        raise ValueError(f"inputs and targets must be of one length, got {len(inputs)} and {len(targets)}")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("model must have a parameter that requires a gradient, got none")
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise ValueError(f"model must treat each example by itself, but {name or 'it'} is a batch norm, "
                             "whose output depends on the whole batch: use nn.GroupNorm")  # fmt: skip


def _check_gradients(gradients: Mapping[str, Tensor], noise_multiplier: float) -> None:
    if not 0 <= noise_multiplier < math.inf:
        raise ValueError(f"noise_multiplier must be finite and not negative, got {noise_multiplier}")
    if not gradients:
        raise ValueError("gradients must hold at least one parameter's, got none")
    for name, gradient in gradients.items():
        if not gradient.is_floating_point():
            raise TypeError(f"gradients must be floating point, got {gradient.dtype} for {name!r}")
    shapes = {name: tuple(gradient.shape) for name, gradient in gradients.items()}
    if len({shape[:1] for shape in shapes.values()}) > 1 or () in shapes.values():
        raise ValueError(f"gradients must have one row an example, as many for every parameter, got {shapes}")
    if len({gradient.dtype for gradient in gradients.values()}) > 1:
        dtypes = sorted({str(gradient.dtype) for gradient in gradients.values()})
        raise TypeError(f"gradients must share one dtype, got {' and '.join(dtypes)}")


def _check_game(inputs: Tensor, targets: Tensor, member: Tensor) -> None:
    if inputs.ndim != 2 or targets.shape != inputs.shape[:1] or len(inputs) < 2:
        raise ValueError("inputs must be (N, D) and targets (N,), with N at least 2, got "
                         f"{tuple(inputs.shape)} and {tuple(targets.shape)}")  # fmt: skip
    if member.dtype != torch.bool or member.ndim != 1:
        raise ValueError(f"member must be boolean, (K,), got {member.dtype} {tuple(member.shape)}")
