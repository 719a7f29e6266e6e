"""Attribution by gradients with respect to the input, and two tests for attributions of any kind.

An explained function maps N inputs, stacked along the first axis, to N numbers, each of which depends on its
own input alone: the logit of a class, say, as a function of embedded tokens (N, T, D). Token ids have no
gradient; their embeddings have.
"""

import copy
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def input_x_gradient(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """x · ∂f/∂x: how much each input feature contributes, were f linear and its baseline zero.

    Args:
        f: maps (N, …) to (N,), differentiably.
        x: (N, …), floating point.

    Returns:
        The shape of x. Summed over the last axis, one number for each token.

    Raises:
        TypeError: x is not floating point, or f returns no tensor.
        ValueError: x is empty, or f's result is not of shape (N,) or is cut off from x.

    Source: Shrikumar et al. (2016), "Not Just a Black Box".
    """
    _check_input(x)
    return x.detach() * _gradient(f, x)


def integrated_gradients(
    f: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, steps: int = 64
) -> Tensor:
    """(x − baseline) · the mean of ∂f/∂x on the straight line from the baseline to x.

    The integral is taken by the midpoint rule. Summed over all features, the attributions are
    f(x) − f(baseline), up to the rule's error: completeness.

    Args:
        f: maps (N, …) to (N,), differentiably.
        x: (N, …), floating point.
        baseline: an input in which nothing is found, in x's dtype, broadcastable to x's shape.
        steps: gradients to take, at least 1.

    Returns:
        The shape of x.

    Raises:
        TypeError, ValueError: as `input_x_gradient`; or the baseline does not fit x, or steps < 1.

    Source: Sundararajan et al. (2017), "Axiomatic Attribution for Deep Networks".
    """
    _check_input(x)
    _check_baseline(baseline, x)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    difference = (x - baseline).detach()
    total = torch.zeros_like(difference)
    for k in range(steps):
        total += _gradient(f, baseline + (k + 0.5) / steps * difference)
    return difference * total / steps


def deletion_curve(f: Callable[[Tensor], Tensor], x: Tensor, scores: Tensor, baseline: Tensor) -> Tensor:
    """What f makes of x when the k highest-scored positions are replaced by the baseline's, for k = 0 … T.

    Args:
        f: maps (N, T, …) to N results of any shape; it needs no gradient.
        x: (N, T, …), of any dtype: embedded tokens, or their ids (N, T).
        scores: (N, T), the attributions on trial. Of equal ones, the first goes first.
        baseline: what takes a deleted token's place, in x's dtype, broadcastable to x's shape.

    Returns:
        (T + 1, N, …): row k after k deletions.

    Raises:
        TypeError: the baseline is of another dtype than x.
        ValueError: shapes do not fit, x is empty, or a score is NaN.

    Source: Samek et al. (2017); for text, comprehensiveness in DeYoung et al. (2020), ERASER.
    """
    if x.ndim < 2 or x.numel() == 0:
        raise ValueError(f"x must have shape (N, T, …) and not be empty, got {tuple(x.shape)}")
    if scores.shape != x.shape[:2]:
        raise ValueError(f"scores must have shape {tuple(x.shape[:2])}, got {tuple(scores.shape)}")
    if scores.isnan().any():
        raise ValueError("scores holds NaN, which has no rank")
    _check_baseline(baseline, x)
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1).view(*scores.shape, *[1] * (x.ndim - 2))  # (N, T, 1 …)
    return torch.stack([f(torch.where(ranks < k, baseline, x)) for k in range(x.size(1) + 1)])


def with_shuffled_weights(model: Model, generator: torch.Generator) -> Model:
    """A copy of `model` whose every parameter has its entries in random order: same numbers, nothing learned.

    An attribution that is like before was not about the model.

    Args:
        model: left as it is.
        generator: on the CPU.

    Source: after Adebayo et al. (2018), "Sanity Checks for Saliency Maps", who draw new weights.
    """
    broken = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in broken.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return broken


def _gradient(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂f/∂x for each of N inputs. No gradient is left behind on f's own parameters."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        values = f(x)
        if not isinstance(values, Tensor):
            raise TypeError(f"f must return a tensor, got {type(values).__name__}")
        if values.shape != x.shape[:1]:
            raise ValueError(
                f"f must return one number an input, shape ({len(x)},), got {tuple(values.shape)}"
            )
        if not values.requires_grad:
            raise ValueError("f's result carries no gradient: look for .detach(), no_grad() or argmax in f")
        # Each value depends on its own input alone, so the sum's gradient holds every input's.
        (gradient,) = torch.autograd.grad(values.sum(), x, materialize_grads=True)
    return gradient


def _check_input(x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}: pass embeddings, ids have no gradient")
    if x.ndim == 0 or x.numel() == 0:
        raise ValueError(f"x must have shape (N, …) and not be empty, got {tuple(x.shape)}")


def _check_baseline(baseline: Tensor, x: Tensor) -> None:
    if baseline.dtype != x.dtype:
        raise TypeError(f"baseline must have x's dtype {x.dtype}, got {baseline.dtype}")
    try:
        # numpy's, as torch's imports sympy first: half a CPU-second.
        fits = np.broadcast_shapes(baseline.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"baseline must be broadcastable to {tuple(x.shape)}, got {tuple(baseline.shape)}")
