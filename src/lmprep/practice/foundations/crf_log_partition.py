"""The forward algorithm: log Z of a linear-chain CRF, for a padded batch."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `crf_log_partition(unary, trans, mask)`. A linear chain scores a tag sequence $y$ of a string of length
$L$ by $\sum_{t=1}^{L} \text{unary}[t, y_t] + \sum_{t=2}^{L} \text{trans}[y_{t-1}, y_t]$; nothing is added for
starting or ending. Return for each string the logarithm of the sum of $e^{\text{score}}$ over all $K^L$
sequences, in the dtype of `unary` and to its precision, in time that grows linearly with $L$: strings of
thousands of positions and scores of any size must neither overflow nor underflow. `mask` is True on the $L
\ge 1$ real positions of each row, then False; `unary` is finite, also in the padding, which must not reach
the result. Entries of `trans` may be $-\infty$, but no whole row or column is. Gradients flow to `unary` and
`trans`, the batch may be empty, and inputs stay as they are.
"""

STARTER = '''
import torch


def crf_log_partition(
    unary: torch.Tensor, trans: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """log Z of each string, by the forward algorithm.

    unary: (B, T, K), the score of each tag at each position.
    trans: (K, K), [i, j] scores tag j right after tag i.
    mask: (B, T), bool, True on real positions.
    Returns (B,).
    """
    raise NotImplementedError
'''

HINTS = (
    "Cut all sequences into K groups by their last tag. If you know the sum of each group for the first t "
    "positions, what do you need to know to get the groups for t + 1?",
    "Keep the logarithm of the group sums, one number for each string and tag. A step adds trans, sums over "
    "the previous tag in log space, and adds the scores of the new position. Where a string has ended, keep "
    "what you have.",
    "Begin with the scores of the first position. For each later one broadcast to (B, K, K), with the "
    "previous tag on the middle axis, add trans, take logsumexp over that axis and add the new scores; pick "
    "the new or the old numbers by the mask. In the end take logsumexp over the tags.",
)


def crf_log_partition(unary: torch.Tensor, trans: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    alpha = unary[:, 0]  # (B, K)
    for t in range(1, unary.size(1)):
        step = (alpha[:, :, None] + trans).logsumexp(dim=1) + unary[:, t]
        alpha = torch.where(mask[:, t, None], step, alpha)
    return alpha.logsumexp(dim=1)


# What the checks compare with.

SIZES = (  # K, lengths
    (1, (1,)),
    (2, (1,)),
    (3, (3,)),
    (2, (2, 1)),
    (3, (4, 1, 2)),
)
FULL = ((1, (1,)), (2, (2,)), (3, (3,)), (4, (4, 4)))  # without padding


def inputs(
    rng: Rng, K: int, lengths: tuple[int, ...], *, scale: float = 1.5, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    T = max(lengths, default=3)
    return {
        "unary": scale * normal(rng, len(lengths), T, K, dtype=dtype),
        "trans": scale * normal(rng, K, K, dtype=dtype),
        "mask": torch.arange(T) < torch.tensor(lengths, dtype=torch.long)[:, None],
    }


def by_enumeration(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    """All sequences, one by one, in float64."""
    unary, trans = unary.double(), trans.double()
    sums = []
    for scores, length in zip(unary, mask.sum(dim=1).tolist(), strict=True):
        paths = torch.tensor(list(itertools.product(range(len(trans)), repeat=length)))  # (K**L, L)
        own = scores[torch.arange(length), paths].sum(dim=1)
        sums.append((own + trans[paths[:, :-1], paths[:, 1:]].sum(dim=1)).logsumexp(dim=0))
    return torch.stack(sums)


def by_products(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    """Products of matrices of probabilities, in float64, scaled at each position: for long strings."""
    unary, trans = unary.double(), trans.double()
    sums = []
    for scores, length in zip(unary, mask.sum(dim=1).tolist(), strict=True):
        top = scores[0].max()
        row, log_scale = (scores[0] - top).exp(), top
        for t in range(1, length):
            shift = scores[t].max()
            row = (row @ trans.exp()) * (scores[t] - shift).exp()
            log_scale = log_scale + shift + row.sum().log()
            row = row / row.sum()
        sums.append(log_scale + row.sum().log())
    return torch.stack(sums)


def compare(candidate: Candidate, given: dict[str, Tensor], want: Tensor, cause: str) -> Call:
    call = Call(candidate, **given)
    answer = call.returns(given["unary"].dtype, log_z=(len(given["unary"]),))
    call.same("log_z", answer, want.to(answer.dtype), cause=cause)
    return call


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns one number for each string, (B,)."""
    for K, lengths in SIZES:
        given = inputs(rng, K, lengths)
        Call(candidate, **given).returns(torch.float32, log_z=(len(lengths),))


def one_position(candidate: Candidate, rng: Rng) -> None:
    """A string of one position: the logsumexp of its scores, and no transition."""
    for K in (1, 2, 5):
        given = inputs(rng, K, (1, 1))
        want = given["unary"][:, 0].double().exp().sum(dim=1).log()
        compare(
            candidate, given, want, "a transition or a start score added, or a maximum in place of the sum"
        )


def two_positions(candidate: Candidate, rng: Rng) -> None:
    """Two positions, two tags: the four sequences added up, trans[i, j] from i to j."""
    for _ in range(3):
        given = inputs(rng, 2, (2,))
        cause = "trans read from j to i (the sum runs over the first index), or max for logsumexp"
        compare(candidate, given, by_enumeration(**given), cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with adding up all sequences."""
    for K, lengths in FULL:
        given = inputs(rng, K, lengths)
        compare(
            candidate,
            given,
            by_enumeration(**given),
            "a sum over the wrong axis, or a step that forgets the earlier ones",
        )


def padding(candidate: Candidate, rng: Rng) -> None:
    """More padding, or other scores in it, changes nothing."""
    for K, lengths in SIZES[3:]:
        given = inputs(rng, K, lengths)
        want = by_enumeration(**given)
        for extra, filler in ((0, -50.0), (1, 0.0), (4, 60.0)):
            B = len(lengths)
            longer = torch.cat([given["unary"], torch.zeros(B, extra, K)], dim=1)
            mask = torch.cat([given["mask"], torch.zeros(B, extra, dtype=torch.bool)], dim=1)
            padded = {
                "unary": longer.masked_fill(~mask[:, :, None], filler),
                "trans": given["trans"],
                "mask": mask,
            }
            cause = "steps in the padding that still sum over transitions: scores of 0 are not enough"
            compare(candidate, padded, want, cause)


def long_strings(candidate: Candidate, rng: Rng) -> None:
    """Long strings neither overflow nor underflow."""
    for level in (-8.0, 8.0):
        given = inputs(rng, 3, (160, 100), scale=0.5, dtype=torch.float64)
        given["unary"] = given["unary"] + level
        cause = "exp of a whole string's score, probabilities multiplied up, or sequences listed"
        compare(candidate, given, by_products(**given), cause)


def large_scores(candidate: Candidate, rng: Rng) -> None:
    """Scores of thousands neither overflow nor underflow."""
    for scale in (300.0, 5000.0):
        for K, lengths in SIZES[2:]:
            given = inputs(rng, K, lengths, scale=scale, dtype=torch.float64)
            compare(candidate, given, by_enumeration(**given), "exp before the maximum is taken out")


def forbidden(candidate: Candidate, rng: Rng) -> None:
    """A transition of −inf rules sequences out."""
    for K, lengths, favored in ((2, (2,), 0.0), (3, (4, 2), 0.0), (4, (3, 1, 4), 3e4)):
        given = inputs(rng, K, lengths, dtype=torch.float64)
        given["unary"][:, 0, 0] += favored  # a step from 0 to 1, if −1e4 or so stood for −inf, would win
        given["unary"][:, 1:2, 1] += favored
        trans = given["trans"].clone()
        trans[torch.arange(K), (torch.arange(K) + 1) % K] = -torch.inf
        given["trans"] = trans
        compare(
            candidate,
            given,
            by_enumeration(**given),
            "−inf replaced by a finite number, or NaN from −inf · 0",
        )


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """float64 is kept, to full precision."""
    for K, lengths in SIZES:
        given = inputs(rng, K, lengths, dtype=torch.float64)
        compare(candidate, given, by_enumeration(**given), "a constant or a tensor of zeros in float32")


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to unary and trans; with −inf in trans, too."""
    for K, lengths in SIZES[1:]:
        given = inputs(rng, K, lengths, dtype=torch.float64)
        if K > 2:
            trans = given["trans"].clone()
            trans[0, 1] = -torch.inf
            given["trans"] = trans
        factors = normal(rng, len(lengths), dtype=torch.float64)
        leaves = {name: given[name].clone().requires_grad_() for name in ("unary", "trans")}
        (by_enumeration(**leaves, mask=given["mask"]) * factors).sum().backward()
        call = Call(
            candidate, **{name: given[name].clone().requires_grad_() for name in leaves}, mask=given["mask"]
        )
        answer = call.returns(torch.float64, log_z=(len(lengths),))
        if max(lengths) == 1:
            continue  # trans plays no part
        for name, found in call.gradients(log_z=answer * factors).items():
            call.same(
                f"gradient of {name}",
                found,
                leaves[name].grad,
                cause="a part cut off from autograd, or NaN from log 0",
            )


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for K, lengths in SIZES[2:]:
        given = {name: strided(tensor) for name, tensor in inputs(rng, K, lengths).items()}
        compare(candidate, given, by_enumeration(**given), "`.view` of an input")


def empty_batch(candidate: Candidate, rng: Rng) -> None:
    """Takes an empty batch."""
    for K in (2, 3):
        Call(candidate, **inputs(rng, K, ())).returns(torch.float32, log_z=(0,))


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves unary, trans and mask as they were."""
    for K, lengths in SIZES:
        given = inputs(rng, K, lengths)
        compare(candidate, given, by_enumeration(**given), "an in-place operation").unchanged()


# Right answers of other style, and wrong ones.


def forward(
    step: Callable[[Tensor, Tensor], Tensor],
    *,
    masked: bool = True,
    last: Callable[[Tensor], Tensor] = lambda alpha: alpha.logsumexp(1),
) -> Candidate:
    """An answer whose recursion is `step(alpha, trans)`, before the new position's scores are added."""

    def answer(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
        alpha = unary[:, 0]
        for t in range(1, unary.size(1)):
            new = step(alpha, trans) + unary[:, t]
            alpha = torch.where(mask[:, t, None], new, alpha) if masked else new
        return last(alpha)

    return answer


def summed(alpha: Tensor, trans: Tensor) -> Tensor:
    return (alpha[:, :, None] + trans).logsumexp(1)


def right_to_left(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    beta = torch.zeros_like(unary[:, 0])
    for t in range(unary.size(1) - 1, 0, -1):
        new = (trans + (unary[:, t] + beta)[:, None, :]).logsumexp(2)
        beta = torch.where(mask[:, t, None], new, beta)
    return (unary[:, 0] + beta).logsumexp(1)


def string_by_string(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    results = []
    for scores, length in zip(unary, mask.sum(1).tolist(), strict=True):
        alpha = scores[0]
        for t in range(1, length):
            alpha = (
                torch.stack([torch.logsumexp(alpha + trans[:, j], 0) for j in range(len(trans))]) + scores[t]
            )
        results.append(torch.logsumexp(alpha, 0))
    return torch.stack(results) if results else unary.new_zeros(0)


def maximum_outside(alpha: Tensor, trans: Tensor) -> Tensor:
    total = alpha[:, :, None] + trans
    top = total.amax(1, keepdim=True).detach()
    return (total - top).exp().sum(1).log() + top[:, 0]


def all_kept(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    alphas = [unary[:, 0]]
    for t in range(1, unary.size(1)):
        alphas.append(torch.logsumexp(alphas[-1].unsqueeze(2) + trans.unsqueeze(0), 1) + unary[:, t])
    picked = torch.stack(alphas, 1)[torch.arange(len(unary)), mask.sum(1) - 1]
    return torch.logsumexp(picked, 1)


def neutral_steps(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    stay = torch.full_like(trans, -torch.inf).fill_diagonal_(0.0)
    alpha = unary[:, 0]
    for t in range(1, unary.size(1)):
        real = mask[:, t, None]
        step = torch.where(real[..., None], trans, stay)
        alpha = (alpha[:, :, None] + step).logsumexp(1) + unary[:, t].masked_fill(~real, 0.0)
    return alpha.logsumexp(1)


def in_probabilities(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    return forward(lambda alpha, trans: (alpha.exp() @ trans.exp()).log())(unary, trans, mask)


def listed(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    if len(trans) ** mask.size(1) > 10**5:
        raise MemoryError("all sequences of a long string")
    return by_enumeration(unary, trans, mask).to(unary.dtype) if len(unary) else unary.new_zeros(0)


def zeroed_padding(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    return forward(summed, masked=False)(unary.masked_fill(~mask[..., None], 0.0), trans, mask)


def to_the_longest(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    T = int(mask.sum(1).max()) if len(mask) else 1
    return forward(summed, masked=False)(unary[:, :T], trans, mask)


def one_step_short(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    shorter = torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], 1)
    return crf_log_partition(unary, trans, shorter)


def unary_forgotten_at_the_start(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    return crf_log_partition(torch.cat([torch.zeros_like(unary[:, :1]), unary[:, 1:]], 1), trans, mask)


def added_in_place(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    if unary.requires_grad:
        return crf_log_partition(unary, trans, mask)
    for t in range(1, unary.size(1)):
        unary[:, t] += summed(unary[:, t - 1], trans)
    return unary[torch.arange(len(unary)), mask.sum(1) - 1].logsumexp(1)


def scaled_probabilities(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    alpha, log_z = unary[:, 0].exp(), unary.new_zeros(len(unary))
    for t in range(1, unary.size(1)):
        scale = alpha.sum(1)
        step = (alpha / scale[:, None]) @ trans.exp() * unary[:, t].exp()
        alpha = torch.where(mask[:, t, None], step, alpha)
        log_z = log_z + scale.log() * mask[:, t]
    return log_z + alpha.sum(1).log()


def a_stack_of_no_rows(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    rows = [crf_log_partition(unary[b : b + 1], trans, mask[b : b + 1])[0] for b in range(len(unary))]
    return torch.stack(rows)


def scores_carried(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    alpha = unary[:, 0]
    for t in range(1, unary.size(1)):
        alpha = torch.where(mask[:, t, None], summed(unary[:, t - 1], trans) + unary[:, t], alpha)
    return alpha.logsumexp(1)


def viewed(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    B, T, K = unary.shape
    return crf_log_partition(unary.view(B * T, K).view(B, T, K), trans, mask)


def trans_made_finite(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    return crf_log_partition(unary, trans.clamp(min=-1e4), mask)


TASK = Task(
    name="crf_log_partition",
    entry="hmm_vs_crf",
    statement=STATEMENT,
    starter=STARTER,
    reference=crf_log_partition,
    hints=HINTS,
    checks=(
        shapes,
        one_position,
        two_positions,
        values,
        padding,
        dtypes,
        long_strings,
        large_scores,
        forbidden,
        memory,
        empty_batch,
        inputs_kept,
        gradients,
    ),
    wrong={
        "max for logsumexp": forward(lambda alpha, trans: (alpha[:, :, None] + trans).amax(1)),
        "max in the end": forward(summed, last=lambda alpha: alpha.amax(1)),
        "trans transposed": forward(lambda alpha, trans: summed(alpha, trans.T)),
        "sum over the new tag": forward(lambda alpha, trans: (alpha[:, :, None] + trans).logsumexp(2)),
        "alpha on the wrong axis": forward(lambda alpha, trans: (alpha[:, None, :] + trans).logsumexp(1)),
        "trans left out": forward(lambda alpha, trans: alpha.logsumexp(1, keepdim=True).expand_as(alpha)),
        "padded steps counted": forward(summed, masked=False),
        "scores zeroed in the padding, steps counted": zeroed_padding,
        "all as long as the longest": to_the_longest,
        "last position left out": one_step_short,
        "first position's scores forgotten": unary_forgotten_at_the_start,
        "normalized at each step, as a MEMM": forward(
            lambda alpha, trans: summed(alpha, trans.log_softmax(1))
        ),
        "sum in place of its logarithm": forward(summed, last=lambda alpha: alpha.exp().sum(1)),
        "mean over tags": forward(summed, last=lambda alpha: alpha.mean(1)),
        "in probabilities": in_probabilities,
        "all sequences listed": listed,
        "forbidden transitions made finite": trans_made_finite,
        "summed over the batch": lambda unary, trans, mask: crf_log_partition(unary, trans, mask).sum(),
        "divided by the length": lambda unary, trans, mask: (
            crf_log_partition(unary, trans, mask) / mask.sum(1)
        ),
        "gradient cut at each step": forward(lambda alpha, trans: summed(alpha.detach(), trans)),
        "unary changed in place": added_in_place,
        "float32 inside": computed_in(torch.float32, crf_log_partition),
        "probabilities scaled at each step, scores not": scaled_probabilities,
        "a stack of no rows": a_stack_of_no_rows,
        "scores carried in place of sums": scores_carried,
        "view of the scores": viewed,
        "a start tag invented": lambda unary, trans, mask: crf_log_partition(
            torch.cat([unary[:, :1] + trans[0], unary[:, 1:]], 1), trans, mask
        ),
    },
    also_right={
        "right to left": right_to_left,
        "string by string": string_by_string,
        "maximum taken out by hand": forward(maximum_outside),
        "all steps kept, then the last real one": all_kept,
        "padding as neutral steps": neutral_steps,
        "trans turned first": forward(lambda alpha, trans: (alpha[:, None, :] + trans.T).logsumexp(2)),
    },
    asked=2,
)
