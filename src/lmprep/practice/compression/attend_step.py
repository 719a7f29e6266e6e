"""One decoding step of attention over caches of different lengths."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, identical, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `attend_step(q, k_new, v_new, keys, values, lengths)`: one layer's attention when each of $B \ge 1$
sequences decodes one token, as in continuous batching. Sequence $b$ has its first `lengths[b]` slots filled:
write its new key and value into the next slot, in place (there is room), and let its query attend to the
filled slots and the new one. All other slots stay as they are, and those beyond, which hold whatever was in
that memory, NaN and infinity too, must not touch the output. Key–value heads serve $H / H_{kv}$ *neighboring*
query heads each, query head $h$ reading head $\lfloor h H_{kv} / H \rfloor$; scores, of any size, are divided
by $\sqrt d$, the root of the head's width. Return the output in the dtype of `q`, float64 to full precision.
Leave `q`, `k_new`, `v_new` and `lengths` as they are (the caller advances `lengths` after the last layer); no
gradients are needed.
"""

STARTER = '''
import torch


def attend_step(
    q: torch.Tensor,
    k_new: torch.Tensor,
    v_new: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    """One decoding step of attention, for sequences of different lengths.

    q: (B, H, 1, d). k_new: (B, H_kv, 1, d). v_new: (B, H_kv, 1, d_v).
    keys: (B, H_kv, C, d). values: (B, H_kv, C, d_v). Both change in place.
    lengths: (B,) int64, tokens cached so far, from 0 to C - 1.
    Returns (B, H, 1, d_v).
    """
    raise NotImplementedError
'''

HINTS = (
    "Solve it for one sequence with one head first: which slot does the new key go to, and how many slots "
    "does the query see then? Is a causal mask needed at all?",
    "A loop over the sequences is fine. Slices such as keys[b, :, :n] are views, so writing to them changes "
    "the cache. If you mask instead of slicing: what is a weight of 0 times a value that is NaN?",
    "For each sequence: write the new key and value into slot n, take slots 0 to n of both, repeat every "
    "key–value head H / H_kv times in a row (repeat_interleave), score with the query over √d, take the "
    "softmax over the slots, apply the weights to the values. Stack the results.",
)


def attend_step(
    q: torch.Tensor,
    k_new: torch.Tensor,
    v_new: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    group = q.size(1) // keys.size(1)
    rows = []
    for b, n in enumerate(lengths.tolist()):
        keys[b, :, n] = k_new[b, :, 0]
        values[b, :, n] = v_new[b, :, 0]
        k = keys[b, :, : n + 1].repeat_interleave(group, dim=0)  # (H, n + 1, d)
        v = values[b, :, : n + 1].repeat_interleave(group, dim=0)  # (H, n + 1, d_v)
        weights = (q[b] @ k.mT / k.size(-1) ** 0.5).softmax(dim=-1)  # (H, 1, n + 1)
        rows.append(weights @ v)
    return torch.stack(rows)


# What the checks compare with.

Sizes = tuple[int, int, int, int, int, tuple[int, ...]]  # H, H_kv, d, d_v, C, lengths
SIZES: tuple[Sizes, ...] = (
    (1, 1, 1, 1, 1, (0,)),
    (1, 1, 2, 2, 2, (1,)),
    (2, 2, 2, 3, 4, (2, 2)),
    (2, 1, 4, 3, 5, (0, 3)),
    (4, 2, 3, 5, 6, (5, 1, 3)),
    (6, 3, 8, 4, 9, (2, 8, 0, 5)),
)


def inputs(
    rng: Rng, sizes: Sizes, dtype: torch.dtype = torch.float32, beyond: float = 7.0
) -> dict[str, Tensor]:
    """A call's inputs; every slot beyond a sequence's length holds `beyond`."""
    H, H_kv, d, d_v, C, lengths = sizes
    B = len(lengths)
    tensors = {
        "q": normal(rng, B, H, 1, d, dtype=dtype),
        "k_new": normal(rng, B, H_kv, 1, d, dtype=dtype),
        "v_new": normal(rng, B, H_kv, 1, d_v, dtype=dtype),
        "keys": normal(rng, B, H_kv, C, d, dtype=dtype),
        "values": normal(rng, B, H_kv, C, d_v, dtype=dtype),
        "lengths": torch.tensor(lengths),
    }
    unused = torch.arange(C) >= tensors["lengths"][:, None]  # (B, C)
    for name in ("keys", "values"):
        tensors[name].masked_fill_(unused[:, None, :, None], beyond)
    return tensors


def wanted(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The output, by torch's fused kernel, and both caches afterwards."""
    keys, values = tensors["keys"].clone(), tensors["values"].clone()
    rows = []
    for b, n in enumerate(tensors["lengths"].tolist()):
        keys[b, :, n : n + 1], values[b, :, n : n + 1] = tensors["k_new"][b], tensors["v_new"][b]
        one = (tensors["q"][b : b + 1], keys[b : b + 1, :, : n + 1], values[b : b + 1, :, : n + 1])
        rows.append(F.scaled_dot_product_attention(*one, enable_gqa=True))
    return torch.cat(rows), keys, values


def step(candidate: Candidate) -> Candidate:
    """The candidate, returning its output and both caches afterwards."""

    def run(
        q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return candidate(q, k_new, v_new, keys, values, lengths), keys, values

    return run


def answer(candidate: Candidate, tensors: dict[str, Tensor]) -> tuple[Call, Tensor]:
    call = Call(candidate, **tensors)
    q = tensors["q"]
    shape = (*q.shape[:3], tensors["values"].size(-1))
    return call, call.returns(q.dtype, output=shape)


def compare(candidate: Candidate, tensors: dict[str, Tensor], cause: str) -> None:
    call, out = answer(candidate, tensors)
    call.same("output", out, wanted(tensors)[0], cause=cause)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns one row of the values' width for each query head."""
    for sizes in SIZES:
        answer(candidate, inputs(rng, sizes))


def first_token(candidate: Candidate, rng: Rng) -> None:
    """With an empty cache the output is the new value."""
    for H_kv in (1, 2, 3):
        tensors = inputs(rng, (H_kv, H_kv, 2, 3, 2, (0, 0)))
        call, out = answer(candidate, tensors)
        cause = "the new key and value are written after attending, or into another slot"
        call.same("output", out, tensors["v_new"], cause=cause)


def neighbors_share(candidate: Candidate, rng: Rng) -> None:
    """Query head h reads key–value head ⌊h · H_kv / H⌋."""
    for H, H_kv in ((2, 1), (4, 2), (6, 2), (6, 3)):
        tensors = inputs(rng, (H, H_kv, 3, 2, 2, (0, 0)))
        call, out = answer(candidate, tensors)
        cause = "heads repeated as 0 1 0 1 (`repeat`, `tile`): with H = 4 and H_kv = 2 it is 0 0 1 1"
        call.same("output", out, tensors["v_new"].repeat_interleave(H // H_kv, dim=1), cause=cause)


def writes(candidate: Candidate, rng: Rng) -> None:
    """Writes the new key and value into slot lengths[b] of the given memory, and changes no other slot."""
    for sizes in SIZES[1:5]:
        for shape_memory in (lambda x: x, strided):
            tensors = inputs(rng, sizes, beyond=float("nan"))
            for name in ("keys", "values"):
                tensors[name] = shape_memory(tensors[name])
            _, *caches = wanted(tensors)
            call = Call(step(candidate), **tensors)
            if not isinstance(call.value, tuple):
                call.fail("an output", str(call.value), "a missing `return`")
            for name, got, want in zip(("keys", "values"), call.value[1:], caches, strict=True):
                call.holds(identical(got, want), expected=f"{name} with one new slot per sequence",
                           got="other memory",
                           cause="`torch.cat` or a copy in place of writing, another slot, one length for "
                                 "all sequences, or only one of keys and values written")  # fmt: skip


def agrees_with_sdpa(candidate: Candidate, rng: Rng) -> None:
    """The output agrees with F.scaled_dot_product_attention, sequence by sequence."""
    for sizes in SIZES:
        cause = (
            "a triangle that starts at the first key (is_causal=True lets one query see key 0 only), a scale "
            "other than 1/√d, slots beyond the length, or one length for all sequences"
        )
        compare(candidate, inputs(rng, sizes), cause)


def leftovers(candidate: Candidate, rng: Rng) -> None:
    """What lies in slots beyond the length does not matter: NaN, infinity, huge numbers."""
    for beyond in (1e30, float("inf"), float("nan")):
        for sizes in SIZES[3:]:
            cause = (
                "no mask, a finite mask, or a mask on the scores alone: a weight of 0 times a value of NaN "
                "or infinity is NaN"
            )
            compare(candidate, inputs(rng, sizes, beyond=beyond), cause)


def large_scores(candidate: Candidate, rng: Rng) -> None:
    """Scores of any size neither overflow nor let unused slots in."""
    for sign in (1.0, -1.0):
        larger: tuple[Sizes, ...] = ((1, 1, 4, 2, 4, (2,)), (4, 2, 4, 3, 6, (5, 1, 3)))
        for sizes in larger:
            tensors = inputs(rng, sizes, beyond=0.0)
            ranks = torch.arange(1.0, tensors["keys"].size(2) + 1)[None, None, :, None]
            tensors["keys"] = (2.0**60 * ranks).expand_as(tensors["keys"]).clone()
            tensors["k_new"] = torch.full_like(tensors["k_new"], 2.0**60)
            tensors["q"] = torch.full_like(tensors["q"], sign * 2.0**50)
            compare(candidate, tensors, "exp without subtracting the maximum, or a finite mask such as −1e9")


def dtypes(candidate: Candidate, rng: Rng) -> None:
    """Works in the dtype of q: float64 to full precision, bfloat16."""
    for dtype in (torch.float64, torch.bfloat16):
        for sizes in SIZES[1:5]:
            compare(candidate, inputs(rng, sizes, dtype=dtype), "a softmax or constant in float32")


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for sizes in SIZES[2:]:
        tensors = {name: strided(tensor) for name, tensor in inputs(rng, sizes).items()}
        compare(candidate, tensors, "`.view` on an input: it needs contiguous memory, `.reshape` does not")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves q, k_new, v_new and lengths as they were."""

    def run(q: Tensor, k_new: Tensor, v_new: Tensor, lengths: Tensor) -> Tensor:
        result: Tensor = candidate(q, k_new, v_new, keys.clone(), values.clone(), lengths)
        return result

    for sizes in SIZES[1:4]:
        tensors = inputs(rng, sizes)
        keys, values = tensors.pop("keys"), tensors.pop("values")
        Call(run, **tensors).unchanged(cause="`lengths += 1`, or a scale applied in place")


# Right answers of other style, and wrong ones.


def written(keys: Tensor, values: Tensor, k_new: Tensor, v_new: Tensor, slots: Tensor) -> None:
    rows = torch.arange(len(slots))
    keys[rows, :, slots], values[rows, :, slots] = k_new[:, :, 0], v_new[:, :, 0]


def masked(q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    """All sequences at once: unused values are set to 0, unused scores to minus infinity."""
    written(keys, values, k_new, v_new, lengths)
    seen = torch.arange(keys.size(2)) <= lengths[:, None]  # (B, C)
    k, v = (x.masked_fill(~seen[:, None, :, None], 0.0) for x in (keys, values))
    group = q.size(1) // k.size(1)
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = (q @ k.transpose(2, 3)) * q.size(-1) ** -0.5
    return scores.masked_fill(~seen[:, None, None], -torch.inf).softmax(-1) @ v


def by_kernel(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    rows = []
    for b in range(len(q)):
        n = int(lengths[b])
        keys[b, :, n].copy_(k_new[b, :, 0])
        values[b, :, n].copy_(v_new[b, :, 0])
        seen = (keys[b, None, :, : n + 1], values[b, None, :, : n + 1])
        rows.append(F.scaled_dot_product_attention(q[b, None], *seen, enable_gqa=True))
    return torch.cat(rows)


def by_groups(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    """Query heads as rows of their key–value head: nothing is repeated."""
    out = q.new_empty(*q.shape[:3], values.size(-1))
    for b, n in enumerate(lengths):
        keys[b, :, n], values[b, :, n] = k_new[b, :, 0], v_new[b, :, 0]
        k, v = keys[b, :, : n + 1], values[b, :, : n + 1]
        grouped = q[b, :, 0].unflatten(0, (k.size(0), -1))  # (H_kv, H / H_kv, d)
        w = torch.einsum("hgd,hsd->hgs", grouped, k).div(k.size(-1) ** 0.5).softmax(-1)
        out[b] = torch.einsum("hgs,hsd->hgd", w, v).flatten(0, 1)[:, None]
    return out


def float64_inside(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    out = attend_step(q.double(), k_new.double(), v_new.double(), keys.double(), values.double(), lengths)
    written(keys, values, k_new, v_new, lengths)
    return out.to(q.dtype)


def step_by(
    *,
    slot: int = 0,
    seen: int = 1,
    root: Callable[[Tensor], float] = lambda q: q.size(-1) ** 0.5,
    repeat: Callable[[Tensor, int], Tensor] = lambda x, group: x.repeat_interleave(group, dim=0),
    length: Callable[[Tensor], Tensor] = lambda lengths: lengths,
    softmax: Callable[[Tensor], Tensor] = lambda scores: scores.softmax(-1),
) -> Candidate:
    """The reference with one part exchanged."""

    def answer(
        q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
    ) -> Tensor:
        rows = []
        for b, n in enumerate(length(lengths).tolist()):
            at = min(max(n + slot, 0), keys.size(2) - 1)
            keys[b, :, at], values[b, :, at] = k_new[b, :, 0], v_new[b, :, 0]
            group = q.size(1) // keys.size(1)
            k, v = (repeat(x[b, :, : max(n + seen, 1)], group) for x in (keys, values))
            rows.append(softmax(q[b] @ k.mT / root(q)) @ v)
        return torch.stack(rows)

    return answer


def first_key_only(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    rows = []
    for b, n in enumerate(lengths.tolist()):
        keys[b, :, n], values[b, :, n] = k_new[b, :, 0], v_new[b, :, 0]
        seen = (keys[b, None, :, : n + 1], values[b, None, :, : n + 1])
        rows.append(F.scaled_dot_product_attention(q[b, None], *seen, is_causal=True, enable_gqa=True))
    return torch.cat(rows)


def attend_then_write(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    before = keys.clone(), values.clone()
    out = attend_step(q, torch.zeros_like(k_new), torch.zeros_like(v_new), *before, lengths)
    written(keys, values, k_new, v_new, lengths)
    return out


def concatenated(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    return attend_step(q, k_new, v_new, keys.clone(), values.clone(), lengths)


def values_not_kept(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    return attend_step(q, k_new, v_new, keys, values.clone(), lengths)


def advanced(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    out = attend_step(q, k_new, v_new, keys, values, lengths)
    lengths += 1
    return out


def with_mask(fill: float, *, on_scores: bool = True) -> Candidate:
    """All at once, unused scores set to `fill`; or unused weights set to 0 after the softmax."""

    def answer(
        q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
    ) -> Tensor:
        written(keys, values, k_new, v_new, lengths)
        unused = (torch.arange(keys.size(2)) > lengths[:, None])[:, None, None]
        group = q.size(1) // keys.size(1)
        k, v = keys.repeat_interleave(group, dim=1), values.repeat_interleave(group, dim=1)
        scores = q @ k.mT / q.size(-1) ** 0.5
        if on_scores:
            return scores.masked_fill(unused, fill).softmax(-1) @ v
        return scores.softmax(-1).masked_fill(unused, 0.0) @ v

    return answer


def finite_mask_clean_values(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    clean = torch.arange(keys.size(2)) >= lengths[:, None]
    k, v = (x.masked_fill(clean[:, None, :, None], 0.0) for x in (keys, values))
    out = with_mask(-1e9)(q, k_new, v_new, k, v, lengths)
    written(keys, values, k_new, v_new, lengths)
    return out


def viewed(q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    B, H, _, d = q.shape
    return attend_step(q.view(B * H, d).reshape(B, H, 1, d), k_new, v_new, keys, values, lengths)


def float32_inside(
    q: Tensor, k_new: Tensor, v_new: Tensor, keys: Tensor, values: Tensor, lengths: Tensor
) -> Tensor:
    out = computed_in(torch.float32, attend_step)(q, k_new, v_new, keys.clone(), values.clone(), lengths)
    written(keys, values, k_new, v_new, lengths)
    result: Tensor = out
    return result


TASK = Task(
    name="attend_step",
    entry="kv_cache_inference",
    statement=STATEMENT,
    starter=STARTER,
    reference=attend_step,
    hints=HINTS,
    checks=(
        shapes,
        first_token,
        neighbors_share,
        writes,
        agrees_with_sdpa,
        leftovers,
        large_scores,
        dtypes,
        memory,
        inputs_kept,
    ),
    wrong={
        "is_causal=True: sees key 0 only": first_key_only,
        "attends before writing": attend_then_write,
        "sees only the past": step_by(seen=0),
        "sees one slot too many": step_by(seen=2),
        "writes one slot too late": step_by(slot=1, seen=2),
        "writes one slot too early": step_by(slot=-1, seen=0),
        "divided by √(H·d)": step_by(root=lambda q: (q.size(1) * q.size(-1)) ** 0.5),
        "not divided": step_by(root=lambda q: 1.0),
        "divided by d": step_by(root=lambda q: float(q.size(-1))),
        "heads repeated as 0 1 0 1": step_by(repeat=lambda x, group: x.repeat(group, 1, 1)),
        "the longest length for all": step_by(length=lambda lengths: lengths.max().expand_as(lengths)),
        "the first length for all": step_by(length=lambda lengths: lengths[:1].expand_as(lengths)),
        "softmax without the maximum": step_by(
            softmax=lambda scores: scores.exp() / scores.exp().sum(-1, keepdim=True)
        ),
        "caches copied, not written": concatenated,
        "values not written": values_not_kept,
        "lengths advanced": advanced,
        "no mask": with_mask(0.0, on_scores=False),
        "mask on the scores alone": with_mask(-torch.inf),
        "finite mask": finite_mask_clean_values,
        "float32 inside": float32_inside,
        "view of the queries": viewed,
    },
    also_right={
        "all sequences at once, masked": masked,
        "fused kernel": by_kernel,
        "query heads as rows of their group": by_groups,
        "float64 inside": float64_inside,
    },
    asked=3,
)
