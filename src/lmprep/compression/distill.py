"""Distillation: a student's next-token or class distribution is pulled towards a teacher's.

All functions take logits with the V classes on the last axis, and any axes before it: a row is one
distribution, and losses are means over rows. `counts` leaves rows out, such as padding: they add nothing to a
loss and get exactly zero gradient, whatever stands there. Where no row counts the loss is 0.
"""

import math

import torch
from torch import Tensor


def kd_loss(student: Tensor, teacher: Tensor, T: float = 1.0, *, counts: Tensor | None = None) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)) in nats, averaged over the rows that count.

    The teacher gets no gradient. With hard labels, add a `cross_entropy` at temperature 1 yourself.

    Args:
        student, teacher: logits (…, V) of one shape. Half precision is computed and returned in float32. A
            teacher's logit of −∞ rules its class out: the student loses what it puts there, and no more.
        T: the temperature, above 0, of both.
        counts: (…) bool, the rows to average over; all by default.

    Returns:
        A scalar; infinite where the student rules out a class that the teacher does not.

    Raises:
        TypeError: logits are not floating point, or counts not bool.
        ValueError: shapes do not fit, there is no class, or T is not positive and finite.

    Source: Hinton, Vinyals and Dean (2015).
    """
    student, teacher = _rows(student, teacher, T, counts)  # (N, V) each
    log_p = (teacher.detach() / T).log_softmax(dim=-1)
    log_q = (student / T).log_softmax(dim=-1)
    return T**2 * _kl(log_p, log_q) / max(len(student), 1)


def kd_grad(student: Tensor, teacher: Tensor, T: float = 1.0) -> Tensor:
    """The gradient of `kd_loss` with respect to the student's logits: T · (q − p) / number of rows.

    p and q are the teacher's and the student's softmax at temperature T. As T grows this tends to
    (s − t) / (V · rows), with the mean of each row subtracted from the student's logits s and the teacher's t.

    Args:
        student, teacher, T: as for `kd_loss`, with at least one row.

    Returns:
        (…, V), the shape of student.

    Raises:
        TypeError, ValueError: as `kd_loss`; or there is no row.

    Source: Hinton, Vinyals and Dean (2015), equations 2 to 4, times T².
    """
    s, t = _rows(student, teacher, T, None)
    if not len(s):
        raise ValueError(f"student must have at least one row, got shape {tuple(student.shape)}")
    gradient = T * ((s / T).softmax(dim=-1) - (t / T).softmax(dim=-1)) / len(s)
    return gradient.reshape(student.shape)


def reverse_kl(student: Tensor, teacher: Tensor, *, counts: Tensor | None = None) -> Tensor:
    """KL(softmax(student) ‖ softmax(teacher)) in nats: `kd_loss` at T = 1 with the roles exchanged.

    The average is over what the student would say, so it pays for what the teacher would not say, and not for
    what it leaves out itself. Infinite where the teacher rules out a class that the student does not.

    Args, Returns, Raises: as for `kd_loss`.

    Source: Gu et al. (2024) distill language models with it.
    """
    student, teacher = _rows(student, teacher, 1.0, counts)
    return _kl(student.log_softmax(dim=-1), teacher.detach().log_softmax(dim=-1)) / max(len(student), 1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ p (log p − log q) over all rows, where a class of probability 0 adds 0, also to gradients."""
    never = log_p == -math.inf
    difference = log_p.masked_fill(never, 0.0) - log_q.masked_fill(never, 0.0)
    return (log_p.exp() * difference).sum()


def _rows(student: Tensor, teacher: Tensor, T: float, counts: Tensor | None) -> tuple[Tensor, Tensor]:
    """The rows that count, (N, V) each, in at least float32."""
    for name, logits in (("student", student), ("teacher", teacher)):
        if not logits.is_floating_point():
            raise TypeError(f"{name} must be floating-point logits, got {logits.dtype}")
    if student.ndim == 0 or student.size(-1) == 0:
        raise ValueError(f"student must have a class on its last axis, got shape {tuple(student.shape)}")
    if teacher.shape != student.shape:
        raise ValueError(f"teacher must have the student's shape {tuple(student.shape)}, class by class, "
                         f"got {tuple(teacher.shape)}")  # fmt: skip
    if not 0 < T < math.inf:
        raise ValueError(f"T must be positive and finite, got {T}")
    if counts is None:
        student, teacher = student.reshape(-1, student.size(-1)), teacher.reshape(-1, teacher.size(-1))
    else:
        if counts.dtype != torch.bool:
            raise TypeError(f"counts must be bool, got {counts.dtype}")
        if counts.shape != student.shape[:-1]:
            raise ValueError(f"counts must have shape {tuple(student.shape[:-1])}, a value per row, "
                             f"got {tuple(counts.shape)}")  # fmt: skip
        student, teacher = student[counts], teacher[counts]
    dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
    return student.to(dtype), teacher.to(dtype)
