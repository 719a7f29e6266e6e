"""CLIP's loss: both directions, a learned scale, and captions that occur twice."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `clip_loss(images, texts, logit_scale, captions=None)`, where row $i$ of `images` and row $i$ of `texts`
belong together. The score of image $i$ with text $j$ is their cosine times $e^s$, with $s$ in `logit_scale`,
a tensor of shape () and the images' dtype, from −5 to 7 and not to be clamped. Return the mean over both
directions, each a mean over N, of $-\log$ of the partner's softmax probability, as one number in the dtype
of the images, float64 to full precision. If `captions` is given, whole numbers of shape (N,), then pairs
$i \ne j$ with equal numbers are no negatives for each other and their scores are left out of both softmaxes,
while the partner itself always counts. The lengths of the rows, from 0.01 to 100, must not matter, and
nothing may overflow. Gradients must flow to `images`, `texts` and `logit_scale`, and PyTorch's losses are
allowed.
"""

STARTER = '''
import torch
import torch.nn.functional as F


def clip_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    logit_scale: torch.Tensor,
    captions: torch.Tensor | None = None,
) -> torch.Tensor:
    """CLIP's loss with in-batch negatives.

    images, texts: (N, D), not normalized; rows of the same index belong together.
    logit_scale: (), the logarithm of the factor. captions: (N,) whole numbers, or None.
    Returns a tensor of shape (), in the dtype of images.
    """
    raise NotImplementedError
'''

HINTS = (
    "Without captions it is a classification with N classes, asked once for each row and once for each "
    "column of one table. What is the logit of row i and class j, and which class is right?",
    "Normalize the rows of both, multiply them out to (N, N), and multiply by e to the logit_scale. "
    "Compare every caption with every other to get an (N, N) mask. What must stand on its diagonal?",
    "Where captions are equal but the index differs, set the score to minus infinity, so that it has "
    "weight zero in either softmax. Take the cross-entropy of the table with labels 0 to N − 1, and of its "
    "transpose with the same labels, and return half their sum.",
)


def clip_loss(
    images: torch.Tensor,
    texts: torch.Tensor,
    logit_scale: torch.Tensor,
    captions: torch.Tensor | None = None,
) -> torch.Tensor:
    scores = logit_scale.exp() * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T  # (N, N)
    partners = torch.arange(len(scores), device=scores.device)
    if captions is not None:
        twins = (captions[:, None] == captions) & (partners[:, None] != partners)
        scores = scores.masked_fill(twins, -torch.inf)
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


# What the checks compare with.

SIZES = ((1, 1), (1, 3), (2, 2), (2, 5), (3, 2), (6, 4))  # N, D


def inputs(
    rng: Rng, N: int, D: int, logit_scale: float, dtype: torch.dtype = torch.float32, groups: int = 0
) -> dict[str, Any]:
    """Rows with lengths from about 0.1 to 10; with groups, so many captions at most."""
    a, b = normal(rng, 2, N, D, dtype=torch.float64)
    a, b = (F.normalize(z) * 10 ** (2 * torch.from_numpy(rng.random((N, 1))) - 1) for z in (a, a + b))
    given = {
        "images": a.to(dtype),
        "texts": b.to(dtype),
        "logit_scale": torch.tensor(logit_scale, dtype=dtype),
    }
    if groups:
        given["captions"] = torch.from_numpy(rng.integers(0, groups, N) * 7 - 5)
    return given


def by_questions(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    """In float64, as log-sum-exp over the candidates of each question minus the partner's score."""
    table = F.cosine_similarity(images.double()[:, None], texts.double(), dim=-1) * logit_scale.double().exp()
    names = torch.arange(len(table)) if captions is None else captions
    kept = (names[:, None] != names) | torch.eye(len(table), dtype=torch.bool)
    table = torch.where(kept, table, -torch.inf)
    return (table.logsumexp(0) + table.logsumexp(1) - 2 * table.diagonal()).mean() / 2


def compare(candidate: Candidate, given: dict[str, Any], cause: str, tolerance: float | None = None) -> None:
    dtype = given["images"].dtype
    call = Call(candidate, **given)
    loss = call.returns(dtype, loss=())
    if tolerance is None:
        tolerance = 2e-6 * float(given["logit_scale"].exp()) + 1e-5  # a cosine's rounding in float32
    call.same("loss", loss, by_questions(**given).to(dtype), cause=cause, tolerance=tolerance)


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number, as a tensor in the dtype of the images."""
    for sizes in ((1, 3), (3, 2)):
        for dtype in (torch.float32, torch.float64):
            for groups in (0, 2):
                Call(candidate, **inputs(rng, *sizes, 2.0, dtype, groups)).returns(dtype, loss=())


def all_equal(candidate: Candidate, rng: Rng) -> None:
    """Where all vectors point the same way the loss is log N, at any scale."""
    for N, D in ((1, 2), (3, 1), (5, 4)):
        direction = normal(rng, D).abs() + 0.5
        for logit_scale in (-2.0, 3.0):
            given = inputs(rng, N, D, logit_scale)
            length = torch.from_numpy(rng.uniform(0.5, 2, size=(N, 1))).float()
            same = {"images": length * direction, "texts": direction.expand(N, D).clone()}
            cause = "lengths that count, a sum in place of a mean, or both directions added without halving"
            compare(candidate, given | same, cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Without captions: agrees with the definition, question by question."""
    cause = (
        "one direction only or the same one twice, rows not normalized, or the scale: its exponential "
        "multiplies the cosines"
    )
    for sizes, logit_scale in zip(SIZES, (2.0, -1.0, 0.5, 2.0, 3.0, -0.5), strict=True):
        compare(candidate, inputs(rng, *sizes, logit_scale), cause)


def twins(candidate: Candidate, rng: Rng) -> None:
    """With captions: pairs with the same number are left out of both softmaxes, the partner is not."""
    cause = (
        "a mask on one direction only, on the diagonal too, a score of 0 in place of minus infinity, twins "
        "counted as right answers, or twins removed from the batch"
    )
    for N, D, groups in ((2, 2, 1), (4, 3, 2), (7, 2, 3)):
        for logit_scale in (0.5, 2.5):
            compare(candidate, inputs(rng, N, D, logit_scale, groups=groups), cause)


def same_caption(candidate: Candidate, rng: Rng) -> None:
    """Where all captions are equal nobody is a negative, and the loss is 0."""
    for N in (2, 5):
        given = inputs(rng, N, 3, 2.0)
        given["captions"] = torch.full((N,), 4)
        compare(candidate, given, "the partner masked too, or twins still in the denominator", 1e-6)


def different_captions(candidate: Candidate, rng: Rng) -> None:
    """Where all captions differ they change nothing."""
    for N in (1, 2, 5):
        given = inputs(rng, N, 3, 2.0)
        given["captions"] = torch.from_numpy(rng.permutation(N)) - 2
        compare(
            candidate, given, "captions taken as indices of partners, or 0 or negative numbers as no caption"
        )


def any_scale(candidate: Candidate, rng: Rng) -> None:
    """Scales from −5 to 7 neither overflow nor vanish, and are not clamped."""
    cause = (
        "exp without subtracting the largest score, the log of a softmax that underflowed to 0, or a clamp"
    )
    opposite = {
        "images": torch.tensor([[1.0, 0.0], [-1.0, 0.0]]),
        "texts": torch.tensor([[-1.0, 0.0], [1.0, 0.0]]),
    }
    for logit_scale in (-5.0, 7.0):
        far = opposite | {"logit_scale": torch.tensor(logit_scale)}
        compare(candidate, far, cause)
        finite = "a finite score for twins, which is no longer below the partner's"
        compare(candidate, far | {"captions": torch.tensor([3, 3])}, finite)
        compare(candidate, inputs(rng, 3, 2, logit_scale), cause)
        compare(candidate, inputs(rng, 4, 3, logit_scale, torch.float64, groups=2), cause)


def precision(candidate: Candidate, rng: Rng) -> None:
    """float64 comes out to full precision."""
    for sizes in SIZES[3:]:
        for groups in (0, 2):
            given = inputs(rng, *sizes, 4.0, torch.float64, groups)
            given["texts"] = normal(rng, *sizes, dtype=torch.float64)  # strangers: the loss is large
            long = {name: 100 * F.normalize(given[name]) for name in ("images", "texts")}
            compare(candidate, given | long, "float32 inside, or an ε inside the logarithm", tolerance=1e-8)


def lengths(candidate: Candidate, rng: Rng) -> None:
    """Rows from 0.01 to 100 long give the same loss."""
    for N, D in ((2, 2), (4, 3)):
        given = inputs(rng, N, D, 2.0, torch.float64)
        exponents = torch.from_numpy(rng.uniform(-2, 2, size=(2, N, 1)))
        for name, exponent in zip(("images", "texts"), exponents, strict=True):
            cause = f"dot products in place of cosines: {name} is not normalized, or all of it by one length"
            scaled = given | {name: F.normalize(given[name]) * 10**exponent}
            compare(candidate, scaled, cause, tolerance=1e-5)


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to images, texts and logit_scale."""
    for sizes, groups in (((2, 2), 0), ((5, 3), 3)):
        given = inputs(rng, *sizes, 1.0, torch.float64, groups)
        names = ("images", "texts", "logit_scale")
        want = {name: given[name].clone().requires_grad_() for name in names}
        by_questions(**given | want).backward()
        fresh = {name: given[name].clone().requires_grad_() for name in names}
        call = Call(candidate, **given | fresh)
        found = call.gradients(loss=call.returns(torch.float64, loss=()))
        for name in names:
            cause = "a side detached, the scale turned into a Python number, or lengths cut off from autograd"
            call.same(f"gradient of {name}", found[name], want[name].grad, cause=cause, tolerance=1e-6)


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in ((2, 5), (6, 4)):
        given = inputs(rng, *sizes, 1.5, groups=2)
        spread = {name: strided(given[name]) for name in ("images", "texts")}
        compare(candidate, given | spread, "`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves what it is given as it was."""
    for groups in (0, 2):
        Call(candidate, **inputs(rng, 4, 3, 1.5, groups=groups)).unchanged()


# Right answers of other style, and wrong ones.


def by_logsumexp(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    a, b = (z / z.norm(dim=-1, keepdim=True) for z in (images, texts))
    scores = torch.einsum("id,jd->ij", a, b) * torch.exp(logit_scale)
    N = len(scores)
    keep = torch.eye(N, dtype=torch.bool)
    keep = keep | (captions.view(-1, 1) != captions.view(1, -1)) if captions is not None else keep | True
    kept = torch.where(keep, scores, torch.full_like(scores, float("-inf")))
    return 0.5 * (kept.logsumexp(0) + kept.logsumexp(1)).mean() - scores.diagonal().mean()


def by_large_penalty(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    scores = F.normalize(images) @ F.normalize(texts).mT * logit_scale.exp()
    if captions is not None:
        penalty = (captions[None] == captions[:, None]).to(scores.dtype) - torch.eye(
            len(scores), dtype=scores.dtype
        )
        scores = scores - 1e9 * penalty
    return -(scores.log_softmax(0).diag() + scores.log_softmax(1).diag()).mean() / 2


def by_one_loss(images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None) -> Tensor:
    scores = F.normalize(images) @ F.normalize(texts).mT / (-logit_scale).exp()
    if captions is not None:
        for i, j in torch.nonzero(captions[:, None] == captions).tolist():
            if i != j:
                scores[i, j] = -torch.inf
    return F.cross_entropy(torch.cat([scores, scores.mT]), torch.arange(len(scores)).repeat(2))


def on(
    score: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    mask: Callable[[Tensor, Tensor], Tensor] | None = None,
    loss: Callable[[Tensor], Tensor] | None = None,
) -> Candidate:
    """An answer right in everything but what is given."""
    score, mask, loss = score or right_scores, mask or right_mask, loss or from_scores

    def answer(images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None) -> Tensor:
        scores = score(images, texts, logit_scale)
        return loss(scores if captions is None else mask(scores, captions))

    return answer


def right_scores(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    return F.normalize(a) @ F.normalize(b).T * s.exp()


def right_mask(scores: Tensor, captions: Tensor) -> Tensor:
    return scores.masked_fill(twins_of(captions), -torch.inf)


def twins_of(captions: Tensor) -> Tensor:
    return (captions[:, None] == captions) & ~torch.eye(len(captions), dtype=torch.bool)


def from_scores(scores: Tensor) -> Tensor:
    partners = torch.arange(len(scores))
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


def naive(scores: Tensor) -> Tensor:
    e = scores.exp()
    return -((e.diag() / e.sum(0)).log() + (e.diag() / e.sum(1)).log()).mean() / 2


def masked_rows_only(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    scores, partners = right_scores(images, texts, logit_scale), torch.arange(len(images))
    rows = scores if captions is None else right_mask(scores, captions)
    return (F.cross_entropy(rows, partners) + F.cross_entropy(scores.T, partners)) / 2


def soft_targets(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    scores = right_scores(images, texts, logit_scale)
    names = torch.arange(len(scores)) if captions is None else captions
    share = (names[:, None] == names).to(scores.dtype)
    share = share / share.sum(1, keepdim=True)
    return (F.cross_entropy(scores, share) + F.cross_entropy(scores.T, share)) / 2


def first_of_each(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    if captions is not None:
        first = ~torch.tril(captions[:, None] == captions, -1).any(1)
        images, texts = images[first], texts[first]
    return clip_loss(images, texts, logit_scale)


def normalized_in_place(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    if not images.requires_grad:
        images.div_(images.norm(dim=1, keepdim=True))
    return clip_loss(images, texts, logit_scale, captions)


def one_side_fixed(
    images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None
) -> Tensor:
    return clip_loss(images, texts.detach() + 0 * texts, logit_scale, captions)


def scale_fixed(images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None) -> Tensor:
    return clip_loss(images, texts, logit_scale.detach() + 0 * logit_scale, captions)


def viewed(images: Tensor, texts: Tensor, logit_scale: Tensor, captions: Tensor | None = None) -> Tensor:
    return clip_loss(images.view(-1).view(images.shape), texts, logit_scale, captions)


TASK = Task(
    name="clip_loss",
    entry="clip_multimodal",
    statement=STATEMENT,
    starter=STARTER,
    reference=clip_loss,
    hints=HINTS,
    checks=(
        one_number,
        all_equal,
        lengths,
        values,
        same_caption,
        different_captions,
        twins,
        any_scale,
        precision,
        gradients,
        memory,
        inputs_kept,
    ),
    wrong={
        "not normalized": on(lambda a, b, s: a @ b.T * s.exp()),
        "a large ε beside the lengths": on(
            lambda a, b, s: (a / (a.norm(dim=1, keepdim=True) + 1e-3)) @ F.normalize(b).T * s.exp()
        ),
        "one side normalized": on(lambda a, b, s: F.normalize(a) @ b.T * s.exp()),
        "normalized along the wrong axis": on(
            lambda a, b, s: F.normalize(a, dim=0) @ F.normalize(b, dim=0).T * s.exp()
        ),
        "scale not exponentiated": on(lambda a, b, s: F.normalize(a) @ F.normalize(b).T * s),
        "divided by the scale": on(lambda a, b, s: F.normalize(a) @ F.normalize(b).T / s.exp()),
        "scale taken as a temperature": on(lambda a, b, s: F.normalize(a) @ F.normalize(b).T / s),
        "scale ignored": on(lambda a, b, s: F.normalize(a) @ F.normalize(b).T),
        "scale clamped at 100": on(
            lambda a, b, s: F.normalize(a) @ F.normalize(b).T * s.exp().clamp(max=100)
        ),
        "scale not below 1": on(lambda a, b, s: F.normalize(a) @ F.normalize(b).T * s.clamp(min=0).exp()),
        "rows only": on(loss=lambda s: F.cross_entropy(s, torch.arange(len(s)))),
        "columns only": on(loss=lambda s: F.cross_entropy(s.T, torch.arange(len(s)))),
        "both directions added": on(loss=lambda s: 2 * from_scores(s)),
        "sum over the pairs": on(loss=lambda s: len(s) * from_scores(s)),
        "exp without the maximum": on(loss=naive),
        "softmax twice": on(loss=lambda s: F.cross_entropy(s.softmax(1), torch.arange(len(s)))),
        "sigmoid on the table": on(
            loss=lambda s: F.binary_cross_entropy_with_logits(s, torch.eye(len(s), dtype=s.dtype))
        ),
        "captions ignored": on(mask=lambda s, c: s),
        "partner masked too": on(mask=lambda s, c: s.masked_fill(c[:, None] == c, -torch.inf)),
        "twins' scores set to 0": on(mask=lambda s, c: s.masked_fill(twins_of(c), 0.0)),
        "twins' scores set to −100": on(mask=lambda s, c: s.masked_fill(twins_of(c), -100.0)),
        "mask inverted": on(
            mask=lambda s, c: s.masked_fill(~twins_of(c) & ~torch.eye(len(c), dtype=torch.bool), -torch.inf)
        ),
        "only neighbors compared": on(
            mask=lambda s, c: s.masked_fill(
                twins_of(c) & torch.ones_like(s, dtype=torch.bool).triu(-1).tril(1), -torch.inf
            )
        ),
        "upper half of the mask": on(mask=lambda s, c: s.masked_fill(twins_of(c).triu(), -torch.inf)),
        "caption 0 taken for padding": on(
            mask=lambda s, c: s.masked_fill(twins_of(c) & (c[:, None] > 0), -torch.inf)
        ),
        "negative captions taken for missing": on(
            mask=lambda s, c: right_mask(s[c >= 0][:, c >= 0], c[c >= 0])
        ),
        "mask on the rows only": masked_rows_only,
        "twins as soft targets": soft_targets,
        "twins dropped from the batch": first_of_each,
        "one side detached": one_side_fixed,
        "scale detached": scale_fixed,
        "float32 inside": computed_in(torch.float32, clip_loss),
        "view of the images": viewed,
        "normalized in place": normalized_in_place,
    },
    also_right={
        "logsumexp minus the diagonal": by_logsumexp,
        "a large penalty for twins": by_large_penalty,
        "one cross-entropy for both directions": by_one_loss,
        "float64 inside": computed_in(torch.float64, clip_loss),
    },
    asked=2,
)
