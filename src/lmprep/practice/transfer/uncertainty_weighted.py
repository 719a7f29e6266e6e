"""Several losses under learned log-variances."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `uncertainty_weighted(losses, log_variances, kinds)`: the objective
$\sum_i c_i\, e^{-s_i} L_i + \frac12 s_i$ of $n \ge 1$ tasks, a tensor of shape `()` in the dtype of the
losses. `losses` holds the $L_i \ge 0$ and `log_variances` the $s_i = \log \sigma_i^2$, both of shape `(n,)`;
`kinds` lists $n$ strings, "mse" with $c = \frac12$ or "ce" with $c = 1$. $s$ may be negative, and a loss may
be 0, as large as $10^{30}$ or as small as $10^{-30}$. A loss that is NaN or infinite makes the result so.
Gradients must flow to `losses` and to `log_variances`, and the inputs stay as they are.
"""

STARTER = '''
import torch


def uncertainty_weighted(
    losses: torch.Tensor, log_variances: torch.Tensor, kinds: list[str]
) -> torch.Tensor:
    """Σ c exp(−s) L + ½ s over the tasks.

    losses, log_variances: (n,), float32 or float64. kinds: n times "mse" (c = ½) or "ce" (c = 1).
    Returns a tensor of shape (), through which gradients flow to both.
    """
    raise NotImplementedError
'''

HINTS = (
    "Write down one task first, with squared error: the negative log-likelihood of a Gaussian with variance "
    "exp(s), less its constant. Which of its two parts keeps s from growing for ever?",
    "Three vectors of length n meet entry by entry: a constant that the kind picks, the exponential of minus "
    "s, and the loss. The other part does not depend on the kind.",
    "Make a tensor of the constants in the dtype of the losses, multiply it by exp(−s) and by the losses, "
    "add half of s, and sum. Everything stays a tensor, so that gradients flow.",
)


def uncertainty_weighted(losses: torch.Tensor, log_variances: torch.Tensor, kinds: list[str]) -> torch.Tensor:
    c = losses.new_tensor([0.5 if kind == "mse" else 1.0 for kind in kinds])
    return (c * torch.exp(-log_variances) * losses + 0.5 * log_variances).sum()


# What the checks compare with.

KINDS: tuple[list[str], ...] = (
    ["mse"],
    ["ce"],
    ["ce", "mse"],
    ["mse", "ce"],
    ["ce", "ce", "mse"],
    ["mse", "mse", "ce", "mse", "ce"],
)
C = {"mse": 0.5, "ce": 1.0}


def inputs(rng: Rng, kinds: list[str], dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Losses from 0.05 to some hundreds, and log-variances of both signs."""
    losses = torch.exp(1.5 * normal(rng, len(kinds), dtype=dtype)) + 0.05
    return {"losses": losses, "log_variances": 1.5 * normal(rng, len(kinds), dtype=dtype), "kinds": kinds}


def constants(kinds: list[str]) -> Tensor:
    return torch.tensor([C[kind] for kind in kinds], dtype=torch.float64)


def gaussian(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
    """The Gaussian's term from torch; a cross-entropy counts as twice its loss there."""
    doubled = 2 * constants(kinds) * losses.double()
    terms = torch.nn.functional.gaussian_nll_loss(
        torch.zeros(len(kinds), dtype=torch.float64),
        doubled.sqrt(),
        log_variances.double().exp(),
        eps=1e-300,
        reduction="none",
    )
    return terms.sum()


def compare(candidate: Candidate, given: dict[str, Any], cause: str) -> None:
    call = Call(candidate, **given)
    dtype = given["losses"].dtype
    call.same("objective", call.returns(dtype, objective=()), gaussian(**given), cause=cause)


def leaves(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.clone().requires_grad_() if isinstance(value, Tensor) else value
        for name, value in given.items()
    }


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number, as a tensor in the dtype of the losses."""
    for kinds in KINDS:
        for dtype in (torch.float32, torch.float64):
            Call(candidate, **inputs(rng, kinds, dtype)).returns(dtype, objective=())


def one_task(candidate: Candidate, rng: Rng) -> None:
    """For one task it is c exp(−s) L + ½ s, with c = ½ for a squared error and 1 for cross-entropy."""
    for kinds in (["mse"], ["ce"]):
        for s in (0.0, 1.0, -2.0):
            given = inputs(rng, kinds)
            given["log_variances"] = torch.tensor([s], dtype=torch.float64)
            cause = "c exchanged or left out, s read as σ or σ², a missing minus, or s in place of ½ s"
            compare(candidate, given, cause)


def several(candidate: Candidate, rng: Rng) -> None:
    """Each task has its own loss, its own s and the c of its own kind, and the terms are added."""
    cause = "a mean in place of the sum, one kind for all, or an order lost"
    for kinds in KINDS[2:]:
        compare(candidate, inputs(rng, kinds), cause)


def closed_form(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow: at s = log 2cL the slope in s is 0 and that in L is 1/(2L); other s are worse."""
    for kinds in KINDS:
        given = inputs(rng, kinds)
        given["log_variances"] = (2 * constants(kinds) * given["losses"]).log()
        call = Call(candidate, **leaves(given))
        found = call.gradients(objective=call.returns(torch.float64, objective=()))
        call.same("slope in s at log 2cL", found["log_variances"], torch.zeros(len(kinds)),
                  cause="exp(−s) or s detached, or another factor in front of s")  # fmt: skip
        call.same("slope in the losses", found["losses"], 0.5 / given["losses"],
                  cause="losses detached, or a weight other than c exp(−s)")  # fmt: skip
        for step in (-0.5, 0.5):
            moved = given | {"log_variances": given["log_variances"] + step}
            other = Call(candidate, **moved)
            least, more = call.value.item(), other.returns(torch.float64, objective=()).item()
            other.holds(more > least, expected=f"more than {least:.6g}, the value at log 2cL",
                        got=f"{more:.6g}", cause="a sign of ½ s or of the exponent")  # fmt: skip


def any_scale(candidate: Candidate, rng: Rng) -> None:
    """A loss may be 0, huge or tiny, and s far from 0: no clamp, no epsilon."""
    for kinds in KINDS[:3]:
        for loss, s in ((0.0, 0.7), (0.0, -3.0), (1e30, 60.0), (1e-30, -60.0), (5.0, 25.0), (1e-4, -12.0)):
            for dtype in (torch.float32, torch.float64):
                given: dict[str, Any] = {
                    "losses": torch.full((len(kinds),), loss, dtype=dtype),
                    "log_variances": torch.full((len(kinds),), s, dtype=dtype),
                    "kinds": kinds,
                }
                weights = constants(kinds) * torch.exp(-given["log_variances"].double())
                want = (weights * given["losses"].double() + 0.5 * given["log_variances"].double()).sum()
                call = Call(candidate, **given)
                cause = "s or its exponential clamped, an epsilon added, or a task with loss 0 left out"
                call.same("objective", call.returns(dtype, objective=()), want, cause=cause)
                call = Call(candidate, **leaves(given))
                found = call.gradients(objective=call.returns(dtype, objective=()))
                slope = 0.5 - weights * given["losses"].double()
                call.same("gradient of log_variances", found["log_variances"], slope, cause=cause)


def broken_losses_show(candidate: Candidate, rng: Rng) -> None:
    """A loss that is NaN or infinite makes the result so."""
    for value in (torch.nan, torch.inf):
        for kinds in KINDS[:4]:
            given = inputs(rng, kinds)
            given["losses"][-1] = value
            call = Call(candidate, **given)
            objective = call.returns(torch.float64, objective=())
            call.holds(objective.isnan() if value != value else objective == value,
                       expected=f"objective = {value}", got=f"{objective.item():.4g}",
                       cause="`nan_to_num`, `nansum`, or a clamp")  # fmt: skip


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves its inputs as they were."""
    for kinds in KINDS[:4]:
        Call(candidate, **inputs(rng, kinds)).unchanged()


# Right answers of other style, and wrong ones.


def in_a_loop(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
    total = losses.new_zeros(())
    for loss, s, kind in zip(losses, log_variances, kinds, strict=True):
        total = total + loss * C[kind] / s.exp() + s / 2
    return total


def by_dot(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
    precision = (-log_variances).exp()
    regression = torch.tensor([kind == "mse" for kind in kinds])
    return torch.where(regression, precision / 2, precision) @ losses + log_variances.sum() / 2


def by_sigma(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
    """As the paper writes it, with σ."""
    sigma = (log_variances / 2).exp()
    c = torch.tensor([C[kind] for kind in kinds], dtype=losses.dtype)
    return (c * (losses / sigma**2) + log_variances / 2).sum()


def terms(term: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Candidate:
    """An answer from losses, log-variances and constants; `term` gives one number per task."""

    def answer(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
        c = losses.new_tensor([C[kind] for kind in kinds])
        return term(losses, log_variances, c).sum()

    return answer


def kinds_changed(change: Callable[[list[str]], list[str]]) -> Candidate:
    def answer(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
        return uncertainty_weighted(losses, log_variances, change(kinds))

    return answer


def exchanged(kinds: list[str]) -> list[str]:
    return ["ce" if kind == "mse" else "mse" for kind in kinds]


def shifted_in_place(losses: Tensor, log_variances: Tensor, kinds: list[str]) -> Tensor:
    result = uncertainty_weighted(losses, log_variances, kinds)
    losses.data.mul_(torch.exp(-log_variances.detach()))
    return result


def normalized(L: Tensor, s: Tensor, c: Tensor) -> Tensor:
    weights = c * torch.exp(-s)
    return weights / weights.sum() * len(L) * L + 0.5 * s


TASK = Task(
    name="uncertainty_weighted",
    entry="multitask_weighting",
    statement=STATEMENT,
    starter=STARTER,
    reference=uncertainty_weighted,
    hints=HINTS,
    checks=(
        one_number,
        one_task,
        several,
        closed_form,
        any_scale,
        broken_losses_show,
        inputs_kept,
    ),
    wrong={
        "½ s left out": terms(lambda L, s, c: c * torch.exp(-s) * L),
        "s in place of ½ s": terms(lambda L, s, c: c * torch.exp(-s) * L + s),
        "½ s averaged": terms(lambda L, s, c: c * torch.exp(-s) * L + 0.5 * s / len(L)),
        "½ s for squared errors only": terms(lambda L, s, c: c * torch.exp(-s) * L + 0.5 * s * (c == 0.5)),
        "½ |s|": terms(lambda L, s, c: c * torch.exp(-s) * L + 0.5 * s.abs()),
        "½ s subtracted": terms(lambda L, s, c: c * torch.exp(-s) * L - 0.5 * s),
        "exp(s)": terms(lambda L, s, c: c * torch.exp(s) * L + 0.5 * s),
        "s read as σ": terms(lambda L, s, c: c * L / s**2 + s.abs().log()),
        "s read as σ²": terms(lambda L, s, c: c * L / s.abs() + 0.5 * s.abs().log()),
        "s read as log σ": terms(lambda L, s, c: c * torch.exp(-2 * s) * L + s),
        "c left out": kinds_changed(lambda kinds: ["ce"] * len(kinds)),
        "½ for all": kinds_changed(lambda kinds: ["mse"] * len(kinds)),
        "c exchanged": kinds_changed(exchanged),
        "c in the other order": kinds_changed(lambda kinds: kinds[::-1]),
        "the first kind for all": kinds_changed(lambda kinds: kinds[:1] * len(kinds)),
        "c times ½ s too": terms(lambda L, s, c: c * (torch.exp(-s) * L + 0.5 * s)),
        "2 for a squared error": terms(lambda L, s, c: torch.exp(-s) * L / c + 0.5 * s),
        "mean over the tasks": terms(lambda L, s, c: (c * torch.exp(-s) * L + 0.5 * s) / len(L)),
        "losses detached": terms(lambda L, s, c: c * torch.exp(-s) * L.detach() + 0.5 * s),
        "weights detached": terms(lambda L, s, c: c * torch.exp(-s).detach() * L + 0.5 * s),
        "all s detached": terms(lambda L, s, c: c * torch.exp(-s.detach()) * L + 0.5 * s.detach()),
        "weights normalized": terms(normalized),
        "softplus for positivity": terms(lambda L, s, c: c * torch.nn.functional.softplus(-s) * L + 0.5 * s),
        "log(1 + σ²)": terms(lambda L, s, c: c * torch.exp(-s) * L + 0.5 * torch.log1p(torch.exp(s))),
        "s clamped": terms(lambda L, s, c: c * torch.exp(-s.clamp(-10, 10)) * L + 0.5 * s),
        "an epsilon": terms(lambda L, s, c: c * L / (torch.exp(s) + 1e-6) + 0.5 * s),
        "tasks without loss left out": terms(lambda L, s, c: (c * torch.exp(-s) * L + 0.5 * s) * (L > 0)),
        "one s for all": terms(lambda L, s, c: c * torch.exp(-s.mean()) * L + 0.5 * s.mean()),
        "NaN swallowed": terms(lambda L, s, c: c * torch.exp(-s) * L.nan_to_num() + 0.5 * s),
        "one number per task": lambda losses, log_variances, kinds: (
            losses.new_tensor([C[kind] for kind in kinds]) * torch.exp(-log_variances) * losses
            + 0.5 * log_variances
        ),
        "constants in float32": lambda losses, log_variances, kinds: (
            torch.tensor([C[kind] for kind in kinds]) * torch.exp(-log_variances.float()) * losses.float()
            + 0.5 * log_variances.float()
        ).sum(),
        "losses weighted in place": shifted_in_place,
    },
    also_right={
        "a loop": in_a_loop,
        "a dot product": by_dot,
        "σ, as in the paper": by_sigma,
        "float64 inside": computed_in(torch.float64, uncertainty_weighted),
    },
    asked=2,
)
