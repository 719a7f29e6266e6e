"""One step of AdamW for one tensor."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd)`: step `t` = 1, 2, … of AdamW, as `torch.optim.AdamW`
takes it. It returns the new `(p, m, v)` as new tensors, in the shape and dtype of `p`, and leaves its inputs
as they were. `m` and `v` are the running averages of the gradient `g` and of its square *before* bias
correction, which start at 0, and so are the two returned. The step divides the corrected average by the root
of the corrected `v` plus `eps`, which is added to the root, not inside it, and may be 0 where there are
gradients; the decay takes the share `lr * wd` of the *old* `p`, whether or not there is a gradient. `b1` and
`b2` are at least 0 and below 1. A NaN in `g` makes that entry's three results NaN and no others; no gradients
need to be tracked.
"""

STARTER = '''
import torch


def adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd):
    """The new (p, m, v) after step t = 1, 2, … of AdamW.

    p, g, m, v: tensors of one shape, float32 or float64; the rest are numbers.
    """
    raise NotImplementedError
'''

HINTS = (
    "Three things happen, and only one of them is divided by anything. Write them on three lines: two "
    "averages, one decay, one step.",
    "An average that starts at 0 has weights that sum to 1 minus its factor to the power t. Divide by that, "
    "but keep the uncorrected averages to hand back. The decay never meets the root.",
    "New m: b1 of the old, 1 − b1 of the gradient. New v: likewise with b2 and the gradient's square. Divide "
    "each by its sum of weights; take the root of the second and add eps to it. The new p is the old one "
    "times 1 − lr · wd, minus lr times the quotient. Write no method that ends in an underscore, and no +=.",
)


def adamw_step(
    p: torch.Tensor,
    g: torch.Tensor,
    m: torch.Tensor,
    v: torch.Tensor,
    t: int,
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    wd: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    m_hat = m / (1 - b1**t)
    v_hat = v / (1 - b2**t)
    p = (1 - lr * wd) * p - lr * m_hat / (v_hat.sqrt() + eps)
    return p, m, v


# What the checks compare with.

SHAPES = ((), (3,), (2, 3), (4, 1), (2, 3, 4), (0, 3))
USUAL = {"lr": 0.1, "b1": 0.9, "b2": 0.999, "eps": 1e-8, "wd": 0.0}


def inputs(
    rng: Rng, *shape: int, dtype: torch.dtype = torch.float32, t: int = 1, **settings: float
) -> dict[str, Any]:
    """Inputs of step t; the averages are 0 in the first."""
    started = float(t > 1)
    return {
        "p": normal(rng, *shape, dtype=dtype),
        "g": normal(rng, *shape, dtype=dtype),
        "m": started * normal(rng, *shape, dtype=dtype),
        "v": started * normal(rng, *shape, dtype=dtype).square(),
        "t": t,
    } | (USUAL | settings)


def wanted(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """In numpy and float64, with the sum of weights added up term by term."""
    p, g, m, v = (given[name].numpy().astype(np.float64) for name in "pgmv")
    t, lr, b1, b2 = (given[name] for name in ("t", "lr", "b1", "b2"))
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g * g
    first, second = ((1 - b) * np.sum(float(b) ** np.arange(t)) for b in (b1, b2))
    with np.errstate(divide="ignore", invalid="ignore"):
        step = (m / first) / (np.sqrt(v / second) + given["eps"])
    return {"new p": p - lr * given["wd"] * p - lr * step, "new m": m, "new v": v}


def compare(candidate: Candidate, given: dict[str, Any], cause: str, *only: str) -> Call:
    call = Call(candidate, **given)
    shape = tuple(given["p"].shape)
    found = call.returns(given["p"].dtype, **{"new p": shape, "new m": shape, "new v": shape})
    for (name, want), got in zip(wanted(given).items(), found, strict=True):
        if name in (only or ("new p", "new m", "new v")):
            call.same(name, got, want, cause=cause)
    return call


# Checks.


def three_tensors(candidate: Candidate, rng: Rng) -> None:
    """Returns p, m and v, each of the shape and dtype of p."""
    for shape, dtype in zip(SHAPES, 3 * (torch.float32, torch.float64), strict=True):
        call = Call(candidate, **inputs(rng, *shape, dtype=dtype, wd=0.1))
        call.returns(dtype, **{"new p": shape, "new m": shape, "new v": shape})


def first_step(candidate: Candidate, rng: Rng) -> None:
    """The first step is lr · g / (|g| + eps) long: about lr, however small or large the gradient."""
    for size, shape in ((1.0, (1,)), (1e-3, (4,)), (1e-6, (2, 3)), (1e4, (4,))):
        given = inputs(rng, *shape, dtype=torch.float64)
        given["p"] = torch.zeros_like(given["p"])
        sign = torch.where(given["g"] < 0, -1.0, 1.0)
        given["g"] = size * sign * (1 + given["g"].abs())
        cause = (
            "an average that is not corrected for starting at 0, eps inside the root, or one divisor for all"
        )
        compare(candidate, given, cause, "new p")


def averages(candidate: Candidate, rng: Rng) -> None:
    """The m and v handed back are the running averages, not yet corrected."""
    cause = (
        "corrected averages handed back (the next step corrects them again), b1 and b2 exchanged, or 1 − b "
        "forgotten"
    )
    for t, b1, b2, shape in (
        (1, 0.9, 0.999, ()),
        (2, 0.8, 0.95, (3,)),
        (50, 0.0, 0.5, (2, 3)),
        (3, 0.5, 0.0, (2,)),
    ):
        given = inputs(rng, *shape, dtype=torch.float64, t=t, b1=b1, b2=b2)
        compare(candidate, given, cause, "new m", "new v")


def later_steps(candidate: Candidate, rng: Rng) -> None:
    """Correction fades with t, counted from 1."""
    cause = "1 − b^t with another t, or 1 − b in its place, or only one average corrected"
    for t, b1, b2 in ((1, 0.8, 0.95), (2, 0.9, 0.999), (3, 0.0, 0.9), (10, 0.9, 0.0), (2000, 0.99, 0.999)):
        compare(candidate, inputs(rng, 2, 3, dtype=torch.float64, t=t, b1=b1, b2=b2), cause)


def large_eps(candidate: Candidate, rng: Rng) -> None:
    """eps is added to the root of the corrected v."""
    for t, eps in ((1, 1e-2), (2, 1e-8), (20, 1.0)):
        given = inputs(rng, 3, dtype=torch.float64, t=t, eps=eps)
        given["g"] = given["g"] * eps
        given["m"], given["v"] = given["m"] * eps, given["v"] * eps**2
        compare(candidate, given, "eps inside the root, or added before v is corrected")


def decay(candidate: Candidate, rng: Rng) -> None:
    """Without a gradient p shrinks by the share lr · wd, and the averages stay 0."""
    cause = (
        "decay added to the gradient, so that the root divides it, decay without lr, or decay only where a "
        "gradient is"
    )
    for lr, wd, shape in ((0.5, 0.5, (3,)), (1e-3, 10.0, (2, 3)), (0.3, 0.0, (2, 3))):
        given = inputs(rng, *shape, lr=lr, wd=wd)
        given["g"] = torch.zeros_like(given["g"])
        compare(candidate, given, cause)


def decay_and_gradient(candidate: Candidate, rng: Rng) -> None:
    """The decay is of the old p, beside Adam's step, and enters neither m nor v."""
    for lr, wd, t in ((0.1, 0.1, 1), (0.5, 0.5, 7)):
        given = inputs(rng, 2, 3, dtype=torch.float64, t=t, lr=lr, wd=wd)
        compare(candidate, given, "decay added to the gradient, or taken of p after the step")


def no_gradient_later(candidate: Candidate, rng: Rng) -> None:
    """Where the gradient is 0 the average still moves p."""
    given = inputs(rng, 4, dtype=torch.float64, t=2, wd=0.1)
    given["g"][1:3] = 0.0
    compare(candidate, given, "entries skipped because their gradient is 0")


def extremes(candidate: Candidate, rng: Rng) -> None:
    """Large weights, large gradients and lr = 0 are nothing special."""
    for size, lr in ((1e6, 0.1), (1e3, 0.0), (1.0, 100.0)):
        given = inputs(rng, 2, 3, t=3, lr=lr, wd=0.001)
        for name in "pgm":
            given[name] = size * given[name]
        given["v"] = size**2 * given["v"]
        compare(candidate, given, "a clamp on the gradient, the step or the weights")


def eps_of_zero(candidate: Candidate, rng: Rng) -> None:
    """eps = 0 works where there are gradients: nothing else is added to the divisor."""
    given = inputs(rng, 3, dtype=torch.float64, eps=0.0)
    given["p"], given["g"] = torch.zeros(3).double(), 1e-12 * (1 + given["g"].abs())
    compare(candidate, given, "an eps of its own, or a clamp on the divisor", "new p")


def nan_stays(candidate: Candidate, rng: Rng) -> None:
    """A NaN in the gradient stays in its entry, and stays visible."""
    given = inputs(rng, 3, t=4, wd=0.1)
    given["g"][-1] = torch.nan
    call = Call(candidate, **given)
    found = call.returns(torch.float32, **{"new p": (3,), "new m": (3,), "new v": (3,)})
    for (name, want), got in zip(wanted(given).items(), found, strict=True):
        last = got[-1].item()
        call.holds(math.isnan(last), expected=f"{name} = nan in its last entry", got=f"{last:.4g}",
                   cause="`nan_to_num`, or a step skipped")  # fmt: skip
        call.same(f"{name} but for its last entry", got[:-1], want[:-1],
                  cause="a sum or a norm over all entries")  # fmt: skip


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    given = inputs(rng, 2, 3, t=2, wd=0.1)
    compare(candidate, given | {name: strided(given[name]) for name in "pgmv"}, "`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves p, g, m and v as they were, and hands back other tensors."""
    call = Call(candidate, **inputs(rng, 2, 3, t=5, wd=0.1))
    call.unchanged()
    before = {value.data_ptr() for value in call._passed.values() if isinstance(value, Tensor)}
    for value in call.returns(torch.float32, **{"new p": (2, 3), "new m": (2, 3), "new v": (2, 3)}):
        call.holds(value.data_ptr() not in before, expected="new tensors", got="one of the inputs",
                   cause="an input handed back")  # fmt: skip


# Right answers of other style, and wrong ones.

Three = tuple[Tensor, Tensor, Tensor]


def variant(
    *,
    gradient: Callable[..., Tensor] = lambda p, g, lr, wd: g,
    first: Callable[..., Tensor] = lambda m, g, b: b * m + (1 - b) * g,
    second: Callable[..., Tensor] = lambda v, g, b: b * v + (1 - b) * g * g,
    correct1: Callable[[float, int], float] = lambda b, t: 1 - b**t,
    correct2: Callable[[float, int], float] = lambda b, t: 1 - b**t,
    divisor: Callable[..., Tensor] = lambda v, c, eps: (v / c).sqrt() + eps,
    end: Callable[..., Tensor] = lambda p, step, lr, wd, g: (1 - lr * wd) * p - lr * step,
    handed_back: Callable[..., Any] = lambda p, m, v, c1, c2: (p, m, v),
) -> Candidate:
    """An answer right in everything but what is given here."""

    def answer(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
        raw, g = g, gradient(p, g, lr, wd)
        m, v = first(m, g, b1), second(v, g, b2)
        c1, c2 = correct1(b1, t), correct2(b2, t)
        p = end(p, m / c1 / divisor(v, c2, eps), lr, wd, raw)
        return handed_back(p, m, v, c1, c2)

    return answer


def as_in_torch(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    p, m, v = p.clone(), m.clone(), v.clone()
    p.mul_(1 - lr * wd)
    m.lerp_(g, 1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    denominator = (v.sqrt() / math.sqrt(1 - b2**t)).add_(eps)
    return p.addcdiv_(m, denominator, value=-lr / (1 - b1**t)), m, v


def entry_by_entry(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    rows = []
    for each in zip(*(x.flatten() for x in (p, g, m, v)), strict=True):
        rows.append(torch.stack(adamw_step(*each, t, lr, b1, b2, eps, wd)))
    found = torch.stack(rows, dim=1) if rows else p.new_zeros(3, 0)
    return tuple(row.clone().reshape(p.shape) for row in found)


def in_float64(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    wide = (x.double() for x in (p, g, m, v))
    return tuple(x.to(p.dtype) for x in adamw_step(*wide, t, lr, b1, b2, eps, wd))


def in_numpy(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    dtype = p.dtype
    p, g, m, v = (np.array(x.numpy(), dtype=np.float64) for x in (p, g, m, v))
    m, v = m + (1 - b1) * (g - m), v + (1 - b2) * (g**2 - v)
    p = p - lr * (wd * p + m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps))
    return [torch.as_tensor(x).to(dtype) for x in (p, m, v)]


def in_float32(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    narrow = (x.float() for x in (p, g, m, v))
    return tuple(x.to(p.dtype) for x in adamw_step(*narrow, t, lr, b1, b2, eps, wd))


def in_place(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    m.mul_(b1).add_(g, alpha=1 - b1)
    v.mul_(b2).addcmul_(g, g, value=1 - b2)
    p.mul_(1 - lr * wd).sub_(lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps))
    return p, m, v


def averages_in_place(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    m *= b1
    m += (1 - b1) * g
    return adamw_step(p, g, (m - (1 - b1) * g) / b1 if b1 else m * 0, v, t, lr, b1, b2, eps, wd)


def old_momentum(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    """Steps along the average from before this gradient came."""
    _, new_m, new_v = adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd)
    root = (new_v / (1 - b2**t)).sqrt() + eps
    return (1 - lr * wd) * p - lr * (m / (1 - b1**t)) / root, new_m, new_v


def exchanged(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    return adamw_step(p, g, m, v, t, lr, b2, b1, eps, wd)


def skipped_at_zero(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    new = adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd)
    return tuple(torch.where(g == 0, old, x) for old, x in zip((p, m, v), new, strict=True))


def step_skipped_at_zero(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    """Decays every entry, moves only those with a gradient, as if the average had nothing left."""
    new_p, new_m, new_v = adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd)
    return torch.where(g == 0, (1 - lr * wd) * p, new_p), new_m, new_v


def viewed(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    flat = (x.view(-1) for x in (p, g, m, v))
    return tuple(x.view(p.shape) for x in adamw_step(*flat, t, lr, b1, b2, eps, wd))


def nan_mended(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    return adamw_step(p, g.nan_to_num(), m, v, t, lr, b1, b2, eps, wd)


def averages_reset(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    return adamw_step(p, g, torch.zeros_like(m), torch.zeros_like(v), t, lr, b1, b2, eps, wd)


def l2(p: Tensor, g: Tensor, lr: float, wd: float) -> Tensor:
    return g + wd * p


def nesterov(p, g, m, v, t, lr, b1, b2, eps, wd):  # type: ignore[no-untyped-def]
    """NAdam's look ahead."""
    _, new_m, new_v = adamw_step(p, g, m, v, t, lr, b1, b2, eps, wd)
    ahead = (b1 * new_m + (1 - b1) * g) / (1 - b1**t)
    return (1 - lr * wd) * p - lr * ahead / ((new_v / (1 - b2**t)).sqrt() + eps), new_m, new_v


TASK = Task(
    name="adamw_step",
    entry="adam_from_sgd",
    statement=STATEMENT,
    starter=STARTER,
    reference=adamw_step,
    hints=HINTS,
    checks=(
        three_tensors,
        first_step,
        averages,
        later_steps,
        large_eps,
        decay,
        decay_and_gradient,
        no_gradient_later,
        extremes,
        eps_of_zero,
        nan_stays,
        memory,
        inputs_kept,
    ),
    wrong={
        "no bias correction": variant(correct1=lambda b, t: 1.0, correct2=lambda b, t: 1.0),
        "only m corrected": variant(correct2=lambda b, t: 1.0),
        "only v corrected": variant(correct1=lambda b, t: 1.0),
        "corrected by 1 − b": variant(correct1=lambda b, t: 1 - b, correct2=lambda b, t: 1 - b),
        "t one too large": variant(
            correct1=lambda b, t: 1 - b ** (t + 1), correct2=lambda b, t: 1 - b ** (t + 1)
        ),
        "correction stops after ten steps": variant(correct2=lambda b, t: 1 - b**t if t <= 10 else 1.0),
        "root of v not taken": variant(divisor=lambda v, c, eps: v / c + eps),
        "eps inside the root": variant(divisor=lambda v, c, eps: (v / c + eps).sqrt()),
        "eps squared inside the root": variant(divisor=lambda v, c, eps: (v / c + eps**2).sqrt()),
        "eps before the correction": variant(divisor=lambda v, c, eps: (v.sqrt() + eps) / math.sqrt(c)),
        "divisor clamped at eps": variant(divisor=lambda v, c, eps: (v / c).sqrt().clamp(min=eps)),
        "an eps of its own": variant(divisor=lambda v, c, eps: (v / c).sqrt() + eps + 1e-8),
        "eps at least 1e-12": variant(divisor=lambda v, c, eps: (v / c).sqrt() + max(eps, 1e-12)),
        "eps left out": variant(divisor=lambda v, c, eps: (v / c).sqrt()),
        "one divisor for the tensor": variant(divisor=lambda v, c, eps: (v.mean() / c).sqrt() + eps),
        "decay added to the gradient": variant(gradient=l2, end=lambda p, step, lr, wd, g: p - lr * step),
        "both kinds of decay": variant(gradient=l2),
        "decay without lr": variant(end=lambda p, step, lr, wd, g: (1 - wd) * p - lr * step),
        "decay of the moved p": variant(end=lambda p, step, lr, wd, g: (1 - lr * wd) * (p - lr * step)),
        "decay added": variant(end=lambda p, step, lr, wd, g: (1 + lr * wd) * p - lr * step),
        "decay as a division": variant(end=lambda p, step, lr, wd, g: p / (1 + lr * wd) - lr * step),
        "decay in the sign's direction": variant(
            end=lambda p, step, lr, wd, g: p - lr * wd * p.sign() - lr * step
        ),
        "no decay": variant(end=lambda p, step, lr, wd, g: p - lr * step),
        "decay only where a gradient is": variant(
            end=lambda p, step, lr, wd, g: torch.where(g == 0, p, (1 - lr * wd) * p) - lr * step
        ),
        "uphill": variant(end=lambda p, step, lr, wd, g: (1 - lr * wd) * p + lr * step),
        "step clipped at lr": variant(
            end=lambda p, step, lr, wd, g: (1 - lr * wd) * p - lr * step.clamp(-1, 1)
        ),
        "gradient clamped": variant(gradient=lambda p, g, lr, wd: g.clamp(-1e3, 1e3)),
        "velocity in place of an average": variant(first=lambda m, g, b: b * m + g),
        "v of absolute values": variant(second=lambda v, g, b: b * v + (1 - b) * g.abs()),
        "v without the square's average": variant(
            second=lambda v, g, b: (b * v.sqrt() + (1 - b) * g).square()
        ),
        "largest v kept": variant(second=lambda v, g, b: torch.maximum(v, b * v + (1 - b) * g * g)),
        "AdaMax's decaying maximum": variant(second=lambda v, g, b: torch.maximum(b * v, g * g)),
        "corrected averages handed back": variant(handed_back=lambda p, m, v, c1, c2: (p, m / c1, v / c2)),
        "root handed back": variant(handed_back=lambda p, m, v, c1, c2: (p, m, v.sqrt())),
        "p alone": variant(handed_back=lambda p, m, v, c1, c2: p),
        "another order": variant(handed_back=lambda p, m, v, c1, c2: (m, v, p)),
        "betas exchanged": exchanged,
        "averages start anew": averages_reset,
        "the average before this gradient": old_momentum,
        "a look ahead": nesterov,
        "skipped where the gradient is 0": skipped_at_zero,
        "no step where the gradient is 0": step_skipped_at_zero,
        "in place": in_place,
        "m changed in place": averages_in_place,
        "NaN counted as 0": nan_mended,
        "float32 inside": in_float32,
        "view of the inputs": viewed,
    },
    also_right={
        "torch's order, on clones": as_in_torch,
        "entry by entry": entry_by_entry,
        "float64 inside": in_float64,
        "numpy, a list": in_numpy,
        "decay beside the step": variant(end=lambda p, step, lr, wd, g: p - lr * (step + wd * p)),
        "p decayed first": variant(end=lambda p, step, lr, wd, g: (p - lr * wd * p) - lr * step),
    },
    asked=2,
)
