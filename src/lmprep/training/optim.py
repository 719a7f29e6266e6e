"""SGD, Adam and AdamW, update for update those of `torch.optim`, Adam with fewer second moments, and L-BFGS
for what has no batches.

`torch.optim` serves as well wherever these are used. Its first update imports the compiler behind
`torch.compile`, though: nearly two CPU-seconds, more than most models of the book train for.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Optimizer:
    """Groups of parameters, each with its own settings; a subclass says how one parameter moves.

    Args:
        params: the parameters, or groups of them: dicts with the key "params" and settings that differ.
        settings: for every group that does not say otherwise.

    Raises:
        ValueError: there is no parameter, one comes twice, or a setting is out of range.
        TypeError: something else than tensors is to be trained.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], **settings: Any) -> None:
        listed: list[Any] = list(params)
        groups = listed if listed and isinstance(listed[0], dict) else [{"params": listed}]
        self.param_groups = [settings | group | {"params": list(group["params"])} for group in groups]
        self.state: dict[Tensor, dict[str, Any]] = {}
        every = [parameter for group in self.param_groups for parameter in group["params"]]
        if not every:
            raise ValueError("params is empty: pass model.parameters(); an iterator can be used only once")
        for parameter in every:
            if not isinstance(parameter, Tensor):
                raise TypeError(f"params must hold tensors, got {type(parameter).__name__}")
            if not parameter.is_leaf:
                raise ValueError("params holds the result of a computation: pass what it was computed from")
        if len(set(every)) < len(every):
            raise ValueError("params holds a parameter twice: it would be moved twice in each step")
        for group in self.param_groups:
            _check(group)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move each parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state.setdefault(parameter, {})
                    self.update(parameter, parameter.grad, state, group)

    def update(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Move one parameter in place; `state` is its own and empty at first."""
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ: v ← μ v + g, θ ← θ − η v.

    The first v is g. Nesterov's form steps along g + μ v. `weight_decay` λ adds λθ to the gradient.
    Source: Sutskever et al. (2013), in PyTorch's form, where η stands outside v.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def update(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * parameter
        if momentum := group["momentum"]:
            if "velocity" in state:
                state["velocity"].mul_(momentum).add_(grad)
            else:
                state["velocity"] = grad.clone()
            velocity = state["velocity"]
            grad = grad + momentum * velocity if group["nesterov"] else velocity
        parameter.add_(grad, alpha=-group["lr"])


class Adam(Optimizer):
    """Adam: a step of about η in each coordinate, whatever the gradient's scale.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − η m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and
    v̂ = v / (1 − β₂ᵗ) at step t = 1, 2, …, since both averages start from 0. `weight_decay` λ adds λθ to the
    gradient, so that √v̂ divides it as well; AdamW's decay is not divided.
    Source: Kingma and Ba (2015).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * parameter
        self.move(parameter, grad, state, group)

    def move(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """The step along m̂ / (√v̂ + ε)."""
        if not state:
            state |= {"t": 0, "m": torch.zeros_like(parameter), "v": torch.zeros_like(parameter)}
        beta1, beta2 = group["betas"]
        state["t"] += 1
        mean = state["m"].lerp_(grad, 1 - beta1)
        square = state["v"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root = (square / (1 - beta2 ** state["t"])).sqrt_()
        parameter.addcdiv_(mean, root.add_(group["eps"]), value=-group["lr"] / (1 - beta1 ** state["t"]))


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← (1 − ηλ) θ, then Adam's step.

    Source: Loshchilov and Hutter (2019).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step of one parameter."""
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        self.move(parameter, grad, state, group)


class PooledAdam(Adam):
    """Adam with one v for all coordinates that lie along the axes `over`: the average of their mean g².

    Over all axes every coordinate is divided by the same number; over the last axis of an embedding there is
    one v per token, as in Adam-mini, whose other blocks are larger.
    Source: Zhang et al. (2025).

    Args:
        over: axes of each parameter, all of which it must have.
        settings: as for `Adam`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        *,
        over: tuple[int, ...],
        **settings: Any,
    ) -> None:
        super().__init__(params, lr, **settings)
        for group in self.param_groups:
            for parameter in group["params"]:
                if not over or not all(-parameter.ndim <= axis < parameter.ndim for axis in over):
                    raise ValueError(f"over must hold axes of shape {tuple(parameter.shape)}, got {over}")
        self.over = over

    def move(self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """The step along m̂ / (√v̂ + ε), v pooled."""
        square = grad.square().mean(dim=self.over, keepdim=True)
        if not state:
            state |= {"t": 0, "m": torch.zeros_like(parameter), "v": torch.zeros_like(square)}
        beta1, beta2 = group["betas"]
        state["t"] += 1
        mean = state["m"].lerp_(grad, 1 - beta1)
        root = (state["v"].lerp_(square, 1 - beta2) / (1 - beta2 ** state["t"])).sqrt()
        parameter -= group["lr"] / (1 - beta1 ** state["t"]) * mean / (root + group["eps"])


def _check(group: dict[str, Any]) -> None:
    """The settings of one group.

    Raises:
        ValueError: one is out of range.
    """
    for name in ("lr", "eps", "weight_decay"):
        if name in group and not 0 <= group[name] < math.inf:
            raise ValueError(f"{name} must be finite and at least 0, got {group[name]}")
    for name, values in (("momentum", (group.get("momentum", 0),)), ("betas", group.get("betas", ()))):
        if not all(0 <= value < 1 for value in values):
            raise ValueError(f"{name} must be at least 0 and below 1, got {group[name]}")
    if group.get("nesterov") and not group["momentum"]:
        raise ValueError("nesterov looks ahead along the velocity: give a momentum above 0")


def lbfgs(
    loss: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    max_iterations: int,
    history: int = 10,
    tolerance: float = 1e-9,
) -> Tensor:
    """The vector where a smooth `loss` is least, or as near as L-BFGS gets: scipy's L-BFGS-B.

    Args:
        loss: maps a float64 vector to a scalar tensor.
        start: (P,), where the search begins.
        max_iterations: at most so many line searches.
        history: how many earlier steps the curvature is estimated from.
        tolerance: ends the search when no entry of the gradient is larger, in absolute value.

    Source: Liu and Nocedal (1989); Zhu, Byrd, Lu and Nocedal (1997).
    """
    from scipy.optimize import minimize  # a third of a CPU-second, which the training loop need not pay

    def loss_and_gradient(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        x = torch.tensor(numbers, device=start.device, requires_grad=True)
        value = loss(x)
        (gradient,) = torch.autograd.grad(value, x)
        return value.item(), gradient.cpu().numpy()

    limits = {"maxiter": max_iterations, "maxfun": 10 * max_iterations, "maxcor": history}
    found = minimize(loss_and_gradient, start.detach().cpu().double().numpy(), method="L-BFGS-B", jac=True,
                     options=limits | {"ftol": 0.0, "gtol": tolerance})  # fmt: skip
    return torch.from_numpy(found.x).to(start.device)
