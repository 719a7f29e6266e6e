"""Attention of a decoder to a padded source."""

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
Write `cross_attention(q, k, v, key_mask)`: scaled dot-product attention of $T$ decoder positions to $S$
encoder positions, with the scores divided by $\sqrt d$. Sources are padded: `key_mask` is True where a
source token stands, and padding, whatever finite numbers it holds, gets weight exactly 0 and changes
nothing. A source that is nothing but padding gives zeros, contexts and weights alike. Results have the
dtype of `q`, float64 to full precision, and scores of any size must neither overflow nor lift the mask.
Gradients flow to `q`, `k` and `v`, and stay finite, also for a source that is all padding. The batch may
be empty; $S$ and $T$ are at least 1, and in general differ.
"""

STARTER = '''
import torch
from torch import Tensor


def cross_attention(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple:
    """What each decoder position reads from the source, and with which weights.

    q: (B, T, d), from the decoder. k: (B, S, d), v: (B, S, d_v), from the encoder.
    key_mask: (B, S), boolean, True = a source token, False = padding.
    Returns contexts (B, T, d_v) and weights (B, T, S).
    """
    raise NotImplementedError
'''

HINTS = (
    "Write the three shapes side by side: scores, key_mask, values. Over which axis must a query's weights "
    "sum to 1, and which axis does the mask lack?",
    "Hide scores before the softmax, with minus infinity. Then look at a row in which everything is hidden: "
    "what is 0/0, and what does autograd make of it?",
    "Scores are q times k transposed over √d, (B, T, S); the mask becomes (B, 1, S). Put minus infinity "
    "where it is False, except in rows that are all False, where any finite number will do. Softmax over "
    "the last axis, set hidden weights to 0, and multiply by v.",
)


def cross_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    key_mask: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    hidden = ~key_mask[:, None, :]  # (B, 1, S)
    scores = q @ k.mT / q.size(-1) ** 0.5  # (B, T, S)
    # A row of minus infinities alone would be 0/0, so such rows keep their scores until the end.
    some = key_mask.any(dim=-1)[:, None, None]  # (B, 1, 1)
    w = scores.masked_fill(hidden & some, -torch.inf).softmax(dim=-1)
    w = w.masked_fill(hidden, 0.0)
    return w @ v, w


# What the checks compare with.

SIZES = (  # B, T, S, d, d_v
    (1, 1, 1, 1, 1),
    (1, 1, 3, 2, 1),
    (2, 4, 4, 4, 4),
    (2, 3, 5, 4, 6),
    (3, 7, 2, 5, 3),
)


def inputs(
    rng: Rng, B: int, T: int, S: int, d: int, d_v: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Sources of different lengths, none of them empty."""
    lengths = torch.from_numpy(rng.integers(1, S + 1, B))
    shapes = {"q": (B, T, d), "k": (B, S, d), "v": (B, S, d_v)}
    tensors = {name: normal(rng, *shape, dtype=dtype) for name, shape in shapes.items()}
    return tensors | {"key_mask": torch.arange(S) < lengths[:, None]}


def compare(candidate: Candidate, tensors: dict[str, Tensor], cause: str) -> None:
    attention_checks.compare(candidate, tensors, tensors["key_mask"][:, None], cause)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns contexts (B, T, d_v) and weights (B, T, S)."""
    for sizes in SIZES:
        answer(candidate, inputs(rng, *sizes))


def sums(candidate: Candidate, rng: Rng) -> None:
    """Each query's weights sum to 1."""
    for sizes in SIZES:
        call, _, w = answer(candidate, inputs(rng, *sizes))
        cause = (
            "a softmax over the queries, or over an axis of size 1 (each weight is then 1), weights masked "
            "after the softmax, or dropout"
        )
        call.same("w.sum(-1)", w.sum(-1), torch.ones(sizes[:2]), cause=cause)


def padding(candidate: Candidate, rng: Rng) -> None:
    """What stands in the padding changes nothing."""
    for sizes in SIZES[1:]:
        tensors = inputs(rng, *sizes)
        hidden = ~tensors["key_mask"][..., None]
        _, before, _ = answer(candidate, tensors)
        other = {name: torch.where(hidden, 50.0, tensors[name]) for name in "kv"}
        call, after, w = answer(candidate, tensors | other)
        seen = w.masked_select(hidden.mT.expand_as(w))
        cause = "a mask that is missing, turned around, multiplied in, or along the queries"
        call.same("weights of the padding", seen, torch.zeros_like(seen), cause=cause, tolerance=0.0)
        call.same("output", after, before, cause=cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with F.scaled_dot_product_attention under the mask."""
    for sizes in SIZES:
        cause = "a scale other than 1/√d, scores squashed, a sum over the wrong axis, or a neighbor's mask"
        compare(candidate, inputs(rng, *sizes), cause)


def holes(candidate: Candidate, rng: Rng) -> None:
    """Only the mask says what is padding: it may have holes and begin with False, and a key may be 0."""
    for sizes in SIZES[1:]:
        tensors = inputs(rng, *sizes)
        tensors["k"][:, 0] = 0.0
        turned = torch.roll(tensors["key_mask"], 1, dims=1)
        scattered = torch.from_numpy(rng.permuted(tensors["key_mask"].numpy(), axis=1))
        for mask in (turned, scattered):
            cause = "a length taken from the mask, not its places, or padding guessed from zeros"
            compare(candidate, tensors | {"key_mask": mask}, cause)


def all_padding(candidate: Candidate, rng: Rng) -> None:
    """A source that is all padding gives zeros, and leaves the others as they are."""
    for sizes in SIZES:
        tensors = inputs(rng, *sizes)
        empty = int(rng.integers(sizes[0]))
        tensors["key_mask"][empty] = False
        call, output, w = answer(candidate, tensors)
        cause = "a softmax of minus infinities alone (0/0), or of equal large negative numbers (uniform)"
        call.same("w of the empty source", w[empty], torch.zeros_like(w[empty]), cause=cause, tolerance=0.0)
        call.same("its output", output[empty], torch.zeros_like(output[empty]), cause=cause, tolerance=0.0)
        compare(candidate, tensors, "an empty source that spoils its neighbors")


def large_scores(candidate: Candidate, rng: Rng) -> None:
    """Scores of any size neither overflow nor lift the mask."""
    # Whole numbers times powers of 2, and √d = 4: exact. Each query's scores are without ties.
    ranks = torch.from_numpy(rng.permuted(np.tile(np.arange(-8, 8), (2, 3, 1)), axis=-1)).float()
    k = torch.eye(16)[:5].expand(2, 5, 16).clone()
    k[:, 0] = 9.0 * torch.eye(16)[0] - 200.0 * torch.eye(16)[1]
    key_mask = torch.tensor([[False, True, True, True, False], [True, True, False, True, True]])
    for size in (2.0**6, 2.0**20, 2.0**100):
        low = {"q": ranks * size, "k": k, "v": normal(rng, 2, 5, 3), "key_mask": key_mask}
        compare(candidate, low, "an exponential without the maximum taken off, or a mask of −1e4 or −1e9")
        down = torch.ones(2, 3, 1) * torch.eye(16)[1] * size
        best_hidden = {"q": -down, "k": k.flip(1), "v": normal(rng, 2, 5, 3), "key_mask": key_mask}
        compare(candidate, best_hidden, "a mask of −1e4 or −1e9: real scores can be lower")
        worst = {"q": down, "k": k, "v": normal(rng, 2, 5, 3), "key_mask": key_mask.clone()}
        worst["key_mask"][:] = torch.tensor([True, False, False, False, False])
        compare(candidate, worst, "a mask of −1e4 or −1e9: real scores can be lower")


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Works in the dtype of q: float64 to full precision, bfloat16."""
    for dtype in (torch.float64, torch.bfloat16):
        for sizes in SIZES:
            compare(candidate, inputs(rng, *sizes, dtype=dtype), "a softmax, mask or constant in float32")


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow from contexts and weights to q, k and v."""
    for sizes in SIZES[1:4]:
        tensors = inputs(rng, *sizes, dtype=torch.float64)
        compare_gradients(candidate, tensors, tensors["key_mask"][:, None], rng)


def gradients_of_padding(candidate: Candidate, rng: Rng) -> None:
    """Gradients stay finite where a source is all padding."""
    for sizes in SIZES[2:]:
        tensors = inputs(rng, *sizes)
        tensors["key_mask"][0] = False
        asked = {n: t if n == "key_mask" else t.clone().requires_grad_() for n, t in tensors.items()}
        call, output, w = answer(candidate, asked)
        factor = normal(rng, *w.shape)
        for name, gradient in call.gradients(output=output, w=w * factor).items():
            cause = "NaN replaced after the softmax: autograd still runs through 0/0"
            call.same(
                f"gradient of {name}, first source", gradient[0], torch.zeros_like(gradient[0]), cause=cause
            )


def empty_batch(candidate: Candidate, rng: Rng) -> None:
    """Takes an empty batch."""
    answer(candidate, inputs(rng, 0, 3, 4, 5, 2))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in SIZES[1:]:
        spread = {name: strided(tensor) for name, tensor in inputs(rng, *sizes).items()}
        compare(candidate, spread, "`.view` on an input: it needs contiguous memory, `.reshape` does not")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves its inputs as they were."""
    for sizes in SIZES[1:]:
        answer(candidate, inputs(rng, *sizes))[0].unchanged()


# Right answers of other style, and wrong ones.


def by_loop(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> list[Tensor]:
    w = q.new_zeros(*q.shape[:2], k.size(1))
    for b in range(len(q)):
        for t in range(q.size(1)):
            if key_mask[b].any():
                scores = (k[b, key_mask[b]] * q[b, t]).sum(-1) * q.size(-1) ** -0.5
                w[b, t, key_mask[b]] = torch.softmax(scores, dim=0)
    return [torch.einsum("bts,bsd->btd", w, v), w]


def by_smallest_number(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    visible = key_mask.unsqueeze(1)
    scores = torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5
    w = F.softmax(torch.where(visible, scores, torch.finfo(q.dtype).min), dim=2) * visible
    return torch.bmm(w, v), w


def by_kernel(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    return by_torch(q, k, v, key_mask[:, None])


def by_hand(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    scores = (q[:, :, None] * k[:, None]).sum(-1) / q.size(-1) ** 0.5
    visible = key_mask[:, None].expand_as(scores)
    top = scores.masked_fill(~visible, torch.finfo(q.dtype).min).amax(-1, keepdim=True).detach()
    e = torch.exp((scores - top).masked_fill(~visible, 0.0)) * visible
    w = e / e.sum(-1, keepdim=True).masked_fill(~visible.any(-1, keepdim=True), 1.0)
    return w @ v, w


def weighed(weigh: Callable[[Tensor, Tensor], Tensor], *, power: float = 0.5) -> Candidate:
    """An answer whose weights are `weigh(scores, visible)`."""

    def answer(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
        w = weigh(q @ k.mT / q.size(-1) ** power, key_mask[:, None])
        return w @ v, w

    return answer


def filled(scores: Tensor, visible: Tensor, dim: int = -1) -> Tensor:
    """As the reference, with the softmax over any axis."""
    some = visible.any(-1, keepdim=True)
    return scores.masked_fill(~visible & some, -torch.inf).softmax(dim).masked_fill(~visible, 0.0)


def by_position(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    """One score for each pair of equal positions, softmax over the last axis, of size 1."""
    n = min(q.size(1), k.size(1))
    score = (q[:, :n] * k[:, :n]).sum(-1, keepdim=True).softmax(-1)
    w = F.pad(torch.diag_embed(score[..., 0]), (0, k.size(1) - n, 0, q.size(1) - n))
    return w @ v, w


def scaled_by_values(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    w = filled(q @ k.mT / v.size(-1) ** 0.5, key_mask[:, None])
    return w @ v, w


def first_mask_for_all(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    return cross_attention(q, k, v, key_mask[:1].expand_as(key_mask))


def lengths_from_mask(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    return cross_attention(q, k, v, torch.arange(k.size(1)) < key_mask.sum(1, keepdim=True))


def zeros_as_padding(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    return cross_attention(q, k, v, key_mask & (k != 0).any(-1))


def causal_too(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    past = torch.ones(q.size(1), k.size(1), dtype=torch.bool).tril()
    w = filled(q @ k.mT / q.size(-1) ** 0.5, key_mask[:, None] & past)
    return w @ v, w


def unmasked_weights(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    return cross_attention(q, k, v, key_mask)[0], (q @ k.mT / q.size(-1) ** 0.5).softmax(-1)


def masked_values(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    w = (q @ k.mT / q.size(-1) ** 0.5).softmax(-1)
    return w @ (v * key_mask[..., None]), w * key_mask[:, None]


def length_inferred(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    context, w = cross_attention(q, k, v, key_mask)
    return context.reshape(len(q), q.size(1), -1), w.reshape(len(q), q.size(1), -1)


def scaled_in_place(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    result = cross_attention(q, k, v, key_mask)
    if not q.requires_grad:
        q.div_(q.size(-1) ** 0.5)
    return result


def viewed(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> tuple[Tensor, Tensor]:
    return cross_attention(q.view(q.shape), k.view(-1).view(k.shape), v, key_mask)


TASK = Task(
    name="cross_attention",
    entry="bahdanau_luong_attention",
    statement=STATEMENT,
    starter=STARTER,
    reference=cross_attention,
    hints=HINTS,
    checks=(
        shapes,
        sums,
        padding,
        values,
        holes,
        all_padding,
        large_scores,
        dtypes,
        gradients,
        gradients_of_padding,
        empty_batch,
        memory,
        inputs_kept,
    ),
    wrong={
        "softmax over the queries": weighed(lambda scores, visible: filled(scores, visible, dim=-2)),
        "softmax over the batch": weighed(lambda scores, visible: filled(scores, visible, dim=0)),
        "softmax over an axis of size 1": by_position,
        "scores multiplied by the mask": weighed(lambda scores, visible: (scores * visible).softmax(-1)),
        "mask after the softmax": weighed(lambda scores, visible: scores.softmax(-1) * visible),
        "mask after the softmax, then renormalized": weighed(
            lambda scores, visible: F.normalize(scores.softmax(-1) * visible, p=1.0, dim=-1)
        ),
        "values masked instead of scores": masked_values,
        "no mask": weighed(lambda scores, visible: scores.softmax(-1)),
        "mask turned around": weighed(lambda scores, visible: filled(scores, ~visible)),
        "the first source's mask for all": first_mask_for_all,
        "lengths counted from the mask": lengths_from_mask,
        "keys of zeros taken for padding": zeros_as_padding,
        "a causal mask on top": causal_too,
        "mask of −1e4": weighed(
            lambda scores, visible: scores.masked_fill(~visible, -1e4).softmax(-1) * visible
        ),
        "mask of −1e9": weighed(
            lambda scores, visible: scores.masked_fill(~visible, -1e9).softmax(-1) * visible
        ),
        "scores cut off at ±1e4": weighed(lambda scores, visible: filled(scores.clamp(-1e4, 1e4), visible)),
        "scores squashed by tanh": weighed(lambda scores, visible: filled(scores.tanh(), visible)),
        "NaN for a source of padding": weighed(
            lambda scores, visible: scores.masked_fill(~visible, -torch.inf).softmax(-1)
        ),
        "uniform weights for a source of padding": weighed(
            lambda scores, visible: scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(-1)
        ),
        "minus infinity added, NaN replaced after the softmax": weighed(
            lambda scores, visible: (
                (scores + torch.zeros_like(scores).masked_fill(~visible, -torch.inf))
                .softmax(-1)
                .nan_to_num(0.0)
            )
        ),
        "softmax without the maximum": weighed(
            lambda scores, visible: F.normalize(scores.exp() * visible, p=1.0, dim=-1)
        ),
        "not divided": weighed(filled, power=0.0),
        "divided by d": weighed(filled, power=1.0),
        "divided by the root of the values' width": scaled_by_values,
        "dropout on the weights": weighed(lambda scores, visible: F.dropout(filled(scores, visible), 0.1)),
        "weights returned without the mask": unmasked_weights,
        "weights before the context": lambda q, k, v, key_mask: cross_attention(q, k, v, key_mask)[::-1],
        "a length inferred from no elements": length_inferred,
        "float32 inside": computed_in(torch.float32, cross_attention),
        "view of the inputs": viewed,
        "q scaled in place": scaled_in_place,
    },
    also_right={
        "each source without its padding, a loop": by_loop,
        "smallest number, then times the mask": by_smallest_number,
        "fused kernel, identity as values": by_kernel,
        "exponentials by hand": by_hand,
        "minus infinity filled in, NaN replaced": weighed(  # masked_fill stops the NaN on the way back
            lambda scores, visible: scores.masked_fill(~visible, -torch.inf).softmax(-1).nan_to_num(0.0)
        ),
        "float64 inside": computed_in(torch.float64, cross_attention),
    },
    asked=3,
)
