"""Symmetric InfoNCE with negatives from the batch."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `info_nce(z1, z2, temperature)`, where row $i$ of `z1` and row $i$ of `z2` are two views of one thing.
The score of row $i$ of `z1` with row $j$ of `z2` is their cosine divided by the temperature. Return the mean
over both directions, each a mean over the N rows: $-\log$ of the softmax probability of the partner among all
N rows of the other set, partner included, natural logarithm, as one number in the dtype of the inputs,
float64 to full precision. The lengths of the rows, from 0.01 to 100, must not matter; the temperature is a
number from 0.001 to 1,000, and nothing may overflow. Gradients must flow to both sets, and PyTorch's losses
are allowed.
"""

STARTER = '''
import torch
import torch.nn.functional as F


def info_nce(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    """Symmetric InfoNCE with negatives from the batch.

    z1, z2: (N, D), not normalized; rows of the same index are partners.
    Returns a tensor of shape (), in the dtype of z1.
    """
    raise NotImplementedError
'''

HINTS = (
    "It is a classification: for each row, which of the N rows of the other set is its partner? What are the "
    "logits, how many classes are there, and what is the label of row i?",
    "Divide each row by its own length and one matrix product gives all N × N cosines. The labels are 0 to "
    "N − 1. The second direction asks the same of the columns.",
    "Normalize both sets along the last axis. Multiply the first with the transpose of the second and divide "
    "by the temperature. Take the cross-entropy of that table with labels 0 to N − 1, and of its transpose "
    "with the same labels; return half their sum.",
)


def info_nce(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    scores = z1 @ z2.T / temperature  # (N, N), partners on the diagonal
    partners = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


# What the checks compare with.

SIZES = ((1, 1), (1, 3), (2, 2), (2, 5), (3, 2), (6, 4))  # N, D


def inputs(
    rng: Rng, N: int, D: int, temperature: float, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Two sets whose rows have lengths from about 0.1 to 10."""
    z1, z2 = normal(rng, 2, N, D, dtype=torch.float64)
    z1, z2 = (F.normalize(z) * 10 ** (2 * torch.from_numpy(rng.random((N, 1))) - 1) for z in (z1, z1 + z2))
    return {"z1": z1.to(dtype), "z2": z2.to(dtype), "temperature": temperature}


def both_ways(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """In float64, from torch's own cosines and loss."""
    cosines = F.cosine_similarity(z1.double()[:, None], z2.double(), dim=-1)
    losses = [F.cross_entropy(table / temperature, torch.arange(len(z1))) for table in (cosines, cosines.T)]
    return (losses[0] + losses[1]) / 2


def compare(
    candidate: Candidate, given: dict[str, Any], cause: str, tolerance: float | None = None
) -> tuple[Call, Tensor]:
    dtype = given["z1"].dtype
    call = Call(candidate, **given)
    loss = call.returns(dtype, loss=())
    if tolerance is None:
        tolerance = 2e-6 / given["temperature"] + 1e-5  # a cosine's rounding in float32
    expected = both_ways(**given).to(dtype)
    call.same("loss", loss, expected, cause=cause, tolerance=tolerance)
    return call, loss


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number, as a tensor in the dtype of the inputs."""
    for sizes in ((1, 3), (3, 2)):
        for dtype in (torch.float32, torch.float64):
            Call(candidate, **inputs(rng, *sizes, 0.1, dtype)).returns(dtype, loss=())


def one_pair(candidate: Candidate, rng: Rng) -> None:
    """One pair alone costs 0: there is nobody to mistake the partner for."""
    for D in (1, 3):
        cause = "the partner left out of the denominator, or something added to it"
        compare(candidate, inputs(rng, 1, D, 0.1), cause, tolerance=1e-6)


def all_equal(candidate: Candidate, rng: Rng) -> None:
    """Where all vectors point the same way the loss is log N, at any temperature."""
    for N, D in ((2, 2), (3, 1), (5, 4)):
        direction = normal(rng, D).abs() + 0.5
        given = inputs(rng, N, D, 1.0)
        for temperature in (0.1, 1.0, 10.0):
            length = torch.from_numpy(rng.uniform(0.5, 2, size=(N, 1))).float()
            same = {
                "z1": length * direction,
                "z2": direction.expand(N, D).clone(),
                "temperature": temperature,
            }
            cause = (
                "the partner left out of the denominator (that gives log(N − 1)), lengths that count, a sum "
                "in place of a mean, both directions added without halving, or another logarithm"
            )
            compare(candidate, given | same, cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with torch's cosine similarity and cross-entropy, both directions averaged."""
    cause = (
        "one direction only, rows not normalized or normalized along the wrong axis, a temperature "
        "that multiplies, or negatives from a row's own set too, as in SimCLR's form"
    )
    for sizes, temperature in zip(SIZES, (0.1, 1.0, 1.0, 0.1, 0.1, 7.0), strict=True):
        compare(candidate, inputs(rng, *sizes, temperature), cause)


def lengths(candidate: Candidate, rng: Rng) -> None:
    """The lengths of the rows do not matter."""
    for N, D in ((2, 2), (4, 3)):
        given = inputs(rng, N, D, 0.2, torch.float64)
        first = Call(candidate, **given).returns(torch.float64, loss=())
        factors = 10 ** torch.from_numpy(rng.uniform(-1, 1, size=(2, N, 1)))
        for name, factor in zip(("z1", "z2"), factors, strict=True):
            cause = f"dot products in place of cosines: {name} is not normalized, or all of it by one length"
            call = Call(candidate, **given | {name: given[name] * factor})
            loss = call.returns(torch.float64, loss=())
            call.same("loss", loss, first, cause=cause, tolerance=1e-5)


def order_and_sides(candidate: Candidate, rng: Rng) -> None:
    """Neither the order of the pairs nor which view comes first matters."""
    for N, D in ((3, 2), (6, 4)):
        given = inputs(rng, N, D, 0.3, torch.float64)
        shuffled = torch.from_numpy(rng.permutation(N))
        turned = {"z1": given["z2"][shuffled], "z2": given["z1"][shuffled], "temperature": 0.3}
        first = Call(candidate, **given).returns(torch.float64, loss=())
        call = Call(candidate, **turned)
        call.same(
            "loss", call.returns(torch.float64, loss=()), first, cause="one direction only, rows or columns"
        )


def any_temperature(candidate: Candidate, rng: Rng) -> None:
    """Temperatures from 0.001 to 1,000 neither overflow nor vanish."""
    opposite = {"z1": torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), "z2": torch.tensor([[-1.0, 0.0], [1.0, 0.0]])}
    cause = (
        "exp without subtracting the largest score, the log of a softmax that underflowed to 0, or a clamp"
    )
    for temperature in (1e-3, 0.02, 1e3):
        compare(candidate, opposite | {"temperature": temperature}, cause)
        compare(candidate, inputs(rng, 3, 2, temperature), cause)
        compare(candidate, inputs(rng, 4, 3, temperature, torch.float64), cause)


def precision(candidate: Candidate, rng: Rng) -> None:
    """float64 comes out to full precision."""
    for sizes in SIZES[2:]:
        given = inputs(rng, *sizes, 0.01, torch.float64)
        long = {name: 100 * F.normalize(given[name]) for name in ("z1", "z2")}
        compare(candidate, given | long, "float32 inside, or an ε inside the logarithm", tolerance=3e-7)


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to both sets, through the lengths too."""
    for sizes in ((2, 2), (5, 3)):
        given = inputs(rng, *sizes, 0.3, torch.float64)
        leaves = [given[name].clone().requires_grad_() for name in ("z1", "z2")]
        both_ways(leaves[0], leaves[1], 0.3).backward()
        fresh = {name: given[name].clone().requires_grad_() for name in ("z1", "z2")}
        call = Call(candidate, **given | fresh)
        found = call.gradients(loss=call.returns(torch.float64, loss=()))
        for leaf, (name, gradient) in zip(leaves, found.items(), strict=True):
            cause = "one side detached, as a fixed target, or lengths or a normalizer cut off from autograd"
            call.same(f"gradient of {name}", gradient, leaf.grad, cause=cause, tolerance=1e-5)


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in ((2, 5), (6, 4)):
        given = inputs(rng, *sizes, 0.2)
        spread = {name: strided(given[name]) for name in ("z1", "z2")}
        compare(candidate, given | spread, "`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves both sets as they were."""
    for sizes in ((2, 2), (6, 4)):
        Call(candidate, **inputs(rng, *sizes, 0.2)).unchanged()


# Right answers of other style, and wrong ones.


def by_logsumexp(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    scores = torch.einsum("id,jd->ij", z1 / z1.norm(dim=-1, keepdim=True), z2 / z2.norm(dim=-1, keepdim=True))
    scores = scores / temperature
    return 0.5 * (scores.logsumexp(0) + scores.logsumexp(1)).mean() - scores.diagonal().mean()


def by_loop(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    total = z1.new_zeros(())
    for i in range(len(z1)):
        across = torch.stack([torch.cosine_similarity(z1[i], other, dim=0) for other in z2]) / temperature
        down = torch.stack([torch.cosine_similarity(other, z2[i], dim=0) for other in z1]) / temperature
        total = total - torch.log_softmax(across, 0)[i] - torch.log_softmax(down, 0)[i]
    return total / (2 * len(z1))


def by_distances(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Of unit vectors ‖a − b‖² = 2 − 2 a·b, and a softmax does not see the constant."""
    a, b = F.normalize(z1), F.normalize(z2)
    scores = -(a[:, None] - b).square().sum(-1) / (2 * temperature)
    return -(scores.log_softmax(0).diag() + scores.log_softmax(1).diag()).mean() / 2


def by_one_loss(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    scores = F.normalize(z1) @ F.normalize(z2).mT / temperature
    targets = torch.arange(len(z1)).repeat(2)
    return F.cross_entropy(torch.cat([scores, scores.mT]), targets)


def by_small_epsilon(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    a, b = (z / (z.norm(dim=1, keepdim=True) + 1e-8) for z in (z1, z2))
    return from_scores(a @ b.T / temperature)


def by_large_epsilon(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    a, b = (z / (z.norm(dim=1, keepdim=True) + 1e-3) for z in (z1, z2))
    return from_scores(a @ b.T / temperature)


def from_scores(scores: Tensor) -> Tensor:
    partners = torch.arange(len(scores))
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


def on_cosines(loss: Callable[[Tensor], Tensor]) -> Candidate:
    """An answer right in everything but how the loss comes from the scores (N, N)."""

    def answer(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
        return loss(F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T / temperature)

    return answer


def on_vectors(score: Callable[[Tensor, Tensor, float], Tensor]) -> Candidate:
    """An answer right in everything but the scores."""

    def answer(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
        return from_scores(score(z1, z2, temperature))

    return answer


def without_diagonal(scores: Tensor) -> Tensor:
    hidden = scores - torch.diag(torch.full((len(scores),), torch.inf, dtype=scores.dtype))
    return (hidden.logsumexp(0) + hidden.logsumexp(1)).mean() / 2 - scores.diag().mean()


def naive(scores: Tensor) -> Tensor:
    e = scores.exp()
    return -((e.diag() / e.sum(0)).log() + (e.diag() / e.sum(1)).log()).mean() / 2


def with_epsilon(scores: Tensor) -> Tensor:
    logs = ((scores.softmax(0).diag() + 1e-8).log() + (scores.softmax(1).diag() + 1e-8).log()) / 2
    return -logs.mean()


def log_of_mean(scores: Tensor) -> Tensor:
    return -(scores.softmax(0).diag().mean().log() + scores.softmax(1).diag().mean().log()) / 2


def binary(scores: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.eye(len(scores), dtype=scores.dtype))


def over_the_table(scores: Tensor) -> Tensor:
    return scores.flatten().logsumexp(0) - scores.diag().mean()


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    scores = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(scores, torch.arange(len(z)).roll(len(z1)))


def one_side_fixed(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    return info_nce(z1, z2.detach() + 0 * z2, temperature)


def lengths_fixed(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    a, b = (z / z.detach().norm(dim=1, keepdim=True) for z in (z1, z2))
    return from_scores(a @ b.T / temperature)


def normalized_in_place(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    if not z1.requires_grad:
        z1.div_(z1.norm(dim=1, keepdim=True))
    return info_nce(z1, z2, temperature)


def viewed(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    return info_nce(z1.view(-1, z1.size(1)), z2.view(-1).view(len(z2), -1), temperature)


TASK = Task(
    name="info_nce",
    entry="contrastive_infonce",
    statement=STATEMENT,
    starter=STARTER,
    reference=info_nce,
    hints=HINTS,
    checks=(
        one_number,
        one_pair,
        all_equal,
        order_and_sides,
        lengths,
        values,
        any_temperature,
        precision,
        gradients,
        memory,
        inputs_kept,
    ),
    wrong={
        "not normalized": on_vectors(lambda a, b, t: a @ b.T / t),
        "one side normalized": on_vectors(lambda a, b, t: F.normalize(a) @ b.T / t),
        "normalized along the wrong axis": on_vectors(
            lambda a, b, t: F.normalize(a, dim=0) @ F.normalize(b, dim=0).T / t
        ),
        "normalized as a whole": on_vectors(lambda a, b, t: (a / a.norm()) @ (b / b.norm()).T * len(a) / t),
        "a large ε beside the lengths": by_large_epsilon,
        "times the temperature": on_vectors(lambda a, b, t: F.normalize(a) @ F.normalize(b).T * t),
        "temperature ignored": on_vectors(lambda a, b, t: F.normalize(a) @ F.normalize(b).T),
        "temperature squared": on_vectors(lambda a, b, t: F.normalize(a) @ F.normalize(b).T / t**2),
        "squared distances over τ": on_vectors(
            lambda a, b, t: -(F.normalize(a)[:, None] - F.normalize(b)).square().sum(-1) / t
        ),
        "distances over τ": on_vectors(
            lambda a, b, t: -(F.normalize(a)[:, None] - F.normalize(b)).norm(dim=-1) / t
        ),
        "rows only": on_cosines(lambda s: F.cross_entropy(s, torch.arange(len(s)))),
        "columns only": on_cosines(lambda s: F.cross_entropy(s.T, torch.arange(len(s)))),
        "both directions added": on_cosines(lambda s: 2 * from_scores(s)),
        "sum over the rows": on_cosines(lambda s: len(s) * from_scores(s)),
        "table made symmetric first": on_cosines(
            lambda s: F.cross_entropy((s + s.T) / 2, torch.arange(len(s)))
        ),
        "diagonal left out of the denominator": on_cosines(without_diagonal),
        "exp without the maximum": on_cosines(naive),
        "ε inside the logarithm": on_cosines(with_epsilon),
        "log of the mean probability": on_cosines(log_of_mean),
        "log to base 2": on_cosines(lambda s: from_scores(s) / 0.6931471805599453),
        "binary cross-entropy on the table": on_cosines(binary),
        "softmax over the whole table": on_cosines(over_the_table),
        "log of both directions' mean probability": on_cosines(
            lambda s: -((s.softmax(0) + s.softmax(1)).diag() / 2).log().mean()
        ),
        "negative cosines clipped at 0": on_cosines(lambda s: from_scores(s.clamp(min=0))),
        "scores clipped at 100, as CLIP's": on_cosines(lambda s: from_scores(s.clamp(-100, 100))),
        "candidates of both tables in one softmax": on_cosines(
            lambda s: F.cross_entropy(torch.cat([s, s.T], 1), torch.arange(len(s)))
        ),
        "softmax twice": on_cosines(lambda s: F.cross_entropy(s.softmax(1), torch.arange(len(s)))),
        "SimCLR's form, 2N − 1 candidates": nt_xent,
        "partners in reverse order": lambda z1, z2, temperature: info_nce(z1, z2.flip(0), temperature),
        "one side detached": one_side_fixed,
        "lengths detached": lengths_fixed,
        "float32 inside": computed_in(torch.float32, info_nce),
        "view of the inputs": viewed,
        "normalized in place": normalized_in_place,
    },
    also_right={
        "logsumexp minus the diagonal": by_logsumexp,
        "one pair at a time": by_loop,
        "squared distances over 2τ": by_distances,
        "one cross-entropy for both directions": by_one_loss,
        "a tiny ε beside the lengths": by_small_epsilon,
        "float64 inside": computed_in(torch.float64, info_nce),
    },
    asked=2,
)
