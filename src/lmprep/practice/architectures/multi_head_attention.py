"""Multi-head self-attention as a function of its weights."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write multi-head self-attention with given weights, `multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads,
mask=None)`. Each weight has the layout of `nn.Linear`, (out, in), and no bias: a projection is `x @ w.T`.
Of the projected width $D$, head $h$ takes the columns $hd$ to $(h+1)d$, where $d = D/H$; its scores are
divided by $\sqrt d$; the heads' outputs stand side by side in the same order before `w_o`. The mask is
boolean, True = may attend, and broadcasts to (B, H, T, T) with the queries on the third axis; without one
every position attends to all. Where a query may attend to nothing in a head, that head's output is 0, not
NaN. Scores of any size neither overflow nor lift the mask, float64 keeps full precision, the batch may be
empty, and finite gradients flow to `x` and every weight, masked queries or not.
"""

STARTER = '''
import torch


def multi_head_attention(
    x: torch.Tensor,
    w_q: torch.Tensor,
    w_k: torch.Tensor,
    w_v: torch.Tensor,
    w_o: torch.Tensor,
    num_heads: int,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Multi-head self-attention without biases.

    x: (B, T, D), with D a multiple of num_heads.
    w_q, w_k, w_v, w_o: (D, D), laid out (out, in) as in nn.Linear.
    mask: boolean, True = may attend, broadcastable to (B, H, T, T), or None.
    Returns (B, T, D), in the dtype of x.
    """
    raise NotImplementedError
'''

HINTS = (
    "Write the shape after every line. Where does the axis of the heads come from, and where must it "
    "stand for one matrix product to treat each head by itself?",
    "Split the last axis first, (B, T, D) to (B, T, H, D/H), and only then exchange two axes; on the way "
    "back, exchange first and merge then. A reshape straight to (B, H, T, D/H) mixes positions with "
    "features.",
    "Project three times, split each into heads (B, H, T, D/H), score with the root of D/H, put minus "
    "infinity where the mask is False, and take the softmax over the keys. A row of minus infinity alone "
    "becomes NaN there: replace it by 0 at once. Apply the weights, bring the heads back next to the "
    "features, merge, and project with the last weight.",
)


def multi_head_attention(
    x: torch.Tensor,
    w_q: torch.Tensor,
    w_k: torch.Tensor,
    w_v: torch.Tensor,
    w_o: torch.Tensor,
    num_heads: int,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    projected = (x @ w.T for w in (w_q, w_k, w_v))
    q, k, v = (p.unflatten(-1, (num_heads, -1)).transpose(1, 2) for p in projected)
    scores = q @ k.mT / q.size(-1) ** 0.5  # (B, H, T, T), from q and k of (B, H, T, d)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(dim=-1).nan_to_num(0.0)  # a row of −inf alone has no softmax
    return (weights @ v).transpose(1, 2).flatten(2) @ w_o.T


# What the checks compare with.

SIZES = ((1, 1, 2, 1), (1, 1, 2, 2), (1, 2, 2, 2), (2, 3, 4, 2), (3, 5, 12, 3), (2, 4, 6, 6))  # B, T, D, H


def inputs(
    rng: Rng, B: int, T: int, D: int, H: int, mask: Tensor | None = None, dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    weights = {name: normal(rng, D, D, dtype=dtype) / D**0.5 for name in ("w_q", "w_k", "w_v", "w_o")}
    return {"x": normal(rng, B, T, D, dtype=dtype)} | weights | {"num_heads": H, "mask": mask}


def by_module(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int, mask: Tensor | None = None
) -> Tensor:
    """nn.MultiheadAttention with these weights. Its mask means the opposite: True = may not attend."""
    B, T, D = x.shape
    module = nn.MultiheadAttention(D, num_heads, bias=False, batch_first=True, dtype=x.dtype)
    hidden = None if mask is None else ~mask.expand(B, num_heads, T, T).flatten(0, 1)
    weights = {"in_proj_weight": torch.cat([w_q, w_k, w_v]), "out_proj.weight": w_o}
    options = {"attn_mask": hidden, "need_weights": False}
    out: Tensor = torch.func.functional_call(module, weights, (x, x, x), options)[0]
    return out


def with_blind_heads(given: dict[str, Any], blind: list[int]) -> tuple[Tensor, Tensor]:
    """A mask that hides all from the last query of the last sequence in the heads `blind`, and what comes.

    The latter from nn.MultiheadAttention without a mask: these heads' columns of w_o are 0 for this query.
    """
    (B, T, D), H = given["x"].shape, given["num_heads"]
    mask, kept, last = torch.ones(B, H, T, T), torch.ones(H), torch.zeros(B, T, 1)
    mask[-1, blind, -1] = kept[blind] = 0
    last[-1, -1] = 1
    columns = kept.repeat_interleave(D // H).to(given["w_o"].dtype)
    rest = by_module(**given | {"w_o": given["w_o"] * columns})
    return mask.bool(), torch.where(last.bool(), rest, by_module(**given))


def compare(candidate: Candidate, given: dict[str, Any], cause: str, want: Tensor | None = None) -> None:
    """Compare the output with `want`, nn.MultiheadAttention's when None."""
    call = Call(candidate, **given)
    out = call.returns(given["x"].dtype, out=given["x"].shape)
    call.same("out", out, by_module(**given) if want is None else want, cause=cause)


def masks(rng: Rng, B: int, T: int, H: int) -> list[Tensor]:
    """One mask of each broadcastable shape; every query sees itself at least, or the first key."""
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    padding = torch.arange(T) < torch.from_numpy(rng.integers(1, T + 1, size=(B, 1, 1, 1)))
    drawn = torch.from_numpy(rng.random((B, H, T, T)) < 0.5) | torch.eye(T, dtype=torch.bool)
    return [causal, padding, drawn[:, :1], drawn[0], drawn]


# Checks.


def shape(candidate: Candidate, rng: Rng) -> None:
    """Returns (B, T, D) in the dtype of x."""
    for sizes in SIZES:
        given = inputs(rng, *sizes)
        Call(candidate, **given).returns(torch.float32, out=given["x"].shape)


def one_head(candidate: Candidate, rng: Rng) -> None:
    """With one head it agrees with nn.MultiheadAttention."""
    for B, T, D in ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 3, 4)):
        cause = (
            "`x @ w` for `x @ w.T`, a weight left out or in another's place, a scale other than 1/√d, a "
            "softmax over another axis than the keys', or a mask or dropout that nobody asked for"
        )
        compare(candidate, inputs(rng, B, T, D, 1), cause)


def positions(candidate: Candidate, rng: Rng) -> None:
    """Without a mask, exchanging two positions exchanges their outputs and nothing else."""
    for B, T, D, H in ((1, 2, 2, 2), (2, 3, 4, 2), (1, 4, 6, 3)):
        given = inputs(rng, B, T, D, H)
        before = Call(candidate, **given).returns(torch.float32, out=(B, T, D))
        call = Call(candidate, **given | {"x": given["x"].roll(1, dims=1)})
        after = call.returns(torch.float32, out=(B, T, D))
        cause = (
            "a reshape straight from (B, T, D) to (B, H, T, D/H), or back: it mixes positions and features"
        )
        call.same("out", after, before.roll(1, dims=1), cause=cause)


def heads(candidate: Candidate, rng: Rng) -> None:
    """With several heads it agrees with nn.MultiheadAttention."""
    for sizes in SIZES:
        cause = "scores divided by √D and not by √d, d the head's width, or heads that take other columns"
        compare(candidate, inputs(rng, *sizes), cause)


def masked(candidate: Candidate, rng: Rng) -> None:
    """A boolean mask of any broadcastable shape is obeyed, True = may attend."""
    plain = (
        "the mask's sense turned around, its queries and keys exchanged, or a mask used as a number and not "
        "for choosing scores"
    )
    layout = (
        "one sequence's or one head's mask used for all, or axes lined up otherwise than from the right: "
        "(H, T, T) is a mask for each head"
    )
    for B, T, D, H in ((1, 2, 2, 1), (2, 2, 2, 2), (3, 5, 12, 4)):
        for mask in masks(rng, B, T, H):
            compare(candidate, inputs(rng, B, T, D, H, mask), plain if mask.ndim == 2 else layout)


def masked_rows(candidate: Candidate, rng: Rng) -> None:
    """Where a query may attend to nothing in a head, that head's output is 0."""
    every = "a softmax over −inf alone, which is NaN, or over equal large negative numbers, which is uniform"
    some = (
        "NaN replaced after the heads are joined, when one head's NaN is in all of the query's output, or 0 "
        "for the query in every head"
    )
    for (B, T, D, H), blind, cause in (
        ((1, 1, 2, 1), [0], every),
        ((2, 3, 4, 2), [0, 1], every),
        ((1, 1, 2, 2), [0], some),
        ((2, 3, 12, 3), [1], some),
    ):
        given = inputs(rng, B, T, D, H)
        mask, want = with_blind_heads(given, blind)
        compare(candidate, given | {"mask": mask}, cause, want)


def large_scores(candidate: Candidate, rng: Rng) -> None:
    """Scores of any size neither overflow nor lift the mask."""
    for B, T, D, H in ((1, 2, 2, 1), (2, 5, 8, 2)):
        given = inputs(rng, B, T, D, H, torch.ones(T, T, dtype=torch.bool).tril(), torch.float64)
        cause = "exp without subtracting the maximum, or a finite mask such as −1e9"
        # Each query's score with itself is far below 0, and so below a finite mask. One key takes all: its
        # lead over the next is far above the scores' rounding.
        large = given | {"w_q": 1e60 * given["w_q"], "w_k": -1e60 * given["w_q"]}
        compare(candidate, large, cause)


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Works in the dtype of x: float64 to full precision, bfloat16."""
    for dtype in (torch.float64, torch.bfloat16):
        for B, T, D, H in SIZES[:4]:
            given = inputs(rng, B, T, D, H, masks(rng, B, T, H)[0], dtype)
            compare(candidate, given, "a softmax, mask or constant in float32")


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Finite gradients flow to x and to every weight, also where a query may attend to nothing."""
    cut = "a part that is cut off from autograd"
    nan = (
        "NaN mended only on the way forward: backward it comes again as 0 · NaN, through a −inf that was "
        "added or through the values"
    )
    for sizes, blind, cause in (
        (SIZES[2], [], cut),
        (SIZES[3], [], cut),
        (SIZES[2], [0], nan),
        (SIZES[3], [0, 1], nan),
    ):
        given = inputs(rng, *sizes, dtype=torch.float64)
        ours, theirs = ({name: leaf(value) for name, value in given.items()} for _ in range(2))
        factor = normal(rng, *given["x"].shape, dtype=torch.float64)
        mask, want = with_blind_heads(theirs, blind)
        (want * factor).sum().backward()
        call = Call(candidate, **ours | {"mask": mask if blind else None})
        out = call.returns(torch.float64, out=given["x"].shape)
        for name, found in call.gradients(out=out * factor).items():
            call.same(f"gradient of {name}", found, theirs[name].grad, cause=cause)


def leaf(value: Any) -> Any:
    return value.clone().requires_grad_() if isinstance(value, Tensor) else value


def empty_batch(candidate: Candidate, rng: Rng) -> None:
    """Takes an empty batch."""
    Call(candidate, **inputs(rng, 0, 3, 4, 2)).returns(torch.float32, out=(0, 3, 4))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in SIZES[2:5]:
        given = inputs(rng, *sizes)
        spread = {
            name: strided(value) if isinstance(value, Tensor) else value for name, value in given.items()
        }
        compare(candidate, spread, "`.view` where memory is not contiguous: `.reshape` does not need it")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves x, the weights and the mask as they were."""
    for B, T, D, H in SIZES[1:4]:
        Call(candidate, **inputs(rng, B, T, D, H, masks(rng, B, T, H)[1])).unchanged()


# Right answers of other style, and wrong ones.


def by_kernel(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int, mask: Tensor | None = None
) -> Tensor:
    q, k, v = F.linear(x, torch.cat([w_q, w_k, w_v])).chunk(3, dim=-1)
    q, k, v = (t.unflatten(-1, (num_heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.linear(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2), w_o)


def by_loop(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int, mask: Tensor | None = None
) -> Tensor:
    B, T, D = x.shape
    allowed = (
        torch.ones(B, num_heads, T, T, dtype=torch.bool) if mask is None else mask.expand(B, num_heads, T, T)
    )
    outputs = []
    for h, rows in enumerate(torch.arange(D).chunk(num_heads)):
        q, k, v = x @ w_q[rows].T, x @ w_k[rows].T, x @ w_v[rows].T
        scores = torch.bmm(q, k.transpose(1, 2)) / len(rows) ** 0.5
        weights = torch.where(allowed[:, h], scores, torch.finfo(x.dtype).min).softmax(-1) * allowed[:, h]
        outputs.append(weights @ v)
    return torch.cat(outputs, dim=-1) @ w_o.T


def by_einsum(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int, mask: Tensor | None = None
) -> Tensor:
    q, k, v = (torch.einsum("btc,hdc->bhtd", x, w.unflatten(0, (num_heads, -1))) for w in (w_q, w_k, w_v))
    scores = torch.einsum("bhtd,bhsd->bhts", q * q.size(-1) ** -0.5, k)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = torch.nan_to_num(F.softmax(scores, dim=-1))
    return torch.einsum("bhts,bhsd,ohd->bto", weights, v, w_o.unflatten(1, (num_heads, -1)))


def split_heads(x: Tensor, H: int) -> Tensor:
    return x.unflatten(-1, (H, -1)).transpose(1, 2)


def merge_heads(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)


def weigh(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0.0)


def weigh_with_nan(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -torch.inf).softmax(-1)


def variant(
    *,
    project: Callable[[Tensor, Tensor], Tensor] = F.linear,
    split: Callable[[Tensor, int], Tensor] = split_heads,
    scale: Callable[[int, int], float] = lambda D, H: (D / H) ** -0.5,
    weigh: Callable[[Tensor, Tensor], Tensor] = weigh,
    merge: Callable[[Tensor], Tensor] = merge_heads,
    pick: Callable[..., tuple[Any, ...]] = lambda *weights: weights,
) -> Candidate:
    """The whole computation, with one of its steps exchanged."""

    def answer(
        x: Tensor,
        w_q: Tensor,
        w_k: Tensor,
        w_v: Tensor,
        w_o: Tensor,
        num_heads: int,
        mask: Tensor | None = None,
    ) -> Tensor:
        eye = torch.eye(x.size(-1), dtype=x.dtype)
        *projections, w_o = pick(w_q, w_k, w_v, w_o, eye)[:4]
        q, k, v = (split(project(x, w), num_heads) for w in projections)
        scores = q @ k.mT * scale(x.size(-1), num_heads)
        weights = weigh(scores, torch.ones_like(scores, dtype=torch.bool) if mask is None else mask)
        return project(merge(weights @ v), w_o)

    return answer


def viewed(
    x: Tensor, w_q: Tensor, w_k: Tensor, w_v: Tensor, w_o: Tensor, num_heads: int, mask: Tensor | None = None
) -> Tensor:
    return multi_head_attention(x.view(-1).view(x.shape), w_q, w_k, w_v, w_o, num_heads, mask)


TASK = Task(
    name="multi_head_attention",
    entry="self_attention_math",
    statement=STATEMENT,
    starter=STARTER,
    reference=multi_head_attention,
    hints=HINTS,
    checks=(
        shape,
        one_head,
        positions,
        heads,
        masked,
        masked_rows,
        dtypes,
        large_scores,
        gradients,
        empty_batch,
        memory,
        inputs_kept,
    ),
    wrong={
        "x @ w": variant(project=lambda x, w: x @ w),
        "heads split by a reshape alone": variant(split=lambda x, H: x.reshape(len(x), H, x.size(1), -1)),
        "heads merged by a reshape alone": variant(merge=lambda h: h.reshape(len(h), h.size(2), -1)),
        "heads interleaved": variant(
            split=lambda x, H: x.unflatten(-1, (-1, H)).movedim(-1, 1),
            merge=lambda h: h.movedim(1, -1).flatten(2),
        ),
        "heads merged feature by feature": variant(merge=lambda h: h.permute(0, 2, 3, 1).flatten(2)),
        "divided by √D": variant(scale=lambda D, H: D**-0.5),
        "divided by the head's width": variant(scale=lambda D, H: H / D),
        "not divided": variant(scale=lambda D, H: 1.0),
        "no output projection": variant(pick=lambda q, k, v, o, eye: (q, k, v, eye)),
        "values not projected": variant(pick=lambda q, k, v, o, eye: (q, k, eye, o)),
        "keys by the queries' weight": variant(pick=lambda q, k, v, o, eye: (q, q, v, o)),
        "keys and values exchanged": variant(pick=lambda q, k, v, o, eye: (q, v, k, o)),
        "mask turned around": variant(
            weigh=lambda scores, mask: weigh(scores, mask if mask.all() else ~mask)
        ),
        "mask added as a number": variant(weigh=lambda scores, mask: (scores + mask).softmax(-1)),
        "mask multiplied in": variant(weigh=lambda scores, mask: (scores * mask).softmax(-1)),
        "mask after the softmax": variant(weigh=lambda scores, mask: scores.softmax(-1) * mask),
        "mask of −1e4": variant(
            weigh=lambda scores, mask: scores.masked_fill(~mask, -1e4).softmax(-1) * mask
        ),
        "mask of −1e9, uniform where all is hidden": variant(
            weigh=lambda scores, mask: scores.masked_fill(~mask, -1e9).softmax(-1)
        ),
        "mask of −1e9, then 0 where hidden": variant(
            weigh=lambda scores, mask: scores.masked_fill(~mask, -1e9).softmax(-1) * mask
        ),
        "NaN where all is hidden": variant(weigh=weigh_with_nan),
        "NaN replaced in the output only": lambda *given: variant(weigh=weigh_with_nan)(*given).nan_to_num(0),
        "NaN replaced after the values": variant(
            weigh=weigh_with_nan, merge=lambda h: merge_heads(h.nan_to_num(0.0))
        ),
        "−inf added, NaN in the gradients": variant(
            weigh=lambda scores, mask: (
                (scores + torch.zeros_like(scores).masked_fill(~mask, -torch.inf)).softmax(-1).nan_to_num(0.0)
            )
        ),
        "query of one blind head set to 0": variant(
            weigh=lambda scores, mask: (
                weigh(scores, mask) * mask.expand_as(scores).any(-1, keepdim=True).all(1, keepdim=True)
            )
        ),
        "mask of each head read as one of each sequence": variant(
            weigh=lambda scores, mask: weigh(scores, mask[:, None] if mask.ndim == 3 else mask)
        ),
        "causal although nobody asked": variant(weigh=lambda scores, mask: weigh(scores, mask.tril())),
        "dropout on the weights": variant(weigh=lambda scores, mask: F.dropout(weigh(scores, mask), 0.1)),
        "first sequence's mask for all": variant(
            weigh=lambda scores, mask: weigh(scores, mask.expand_as(scores)[:1])
        ),
        "first head's mask for all": variant(
            weigh=lambda scores, mask: weigh(scores, mask.expand_as(scores)[:, :1])
        ),
        "mask with the keys on the third axis": variant(
            weigh=lambda scores, mask: weigh(scores, mask.expand_as(scores).mT)
        ),
        "softmax over the queries": variant(weigh=lambda scores, mask: weigh(scores.mT, mask.mT).mT),
        "softmax over the heads": variant(weigh=lambda scores, mask: (scores * mask).softmax(1)),
        "float32 inside": computed_in(torch.float32, multi_head_attention),
        "softmax in float32": variant(
            weigh=lambda scores, mask: weigh(scores.float(), mask).to(scores.dtype)
        ),
        "head width inferred from no elements": variant(
            split=lambda x, H: x.reshape(len(x), x.size(1), H, -1).transpose(1, 2)
        ),
        "view of the input": viewed,
    },
    also_right={
        "nn.MultiheadAttention": by_module,
        "one projection and the fused kernel": by_kernel,
        "one head at a time": by_loop,
        "einsum, heads split in the weights": by_einsum,
        "float64 inside": computed_in(torch.float64, multi_head_attention),
    },
    asked=3,
)
