"""Distillation: a student's next-token or class distribution is pulled towards a teacher's.

All functions take logits with the V classes on the last axis, and any axes before it: a row is one
distribution, and losses are means over rows. `counts` leaves rows out, such as padding: they add nothing to a
loss and get exactly zero gradient, whatever stands there. Where no row counts the loss is 0.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lmprep.training.loop import fit
from lmprep.training.optim import Adam


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
    (s − t) / (V · rows), where each row's mean is subtracted from the logits s and t.

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


def train_students(
    start: nn.Module, lessons: Sequence[tuple[Tensor, Tensor, float]], *, rate: float, batch_size: int = 64
) -> nn.ModuleList:
    """Copies of `start`, one for each lesson, trained by `kd_loss`; they differ in nothing but the lesson.

    Each reads its lesson once, in the order given, `batch_size` rows a step: Adam, and a learning rate that
    falls in a straight line from `rate` to 0.

    Args:
        start: the student, which itself stays as it is.
        lessons: each what the student reads, (N, …), the teacher's logits (N, V) for it, and the temperature;
            N is the same for all. A hard label is a teacher with logit 0 for its class and −∞ for the rest.
        rate: the first learning rate.
        batch_size: rows of a step; a rest of N that fills no batch is left out.

    Returns:
        The students in eval mode, in the order of their lessons.

    Raises:
        ValueError: there is no lesson, their lengths differ, or no batch is full.
    """
    lengths = {len(part) for x, t, _ in lessons for part in (x, t)}
    if len(lengths) != 1 or not 1 <= batch_size <= min(lengths):
        raise ValueError(f"lessons must be of one length, at least batch_size={batch_size}, "
                         f"got lengths {sorted(lengths)}")  # fmt: skip
    students = nn.ModuleList(copy.deepcopy(start) for _ in lessons)
    num_steps = min(lengths) // batch_size

    def loss(students: nn.ModuleList, rows: slice) -> Tensor:  # the students share no weight
        pairs = zip(students, lessons, strict=True)
        return torch.stack([kd_loss(student(x[rows]), t[rows], T) for student, (x, t, T) in pairs]).sum()

    fit(students, lambda step: slice(batch_size * step, batch_size * (step + 1)), loss,
        optimizer=Adam(students.parameters(), lr=rate), num_steps=num_steps,
        schedule=lambda step: 1 - step / num_steps)  # fmt: skip
    return students


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ p (log p − log q) over all rows, where a class of probability 0 adds 0, also to gradients."""
    never = log_p == -math.inf
    difference = log_p.masked_fill(never, 0.0) - log_q.masked_fill(never, 0.0)
    p = log_p.exp()
    underflow = (p == 0) & difference.isinf()  # p is above 0, times infinity
    return (p * difference).masked_fill(underflow, math.inf).sum()


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
