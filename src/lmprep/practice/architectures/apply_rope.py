"""Rotary positions, in the layout of Llama's weights."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `apply_rope(x, positions, base)`: turn queries or keys by their positions, in the *half-split* layout of
Llama's weights, where dimension $i$ is paired with dimension $i + d/2$, for $i = 0, \dots, d/2 - 1$. At
position $p$, pair $(a, b)$ number $i$ becomes $(a \cos\theta - b \sin\theta,\; b \cos\theta + a \sin\theta)$
with $\theta = p \cdot \text{base}^{-2i/d}$. `x` has any number of leading axes, none included; `positions`
hold a whole number for each of the $T$ places, from any start, in any order, also negative. Return the dtype
of `x`, and work in float32 at least: angles in half precision are useless, and float64 wants full precision.
Gradients flow to `x`. There may be no sequence in the batch, or no place in the sequence.
"""

STARTER = '''
import torch


def apply_rope(
    x: torch.Tensor,
    positions: torch.Tensor,
    base: float,
) -> torch.Tensor:
    """Rotary positions: turn each pair (x[..., i], x[..., i + d/2]).

    x: (..., T, d), d even.
    positions: (T,), whole numbers.
    Returns (..., T, d).
    """
    raise NotImplementedError
'''

HINTS = (
    "Write it for d = 4 on paper. Which two pairs are there, and by which two angles does position 3 turn "
    "them?",
    "There are d/2 angles for each position: a table of T rows and d/2 columns, an outer product. Cut x into "
    "its first and its second half; each half has that many columns too.",
    "Frequencies are base to the power of −0/d, −2/d, −4/d and so on. Angles are positions, as a column, "
    "times frequencies. Concatenate first · cos − second · sin with second · cos + first · sin, all in "
    "float64 if x is, else in float32 or better, and cast back to the dtype of x at the very end.",
)


def apply_rope(
    x: torch.Tensor,
    positions: torch.Tensor,
    base: float,
) -> torch.Tensor:
    d = x.size(-1)
    frequencies = base ** (-torch.arange(0, d, 2, dtype=torch.float64, device=x.device) / d)
    angles = positions[:, None] * frequencies  # (T, d/2)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.double().chunk(2, dim=-1)  # (..., T, d/2) each
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)


# What the checks compare with.

SIZES = (  # leading axes, T, d
    ((), 1, 2),
    ((), 2, 2),
    ((1,), 2, 4),
    ((), 3, 6),
    ((2, 3), 4, 8),
    ((2, 1, 3), 5, 10),
)
BASES = (10_000.0, 100.0, 500_000)


def by_complex_numbers(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Each pair as a complex number, times e^(iθ)."""
    half = x.size(-1) // 2
    exponents = torch.arange(half, dtype=torch.float64) / half
    angles = positions.double()[:, None] * torch.tensor(base, dtype=torch.float64) ** -exponents
    turned = torch.complex(x[..., :half].double(), x[..., half:].double()) * torch.exp(1j * angles)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


def places(rng: Rng, T: int, start: int = 0) -> Tensor:
    """T whole numbers in no order, from a range that begins at `start`."""
    return torch.from_numpy(start + rng.permutation(4 * T + 1)[:T])


def turned(candidate: Candidate, x: Tensor, positions: Tensor, base: float = 10_000.0) -> tuple[Call, Tensor]:
    call = Call(candidate, x=x, positions=positions, base=base)
    return call, call.returns(x.dtype, out=x.shape)


def compare(
    candidate: Candidate,
    x: Tensor,
    positions: Tensor,
    base: float,
    cause: str,
) -> None:
    call, out = turned(candidate, x, positions, base)
    call.same("out", out, by_complex_numbers(x, positions, base), cause=cause)


# Checks.


def shape(candidate: Candidate, rng: Rng) -> None:
    """Returns (..., T, d) in the dtype of x."""
    for leading, T, d in SIZES:
        turned(candidate, normal(rng, *leading, T, d), torch.arange(T))


def position_0(candidate: Candidate, rng: Rng) -> None:
    """Position 0 turns nothing."""
    for leading, T, d in SIZES:
        x = normal(rng, *leading, T, d)
        call, out = turned(candidate, x, torch.zeros(T, dtype=torch.long))
        cause = "positions counted from 1, sines and cosines added, or dimensions left in another order"
        call.same("out", out, x, cause=cause)


def norm_kept(candidate: Candidate, rng: Rng) -> None:
    """No vector changes its length."""
    for leading, T, d in SIZES:
        x, positions = normal(rng, *leading, T, d), places(rng, T)
        call, out = turned(candidate, x, positions)
        cause = "a sign: a turn has cos, −sin in one row and sin, cos in the other; or something added"
        call.same("out.norm(dim=-1)", out.norm(dim=-1), x.norm(dim=-1), cause=cause)


def distance_alone(candidate: Candidate, rng: Rng) -> None:
    """The product of a query at m with a key at n depends on m − n alone."""
    for leading, T, d in SIZES[1:]:
        q, k = normal(rng, 2, *leading, T, d)
        positions, shift = places(rng, T), int(rng.integers(40, 100))
        near = [turned(candidate, x, positions)[1] for x in (q, k)]
        call, far_q = turned(candidate, q, positions + shift)
        _, far_k = turned(candidate, k, positions + shift)
        cause = "angles that do not grow in proportion to the position, such as those of a table that ends"
        call.same(f"q·k after a move by {shift}", far_q @ far_k.mT, near[0] @ near[1].mT, cause=cause,
                  tolerance=1e-3)  # fmt: skip


def one_turn(candidate: Candidate, rng: Rng) -> None:
    """With d = 2, position p turns (1, 0) to (cos p, sin p)."""
    for p in (1, 2, -1, int(rng.integers(3, 1000))):
        x, positions = torch.tensor([[1.0, 0.0]]), torch.tensor([p])
        call, out = turned(candidate, x, positions)
        want = torch.tensor([[np.cos(p), np.sin(p)]])
        call.same("out", out, want, cause="the turn's direction: sin has the minus in the first half")


def pairing(candidate: Candidate, rng: Rng) -> None:
    """A 1 in dimension i turns into dimensions i and i + d/2 and no others."""
    for d in (4, 6, 10):
        x, positions = torch.eye(d), torch.full((d,), int(rng.integers(1, 4)))
        call, out = turned(candidate, x, positions)
        stray = out.clone()
        for i in range(d):
            stray[i, [i % (d // 2), i % (d // 2) + d // 2]] = 0
        cause = "the other layout, which pairs dimensions 2i and 2i + 1, or a mixture of the two"
        call.same("out outside of the pairs", stray, torch.zeros(d, d), cause=cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with multiplication by complex numbers, for any base and any positions."""
    cause = (
        "frequencies other than base^(−2i/d), with i counted over d/2 pairs and not over d, a base that is "
        "not used, or positions replaced by 0, 1, 2, …"
    )
    for base in BASES:
        for leading, T, d in SIZES:
            positions = places(rng, T, start=-5) if T % 2 else places(rng, T).int()
            compare(candidate, normal(rng, *leading, T, d), positions, base, cause)


def far_out(candidate: Candidate, rng: Rng) -> None:
    """In half precision, position 1,000 is as exact as position 1."""
    for dtype in (torch.bfloat16, torch.float16):
        for _, T, d in SIZES[2:5]:
            x, positions = normal(rng, T, d).to(dtype), places(rng, T, start=1000)
            cause = "angles in the dtype of x: bfloat16 has no whole numbers between 1,000 and 1,004"
            compare(candidate, x, positions, 10_000.0, cause)


def precise(candidate: Candidate, rng: Rng) -> None:
    """float64 comes to full precision, at position 5,000 too."""
    for leading, T, d in SIZES[2:5]:
        x = normal(rng, *leading, T, d, dtype=torch.float64)
        compare(candidate, x, places(rng, T, start=5000), 10_000.0, "angles or frequencies in float32")


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow back to x, turned the other way."""
    for leading, T, d in SIZES[1:5]:
        x, factor = normal(rng, 2, *leading, T, d, dtype=torch.float64)
        positions = places(rng, T)
        call = Call(candidate, x=x.clone().requires_grad_(), positions=positions, base=10_000.0)
        out = call.returns(x.dtype, out=x.shape)
        found = call.gradients(out=out * factor)["x"]
        back = by_complex_numbers(factor, -positions, 10_000.0)
        call.same("gradient of x", found, back, cause="a part that is cut off from autograd")


def empty(candidate: Candidate, rng: Rng) -> None:
    """Takes a batch without sequences and a sequence without places."""
    for leading, T, d in (((0, 2), 3, 4), ((2,), 0, 4), ((), 0, 2)):
        turned(candidate, normal(rng, *leading, T, d), torch.arange(T))


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes tensors that are not contiguous."""
    for leading, T, d in SIZES[2:]:
        x, positions = strided(normal(rng, *leading, T, d)), places(rng, 2 * T)[::2]
        compare(candidate, x, positions, 10_000.0, "`.view` where memory is not contiguous")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves x and positions as they were."""
    for leading, T, d in SIZES[1:]:
        turned(candidate, normal(rng, *leading, T, d), places(rng, T))[0].unchanged()


# Right answers of other style, and wrong ones.


def by_rotate_half(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """As in transformers."""
    d = x.shape[-1]
    inv_freq = 1.0 / (base ** (torch.arange(0, d, 2).double() / d))
    emb = torch.outer(positions.double(), inv_freq).repeat(1, 2)
    wide = x.double()
    rotated = torch.cat((-wide[..., d // 2 :], wide[..., : d // 2]), dim=-1)
    return (wide * emb.cos() + rotated * emb.sin()).type_as(x)


def by_matrices(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """A d×d rotation matrix for each place."""
    T, d = x.shape[-2:]
    i = torch.arange(d // 2)
    angles = positions.double().reshape(T, 1) / float(base) ** (i.double() * 2 / d)
    rotation = torch.zeros(T, d, d, dtype=torch.float64)
    rotation[:, i, i] = rotation[:, i + d // 2, i + d // 2] = angles.cos()
    rotation[:, i, i + d // 2] = -angles.sin()
    rotation[:, i + d // 2, i] = angles.sin()
    return torch.einsum("tij,...tj->...ti", rotation, x.double()).to(x.dtype)


def by_loop(x: Tensor, positions: Tensor, base: float) -> Tensor:
    half = x.shape[-1] // 2
    columns: list[Tensor] = [torch.empty(0)] * (2 * half)
    for i in range(half):
        theta = positions.to(torch.float64) * base ** (-i / half)
        a, b = x[..., i].double(), x[..., half + i].double()
        columns[i] = a * torch.cos(theta) - b * torch.sin(theta)
        columns[half + i] = b * torch.cos(theta) + a * torch.sin(theta)
    return torch.stack(columns, dim=-1).to(x.dtype)


def float32_unless_float64(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Angles in float64, the turn itself in float32 where x is no wider."""
    d, dtype = x.size(-1), torch.promote_types(x.dtype, torch.float32)
    angles = positions.double()[:, None] * base ** (-torch.arange(0, d, 2).double() / d)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    a, b = x.to(dtype).tensor_split(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


def float32_angles(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """As Llama does it for narrow dtypes: angles in float32."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    d = x.size(-1)
    angles = positions.to(dtype)[:, None] * base ** (-torch.arange(0, d, 2).to(dtype) / d)
    a, b = x.to(dtype).chunk(2, dim=-1)
    return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1).to(
        x.dtype
    )


def halves(a: Tensor, b: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def variant(
    *,
    exponents: Callable[[int], Tensor] = lambda d: torch.arange(0, d, 2).double() / d,
    places: Callable[[Tensor], Tensor] = lambda positions: positions.double(),
    split: Callable[[Tensor], tuple[Tensor, ...]] = lambda x: x.chunk(2, dim=-1),
    join: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = halves,
    dtype: torch.dtype = torch.float64,
) -> Candidate:
    """The whole computation, with one of its steps exchanged."""

    def answer(x: Tensor, positions: Tensor, base: float) -> Tensor:
        angles = places(positions)[:, None].to(dtype) * (base ** -exponents(x.size(-1))).to(dtype)
        a, b = split(x.to(dtype))
        return join(a, b, angles.cos(), angles.sin()).to(x.dtype)

    return answer


def interleaved(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., ::2], x[..., 1::2]


def zipped(a: Tensor, b: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)


def angles_in_own_dtype(x: Tensor, positions: Tensor, base: float) -> Tensor:
    d = x.size(-1)
    frequencies = (base ** (-torch.arange(0, d, 2).double() / d)).to(x.dtype)
    angles = positions.to(x.dtype)[:, None] * frequencies
    a, b = x.chunk(2, dim=-1)
    return halves(a, b, angles.cos(), angles.sin())


def added(x: Tensor, positions: Tensor, base: float) -> Tensor:
    angles = positions.double()[:, None] * base ** (-torch.arange(0, x.size(-1), 2).double() / x.size(-1))
    return (x + torch.cat([angles.sin(), angles.cos()], dim=-1)).to(x.dtype)


def tables_by_pairs(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """Cosines for neighbors, halves turned: a mixture of the layouts."""
    d = x.size(-1)
    angles = positions.double()[:, None] * base ** (-torch.arange(0, d, 2).double() / d)
    angles = angles.repeat_interleave(2, dim=-1)
    wide = x.double()
    rotated = torch.cat([-wide[..., d // 2 :], wide[..., : d // 2]], dim=-1)
    return (wide * angles.cos() + rotated * angles.sin()).to(x.dtype)


def viewed(x: Tensor, positions: Tensor, base: float) -> Tensor:
    return apply_rope(x.view(x.numel()).view(x.shape), positions, base)


def length_inferred(x: Tensor, positions: Tensor, base: float) -> Tensor:
    return apply_rope(x.reshape(-1, *x.shape[-2:]), positions, base).reshape(x.shape)


def table_of_places(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """A table made for the positions from 0 to the largest, looked up: negative ones wrap around."""
    table = torch.arange(int(positions.max()) + 1 if positions.numel() else 0)
    places = table[positions.long()] if positions.numel() else table
    return apply_rope(x, places, base)


def turned_in_place(x: Tensor, positions: Tensor, base: float) -> Tensor:
    out = apply_rope(x, positions, base)
    return out if x.requires_grad else x.copy_(out)


TASK = Task(
    name="apply_rope",
    entry="positional_encodings",
    statement=STATEMENT,
    starter=STARTER,
    reference=apply_rope,
    hints=HINTS,
    checks=(
        shape,
        position_0,
        norm_kept,
        distance_alone,
        one_turn,
        pairing,
        values,
        far_out,
        precise,
        gradients,
        empty,
        memory,
        inputs_kept,
    ),
    wrong={
        "neighbors paired": variant(split=interleaved, join=zipped),
        "neighbors paired, halves returned": variant(split=interleaved),
        "halves paired, neighbors returned": variant(join=zipped),
        "cosines for neighbors, halves turned": tables_by_pairs,
        "sines and cosines added": added,
        "turned the other way": variant(join=lambda a, b, cos, sin: halves(a, b, cos, -sin)),
        "sign missing": variant(
            join=lambda a, b, cos, sin: torch.cat([a * cos + b * sin, b * cos + a * sin], dim=-1)
        ),
        "first half turned before the second uses it": variant(
            join=lambda a, b, cos, sin: torch.cat(
                [a * cos - b * sin, b * cos + (a * cos - b * sin) * sin], dim=-1
            )
        ),
        "sine and cosine exchanged": variant(join=lambda a, b, cos, sin: halves(a, b, sin, cos)),
        "exponent i/d": variant(exponents=lambda d: torch.arange(d // 2).double() / d),
        "exponent 4i/d": variant(exponents=lambda d: torch.arange(0, 2 * d, 4).double() / d),
        "exponent 2i/(d − 2)": variant(exponents=lambda d: torch.arange(0, d, 2).double() / max(d - 2, 1)),
        "pairs counted from 1": variant(exponents=lambda d: torch.arange(2, d + 2, 2).double() / d),
        "frequencies rise": variant(exponents=lambda d: -torch.arange(0, d, 2).double() / d),
        "one angle for all": variant(exponents=lambda d: torch.zeros(d // 2).double()),
        "positions from 0, whatever was given": variant(places=lambda p: torch.arange(len(p)).double()),
        "positions from 1": variant(places=lambda p: p.double() + 1),
        "positions from the first one given": variant(places=lambda p: p.double() - p.double()[:1]),
        "positions held at the end of a table": variant(places=lambda p: p.double().clamp(max=31)),
        "positions sorted": variant(places=lambda p: p.double().sort().values),
        "positions without a sign": variant(places=lambda p: p.double().abs()),
        "a table that negative positions wrap around": table_of_places,
        "base of the paper, whatever was given": lambda x, positions, base: apply_rope(
            x, positions, 10_000.0
        ),
        "only the first half turned": variant(
            join=lambda a, b, cos, sin: torch.cat([a * cos - b * sin, b], dim=-1)
        ),
        "angles in the dtype of x": angles_in_own_dtype,
        "float32 inside": variant(dtype=torch.float32),
        "float32 angles, float64 turn": lambda x, positions, base: computed_in(torch.float32, apply_rope)(
            x, positions, base
        ),
        "batch size inferred from no elements": length_inferred,
        "view of the input": viewed,
        "written into x": turned_in_place,
    },
    also_right={
        "complex numbers": by_complex_numbers,
        "rotate_half, as in transformers": by_rotate_half,
        "rotation matrices": by_matrices,
        "one pair at a time": by_loop,
        "float64 angles, float32 turn": float32_unless_float64,
        "angles in float32 or the wider dtype of x": float32_angles,
    },
    asked=3,
)
