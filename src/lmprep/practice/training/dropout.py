"""Inverted dropout."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `dropout(x, p, training, generator)`. If `training` is true, each entry of `x` becomes 0 with
probability `p`, independently of all others, and is otherwise divided by $1 - p$; at `p` = 1 all entries
become 0. If it is false, the entries stay as they are. `x` is finite, floating and of any shape, also empty,
and is left as it was; the result has its shape and dtype, and that dtype's precision. Gradients flow with the
mask of the forward pass, and are 0 where an entry was dropped. All randomness comes from `generator`, which
is on the CPU like `x`: in the same state it gives the same answer, the next call finds it in another state,
and torch's global random numbers are neither used nor changed.
"""

STARTER = '''
import torch


def dropout(
    x: torch.Tensor,
    p: float,
    training: bool,
    generator: torch.Generator,
) -> torch.Tensor:
    """Drop entries of x with probability p, and scale what is left."""
    raise NotImplementedError
'''

HINTS = (
    "What should the average over many masks be, if nothing is to change when dropout is switched off?",
    "An entry that is kept with probability 1 − p must be divided by 1 − p. What does that quotient say at "
    "p = 1, and what does a product with it give?",
    "Return x unless training, and zeros that still depend on x if p is 1. Otherwise draw one uniform number "
    "per entry from the generator, keep where it is at least p, and multiply x by that mask, in x's dtype, "
    "divided by 1 − p.",
)


def dropout(x: torch.Tensor, p: float, training: bool, generator: torch.Generator) -> torch.Tensor:
    if not training:
        return x
    if p == 1:
        return x * 0
    keep = torch.rand(x.shape, generator=generator) >= p
    return x * keep / (1 - p)


# What the checks look at.

SHAPES = ((1,), (5,), (2, 3, 4))
MANY = (20, 30, 40)


def source(rng: Rng) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def inputs(rng: Rng, *shape: int, dtype: torch.dtype = torch.float32, **options: Any) -> dict[str, Any]:
    """Numbers away from 0, so that a 0 in the answer is a dropped entry."""
    x = normal(rng, *shape, dtype=dtype)
    x = x + x.sign() + (x == 0)
    return {"x": x, "p": 0.2, "training": True, "generator": source(rng)} | options


def answer(candidate: Candidate, given: dict[str, Any]) -> tuple[Call, Tensor]:
    call = Call(candidate, **given)
    return call, call.returns(given["x"].dtype, result=given["x"].shape)


# Checks.


def a_tensor(candidate: Candidate, rng: Rng) -> None:
    """Returns a tensor of the shape and dtype of x, in training and out of it."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        for shape in ((), *SHAPES, (0, 3)):
            for training in (True, False):
                answer(candidate, inputs(rng, *shape, dtype=dtype, training=training))


def off(candidate: Candidate, rng: Rng) -> None:
    """Out of training nothing changes, whatever p is."""
    cause = "kept entries scaled by 1 − p in evaluation too, or `training` not looked at"
    for shape in SHAPES:
        for p in (0.2, 0.5, 0.9, 1.0, 0.0):
            given = inputs(rng, *shape, p=p, training=False)
            call, got = answer(candidate, given)
            call.same("result", got, given["x"], cause=cause, tolerance=0.0)


def nothing_dropped(candidate: Candidate, rng: Rng) -> None:
    """At p = 0 nothing changes."""
    for shape in SHAPES:
        given = inputs(rng, *shape, p=0.0)
        call, got = answer(candidate, given)
        call.same("result", got, given["x"], cause="p taken for the probability of keeping", tolerance=0.0)


def all_dropped(candidate: Candidate, rng: Rng) -> None:
    """At p = 1 everything is 0, without a NaN, and so are the gradients."""
    for shape in SHAPES:
        given = inputs(rng, *shape, p=1.0)
        call, got = answer(candidate, given)
        call.same("result", got, torch.zeros(shape), cause="0 divided by 1 − p = 0, or p taken for keeping")
        given["x"].requires_grad_()
        call, got = answer(candidate, given)
        gradient = call.gradients(result=got)["x"]
        call.same("gradient", gradient, torch.zeros(shape),
                  cause="`torch.where` with x / 0 in the branch not taken: gradient 0 · inf")  # fmt: skip


def two_values(candidate: Candidate, rng: Rng) -> None:
    """In training an entry is 0 or x / (1 − p)."""
    cause = "no division by 1 − p, a division by p, or noise of another kind"
    for p in (0.2, 0.7):
        for dtype in (torch.float32, torch.float64):
            for shape in (*SHAPES, (12, 30)):
                given = inputs(rng, *shape, p=p, dtype=dtype)
                call, got = answer(candidate, given)
                want = torch.where(got == 0, 0.0, given["x"] / (1 - p))
                call.same("result where not 0", got, want, cause=cause)


def share_dropped(candidate: Candidate, rng: Rng) -> None:
    """The share p of the entries is dropped."""
    cause = "p taken for the probability of keeping, not used or rounded, or numbers drawn in a narrow dtype"
    for p, dtype in ((0.2, torch.float32), (0.95, torch.float32), (0.0005, torch.bfloat16)):
        call, got = answer(candidate, inputs(rng, *MANY, p=p, dtype=dtype))
        call.rate("share of zeros", got == 0, p, cause)


def independent(candidate: Candidate, rng: Rng) -> None:
    """Entries are dropped independently: how many differs from row to row and from column to column."""
    cause = "one mask for all rows, whole rows or columns dropped, or a fixed number of entries dropped"
    p = 0.3
    call, got = answer(candidate, inputs(rng, *MANY, p=p))
    dropped = (got == 0).double()
    for axis, n in enumerate(MANY):
        counts = dropped.sum(dim=axis)  # binomial, n draws
        spread = ((counts - n * p) ** 2).mean().item() / (n * p * (1 - p))
        call.holds(0.6 <= spread <= 1.4, got=f"{spread:.3g}", cause=cause,
                   expected=f"variance of the number dropped along axis {axis}, as a multiple of the "
                   "binomial's = 0.6 to 1.4")  # fmt: skip
    numbers = set()
    for _ in range(8):  # that all are equal happens to a right answer once in 10 billion times
        call, got = answer(candidate, inputs(rng, 10, 20, p=p))
        numbers.add(int((got == 0).sum()))
    call.holds(len(numbers) > 1, got=f"{numbers.pop()} in each of 8 calls", cause=cause,
               expected="a number of dropped entries that varies from call to call")  # fmt: skip


def same_mask_backward(candidate: Candidate, rng: Rng) -> None:
    """The gradient has the mask of the forward pass: 0 where dropped, 1 / (1 − p) where kept."""
    for p in (0.2, 0.6):
        for shape in ((3, 4), (20, 30)):
            given = inputs(rng, *shape, p=p, dtype=torch.float64)
            given["x"].requires_grad_()
            call, got = answer(candidate, given)
            gradient = call.gradients(result=got)["x"]
            want = torch.where(got == 0, 0.0, 1 / (1 - p))
            call.same("gradient", gradient, want, cause="a second mask, or values written into `.data`")


def off_gradient(candidate: Candidate, rng: Rng) -> None:
    """Out of training the gradient is 1."""
    for shape in ((2,), (3, 4)):
        given = inputs(rng, *shape, training=False)
        given["x"].requires_grad_()
        call, got = answer(candidate, given)
        gradient = call.gradients(result=got)["x"]
        call.same("gradient", gradient, torch.ones(shape), cause="a detached copy")


def extremes(candidate: Candidate, rng: Rng) -> None:
    """Tiny and huge entries are scaled like any other."""
    for size in (1e-30, 1e30):
        given = inputs(rng, 20, 30, p=0.5)
        given["x"] = given["x"] * size
        call, got = answer(candidate, given)
        kept = got != 0
        want = torch.where(kept, given["x"] * 2, 0.0) / size
        call.same(f"result / {size:g}", got / size, want, cause="a clamp, or a tiny number added")
        call.rate("share of zeros", ~kept, 0.5, "tiny entries taken for 0")


def repeatable(candidate: Candidate, rng: Rng) -> None:
    """The generator alone decides: same state, same mask; the next call finds another state."""
    given, number = inputs(rng, 10, 30, p=0.5), int(rng.integers(2**31))
    sources = [torch.Generator().manual_seed(number) for _ in range(2)]
    first, second = (
        _apart(candidate, given | {"generator": generator}, elsewhere=k)
        for k, generator in enumerate(sources)
    )
    second[0].same("result, from the same state again", second[1], first[1], tolerance=0.0,
                   cause="a draw that does not take the generator")  # fmt: skip
    call, got = answer(candidate, given | {"generator": sources[1]})
    call.holds(not torch.equal(got, second[1]), expected="another mask from the same generator's next state",
               got="the same mask", cause="a generator seeded anew, or drawn from as a copy")  # fmt: skip


def _apart(candidate: Candidate, given: dict[str, Any], elsewhere: int) -> tuple[Call, Tensor]:
    """The answer where the global random numbers stand at `elsewhere`, if it leaves them there."""
    before = torch.random.get_rng_state()
    try:
        state = torch.manual_seed(elsewhere).get_state()
        call, got = answer(candidate, given)
        moved = not torch.equal(state, torch.random.get_rng_state())
    finally:
        torch.random.set_rng_state(before)
    call.holds(not moved, expected="torch's global random state = as it was", got="another state",
               cause="a draw without `generator=generator`, or `torch.manual_seed`")  # fmt: skip
    return call, got


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes x that is not contiguous."""
    for shape in ((3, 4), (2, 3, 4)):
        for training in (True, False):
            given = inputs(rng, *shape, training=training)
            given["x"] = strided(given["x"])
            call, got = answer(candidate, given)
            want = torch.where(got == 0, 0.0, given["x"] / (0.8 if training else 1.0))
            call.same("result where not 0", got, want, cause="`.view` of an input")


def input_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves x as it was."""
    for shape in ((5,), (5, 8)):
        for training in (True, False):
            Call(candidate, **inputs(rng, *shape, p=0.5, training=training)).unchanged()


# Right answers of other style, and wrong ones.


def _keep(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator) >= p


def by_bernoulli(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    """As torch does it."""
    if not training or p == 0:
        return x.clone()
    mask = torch.empty_like(x, requires_grad=False).bernoulli_(1 - p, generator=generator)
    return x * (mask / (1 - p) if p < 1 else mask)


def by_fill(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    if not training:
        return x
    dropped = torch.rand(x.shape, generator=generator, dtype=torch.float64) < p
    return x.masked_fill(dropped, 0.0) / (1 - p if p < 1 else 1)


def in_numpy(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    if not training:
        return x
    draws = torch.rand(x.numel(), generator=generator).numpy()
    scale = np.where(draws < p, 0.0, 1.0 / max(1.0 - p, 1e-12)).reshape(tuple(x.shape))
    return x * torch.from_numpy(scale).to(x.dtype)


def changed(
    mask: Callable[..., Tensor] = _keep,
    scale: Callable[[float], float] = lambda p: 1 - p,
    evaluation: Callable[[Tensor, float], Tensor] = lambda x, p: x,
    at_one: Callable[[Tensor], Tensor] = lambda x: x * 0,
) -> Candidate:
    """The right answer with one part changed."""

    def answer(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
        if not training:
            return evaluation(x, p)
        if p == 1:
            return at_one(x)
        return x * mask(x, p, generator) / scale(p)

    return answer


def keep_probability(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    if not training:
        return x
    return x * 0 if p == 0 else x * (torch.rand(x.shape, generator=generator) < p) / p


def always_on(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return dropout(x, p, True, generator)


def nan_at_one(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return x * _keep(x, p, generator) / torch.tensor(1 - p) if training else x


def where_over_zero(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    quotient = x / torch.tensor(1 - p, dtype=x.dtype)
    return torch.where(_keep(x, p, generator), quotient, torch.zeros_like(x)) if training else x


def global_numbers(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return F.dropout(x, p, training)


def seeded(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return dropout(x, p, training, torch.Generator().manual_seed(0))


def from_a_copy(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return dropout(x, p, training, torch.Generator().set_state(generator.get_state()))


def by_percent(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 100, x.shape, generator=generator) >= 100 * p


def drawn_in_its_dtype(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator, dtype=x.dtype) >= p


def in_place(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    if training:
        with torch.no_grad():
            x.mul_(_keep(x, p, generator)).div_(1 - p if p < 1 else 1)
    return x


def fixed_number(x: Tensor, p: float, generator: torch.Generator) -> Tensor:
    order = torch.rand(x.numel(), generator=generator).argsort().argsort()
    return (order >= round(p * x.numel())).view(x.shape)


def narrow_mask(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    if not training or p == 1:
        return dropout(x, p, training, generator)
    return x * (_keep(x, p, generator).float() / (1 - p)).to(x.dtype)


def second_mask(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    """A gradient of its own."""
    if not training or p == 1:
        return dropout(x, p, training, generator)
    through = x * _keep(x, p, generator) / (1 - p)
    return through + (dropout(x, p, training, generator) - through).detach()


def clamped(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return dropout(x.clamp(-1e4, 1e4) if training else x, p, training, generator)


def straight_through(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return x + (dropout(x, p, training, generator) - x).detach()


def viewed(x: Tensor, p: float, training: bool, generator: torch.Generator) -> Tensor:
    return dropout(x.view(-1), p, training, generator).view(x.shape)


TASK = Task(
    name="dropout",
    entry="dropout_early_stopping",
    statement=STATEMENT,
    starter=STARTER,
    reference=dropout,
    hints=HINTS,
    checks=(
        a_tensor,
        off,
        nothing_dropped,
        input_kept,
        all_dropped,
        two_values,
        share_dropped,
        repeatable,
        independent,
        same_mask_backward,
        off_gradient,
        extremes,
        memory,
    ),
    wrong={
        "not scaled": changed(scale=lambda p: 1.0),
        "not scaled, but in evaluation": changed(scale=lambda p: 1.0, evaluation=lambda x, p: x * (1 - p)),
        "scaled in evaluation as well": changed(evaluation=lambda x, p: x * (1 - p)),
        "p is the probability of keeping": keep_probability,
        "keeps with p, scales by 1 − p": changed(mask=lambda x, p, g: ~_keep(x, p, g)),
        "divides by p": changed(scale=lambda p: p or 1.0),
        "multiplies by 1 − p": changed(scale=lambda p: 1 / (1 - p)),
        "cut off from autograd in evaluation": changed(evaluation=lambda x, p: x.detach()),
        "large entries cut off": clamped,
        "never off": always_on,
        "off at p = 1": changed(at_one=lambda x: x),
        "NaN at p = 1": nan_at_one,
        "NaN in the gradient at p = 1": where_over_zero,
        "one mask for all rows": changed(mask=lambda x, p, g: torch.rand(x.shape[-1:], generator=g) >= p),
        "whole rows": changed(
            mask=lambda x, p, g: torch.rand((*x.shape[:-1], 1)[: x.ndim], generator=g) >= p
        ),
        "a fixed number of entries": changed(mask=fixed_number),
        "Gaussian noise": changed(
            mask=lambda x, p, g: 1 - p + (p * (1 - p)) ** 0.5 * torch.randn(x.shape, generator=g)
        ),
        "torch's global random numbers": global_numbers,
        "a generator seeded anew": seeded,
        "a copy of the generator": from_a_copy,
        "p in whole percent": changed(mask=by_percent),
        "drawn in the dtype of x": changed(mask=drawn_in_its_dtype),
        "in place": in_place,
        "a mask in float32": narrow_mask,
        "another mask for the gradient": second_mask,
        "gradient without a mask": straight_through,
        "views": viewed,
    },
    also_right={"as in torch": by_bernoulli, "masked_fill": by_fill, "numpy": in_numpy},
    asked=3,
)
