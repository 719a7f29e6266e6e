"""Causal attention with cached keys."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice import attention_checks
from lmprep.practice.attention_checks import answer, by_torch, compare_gradients
from lmprep.practice.checks import Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `causal_attention(q, k, v)`: scaled dot-product attention of $T$ queries to $S \ge T$ keys, where the
last query belongs to the last key, as in decoding with a KV cache. Query $i$ sees the keys $j \le i + S -
T$ and no others. The scores are divided by $\sqrt d$, the root of the head's width. Return the output and
the weights, in the dtype of `q`, float64 to full precision; a key that a query does not see has weight
exactly 0. Scores of any size must neither overflow nor lift the mask, and gradients flow to `q`, `k` and
`v`. The batch may be empty.
"""

STARTER = '''
import torch


def causal_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention of the last T positions to all S.

    q: (B, H, T, d).
    k, v: (B, H, S, d), S ≥ T: the first S − T are the past.
    Returns the output (B, H, T, d) and the weights (B, H, T, S).
    """
    raise NotImplementedError
'''

HINTS = (
    "Draw the table of who sees whom for T = 2 queries and S = 4 keys. Which corner is empty, and which "
    "keys does the last query see?",
    "Hide scores before the softmax, not weights after it: what is left must sum to 1. Which number in "
    "place of a score gets weight exactly 0, whatever the other scores are?",
    "The scores are q times k transposed over √d: (B, H, T, S). Make a boolean lower triangle of T rows "
    "and S columns whose diagonal is moved right by S − T, put minus infinity where it is False, take the "
    "softmax over the keys, and apply the weights to v.",
)


def causal_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    T, S, d = q.size(-2), k.size(-2), q.size(-1)
    visible = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
    scores = (q @ k.mT / d**0.5).masked_fill(~visible, -torch.inf)  # (B, H, T, S)
    w = scores.softmax(dim=-1)
    return w @ v, w


# What the checks compare with.

SIZES = (  # B, H, T, S, d
    (1, 1, 1, 1, 1),
    (1, 1, 2, 2, 2),
    (1, 1, 1, 3, 2),
    (1, 1, 2, 3, 3),
    (2, 3, 4, 4, 8),
    (3, 2, 3, 7, 5),
    (1, 1, 9, 20, 4),
)


def inputs(
    rng: Rng, B: int, H: int, T: int, S: int, d: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    return {
        name: normal(rng, B, H, length, d, dtype=dtype) for name, length in (("q", T), ("k", S), ("v", S))
    }


def triangle(q: Tensor, k: Tensor) -> Tensor:
    """(T, S), True where a query sees the key."""
    T, S = q.size(-2), k.size(-2)
    return torch.arange(S) <= torch.arange(T)[:, None] + S - T


def compare(candidate: Candidate, tensors: dict[str, Tensor], cause: str) -> None:
    attention_checks.compare(candidate, tensors, triangle(tensors["q"], tensors["k"]), cause)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns the output (B, H, T, d) and the weights (B, H, T, S)."""
    for sizes in SIZES:
        answer(candidate, inputs(rng, *sizes))


def sums(candidate: Candidate, rng: Rng) -> None:
    """Each query's weights sum to 1."""
    for sizes in SIZES:
        call, _, w = answer(candidate, inputs(rng, *sizes))
        cause = (
            "weights masked after the softmax, a softmax over the queries' axis, dropout, or a query that "
            "sees no key, whose weights are NaN"
        )
        call.same("w.sum(-1)", w.sum(-1), torch.ones(sizes[:3]), cause=cause)


def no_future(candidate: Candidate, rng: Rng) -> None:
    """A later key and its value change nothing for an earlier query."""
    for T in (2, 3, 6):
        tensors = inputs(rng, 1, 1, T, T, 2)
        later = torch.zeros(1, 1, T, 1).index_fill(2, torch.tensor(T - 1), 3.0)
        _, before, _ = answer(candidate, tensors)
        call, after, w = answer(candidate, tensors | {name: tensors[name] + later for name in "kv"})
        cause = "a mask that is missing, multiplied in, transposed, or one place too far right"
        call.same("w[..., :-1, -1]", w[..., :-1, -1], torch.zeros(1, 1, T - 1), cause=cause, tolerance=0.0)
        cause = "an output that is not these weights times v, or dropout between the two"
        call.same("output[..., :-1, :]", after[..., :-1, :], before[..., :-1, :], cause=cause)


def sees_the_past(candidate: Candidate, rng: Rng) -> None:
    """Each query sees all keys up to its own, cached ones included."""
    for T, S in ((1, 1), (1, 2), (2, 4), (3, 8), (9, 20), (2, 300)):
        call, _, w = answer(candidate, inputs(rng, 1, 1, T, S, 2))
        seen = (w > 0).sum(-1).flatten().tolist()
        cause = (
            "a triangle that starts at the first key, as with SDPA's is_causal=True (the last query "
            "belongs to the last key, so the diagonal moves right by S − T), or a window of recent keys"
        )
        call.equals("keys seen by each query", seen, [S - T + i + 1 for i in range(T)], cause=cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Output and weights agree with F.scaled_dot_product_attention."""
    for sizes in SIZES:
        cause = "a scale other than 1/√d, weights applied over the wrong axis, or dropout"
        compare(candidate, inputs(rng, *sizes), cause)


def large_scores(candidate: Candidate, rng: Rng) -> None:
    """Scores of any size neither overflow nor lift the mask."""
    opposite = torch.tensor([-1.0, 1.0])[:, None].expand(1, 1, 2, 16)  # what query 0 sees low, the rest high
    small = (torch.ones(1, 1, 2, 16), opposite)
    # Each query's scores in an order of its own, without ties: one key takes all, however sums are rounded.
    ranks = torch.from_numpy(rng.permuted(np.tile(np.arange(-8, 8), (2, 2, 3, 1)), axis=-1)).float()
    drawn = (ranks, torch.eye(16)[:5].expand(2, 2, 5, 16))
    for q, k in (small, drawn):
        # Whole numbers times powers of 2, and √√d = 2: scores up to 2**112, far beyond any finite mask but
        # the dtype's smallest number, and exact.
        tensors = {"q": 2**55 * q, "k": 2**55 * k, "v": normal(rng, *k.shape)}
        cause = (
            "exp without subtracting the maximum, scores cut off at a bound, a finite mask such as −1e9, or "
            "a mask after the softmax"
        )
        compare(candidate, tensors, cause)


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Works in the dtype of q: float64 to full precision, bfloat16."""
    for dtype in (torch.float64, torch.bfloat16):
        for sizes in SIZES[:4]:
            compare(candidate, inputs(rng, *sizes, dtype=dtype), "a softmax, mask or constant in float32")


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow from output and weights to q, k and v."""
    for sizes in SIZES[1:4]:
        tensors = inputs(rng, *sizes, dtype=torch.float64)
        compare_gradients(candidate, tensors, triangle(tensors["q"], tensors["k"]), rng)


def empty_batch(candidate: Candidate, rng: Rng) -> None:
    """Takes an empty batch."""
    answer(candidate, inputs(rng, 0, 2, 3, 4, 5))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in SIZES[1:5]:
        spread = {name: strided(tensor) for name, tensor in inputs(rng, *sizes).items()}
        compare(candidate, spread, "`.view` on an input: it needs contiguous memory, `.reshape` does not")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves q, k and v as they were."""
    for sizes in SIZES[1:]:
        answer(candidate, inputs(rng, *sizes))[0].unchanged()


# Right answers of other style, and wrong ones.


def by_kernel(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return by_torch(q, k, v, triangle(q, k))


def by_loop(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    T, S = q.size(2), k.size(2)
    rows = []
    for i in range(T):
        seen = k[:, :, : S - T + i + 1]
        row = torch.softmax((q[:, :, i, None] * seen).sum(-1) / q.size(-1) ** 0.5, -1)
        rows.append(F.pad(row, (0, S - seen.size(2))))
    w = torch.stack(rows, 2)
    return w @ v, w


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
    T, S = q.size(2), k.size(2)
    bias = torch.full((T, S), float("-inf"), dtype=q.dtype).triu(1 + S - T)
    w = F.softmax(torch.einsum("bhtd,bhsd->bhts", q * q.size(-1) ** -0.5, k) + bias, dim=-1)
    return [torch.einsum("bhts,bhsd->bhtd", w, v), w]


def by_hand(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    ahead = torch.arange(k.size(2)) > torch.arange(k.size(2) - q.size(2), k.size(2))[:, None]
    scores = (q @ k.transpose(2, 3)).div(q.size(-1) ** 0.5)
    scores = torch.where(ahead, torch.finfo(q.dtype).min, scores)
    e = torch.exp(scores - scores.amax(-1, keepdim=True))
    return (e @ v) / e.sum(-1, keepdim=True), e / e.sum(-1, keepdim=True)


def by_logarithm(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    visible = torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril(k.size(2) - q.size(2))
    scores = torch.where(visible, q @ k.mT / q.size(-1) ** 0.5, -torch.inf)
    w = (scores - scores.logsumexp(-1, keepdim=True)).exp()
    return w @ v, w


def attention(weigh: Callable[[Tensor, Tensor], Tensor], *, shift: int = 0, power: float = 0.5) -> Candidate:
    """An answer whose weights are `weigh(scores, visible)`, the diagonal `shift` places too far right."""

    def answer(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        T, S = q.size(2), k.size(2)
        visible = torch.ones(T, S, dtype=torch.bool).tril(S - T + shift)
        w = weigh(q @ k.mT / q.size(-1) ** power, visible)
        return w @ v, w

    return answer


def hidden_before(scores: Tensor, visible: Tensor) -> Tensor:
    return scores.masked_fill(~visible, -torch.inf).softmax(-1)


def of_the_last_8(scores: Tensor, visible: Tensor) -> Tensor:
    T, S = visible.shape
    return hidden_before(scores, visible.triu(S - T - 7))


def from_first_key(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    visible = torch.ones(q.size(2), k.size(2), dtype=torch.bool).tril()
    w = hidden_before(q @ k.mT / q.size(-1) ** 0.5, visible)
    return w @ v, w


def weights_unmasked(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return causal_attention(q, k, v)[0], (q @ k.mT / q.size(-1) ** 0.5).softmax(-1)


def viewed(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    B, H, T, d = q.shape
    S = k.size(2)
    out, w = causal_attention(q.view(B * H, 1, T, d), k.view(B * H, 1, S, d), v.view(B * H, 1, S, d))
    return out.view(B, H, T, d), w.view(B, H, T, S)


def length_inferred(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    B, H, T, d = q.shape
    out, w = causal_attention(*(t.reshape(B * H, 1, -1, d) for t in (q, k, v)))
    return out.reshape(B, H, T, d), w.reshape(B, H, T, -1)


def dropped_before_the_output(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    w = causal_attention(q, k, v)[1]
    return F.dropout(w, 0.1) @ v, w


def scaled_in_place(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    root = q.size(-1) ** 0.5
    out, w = causal_attention(q, k, v)
    if not q.requires_grad:
        q.div_(root)
    return out, w


TASK = Task(
    name="causal_attention",
    entry="self_attention_math",
    statement=STATEMENT,
    starter=STARTER,
    reference=causal_attention,
    hints=HINTS,
    checks=(
        shapes,
        sums,
        no_future,
        sees_the_past,
        values,
        large_scores,
        dtypes,
        gradients,
        empty_batch,
        memory,
        inputs_kept,
    ),
    wrong={
        "mask after the softmax": attention(lambda scores, visible: scores.softmax(-1) * visible),
        "mask after the softmax, then renormalized": attention(
            lambda scores, visible: F.normalize(scores.softmax(-1) * visible, p=1.0, dim=-1)
        ),
        "scores multiplied by the mask": attention(lambda scores, visible: (scores * visible).softmax(-1)),
        "no mask": attention(lambda scores, visible: scores.softmax(-1)),
        "mask turned around": attention(lambda scores, visible: hidden_before(scores, visible.flip(0, 1))),
        "mask of −1e4": attention(lambda scores, visible: scores.masked_fill(~visible, -1e4).softmax(-1)),
        "mask of −1e4 added": attention(lambda scores, visible: (scores - 1e4 * ~visible).softmax(-1)),
        "mask of −1e9": attention(lambda scores, visible: scores.masked_fill(~visible, -1e9).softmax(-1)),
        "mask of −1e9 added": attention(lambda scores, visible: (scores - 1e9 * ~visible).softmax(-1)),
        "scores cut off at ±1e4": attention(
            lambda scores, visible: hidden_before(scores.clamp(-1e4, 1e4), visible)
        ),
        "triangle from the first key": from_first_key,
        "window of the last 8 keys": attention(of_the_last_8),
        "one key too many": attention(hidden_before, shift=1),
        "one key too few": attention(hidden_before, shift=-1),
        "divided by d": attention(hidden_before, power=1.0),
        "not divided": attention(hidden_before, power=0.0),
        "softmax over the queries": attention(
            lambda scores, visible: scores.masked_fill(~visible, -torch.inf).softmax(-2)
        ),
        "softmax without the maximum": attention(
            lambda scores, visible: F.normalize(scores.exp() * visible, p=1.0, dim=-1)
        ),
        "dropout on the weights": attention(
            lambda scores, visible: F.dropout(hidden_before(scores, visible), 0.1)
        ),
        "dropout between weights and output": dropped_before_the_output,
        "weights returned without the mask": weights_unmasked,
        "weights before the output": lambda q, k, v: causal_attention(q, k, v)[::-1],
        "float32 inside": computed_in(torch.float32, causal_attention),
        "softmax in float32": attention(
            lambda scores, visible: hidden_before(scores.float(), visible).to(scores.dtype)
        ),
        "a length inferred from no elements": length_inferred,
        "view of the inputs": viewed,
        "q scaled in place": scaled_in_place,
    },
    also_right={
        "fused kernel, identity as values": by_kernel,
        "one query at a time": by_loop,
        "einsum and an additive mask": by_einsum,
        "float64 inside": computed_in(torch.float64, causal_attention),
        "softmax by hand, masked with the smallest number": by_hand,
        "exp of score minus logsumexp": by_logarithm,
    },
    asked=3,
)
