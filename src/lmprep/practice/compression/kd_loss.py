"""The distillation loss: KL from the teacher's softened distribution to the student's, times T²."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, as_array, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `kd_loss(student, teacher, T)`, the loss that trains a student on a teacher's logits: the mean over the
$B$ rows of $T^2 \cdot \mathrm{KL}(p \,\|\, q) = T^2 \sum_k p_k (\log p_k - \log q_k)$, natural logarithms,
where $p = \mathrm{softmax}(\text{teacher} / T)$ and $q = \mathrm{softmax}(\text{student} / T)$ of each row.
It is one number in the dtype of the logits, which are finite, up to ±10,000. Gradients must flow to the
student; none may reach the teacher, even if its logits require one. Neither input is changed. Functions of
PyTorch are allowed.
"""

STARTER = '''
import torch


def kd_loss(student: torch.Tensor, teacher: torch.Tensor, T: float) -> torch.Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)) in nats, mean over the rows.

    student, teacher: logits (B, V), finite, float32 or float64, of one dtype.
    T: above 0.
    Returns a tensor of shape (), in the dtype of the logits.
    """
    raise NotImplementedError
'''

HINTS = (
    "Which of the two distributions does the average go over? Write the sum for a single row first, and say "
    "what it is when student and teacher agree.",
    "A probability of exactly 0 is what large logits leave behind, and its logarithm is lost. "
    "Log-probabilities can be had from logits directly. As for the teacher: it is a constant of this loss.",
    "Divide both by T and take log_softmax along the classes, the teacher's detached. Multiply the teacher's "
    "probabilities by the difference of the two, teacher minus student; sum over the classes, take the mean "
    "over the rows, and multiply by T squared.",
)


def kd_loss(student: torch.Tensor, teacher: torch.Tensor, T: float) -> torch.Tensor:
    log_p = (teacher.detach() / T).log_softmax(dim=1)  # (B, V)
    log_q = (student / T).log_softmax(dim=1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()


# What the checks compare with.

SIZES = ((1, 2), (2, 1), (2, 2), (3, 2), (2, 5), (6, 4), (17, 9))  # B, V
TEMPERATURES = (1.0, 0.5, 2.0, 4.0)


def inputs(rng: Rng, B: int, V: int, T: float, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    return {
        "student": 2 * normal(rng, B, V, dtype=dtype),
        "teacher": 2 * normal(rng, B, V, dtype=dtype),
        "T": T,
    }


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(axis=1, keepdims=True)
    log_p: np.ndarray = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return log_p


def definition(given: dict[str, Any]) -> float:
    """In numpy's float64."""
    T = given["T"]
    log_p, log_q = (log_softmax(as_array(given[name]) / T) for name in ("teacher", "student"))
    return float(T**2 * (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())


def compare(candidate: Candidate, given: dict[str, Any], cause: str, tolerance: float | None = None) -> Call:
    call = Call(candidate, **given)
    dtype = given["student"].dtype
    loss = call.returns(dtype, loss=())
    want = torch.tensor(definition(given), dtype=dtype)
    call.same("loss", loss, want, cause=cause, tolerance=tolerance)
    return call


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number, as a tensor in the dtype of the logits."""
    for B, V in SIZES:
        for dtype in (torch.float32, torch.float64):
            Call(candidate, **inputs(rng, B, V, 2.0, dtype)).returns(dtype, loss=())


def agreement_is_free(candidate: Candidate, rng: Rng) -> None:
    """Is 0 where student and teacher agree, also if their logits differ by a constant in each row."""
    for B, V in SIZES:
        for T in TEMPERATURES:
            given = inputs(rng, B, V, T)
            given["student"] = given["teacher"] + normal(rng, B, 1, dtype=torch.float64)
            cause = (
                "cross-entropy in place of KL, which keeps the teacher's entropy, or logits compared directly"
            )
            compare(candidate, given, cause)


def direction(candidate: Candidate, rng: Rng) -> None:
    """At T = 1 and for one row, is the KL from the teacher to the student, not the other way around."""
    for V in (2, 3, 7):
        compare(candidate, inputs(rng, 1, V, 1.0), "student and teacher exchanged: KL is not symmetric")


def over_rows(candidate: Candidate, rng: Rng) -> None:
    """At T = 1, sums over the classes and averages over the rows."""
    for B, V in SIZES:
        cause = (
            "a mean over the classes too, as the default of kl_div takes it, a sum over the rows, or a "
            "softmax over the rows"
        )
        compare(candidate, inputs(rng, B, V, 1.0), cause)


def temperature(candidate: Candidate, rng: Rng) -> None:
    """Divides both logits by T, and multiplies the loss by T²."""
    for B, V in SIZES:
        for T in TEMPERATURES:
            cause = "a missing factor T², T in its place, or a temperature on one side only"
            compare(candidate, inputs(rng, B, V, T), cause)
            compare(candidate, inputs(rng, B, V, T, torch.float32), cause)


def any_size(candidate: Candidate, rng: Rng) -> None:
    """Logits of ±10,000 neither overflow nor give NaN, and no difference is capped."""
    far = torch.tensor([[0.0, 1e4, -1e4]])
    drawn = (
        1000.0 * torch.from_numpy(rng.permuted(np.tile(np.arange(-9, 10), (12, 1)), axis=1)[:, :5]).float()
    )
    drawn = drawn.view(2, 6, 5)
    pairs = [(far, far), (far, -far), (-far, far.roll(1, 1)), (far + 1e4, far), (drawn[0], drawn[1])]
    for student, teacher in pairs:
        for T in (1.0, 4.0):
            given = {"student": student, "teacher": teacher, "T": T}
            cause = (
                "log of a softmax that underflowed to 0, a clamp or an ε inside the logarithm, which caps "
                "the loss, or exp without subtracting the row's largest logit"
            )
            compare(candidate, given, cause, tolerance=1e-4)
            _check_gradients(candidate, given, cause, tolerance=1e-3)  # float32 at 10,000 has steps of 10⁻³


def _check_gradients(
    candidate: Candidate, given: dict[str, Any], cause: str, tolerance: float | None = None
) -> None:
    T, B = given["T"], len(given["student"])
    call = Call(candidate, **given | {"student": given["student"].clone().requires_grad_()})
    gradient = call.gradients(loss=call.returns(given["student"].dtype, loss=()))["student"]
    p, q = (np.exp(log_softmax(as_array(given[name]) / T)) for name in ("teacher", "student"))
    want = torch.from_numpy(T * (q - p) / B).to(gradient.dtype)
    call.same("gradient of student", gradient, want, cause=cause, tolerance=tolerance)


def gradients(candidate: Candidate, rng: Rng) -> None:
    """The gradient of the student's logits is T · (q − p) / B."""
    for B, V in SIZES:
        for T in TEMPERATURES:
            cause = "a normalizer cut off from autograd, or a factor T or B too many or too few"
            _check_gradients(candidate, inputs(rng, B, V, T), cause)


def teacher_is_constant(candidate: Candidate, rng: Rng) -> None:
    """The teacher gets no gradient, even if its logits require one."""
    for B, V in ((1, 2), (3, 4)):
        given = inputs(rng, B, V, 2.0)
        given = given | {name: given[name].clone().requires_grad_() for name in ("student", "teacher")}
        call = Call(candidate, **given)
        loss = call.returns(torch.float64, loss=())
        flows = torch.autograd.grad(loss, (given["student"], given["teacher"]), allow_unused=True)
        got = flows[1]
        call.holds(got is None or not bool(got.any()), expected="no gradient for teacher",
                   got=f"a gradient of norm {0.0 if got is None else got.norm().item():.3g}",
                   cause="a missing `.detach()`: trained together, the two would meet halfway")  # fmt: skip
        call.holds(flows[0] is not None, expected="a gradient for student", got="none",
                   cause="the student detached, or the roles exchanged")  # fmt: skip


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes logits that are not contiguous."""
    for B, V in ((2, 2), (2, 5), (6, 4)):
        given = inputs(rng, B, V, 2.0)
        given |= {name: strided(given[name]) for name in ("student", "teacher")}
        compare(candidate, given, "`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves both logits as they were."""
    for B, V in ((1, 2), (6, 4)):
        Call(candidate, **inputs(rng, B, V, 4.0, torch.float32)).unchanged()


# Right answers of other style, and wrong ones.


def by_kl_div(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    log_q, log_p = F.log_softmax(student / T, -1), F.log_softmax(teacher.detach() / T, -1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * T**2


def by_probabilities(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    """kl_div treats 0 · log 0 as 0."""
    with torch.no_grad():
        p = torch.softmax(teacher / T, dim=-1)
    return F.kl_div((student / T).log_softmax(-1), p, reduction="sum") * (T * T / student.shape[0])


def by_loop(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    losses = []
    for s, t in zip(student, teacher.detach(), strict=True):
        log_p, log_q = t / T - torch.logsumexp(t / T, 0), s / T - torch.logsumexp(s / T, 0)
        losses.append(torch.dot(log_p.exp(), log_p - log_q))
    return torch.stack(losses).mean() * T**2


def by_distributions(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    p, q = (torch.distributions.Categorical(logits=z / T) for z in (teacher.detach(), student))
    return torch.distributions.kl_divergence(p, q).mean() * T**2


def in_float64(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return kd_loss(student.double(), teacher.double(), T).to(student.dtype)


class _ByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, T: float) -> Tensor:
        log_p, log_q = (teacher / T).log_softmax(1), (student / T).log_softmax(1)
        ctx.save_for_backward(T * (log_q.exp() - log_p.exp()) / len(student))
        return T**2 * (log_p.exp() * (log_p - log_q)).sum() / len(student)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return upstream * ctx.saved_tensors[0], None, None


def by_hand(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    loss: Tensor = _ByHand.apply(student, teacher, T)
    return loss


def loss(
    factor: Callable[[float], float] = lambda T: T**2,
    reduce: Callable[[Tensor], Tensor] = lambda terms: terms.sum(dim=1).mean(),
    soften_student: Callable[[float], float] = lambda T: T,
    soften_teacher: Callable[[float], float] = lambda T: T,
    axis: int = 1,
    terms: Callable[[Tensor, Tensor], Tensor] = lambda log_p, log_q: log_p.exp() * (log_p - log_q),
) -> Candidate:
    """An answer right in everything but the part that is given."""

    def answer(student: Tensor, teacher: Tensor, T: float) -> Tensor:
        log_p = (teacher.detach() / soften_teacher(T)).log_softmax(dim=axis)
        log_q = (student / soften_student(T)).log_softmax(dim=axis)
        return factor(T) * reduce(terms(log_p, log_q))

    return answer


def probabilities(epsilon: float = 0.0, least: float = 0.0) -> Candidate:
    """By the logarithm of a softmax."""

    def answer(student: Tensor, teacher: Tensor, T: float) -> Tensor:
        p, q = (teacher.detach() / T).softmax(1).clamp(min=least), (student / T).softmax(1).clamp(min=least)
        terms = p * ((p + epsilon).log() - (q + epsilon).log())
        return T**2 * terms.sum(1).mean()

    return answer


def naive(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    p, q = (torch.exp(z / T) for z in (teacher.detach(), student))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    return T**2 * (p * (p / q).log()).sum(1).mean()


def squared_logits(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    del T
    return (student - teacher.detach()).square().mean()


def difference(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    del T
    return (teacher.detach() - student).mean()


def teacher_learns(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    log_p, log_q = (teacher / T).log_softmax(1), (student / T).log_softmax(1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean()


def hard_teacher(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return T**2 * F.cross_entropy(student / T, teacher.detach().argmax(1))


def without_gradient(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return kd_loss(student.detach(), teacher, T)


def constant_normalizer(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    log_p = (teacher.detach() / T).log_softmax(1)
    log_q = student / T - torch.logsumexp(student.detach() / T, 1, keepdim=True)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean()


def in_place(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return kd_loss(student / T, teacher.detach().div_(T), 1.0) * T**2


def viewed(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return kd_loss(student.view(-1).view(student.shape), teacher, T)


def in_float32(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    return kd_loss(student.float(), teacher.float(), T).to(student.dtype)


def softmax_twice(student: Tensor, teacher: Tensor, T: float) -> Tensor:
    log_p = (teacher.detach() / T).softmax(1).log_softmax(1)
    log_q = (student / T).softmax(1).log_softmax(1)
    return T**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean()


TASK = Task(
    name="kd_loss",
    entry="distillation_dark_knowledge",
    statement=STATEMENT,
    starter=STARTER,
    reference=kd_loss,
    hints=HINTS,
    checks=(
        one_number,
        agreement_is_free,
        direction,
        over_rows,
        temperature,
        gradients,
        teacher_is_constant,
        any_size,
        memory,
        inputs_kept,
    ),
    wrong={
        "no T²": loss(factor=lambda T: 1.0),
        "T in place of T²": loss(factor=lambda T: T),
        "divided by T²": loss(factor=lambda T: 1 / T**2),
        "mean over classes too": loss(reduce=torch.mean),
        "sum over rows": loss(reduce=torch.sum),
        "one loss a row": loss(reduce=lambda terms: terms.sum(1)),
        "temperature on the teacher alone": loss(soften_student=lambda T: 1.0),
        "temperature on the student alone": loss(soften_teacher=lambda T: 1.0),
        "multiplied by T": loss(soften_student=lambda T: 1 / T, soften_teacher=lambda T: 1 / T),
        "softmax over the rows": loss(axis=0),
        "cross-entropy": loss(terms=lambda log_p, log_q: -log_p.exp() * log_q),
        "reverse KL": loss(terms=lambda log_p, log_q: log_q.exp() * (log_q - log_p)),
        "symmetric KL": loss(terms=lambda log_p, log_q: (log_p.exp() - log_q.exp()) * (log_p - log_q) / 2),
        "sign turned around": loss(terms=lambda log_p, log_q: log_p.exp() * (log_q - log_p)),
        "in bits": loss(terms=lambda log_p, log_q: log_p.exp() * (log_p - log_q) / math.log(2)),
        "squared error of probabilities": loss(terms=lambda log_p, log_q: (log_p.exp() - log_q.exp()) ** 2),
        "logarithm of a softmax": probabilities(),
        "1e-9 inside the logarithm": probabilities(epsilon=1e-9),
        "probabilities clamped at 1e-12": probabilities(least=1e-12),
        "exp without the maximum": naive,
        "squared error of logits": squared_logits,
        "teacher minus student": difference,
        "gradients to the teacher": teacher_learns,
        "the teacher's argmax as label": hard_teacher,
        "student detached": without_gradient,
        "normalizer cut off from autograd": constant_normalizer,
        "teacher divided in place": in_place,
        "view of the student": viewed,
        "float32 inside": in_float32,
        "softmax twice": softmax_twice,
        "torch.distributions, infinite where a probability underflows": by_distributions,
    },
    also_right={
        "kl_div of log-probabilities": by_kl_div,
        "kl_div of probabilities, summed": by_probabilities,
        "one row at a time": by_loop,
        "float64 inside": in_float64,
        "the gradient by hand": by_hand,
    },
    asked=2,
)
