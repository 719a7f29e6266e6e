"""Where a token stands: learned and sinusoidal positions, added to embeddings; rotary ones, applied to
queries and keys; ALiBi and T5's buckets, for a bias added to scores."""

import math

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """One learned vector per position, as in GPT-2 and BERT: no vector, and so no sense, past the last.

    Args:
        context_length: how many positions there are.
        width: D.

    Raises:
        ValueError: either is below 1.
    """

    def __init__(self, context_length: int, width: int) -> None:
        super().__init__()
        if context_length < 1 or width < 1:
            raise ValueError(f"context_length and width must be at least 1, got {context_length} and {width}")
        self.weight = nn.Parameter(torch.empty(context_length, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, T: int, start: int = 0) -> Tensor:
        """(T, D): the vectors of the positions from `start` on.

        Raises:
            ValueError: these are not all between 0 and `context_length`.
        """
        context_length = self.weight.size(0)
        if T < 0 or start < 0 or start + T > context_length:
            raise ValueError(
                f"positions {start} to {start + T - 1} asked for, learned are 0 to {context_length - 1}"
            )
        return self.weight[start : start + T]


def sinusoidal(T: int, d: int, base: float = 10000.0) -> Tensor:
    """(T, d) fixed positions: sin(t·base^(−2i/d)) in column 2i, its cosine in column 2i + 1.

    Raises:
        ValueError: T is negative, d is not even and at least 2, or base is not above 0.

    Source: Vaswani et al. (2017), section 3.5.
    """
    if T < 0:
        raise ValueError(f"T must not be negative, got {T}")
    cos, sin = rope_cos_sin(torch.arange(T), d, base)
    return torch.stack([sin, cos], dim=-1).flatten(-2).float()  # (T, d/2, 2) → (T, d)


def rope_cos_sin(positions: Tensor, d: int, base: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles position·base^(−2i/d) for i = 0, …, d/2 − 1.

    In float64: in float32 an angle of 10,000 radians is already off by up to 0.0005, in bfloat16 by 32.

    Args:
        positions: (..., T), whole or real numbers.
        d: width of a head.
        base: the larger, the slower the slowest pair turns. 10,000 in the paper, 500,000 in Llama 3.

    Returns:
        Two tensors (..., T, d/2) in float64.

    Raises:
        ValueError: d is not even and at least 2, or base is not above 0.

    Source: Su et al. (2021), "RoFormer".
    """
    if d < 2 or d % 2:
        raise ValueError(f"d must be even and at least 2: dimensions turn in pairs; got {d}")
    if not base > 0:
        raise ValueError(f"base must be above 0, got {base}")
    exponents = torch.arange(0, d, 2, dtype=torch.float64, device=positions.device) / d
    angles = positions.unsqueeze(-1) * base**-exponents  # (..., T, d/2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x_i, x_{i + d/2}), as Llama's weights want it; RoFormer pairs (x_{2i}, x_{2i + 1}).

    The two layouts differ by a permutation of the d dimensions, the same for queries and keys, so they give
    the same scores if trained so; weights trained in one are wrong in the other.

    Args:
        x: (..., T, d).
        cos, sin: (T, d/2), or any shape that broadcasts to (..., T, d/2).

    Returns:
        (..., T, d), in x's dtype, worked out in float32 or better.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    cos, sin = cos.to(dtype), sin.to(dtype)
    first, second = x.to(dtype).chunk(2, dim=-1)  # (..., T, d/2) each
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


def apply_rope(x: Tensor, positions: Tensor, base: float = 10000.0) -> Tensor:
    """Rotary positions: turn queries or keys by angles that grow with the position.

    The product of a query at m with a key at n then depends on their contents and on m − n alone. Values are
    not turned.

    Args:
        x: (..., T, d), d even, half-split layout (see `rotate`).
        positions: (T,), or any shape (..., T) that broadcasts to x's without d.
        base: as in `rope_cos_sin`.

    Returns:
        (..., T, d), in x's dtype.

    Raises:
        TypeError: x is not floating point.
        ValueError: d is odd, or `positions` does not fit x.

    Source: Su et al. (2021), "RoFormer".
    """
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}")
    if x.ndim < 2:
        raise ValueError(f"x must have shape (..., T, d), got {tuple(x.shape)}")
    leading = zip(positions.shape[-2::-1], x.shape[-3::-1], strict=False)  # from the right, without T
    fits = 1 <= positions.ndim < x.ndim and positions.size(-1) == x.size(-2)
    if not fits or any(given not in (1, wanted) for given, wanted in leading):
        raise ValueError(f"positions must hold one for each of x's {x.size(-2)} places and broadcast to "
                         f"{tuple(x.shape[:-1])}, got shape {tuple(positions.shape)}")  # fmt: skip
    return rotate(x, *rope_cos_sin(positions, x.size(-1), base))


def alibi_slopes(num_heads: int) -> Tensor:
    """(H,) slopes: 2^(−8/H), 2^(−16/H), …, 2^(−8).

    Where H is no power of two, those of the next lower power P come first, and then every other one of those
    of 2P, from its first on, as in the authors' code.

    Raises:
        ValueError: num_heads is below 1.

    Source: Press, Smith & Lewis (2022), "Train Short, Test Long".
    """
    if num_heads < 1:
        raise ValueError(f"num_heads must be at least 1, got {num_heads}")
    power = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    between = [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return torch.tensor((slopes + between)[:num_heads])


def alibi_bias(relative: Tensor, num_heads: int) -> Tensor:
    """−slope · distance, to add to the scaled scores of each head before the softmax.

    Args:
        relative: (..., T, S), key position minus query position; what is masked may hold anything.
        num_heads: H.

    Returns:
        (..., H, T, S) in float32.

    Raises:
        ValueError: num_heads is below 1, or `relative` has fewer than two axes.

    Source: Press, Smith & Lewis (2022).
    """
    if relative.ndim < 2:
        raise ValueError(f"relative must have shape (..., T, S), got {tuple(relative.shape)}")
    slopes = alibi_slopes(num_heads).to(relative.device)
    return -slopes[:, None, None] * relative.abs().unsqueeze(-3)


def t5_bucket(relative: Tensor, *, causal: bool, num_buckets: int = 32, max_distance: int = 128) -> Tensor:
    """T5's bucket of each distance: short ones have their own, longer ones share, ever more to a bucket.

    The first half of the buckets holds one distance each. The other half divides the distances up to
    `max_distance` evenly on a logarithmic scale, and its last bucket holds all beyond. A model learns one
    bias per bucket and head.

    Args:
        relative: whole numbers of any shape, key position minus query position.
        causal: whether only the past is told apart and all of the future is bucket 0; if not, half of the
            buckets are for keys after the query.
        num_buckets: at least 2 if causal, else a multiple of 2 and at least 4.
        max_distance: the distance from which on all share a bucket; above the number of exact buckets.

    Returns:
        Long tensor of the same shape, from 0 to `num_buckets` − 1. The logarithm is taken in float32, as for
        the models that were trained so: where a boundary falls on a whole number, float64 can differ.

    Raises:
        TypeError: `relative` is not of a whole-number type.
        ValueError: `num_buckets` or `max_distance` is too small.

    Source: Raffel et al. (2020), section 2.1, and the released code.
    """
    if relative.is_floating_point() or relative.is_complex() or relative.dtype == torch.bool:
        raise TypeError(f"relative must hold whole numbers, got {relative.dtype}")
    if num_buckets < (2 if causal else 4) or (not causal and num_buckets % 2):
        wanted = "at least 2" if causal else "even and at least 4"
        raise ValueError(f"num_buckets must be {wanted}, got {num_buckets}")
    past = num_buckets if causal else num_buckets // 2  # buckets for one direction
    exact = past // 2
    if max_distance <= exact:
        raise ValueError(f"max_distance must be above the {exact} exact distances, got {max_distance}")
    relative = relative.long()
    distance = (-relative).clamp_min(0) if causal else relative.abs()
    share = torch.log(distance.clamp_min(exact).float() / exact) / math.log(max_distance / exact)
    shared = (exact + (share * (past - exact)).long()).clamp_max(past - 1)
    bucket = torch.where(distance < exact, distance, shared)
    return bucket if causal else bucket + past * (relative > 0)
