"""What the checks of the attention tasks share: torch's fused kernel as the truth, and comparing with it.

`tensors` are a candidate's inputs: q (…, T, d), k (…, S, d), v (…, S, d_v), and a mask where it takes one.
`visible` is boolean, True = may attend, broadcastable to (…, T, S).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal
from lmprep.practice.task import Candidate


def by_torch(q: Tensor, k: Tensor, v: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """The fused kernel's output, and its weights: its output for an identity matrix as values."""
    S = k.size(-2)
    identity = torch.eye(S, dtype=q.dtype).expand(*k.shape[:-2], S, S)
    output, w = (F.scaled_dot_product_attention(q, k, value, attn_mask=visible) for value in (v, identity))
    return output, w


def answer(candidate: Candidate, tensors: dict[str, Tensor]) -> tuple[Call, Tensor, Tensor]:
    """The call, the output and the weights, if they have the right shapes and dtype."""
    call = Call(candidate, **tensors)
    q, k, v = (tensors[name] for name in "qkv")
    output, w = call.returns(q.dtype, output=(*q.shape[:-1], v.size(-1)), w=(*q.shape[:-1], k.size(-2)))
    return call, output, w


def compare(candidate: Candidate, tensors: dict[str, Tensor], visible: Tensor, cause: str) -> None:
    """Compare output and weights with torch's."""
    call, output, w = answer(candidate, tensors)
    true_output, true_w = by_torch(tensors["q"], tensors["k"], tensors["v"], visible)
    call.same("w", w, true_w, cause=cause)
    call.same("output", output, true_output, cause=cause)


def compare_gradients(candidate: Candidate, tensors: dict[str, Tensor], visible: Tensor, rng: Rng) -> None:
    """Compare the gradients of q, k and v, for random gradients of output and weights."""
    leaves = {name: tensors[name].clone().requires_grad_() for name in "qkv"}
    true_output, true_w = by_torch(**leaves, visible=visible)
    factors = [normal(rng, *part.shape, dtype=part.dtype) for part in (true_output, true_w)]
    ((true_output * factors[0]).sum() + (true_w * factors[1]).sum()).backward()
    asked = {name: tensors[name].clone().requires_grad_() for name in "qkv"}
    call, output, w = answer(candidate, tensors | asked)
    for name, found in call.gradients(output=output * factors[0], w=w * factors[1]).items():
        cause = "a part that is cut off from autograd"
        call.same(f"gradient of {name}", found, leaves[name].grad, cause=cause)
