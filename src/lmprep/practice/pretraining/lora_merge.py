"""A LoRA adapter folded into the weight that it stands beside, whatever their precisions."""

from typing import Any

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `lora_merge(W, A, B, alpha)`: the weight $W + \frac{\alpha}{r} B A$ of a linear layer whose adapter is
to be shipped inside it, with `W` $(\text{out}, \text{in})$, `A` $(r, \text{in})$ and `B` $(\text{out}, r)$.
The rank $r$ stands in the shapes alone. The three may differ in floating dtype: adapters are often kept in
float32 beside a base in bfloat16. So work in float32, or in float64 if one of the three is float64, and round
once, in the end, to W's dtype. The result is a new tensor, in W's shape and dtype, that shares no memory with
`W`, not even for $B = 0$. No input is changed, and gradients are not needed.
"""

STARTER = '''
import torch


def lora_merge(W: torch.Tensor, A: torch.Tensor, B: torch.Tensor, alpha: float) -> torch.Tensor:
    """W: (out, in), A: (r, in), B: (out, r), each of its own dtype -> a new (out, in) in W's."""
    raise NotImplementedError
'''

HINTS = (
    "Which of the two orders of the product has the shape of W? Where out equals in, the shapes will not "
    "tell you, and where the rank equals another size, they will not tell you r either.",
    "Half-precision numbers carry 8 or 11 significant bits. Every step done in them rounds: the product, the "
    "scaling and the sum. Only the last rounding is asked for.",
    "Find the wider of float32 and the three dtypes, bring all three there, multiply B with A, scale by "
    "alpha over the number of A's rows, add, and convert the sum to W's dtype.",
)


def lora_merge(W: torch.Tensor, A: torch.Tensor, B: torch.Tensor, alpha: float) -> torch.Tensor:
    wide = torch.float64 if torch.float64 in (W.dtype, A.dtype, B.dtype) else torch.float32
    with torch.no_grad():
        return (W.to(wide) + alpha / len(A) * B.to(wide) @ A.to(wide)).to(W.dtype)


# What the checks compare with.

SIZES = ((1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 2, 2), (3, 3, 2), (5, 3, 2), (3, 5, 2), (2, 3, 4), (16, 12, 8))
SIGNIFICANT = {torch.bfloat16: 8, torch.float16: 11}  # bits


def given(
    rng: Rng,
    sizes: tuple[int, int, int],
    weight: torch.dtype = torch.float64,
    adapter: torch.dtype = torch.float64,
) -> dict[str, Any]:
    """Sizes are in, out, rank; alpha is none of 1, r and 2r."""
    wide, tall, rank = sizes
    return {
        "W": normal(rng, tall, wide, dtype=weight),
        "A": normal(rng, rank, wide, dtype=adapter),
        "B": normal(rng, tall, rank, dtype=adapter),
        "alpha": float(rng.choice([alpha for alpha in (0.5, 5.0, 12.0) if alpha not in (rank, 2 * rank)])),
    }


def exact(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """In float64, as a sum of outer products."""
    pairs = zip(B.double().unbind(1), A.double().unbind(0), strict=True)
    terms = [column[:, None] * row for column, row in pairs]
    return W.double() + alpha * torch.stack(terms).mean(dim=0)


def shape_and_dtype(candidate: Candidate, rng: Rng) -> None:
    """The result has W's shape and dtype, whatever those of A and B are."""
    dtypes = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
    for sizes in SIZES[:6]:
        for weight in dtypes:
            for adapter in dtypes:
                call = Call(candidate, **given(rng, sizes, weight, adapter))
                call.returns(weight, weight=(sizes[1], sizes[0]))


def values(candidate: Candidate, rng: Rng) -> None:
    """The result is W + alpha / r · B A, to float64's precision where an argument is float64."""
    for sizes in SIZES:
        for weight, adapter in (
            (torch.float64, torch.float64),
            (torch.float32, torch.float32),
            (torch.float64, torch.float32),
        ):
            inputs = given(rng, sizes, weight, adapter)
            call = Call(candidate, **inputs)
            cause = "A and B exchanged, alpha not divided by the rank, or another size taken for the rank"
            call.same("the merged weight", call.value, exact(**inputs).to(weight), cause=cause)
    for alpha in (3, 1, 0):
        inputs = given(rng, (3, 5, 2)) | {"alpha": alpha}
        call = Call(candidate, **inputs)
        call.same("the merged weight", call.value, exact(**inputs), cause="alpha // r instead of alpha / r")


def memory(candidate: Candidate, rng: Rng) -> None:
    """The result is a new tensor and the inputs are as they were, also where B is zero."""
    for zero in (False, True):
        for weight in (torch.float64, torch.float32, torch.bfloat16):
            inputs = given(rng, (3, 5, 2), weight, weight)
            if zero:
                inputs["B"] = torch.zeros_like(inputs["B"])
            call = Call(candidate, **inputs)
            call.unchanged()
            if zero:
                cause = "something added although B is zero"
                call.same("the merged weight", call.value, inputs["W"], cause=cause, tolerance=0.0)
            call.value.add_(1)
            call.unchanged(cause="W itself, or a view of it, returned instead of a new tensor")


def layouts(candidate: Candidate, rng: Rng) -> None:
    """Inputs need not be contiguous, and may be parameters that require gradients."""
    inputs = given(rng, (5, 3, 2))
    want = exact(**inputs)
    for change in (strided, lambda x: x.clone().requires_grad_()):
        changed = {name: change(x) if isinstance(x, Tensor) else x for name, x in inputs.items()}
        call = Call(candidate, **changed)
        got = call.returns(torch.float64, weight=(3, 5)).detach()
        call.same("the merged weight", got, want, cause="a `.view`, or an in-place operation on a parameter")


def large(candidate: Candidate, rng: Rng) -> None:
    """A product too large for float16 is no problem if the scale brings it back."""
    inputs = given(rng, (3, 5, 2), torch.float16, torch.float16)
    inputs |= {"A": 400 * torch.ones(2, 3).half(), "B": 400 * torch.ones(5, 2).half(), "alpha": 1e-4}
    call = Call(candidate, **inputs)
    cause = "B A computed in float16, whose largest number is 65,504"
    call.same("the merged weight", call.value, exact(**inputs).half(), cause=cause)


def rounded_once(candidate: Candidate, rng: Rng) -> None:
    """In half precision the result is the exact sum, rounded once."""
    for weight, bits in SIGNIFICANT.items():
        for adapter in (torch.float32, weight):
            inputs = given(rng, (16, 12, 8), weight, adapter) | {"alpha": 11.3}
            call = Call(candidate, **inputs)
            want = exact(**inputs)
            _, exponent = torch.frexp(want)
            half_step = 0.5 * torch.exp2((exponent - bits).double())
            got = call.returns(weight, weight=(12, 16)).double()
            off = ((got - want).abs() / (1.01 * half_step + 1e-5)).max().item()
            call.holds(
                off <= 1,
                expected="each entry within half a step of the exact sum",
                got=f"{off:.2f} half steps away, at worst",
                cause="product, scale or sum computed in half precision, or rounded before the sum",
            )


# Right answers of other style, and wrong ones.


def widest(*tensors: Tensor) -> torch.dtype:
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def by_einsum(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    wide = widest(W, A, B)
    update = torch.einsum("or,ri->oi", B.detach().to(wide), A.detach().to(wide))
    return (W.detach().to(wide) + update * (alpha / A.shape[0])).to(W.dtype)


def by_outer_products(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    merged = W.detach().to(widest(W, A, B), copy=True)
    for k in range(B.shape[1]):
        merged += alpha * torch.outer(B[:, k].detach().to(merged), A[k].detach().to(merged)) / B.shape[1]
    return merged.to(W.dtype)


def by_addmm(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    wide = widest(W, A, B)
    return torch.addmm(W.to(wide), B.to(wide), A.to(wide), alpha=alpha / A.size(0)).to(W.dtype)


def in_float64(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return (W.double() + alpha / A.size(0) * (B.double() @ A.double())).to(W.dtype)


def scaled_by(scale: Any) -> Candidate:
    def merge(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
        wide = widest(W, A, B)
        return (W.to(wide) + scale(A, B, alpha) * (B.to(wide) @ A.to(wide))).to(W.dtype)

    return merge


def a_times_b(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    """(B A)ᵀ, which has W's shape where W is square."""
    wide = widest(W, A, B)
    return (W.to(wide) + alpha / len(A) * (A.to(wide).mT @ B.to(wide).mT).reshape(W.shape)).to(W.dtype)


def scale_rounded(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return lora_merge(W, A, B, len(A) * W.new_tensor(alpha / len(A)).item())


def in_place(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    with torch.no_grad():
        W += (alpha / len(A) * (B.to(widest(W, A, B)) @ A.to(widest(W, A, B)))).to(W.dtype)
    return W


def zero_returns_w(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return lora_merge(W, A, B, alpha) if B.any() else W


def by_views(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return lora_merge(W.view(-1).view(W.shape), A, B, alpha)


def minus(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return lora_merge(W, A, B, -alpha)


def update_only(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return lora_merge(torch.zeros_like(W), A, B, alpha)


def update_rounded_first(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return W.detach() + update_only(W, A, B, alpha)


def all_in_the_weights_dtype(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return W.detach() + alpha / len(A) * (B.detach().to(W) @ A.detach().to(W))


def promoted_only(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return (W.detach() + alpha / len(A) * (B.detach() @ A.detach())).to(W.dtype)


def promoted_and_left(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return in_float64(W.float(), A, B, alpha)


def float32_always(W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return (W.float() + alpha / len(A) * (B.float() @ A.float())).to(W.dtype)


TASK = Task(
    name="lora_merge",
    entry="pretrain_finetune_lora",
    statement=STATEMENT,
    starter=STARTER,
    reference=lora_merge,
    hints=HINTS,
    checks=(shape_and_dtype, values, memory, layouts, large, rounded_once),
    wrong={
        "A and B exchanged": a_times_b,
        "alpha without the rank": scaled_by(lambda A, B, alpha: alpha),
        "one over the rank": scaled_by(lambda A, B, alpha: 1 / len(A)),
        "alpha over the root of the rank": scaled_by(lambda A, B, alpha: alpha / len(A) ** 0.5),
        "rank over alpha": scaled_by(lambda A, B, alpha: len(A) / alpha if alpha else 0.0),
        "rank from A's columns": scaled_by(lambda A, B, alpha: alpha / A.size(1)),
        "rank from B's rows": scaled_by(lambda A, B, alpha: alpha / len(B)),
        "alpha // rank": scaled_by(lambda A, B, alpha: alpha // len(A)),
        "rank from A's smaller size": scaled_by(lambda A, B, alpha: alpha / min(A.shape)),
        "rank from B's smaller size": scaled_by(lambda A, B, alpha: alpha / min(B.shape)),
        "subtracted": minus,
        "in place": in_place,
        "through views": by_views,
        "W itself for a zero B": zero_returns_w,
        "the update only": update_only,
        "update rounded before the sum": update_rounded_first,
        "all in W's dtype": all_in_the_weights_dtype,
        "left to type promotion": promoted_only,
        "float32 as the result": promoted_and_left,
        "float32 inside, always": float32_always,
        "scale rounded to W's dtype": scale_rounded,
    },
    also_right={
        "einsum": by_einsum,
        "outer products": by_outer_products,
        "addmm": by_addmm,
        "float64 inside": in_float64,
    },
    asked=2,
)
