"""Integrated gradients of one number with respect to one input, by any quadrature."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `integrated_gradients(f, x, baseline, steps)`: for each entry $i$ of `x`, with $x'$ the baseline,
$(x_i - x'_i) \int_0^1 \partial_i f\big(x' + \alpha\,(x - x')\big)\, d\alpha$, as a tensor of the shape and
dtype of `x`. `f` maps a tensor of that shape to one number, a tensor of shape (), differentiably. Approximate
the integral from about `steps` gradients on the straight line: left, right or middle points, trapezoids or
Gauss–Legendre all do, as long as the weights sum to 1, so that for a linear `f` the result is exact even
with `steps=1`. Call `f` at most 2 · `steps` + 2 times. `f` may use parameters that require gradients: leave
their `.grad` as it was, and leave `x` and `baseline` as they were, `requires_grad` included. Where a gradient
is NaN, so is the attribution.
"""

STARTER = '''
from collections.abc import Callable

import torch
from torch import Tensor


def integrated_gradients(
    f: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, steps: int
) -> Tensor:
    """Attributions of f(x) − f(baseline) to the entries of x, in x's shape and dtype.

    f maps a tensor of that shape, such as (T, D), float32 or float64, to one of shape ().
    """
    raise NotImplementedError
'''

HINTS = (
    "If f were linear, its gradient would be the same everywhere, and gradient times difference would be "
    "exact. What does a gradient at x alone miss when f has flattened out on the way?",
    "Replace the gradient at x by its mean over points on the line from the baseline to x. What must the "
    "attributions then add up to, whatever f is?",
    "For each k from 0 to steps − 1 make a new point at the fraction (k + 0.5) / steps of the way, let it "
    "require a gradient, and ask torch.autograd.grad for f's. Add the gradients up, divide by steps and "
    "multiply by x minus baseline.",
)


def integrated_gradients(f: Callable[[Tensor], Tensor], x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    difference = x - baseline
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (baseline + (k + 0.5) / steps * difference).requires_grad_()
        total += torch.autograd.grad(f(point), point)[0]
    return difference * total / steps


# What the checks compare with.

Explained = Callable[[Tensor], Tensor]
SHAPES = ((1,), (2,), (2, 3), (4, 2), (2, 3, 2))


def named(name: str, f: Explained) -> Explained:
    """The function under the name that a reader sees in a failed case."""
    f.__name__ = name
    return f


def linear(rng: Rng, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Explained, Tensor]:
    slope = normal(rng, *shape, dtype=dtype)
    return named("sum of slope · x", lambda x: (slope * x).sum()), slope


def curved(rng: Rng, shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> list[Explained]:
    """Functions in which a gradient at one end says little about the other, or another entry changes it."""
    weight = normal(rng, *shape, dtype=dtype)
    return [
        named("sum of x²", lambda x: (x * x).sum()),
        named("tanh of sum of weight · x", lambda x: (weight * x).sum().tanh()),
        named("product of 1 + x / 2", lambda x: (1 + x / 2).prod()),
        named("sum of weight · sin x", lambda x: (weight * x.sin()).sum()),
    ]


def inputs(
    rng: Rng, shape: tuple[int, ...], steps: int, dtype: torch.dtype = torch.float64
) -> dict[str, Any]:
    x, baseline = normal(rng, *shape, dtype=dtype), normal(rng, *shape, dtype=dtype)
    return {"x": x, "baseline": baseline, "steps": steps}


def brute_force(f: Explained, x: Tensor, baseline: Tensor) -> tuple[Tensor, Tensor]:
    """The integral from 100 gradients in float64, and how much each gradient varies on the way: with n of its
    values, no rule is wrong by more than a share 1/n of that."""
    difference = (x - baseline).double()
    gradients = []
    for k in range(100):
        point = (baseline.double() + (k + 0.5) / 100 * difference).requires_grad_()
        gradients.append(torch.autograd.grad(f(point), point)[0])
    found = torch.stack(gradients)
    return difference * found.mean(0), difference.abs() * found.diff(dim=0).abs().sum(0)


def compare(candidate: Candidate, f: Explained, given: dict[str, Any], cause: str) -> None:
    """Raise where the answer is further off than a rule of `steps` points may be."""
    call = Call(candidate, f=f, **given)
    x = given["x"]
    got = call.returns(x.dtype, attributions=x.shape)
    exact, variation = brute_force(f, x, given["baseline"])
    allowed = 1.5 * variation / given["steps"] + 1e-9 * (1 + exact.abs())
    near = torch.where((got.double() - exact).abs() <= allowed, exact, got.double())
    call.same("attributions", near, exact, cause=cause, tolerance=1e-12)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns a tensor of the shape and dtype of x."""
    for shape in SHAPES:
        for dtype in (torch.float64, torch.float32):
            given = inputs(rng, shape, 1, dtype)
            call = Call(candidate, f=linear(rng, shape, dtype)[0], **given)
            call.returns(dtype, attributions=shape)


def exact_if_linear(candidate: Candidate, rng: Rng) -> None:
    """For a linear f it is slope times difference, in full precision and with any number of steps."""
    for shape in SHAPES:
        for steps, dtype in ((1, torch.float64), (2, torch.float32), (7, torch.float64), (16, torch.float64)):
            f, slope = linear(rng, shape, dtype)
            given = inputs(rng, shape, steps, dtype)
            call = Call(candidate, f=f, **given)
            got = call.returns(dtype, attributions=shape)
            cause = (
                "a sum not divided by the number of points, weights that do not sum to 1 (both ends at full "
                "weight, divided by steps), x or baseline − x in place of x − baseline, no factor at all, or "
                "float32 for float64"
            )
            call.same("attributions", got, slope * (given["x"] - given["baseline"]), cause=cause)


def complete(candidate: Candidate, rng: Rng) -> None:
    """For sum of x², the attributions add up to f(x) − f(baseline)."""
    for shape in SHAPES:
        given = inputs(rng, shape, 32)
        x, baseline = given["x"], given["baseline"]
        f = curved(rng, shape)[0]
        call = Call(candidate, f=f, **given)
        got = call.returns(torch.float64, attributions=shape).sum()
        call.holds(
            (got - f(x) + f(baseline)).abs() <= 1.5 * 2 * (x - baseline).square().sum() / 32,
            expected=f"a sum near {f(x) - f(baseline):.4g}",
            got=f"{got:.4g}",
            cause="the gradient at x alone, or a path that does not run from the baseline to x",
        )


def saturated(candidate: Candidate, rng: Rng) -> None:
    """An input past the point where f has flattened out still gets its due."""
    f = named("1 − relu(1 − x), summed", lambda x: (1 - torch.relu(1 - x)).sum())
    for end in (2.0, 5.0):
        x = torch.tensor([end], dtype=torch.float64)
        given = {"x": x, "baseline": torch.zeros_like(x), "steps": 32}
        compare(candidate, f, given, "the gradient at x alone, which is 0 here")


def entry_by_entry(candidate: Candidate, rng: Rng) -> None:
    """Each attribution is the integral of its own derivative, as brute force finds it."""
    for shape in ((2,), (2, 3), (2, 3, 2)):
        for f in curved(rng, shape):
            cause = "a path from zero in place of the baseline, an absolute value, or entries mixed up"
            compare(candidate, f, inputs(rng, shape, 32), cause)


def more_steps(candidate: Candidate, rng: Rng) -> None:
    """More steps come closer."""
    shape = SHAPES[1]
    f = curved(rng, shape)[0]
    compare(candidate, f, inputs(rng, shape, 200), "a number of points that does not depend on steps")


def few_calls(candidate: Candidate, rng: Rng) -> None:
    """Calls f at most 2 · steps + 2 times."""
    for steps in (1, 2, 5):
        calls = [0]

        def counted(x: Tensor, calls: list[int] = calls) -> Tensor:
            calls[0] += 1
            return (x * x).sum()

        call = Call(candidate, f=named("sum of x²", counted), **inputs(rng, (2, 3), steps))
        cause = "a number of points that does not depend on steps, or f called once for each entry of x"
        call.holds(calls[0] <= 2 * steps + 2, expected=f"at most {2 * steps + 2} calls", got=f"{calls[0]}",
                   cause=cause)  # fmt: skip


def at_the_baseline(candidate: Candidate, rng: Rng) -> None:
    """At the baseline itself nothing is attributed."""
    for shape in SHAPES:
        for f in curved(rng, shape):
            given = inputs(rng, shape, 8)
            call = Call(candidate, f=f, **given | {"baseline": given["x"].clone()})
            got = call.returns(torch.float64, attributions=shape)
            call.same("attributions", got, torch.zeros(shape), tolerance=1e-12,
                      cause="no factor x − baseline, or x in its place")  # fmt: skip


def not_a_number(candidate: Candidate, rng: Rng) -> None:
    """A gradient that is NaN shows, in its own entry."""
    nan = torch.tensor([torch.nan, 1.0, 1.0], dtype=torch.float64)
    f = named("NaN · x[0] + x[1] + x[2]", lambda x: (nan * x).sum())
    for steps in (1, 8):
        given = inputs(rng, (3,), steps)
        call = Call(candidate, f=f, **given)
        got = call.returns(torch.float64, attributions=(3,))
        call.holds(got[0].isnan(), expected="NaN in attributions[0]", got=f"{got[0]:.4g}",
                   cause="`nan_to_num`, or a NaN skipped")  # fmt: skip
        want = (given["x"] - given["baseline"])[1:]
        call.same("attributions[1:]", got[1:], want, cause="NaN spread to other entries")


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for shape in SHAPES[2:]:
        given = inputs(rng, shape, 16)
        given |= {name: strided(given[name]) for name in ("x", "baseline")}
        compare(candidate, curved(rng, shape)[0], given, "`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves x, baseline and the gradients of f's own parameters as they were."""
    for shape in SHAPES:
        given = inputs(rng, shape, 4)
        weight = normal(rng, *shape, dtype=torch.float64).requires_grad_()
        given |= {name: given[name].clone() for name in ("x", "baseline")}
        flags: list[bool] = []

        def f(x: Tensor, weight: Tensor = weight) -> Tensor:
            return (weight * x * x).sum()

        def watched(*args: Any, flags: list[bool] = flags) -> Any:
            answer = candidate(*args)
            flags.extend(value.requires_grad for value in args[1:3])
            return answer

        call = Call(watched, f=named("sum of weight · x²", f), **given)
        call.unchanged()
        cause = "`.backward()`, which fills every parameter's .grad: torch.autograd.grad asks for one"
        call.holds(weight.grad is None, expected="f's parameter without .grad", got="one with", cause=cause)
        cause = "`x.requires_grad_()`: make the point a new tensor"
        call.holds(not any(flags), expected="x and baseline that require no gradient", got="one that does",
                   cause=cause)  # fmt: skip


# Right answers of other style, and wrong ones.


def rule(points: Callable[[int], tuple[Any, Any]]) -> Candidate:
    """An answer with another quadrature: `points(steps)` gives fractions of the way and their weights."""

    def answer(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
        total = torch.zeros_like(x)
        for a, weight in zip(*points(steps), strict=True):
            point = torch.lerp(baseline, x, float(a)).detach().requires_grad_()
            total = total + weight * torch.autograd.grad(f(point), point)[0]
        return total * (x - baseline)

    return answer


def gauss_legendre(steps: int) -> tuple[Any, Any]:
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2


def trapezoid(steps: int) -> tuple[Any, Any]:
    weights = np.ones(steps + 1)
    weights[[0, -1]] = 0.5
    return np.linspace(0, 1, steps + 1), weights / steps


def by_vmap(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    alphas = (torch.arange(steps, dtype=x.dtype) + 0.5) / steps
    points = baseline + alphas.view(-1, *[1] * x.ndim) * (x - baseline)
    return (x - baseline) * torch.func.vmap(torch.func.grad(f))(points).mean(0)


def by_backward(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    gradients = []
    for k in range(1, steps + 1):
        point = (baseline + (x - baseline) * (k / steps)).clone().requires_grad_(True)
        f(point).backward(inputs=[point])
        gradients.append(point.grad)
    return (x - baseline) * torch.stack([g for g in gradients if g is not None]).mean(dim=0)


def one_backward(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    points = [(baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_() for k in range(steps)]
    gradients = torch.autograd.grad(torch.stack([f(point) for point in points]).sum(), points)
    return (x - baseline) * torch.stack(gradients).mean(dim=0)


def with_factor(factor: Callable[[Tensor, Tensor], Tensor]) -> Candidate:
    """The mean gradient on the right path, times something else."""

    def answer(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
        total = torch.zeros_like(x)
        for k in range(steps):
            point = (baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_()
            total += torch.autograd.grad(f(point), point)[0]
        return factor(x, baseline) * total / steps

    return answer


def from_zero(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    origin = torch.zeros_like(x)
    return integrated_gradients(f, x, origin, steps) / x * (x - baseline)


def fills_grads(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (baseline + (k + 0.5) / steps * (x - baseline)).detach().requires_grad_()
        f(point).backward()
        total += torch.zeros_like(x) if point.grad is None else point.grad
    return (x - baseline) * total / steps


def flags_x(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    x.requires_grad_()
    total = torch.zeros_like(x)
    for k in range(steps):
        a = (k + 0.5) / steps
        total += torch.autograd.grad(f(baseline + a * (x - baseline)), x)[0] / a
    return ((x - baseline) * total / steps).detach()


def all_points_at_once(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Hands f the whole path as if it took a batch: right only where f adds up over entries."""
    alphas = (torch.arange(steps, dtype=x.dtype) + 0.5) / steps
    points = (baseline + alphas.view(-1, *[1] * x.ndim) * (x - baseline)).requires_grad_()
    return (x - baseline) * torch.autograd.grad(f(points), points)[0].mean(dim=0)


def absolute_gradients(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    total = torch.zeros_like(x)
    for k in range(steps):
        point = (baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_()
        total += torch.autograd.grad(f(point), point)[0].abs()
    return (x - baseline) * total / steps


def fifty(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    return integrated_gradients(f, x, baseline, 50)


def at_most_32(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    return left_ends(f, x, baseline, min(steps, 32))


def one_at_a_time(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """What f loses when one entry alone goes back to the baseline: occlusion, another method."""
    found = torch.zeros_like(x)
    for i in np.ndindex(*x.shape):
        occluded = x.clone()
        occluded[i] = baseline[i]
        found[i] = (f(x) - f(occluded)).detach()
    return found


def per_token(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    found = integrated_gradients(f, x, baseline, steps)
    return found.sum(-1) if x.ndim > 1 else found


def of_the_difference(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """Follows f from 0 to x − baseline: the line has the right length and stands in the wrong place."""
    return integrated_gradients(f, x - baseline, torch.zeros_like(x), steps)


def without_nan(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    return integrated_gradients(f, x, baseline, steps).nan_to_num()


def made_complete(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    """The gradient at x alone, rescaled to the right sum."""
    found = gradient_at_x(f, x, baseline, steps)
    return found / found.sum() * (f(x) - f(baseline)).detach()


def viewed(f: Explained, x: Tensor, baseline: Tensor, steps: int) -> Tensor:
    shape = x.shape
    return integrated_gradients(lambda z: f(z.view(shape)), x.view(-1), baseline.view(-1), steps).view(shape)


gradient_at_x = rule(lambda steps: ([1.0], [1.0]))
left_ends = rule(lambda steps: (np.arange(steps) / steps, np.full(steps, 1 / steps)))

TASK = Task(
    name="integrated_gradients",
    entry="attention_vs_gradients",
    statement=STATEMENT,
    starter=STARTER,
    reference=integrated_gradients,
    hints=HINTS,
    checks=(
        shapes,
        exact_if_linear,
        at_the_baseline,
        complete,
        saturated,
        entry_by_entry,
        more_steps,
        few_calls,
        not_a_number,
        memory,
        inputs_kept,
    ),
    wrong={
        "gradient at x only": gradient_at_x,
        "gradient at x only, rescaled to the right sum": made_complete,
        "gradient half-way only": rule(lambda steps: ([0.5], [1.0])),
        "points crowded near the baseline, equal weights": rule(
            lambda steps: (((np.arange(steps) + 0.5) / steps) ** 2, np.full(steps, 1 / steps))
        ),
        "the whole path to f at once": all_points_at_once,
        "mean of absolute gradients": absolute_gradients,
        "mean of the two ends only": rule(lambda steps: ([0.0, 1.0], [0.5, 0.5])),
        "no factor": with_factor(lambda x, baseline: torch.ones_like(x)),
        "times x": with_factor(lambda x, baseline: x),
        "times baseline − x": with_factor(lambda x, baseline: baseline - x),
        "times |x − baseline|": with_factor(lambda x, baseline: (x - baseline).abs()),
        "sum in place of mean": rule(lambda steps: ((np.arange(steps) + 0.5) / steps, np.ones(steps))),
        "both ends at full weight, divided by steps": rule(
            lambda steps: (np.linspace(0, 1, steps + 1), np.full(steps + 1, 1 / steps))
        ),
        "path from zero": from_zero,
        "path moved to the origin": of_the_difference,
        "path stops half-way": rule(
            lambda steps: ((np.arange(steps) + 0.5) / steps / 2, np.full(steps, 1 / steps))
        ),
        "fifty steps, always": fifty,
        "never more than 32 steps": at_most_32,
        "occlusion, one entry at a time": one_at_a_time,
        "summed over the last axis": per_token,
        "float32 inside": computed_in(torch.float32, integrated_gradients),
        "NaN turned into zero": without_nan,
        "fills the gradients of f's parameters": fills_grads,
        "lets x itself require a gradient": flags_x,
        "view of the inputs": viewed,
    },
    also_right={
        "left end points": left_ends,
        "right end points": rule(lambda steps: ((np.arange(steps) + 1) / steps, np.full(steps, 1 / steps))),
        "trapezoids": rule(trapezoid),
        "mean over both ends and all between": rule(
            lambda steps: (np.linspace(0, 1, steps + 1), np.full(steps + 1, 1 / (steps + 1)))
        ),
        "Gauss–Legendre": rule(gauss_legendre),
        "vmap of grad": by_vmap,
        "one backward pass over all points": one_backward,
        "backward into the point alone": by_backward,
        "float64 inside": computed_in(torch.float64, integrated_gradients),
    },
    asked=1,
)
