"""Causal linear attention, from a state of fixed size."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lmprep.measure import LargestTensor
from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `linear_attention_causal(q, k, v)`: attention without the softmax. Position $t$ returns $\sum_{s \le
t} (q_t \cdot k_s)\, v_s$, itself included, neither scaled nor normalized. Keep what the past left in a
state of $d \cdot d_v$ numbers for each sequence: no tensor may be much larger than the inputs, the output
or that state, so neither $T \times T$ scores nor one state for each position; and no position may go
through all earlier pairs again. Keys have width $d$ and values width $d_v$, which may differ. The output
has the dtype of `q`, float64 to full precision, and gradients flow to `q`, `k` and `v`. Batch or sequence
may be empty, and the inputs are left as they were.
"""

STARTER = '''
import torch


def linear_attention_causal(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
) -> torch.Tensor:
    """For each position t, the sum of (q_t · k_s) v_s over all s ≤ t.

    q, k: (B, T, d).
    v: (B, T, d_v).
    Returns (B, T, d_v).
    """
    raise NotImplementedError
'''

HINTS = (
    "Write out the answer at t = 3 and take q out of the sum: what is left does not depend on the query. "
    "What shape does it have?",
    "The sum of the outer products of key and value is all that a later query needs of the past. At each "
    "position one outer product comes in and one query reads. In which order, if a position sees itself?",
    "Start from zeros of shape (B, d, d_v). For each t add the outer product of k[:, t] and v[:, t], then "
    "multiply the row q[:, t] by the state. Add without `+=`, which autograd does not allow here. Collect "
    "the rows along the time axis; where there are none, make the output from zeros.",
)


def linear_attention_causal(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
) -> torch.Tensor:
    state = v.new_zeros(v.size(0), k.size(2), v.size(2))  # (B, d, d_v)
    rows = [v[:, :0]]  # so that no position is no special case
    for t in range(v.size(1)):
        state = state + k[:, t, :, None] * v[:, t, None, :]
        rows.append(q[:, t, None] @ state)  # (B, 1, d_v)
    return torch.cat(rows, dim=1)


# What the checks compare with.

SIZES = (  # B, T, d, d_v
    (1, 1, 1, 1),
    (1, 1, 2, 3),
    (1, 2, 2, 2),
    (1, 3, 2, 4),
    (2, 3, 4, 2),
    (3, 7, 5, 5),
    (2, 20, 4, 3),
)


def inputs(
    rng: Rng, B: int, T: int, d: int, d_v: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    return {name: normal(rng, B, T, width, dtype=dtype) for name, width in (("q", d), ("k", d), ("v", d_v))}


def masked_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT).tril() @ v


def answer(candidate: Candidate, tensors: dict[str, Tensor]) -> tuple[Call, Tensor]:
    """The call and the output, if it has the right shape and dtype."""
    call = Call(candidate, **tensors)
    return call, call.returns(tensors["q"].dtype, out=tensors["v"].shape)


def compare(candidate: Candidate, tensors: dict[str, Tensor], cause: str) -> None:
    call, out = answer(candidate, tensors)
    wide = masked_product(**{name: tensor.double() for name, tensor in tensors.items()})
    # Sums of both signs: measured against the largest entry, whatever the order of adding up.
    scale = max(1.0, wide.abs().max().item())
    call.same("out", out / scale, (wide / scale).to(out.dtype), cause=cause)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns one row of the values' width for each position."""
    for sizes in SIZES:
        answer(candidate, inputs(rng, *sizes))


def no_future(candidate: Candidate, rng: Rng) -> None:
    """A later pair changes nothing for an earlier query."""
    for T in (2, 3, 6):
        tensors = inputs(rng, 2, T, 3, 2)
        later = torch.zeros(1, T, 1).index_fill(1, torch.tensor(T - 1), 3.0)
        _, before = answer(candidate, tensors)
        call, after = answer(candidate, tensors | {name: tensors[name] + later for name in "kv"})
        cause = "the sum over all positions, or a triangle that is turned around"
        call.same("out[:, :-1]", after[:, :-1], before[:, :-1], cause=cause)


def first_token(candidate: Candidate, rng: Rng) -> None:
    """The first position reads its own pair, (q · k) v."""
    for sizes in SIZES[:6]:
        tensors = inputs(rng, *sizes)
        q, k, v = tensors.values()
        call, out = answer(candidate, tensors)
        wanted = (q[:, 0] * k[:, 0]).sum(-1, keepdim=True) * v[:, 0]
        cause = "a read before the write, a softmax, a feature map, or a sum in the denominator"
        call.same("out[:, 0]", out[:, 0], wanted, cause=cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with the masked product (q kᵀ, lower triangle) v."""
    for sizes in SIZES:
        cause = (
            "the outer product turned around, so that keys and values change places, or an old pair forgotten"
        )
        compare(candidate, inputs(rng, *sizes), cause)


def small_state(candidate: Candidate, rng: Rng) -> None:
    """Keeps one state of d · d_v numbers for each sequence, and nothing that grows faster than the inputs."""
    B, T, d, d_v = 1, 96, 16, 12
    tensors = inputs(rng, B, T, d, d_v)
    with LargestTensor() as largest:
        call, _ = answer(candidate, tensors)
    most = 4 * B * T * max(d, d_v)  # room for q, k and v side by side
    got = f"one of {largest.elements:,}"
    grows = "T × T scores, or the states of all positions at once (a cumsum of outer products)"
    call.holds(largest.elements <= most, expected=f"no tensor of more than {most:,} numbers", got=got,
               cause=grows)  # fmt: skip


class NumbersMultiplied(TorchDispatchMode):
    """Within `with NumbersMultiplied() as multiplied:`, count the numbers that go into products."""

    PRODUCTS = frozenset(
        ["mul", "mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv", "addr", "addbmm", "addcmul", "linear"]
    )

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function.overloadpacket.__name__.rstrip("_") in self.PRODUCTS:
            self.count += sum(part.numel() for part in args if isinstance(part, Tensor))
        return function(*args, **(kwargs or {}))


def work(candidate: Candidate, rng: Rng) -> None:
    """Reads the past from the state: a late position costs no more than an early one."""
    B, T, d, d_v = 1, 256, 3, 2
    with NumbersMultiplied() as multiplied:
        call, _ = answer(candidate, inputs(rng, B, T, d, d_v))
    most = 300 * B * T  # chunks of 64 positions need less than half; all earlier pairs again 750 · B · T
    call.holds(multiplied.count <= most, expected=f"at most {most:,} numbers that go into products",
               got=f"{multiplied.count:,}",
               cause="all earlier pairs gone through again for each query: a cache, no state")  # fmt: skip


def large_values(candidate: Candidate, rng: Rng) -> None:
    """Large and small numbers are neither cut off nor moved by a constant."""
    for factor in (1e-6, 1e6):
        tensors = inputs(rng, 2, 5, 3, 4)
        call, out = answer(candidate, tensors | {"q": factor * tensors["q"]})
        wanted = masked_product(**{name: tensor.double() for name, tensor in tensors.items()})
        scale = wanted.abs().max()
        cause = "an epsilon added, or numbers clamped"
        call.same("out / factor", (out / factor).double() / scale, wanted / scale, cause=cause,
                  tolerance=2e-5)  # fmt: skip


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Works in the dtype of q: float64 to full precision, bfloat16."""
    for dtype in (torch.float64, torch.bfloat16):
        for sizes in SIZES[:6]:
            compare(candidate, inputs(rng, *sizes, dtype=dtype), "a state or constant in float32")


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to q, k and v."""
    for sizes in SIZES[1:6]:
        tensors = inputs(rng, *sizes, dtype=torch.float64)
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in tensors.items()}
        wanted = masked_product(**leaves)
        factors = normal(rng, *wanted.shape, dtype=torch.float64)
        true = torch.autograd.grad((wanted * factors).sum(), list(leaves.values()))
        call, out = answer(candidate, {name: t.clone().requires_grad_() for name, t in tensors.items()})
        found = call.gradients(out=out * factors)
        for (name, gradient), want in zip(found.items(), true, strict=True):
            call.same(f"gradient of {name}", gradient, want, cause="a part that is cut off from autograd")


def empty(candidate: Candidate, rng: Rng) -> None:
    """Takes an empty batch and an empty sequence."""
    for sizes in ((0, 3, 4, 5), (2, 0, 4, 5)):
        answer(candidate, inputs(rng, *sizes))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in SIZES[2:6]:
        spread = {name: strided(tensor) for name, tensor in inputs(rng, *sizes).items()}
        compare(candidate, spread, "`.view` on an input: it needs contiguous memory, `.reshape` does not")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves q, k and v as they were."""
    for sizes in SIZES[1:]:
        answer(candidate, inputs(rng, *sizes))[0].unchanged()


# Right answers of other style, and wrong ones.


def in_chunks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    state = q.new_zeros(q.size(0), q.size(2), v.size(2))
    out = torch.zeros_like(v)
    for start in range(0, q.size(1), 8):
        part = slice(start, start + 8)
        within = (q[:, part] @ k[:, part].mT).tril() @ v[:, part]
        out[:, part] = q[:, part] @ state + within
        state = state + k[:, part].mT @ v[:, part]
    return out


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    state = torch.zeros(v.size(0), v.size(2), k.size(2), dtype=q.dtype)  # (B, d_v, d)
    out = []
    for q_t, k_t, v_t in zip(q.unbind(1), k.unbind(1), v.unbind(1), strict=True):
        state = state + torch.einsum("bv,bd->bvd", v_t, k_t)
        out.append(torch.einsum("bvd,bd->bv", state, q_t))
    return torch.stack(out, dim=1) if out else torch.zeros_like(v)


def by_value_column(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One column of the values at a time, all positions at once: T × d numbers."""
    columns = [(q * (k * v[..., c : c + 1]).cumsum(1)).sum(-1) for c in range(v.size(2))]
    return torch.stack(columns, dim=-1)


def read_before_state_with_self(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What was there before, and then the position itself."""
    return step_by_step(lambda state, q_t, k_t, v_t: (
        (q_t[:, None] @ state)[:, 0] + (q_t * k_t).sum(-1, keepdim=True) * v_t,
        state + k_t[:, :, None] * v_t[:, None],
    ))(q, k, v)  # fmt: skip


def sequence_by_sequence(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    rows = [linear_attention_causal(q[b : b + 1], k[b : b + 1], v[b : b + 1]) for b in range(len(q))]
    return torch.cat(rows) if rows else torch.zeros_like(v)


Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def step_by_step(step: Step) -> Candidate:
    """An answer that maps state, q_t, k_t and v_t to the output and the next state."""

    def answer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        state = v.new_zeros(v.size(0), k.size(2), v.size(2))
        rows = []
        for t in range(v.size(1)):
            row, state = step(state, q[:, t], k[:, t], v[:, t])
            rows.append(row)
        return torch.stack(rows, dim=1) if rows else torch.zeros_like(v)

    return answer


def read(state: Tensor, q_t: Tensor) -> Tensor:
    return (q_t[:, None] @ state)[:, 0]


def written(state: Tensor, k_t: Tensor, v_t: Tensor) -> Tensor:
    return state + k_t[:, :, None] * v_t[:, None]


def after_writing(change: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Candidate:
    """The state is changed by `change`, then read."""

    def step(state: Tensor, q_t: Tensor, k_t: Tensor, v_t: Tensor) -> tuple[Tensor, Tensor]:
        state = change(state, k_t, v_t)
        return read(state, q_t), state

    return step_by_step(step)


def corrected(state: Tensor, k_t: Tensor, v_t: Tensor) -> Tensor:
    return written(state, k_t, v_t - read(state, k_t))


def normalized(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    sums = linear_attention_causal(q, k, torch.ones_like(v[..., :1]))
    return linear_attention_causal(q, k, v) / sums


def turned(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if k.size(2) != v.size(2):  # else shapes do not fit: the candidate would notice
        return linear_attention_causal(q, k, v)
    return linear_attention_causal(q, v, k)


def shared_state(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return after_writing(lambda state, k_t, v_t: state + k_t.mT @ v_t)(q, k, v)


def window(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = linear_attention_causal(q, k, v)
    if v.size(1) > 16:
        late = linear_attention_causal(q[:, 16:], k[:, :-16], v[:, :-16])
        out = torch.cat([out[:, :16], out[:, 16:] - late], dim=1)
    return out


def in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = linear_attention_causal(q, k, v)
    if not q.requires_grad:
        k.mul_(2)
    return out


def stacked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    state, rows = torch.zeros(v.size(0), k.size(2), v.size(2), dtype=v.dtype), []
    for t in range(v.size(1)):
        state = written(state, k[:, t], v[:, t])
        rows.append(read(state, q[:, t]))
    return torch.stack(rows, dim=1)


def read_again(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A cache: no T × T scores at a time, but every earlier pair for each query."""
    rows = [v[:, :0]]
    for t in range(v.size(1)):
        scores = q[:, t, None] @ k[:, : t + 1].mT  # (B, 1, t + 1)
        rows.append(scores @ v[:, : t + 1])
    return torch.cat(rows, dim=1)


def read_again_by_sum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = torch.zeros_like(v)
    for t in range(v.size(1)):
        scores = (q[:, t, None] * k[:, : t + 1]).sum(-1, keepdim=True)  # (B, t + 1, 1)
        out[:, t] = (scores * v[:, : t + 1]).sum(1)
    return out


def state_and_growing_output(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The output is joined at each step: slow to copy, and still one state."""
    state, out = v.new_zeros(v.size(0), k.size(2), v.size(2)), v[:, :0]
    for t in range(v.size(1)):
        state = written(state, k[:, t], v[:, t])
        out = torch.cat([out, read(state, q[:, t])[:, None]], dim=1)
    return out


def viewed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    flat = (x.view(x.size(0) * x.size(1), x.size(2)) for x in (q, k, v))
    return linear_attention_causal(*(x.reshape(*v.shape[:2], x.size(1)) for x in flat))


TASK = Task(
    name="linear_attention_causal",
    entry="context_state_capacity",
    statement=STATEMENT,
    starter=STARTER,
    reference=linear_attention_causal,
    hints=HINTS,
    checks=(
        shapes,
        no_future,
        first_token,
        values,
        small_state,
        work,
        large_values,
        dtypes,
        gradients,
        empty,
        memory,
        inputs_kept,
    ),
    wrong={
        "the sum over all positions": lambda q, k, v: q @ (k.mT @ v),
        "read before written": step_by_step(
            lambda state, q_t, k_t, v_t: (read(state, q_t), written(state, k_t, v_t))
        ),
        "the outer product turned around": turned,
        "the state not accumulated": after_writing(lambda state, k_t, v_t: written(0 * state, k_t, v_t)),
        "the delta rule": after_writing(corrected),
        "a state that decays": after_writing(lambda state, k_t, v_t: written(0.99 * state, k_t, v_t)),
        "one state for the whole batch": shared_state,
        "a window of the last 16 positions": window,
        "T × T scores": masked_product,
        "all earlier pairs read again": read_again,
        "all earlier pairs read again, without a matrix product": read_again_by_sum,
        "a state for each position": lambda q, k, v: (
            q[:, :, None] @ (k[..., None] * v[:, :, None]).cumsum(1)
        )[:, :, 0],
        "softmax attention": lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True
        ),
        "divided by √d": lambda q, k, v: linear_attention_causal(q, k, v) / q.size(-1) ** 0.5,
        "divided by the position": lambda q, k, v: (
            linear_attention_causal(q, k, v) / torch.arange(1, v.size(1) + 1, dtype=v.dtype)[:, None]
        ),
        "normalized by the sum of weights": normalized,
        "the feature map elu + 1": lambda q, k, v: linear_attention_causal(
            torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1, v
        ),
        "queries and keys exchanged": lambda q, k, v: linear_attention_causal(k, q, v),
        "time reversed": lambda q, k, v: linear_attention_causal(q.flip(1), k.flip(1), v.flip(1)).flip(1),
        "an epsilon": lambda q, k, v: linear_attention_causal(q, k, v) + 1e-6,
        "float32 inside": computed_in(torch.float32, linear_attention_causal),
        "a state in float32": after_writing(
            lambda state, k_t, v_t: written(state, k_t, v_t).float().to(state.dtype)
        ),
        "stack of no rows": stacked,
        "keys changed in place": in_place,
        "view of the inputs": viewed,
        "states detached": after_writing(lambda state, k_t, v_t: written(state.detach(), k_t, v_t)),
    },
    also_right={
        "in chunks": in_chunks,
        "einsum, state turned": by_einsum,
        "the output joined at each step": state_and_growing_output,
        "column by column": by_value_column,
        "the past, then the position itself": read_before_state_with_self,
        "sequence by sequence": sequence_by_sequence,
        "float64 inside": computed_in(torch.float64, linear_attention_causal),
    },
    asked=2,
)
