"""Uniform quantization: grids of evenly spaced values, rounding to them, and arithmetic on the integers.

A real number x and its integer q are related by x ≈ scale · (q − zero_point). Symmetric grids have zero point
0 and are stored as int8, affine ones as uint8. On both, 0.0 is one of the values.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Grid:
    """The values scale · (q − zero_point) for whole q from low to high.

    `scale` (floating point, above 0) and `zero_point` (int32) have one shape, which broadcasts against what
    is quantized: () for one grid, (O, 1) for one a row of a matrix.
    """

    scale: Tensor
    zero_point: Tensor
    low: int
    high: int


def qparams(
    x: Tensor, bits: int, *, symmetric: bool = True, axis: int | tuple[int, ...] | None = None
) -> Grid:
    """The grid that just covers the range of x, and zero.

    Args:
        x: what is to be rounded, or a sample of it (calibration). Half precision is taken as float32.
        bits: 2 to 8.
        symmetric: from −max|x| to max|x| with 2^bits − 1 values and zero point 0; else (affine) from
            min(x, 0) to max(x, 0) with 2^bits values.
        axis: each index along these axes gets a grid of its own: None is one for the tensor; 0, one for each
            row of a weight (O, I); (0, 1), one for each group of a weight reshaped to (O, G, I / G); and all
            axes but the last, one for each token of activations.

    Returns:
        A grid whose scale has the rank of x, 1 along the axes that share; of shape () if axis is None. Where
        all x are 0 the scale is 1.

    Raises:
        TypeError: x is not floating point.
        ValueError: bits or an axis is out of range, x is empty, NaN or infinite.

    Source: Jacob et al. (2018), section 2.1 and, on weights, 3.
    """
    smallest, largest = _range(x, bits, axis)
    smallest, largest = smallest.clamp(max=0), largest.clamp(min=0)  # zero is on every grid
    if symmetric:
        low, high = 1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1
        scale = torch.maximum(-smallest, largest) / high
    else:
        low, high = 0, 2**bits - 1
        scale = largest / high - smallest / high  # the difference itself could overflow
    scale = torch.where(scale > 0, scale, 1.0)
    zero = torch.zeros_like(scale) if symmetric else (-smallest / scale).round().clamp(low, high)
    return Grid(scale, zero.int(), low, high)


def quantize(x: Tensor, grid: Grid) -> Tensor:
    """The integers of the grid's values nearest to x; beyond its ends, those of the ends.

    Halfway between two values the even multiple of the scale is taken, as IEEE 754 and torch round.

    Args:
        x: floating point, of a shape that the grid's broadcasts to; half precision is taken as float32.

    Returns:
        The shape of x; int8, or uint8 if the grid is affine.

    Raises:
        TypeError: x is not floating point.
        ValueError: x holds a NaN, which no integer stands for, or the grid is not for its shape.
    """
    x = _checked(x, grid)
    codes = (x / grid.scale).round() + grid.zero_point
    return codes.clamp(grid.low, grid.high).to(torch.int8 if grid.low < 0 else torch.uint8)


def dequantize(q: Tensor, grid: Grid) -> Tensor:
    """scale · (q − zero_point), in the scale's dtype and the shape of q."""
    return grid.scale * (q.to(grid.scale.dtype) - grid.zero_point)


def fake_quantize(x: Tensor, grid: Grid) -> Tensor:
    """x rounded to the grid, in floating point, with a gradient as if it were not.

    The gradient is 1 where x rounds to a value of the grid and 0 where x is cut off at an end; the grid is a
    constant to it.

    Args:
        x: floating point, of a shape that the grid's broadcasts to.

    Returns:
        The shape and dtype of x.

    Raises:
        TypeError: x is not floating point.
        ValueError: x holds a NaN, or the grid is not for its shape.

    Source: Bengio et al. (2013), the straight-through estimator; Jacob et al. (2018), section 3.
    """
    levels = (_checked(x, grid) / grid.scale).round() + grid.zero_point
    rounded = dequantize(levels.clamp(grid.low, grid.high), grid).to(x.dtype)
    if not x.requires_grad:
        return rounded
    passes = torch.where((levels >= grid.low) & (levels <= grid.high), x, 0.0)
    return rounded + (passes - passes.detach())  # adds 0, with the gradient of x


def simulate(
    matrix: Tensor, bits: int, granularity: Literal["tensor", "row"] | int = "row", *, symmetric: bool = True
) -> Tensor:
    """A matrix rounded to grids fitted to it, in floating point and differentiable straight through.

    Args:
        matrix: (R, C): a weight (O, I), or activations (T, I), whose rows are tokens.
        bits: 2 to 8.
        granularity: one grid for the tensor, one for each row, or one for each so many neighbors in a row.
        symmetric: as for `qparams`.

    Returns:
        (R, C), in the dtype of matrix.

    Raises:
        TypeError: matrix is not floating point.
        ValueError: matrix has other than two axes, is empty or not finite; granularity is none of the three,
            or a number that does not divide C; bits is out of range.
    """
    if not isinstance(granularity, int):
        axis = _axis(matrix, granularity)
        return fake_quantize(matrix, qparams(matrix, bits, symmetric=symmetric, axis=axis))
    _check_matrix(matrix)
    if granularity < 1 or matrix.size(1) % granularity:
        raise ValueError(f"granularity must divide the {matrix.size(1)} columns, got {granularity}")
    groups = matrix.unflatten(1, (-1, granularity))  # (R, G, C / G)
    return fake_quantize(groups, qparams(groups, bits, symmetric=symmetric, axis=(0, 1))).flatten(1)


def best_ranges(matrix: Tensor, bits: int, granularity: Literal["tensor", "row"]) -> Tensor:
    """A matrix rounded to symmetric grids whose ranges leave the least squared error.

    For each grid four ranges are tried, from a seventh of its values' own to all of it; what lies beyond the
    end is cut off.

    Args:
        matrix: (R, C).
        bits: 2 to 8.
        granularity: one grid for the tensor, or one for each row.

    Returns:
        (R, C), in the dtype of matrix.

    Raises:
        TypeError: matrix is not floating point.
        ValueError: matrix has other than two axes, is empty or not finite; granularity is neither of the
            two; bits is out of range.
    """
    axis = _axis(matrix, granularity)
    best, least = matrix, torch.full((), torch.inf)
    for part in (0.15, 0.4, 0.7, 1.0):
        rounded = fake_quantize(matrix, qparams(part * matrix, bits, axis=axis))
        error = (rounded - matrix).square()
        error = error.sum() if axis is None else error.sum(dim=1, keepdim=True)  # () or (R, 1)
        best = torch.where(error < least, rounded, best)
        least = torch.minimum(error, least)
    return best


def int_linear(
    x: Tensor, x_grid: Grid, weight: Tensor, weight_grid: Grid, bias: Tensor | None = None
) -> Tensor:
    """`F.linear` of two quantized tensors, summed as int32 and scaled once, at the end.

    With zero points z, Σ (x − z_x)(w − z_w) = Σ xw − z_x Σ w − z_w Σ x + I z_x z_w, all in integers.

    Args:
        x: (…, I), int8 or uint8.
        x_grid: one, of shape (), or one for each token, (…, 1).
        weight: (O, I), int8 or uint8.
        weight_grid: one, of shape (), or one for each row, (O, 1).
        bias: (O,), floating point.

    Both on the CPU: on CUDA, torch multiplies no int32 matrices.

    Returns:
        (…, O), in the dtype of the scales.

    Raises:
        TypeError: x or weight is not int8 or uint8.
        ValueError: shapes, of the grids too, do not fit, a scale changes along I and so cannot leave the
            sum, or I is so large that int32 could overflow.

    Source: Jacob et al. (2018), section 2.3.
    """
    _check_linear(x, x_grid, weight, weight_grid, bias)
    size = x.size(-1)
    z_x, z_w = x_grid.zero_point, weight_grid.zero_point.flatten()
    x, weight = x.int(), weight.int()
    total = x @ weight.mT  # (…, O), int32
    total = total - z_x * weight.sum(-1, dtype=torch.int32)  # x is not needed for this one
    total = total - z_w * x.sum(-1, keepdim=True, dtype=torch.int32) + size * z_x * z_w
    y = total * x_grid.scale * weight_grid.scale.flatten()
    return y if bias is None else y + bias


def pack_int4(q: Tensor) -> Tensor:
    """Two integers a byte: the first of each pair in the lower four bits, in two's complement.

    Args:
        q: (…, I), int8 from −8 to 7, I even.

    Returns:
        (…, I / 2), uint8.

    Raises:
        TypeError: q is not int8.
        ValueError: the last axis is missing or odd, or a value does not fit into four bits.
    """
    if q.dtype != torch.int8:
        raise TypeError(f"q must be int8, got {q.dtype}")
    if q.ndim == 0 or q.size(-1) % 2:
        raise ValueError(f"q must have an even last axis, got shape {tuple(q.shape)}: pad it")
    if q.numel() and (q.min() < -8 or q.max() > 7):
        raise ValueError(f"q must be from −8 to 7, got {int(q.min())} to {int(q.max())}")
    nibbles = q.view(torch.uint8) & 0xF
    return nibbles[..., ::2] | nibbles[..., 1::2] << 4


def unpack_int4(packed: Tensor) -> Tensor:
    """What `pack_int4` packed: (…, I / 2) uint8 to (…, I) int8.

    Raises:
        TypeError: packed is not uint8.
        ValueError: packed has no axis.
    """
    if packed.dtype != torch.uint8:
        raise TypeError(f"packed must be uint8, got {packed.dtype}")
    if packed.ndim == 0:
        raise ValueError("packed must have an axis, got a single number")
    nibbles = torch.stack([packed & 0xF, packed >> 4], dim=-1).flatten(-2).to(torch.int8)
    return torch.where(nibbles > 7, nibbles - 16, nibbles)


def sqnr(x: Tensor, rounded: Tensor) -> float:
    """Signal to quantization noise in decibels: 10 log₁₀ of the sum of x² over that of (x − rounded)².

    Infinite where nothing is lost.

    Raises:
        ValueError: shapes differ, x is empty or all 0, or a value is NaN or infinite.
    """
    if x.shape != rounded.shape:
        raise ValueError(
            f"x and rounded must have one shape, got {tuple(x.shape)} and {tuple(rounded.shape)}"
        )
    if not (x.isfinite().all() and rounded.isfinite().all()):
        raise ValueError("x and rounded must be finite, got NaN or inf: find out where it comes from")
    signal = x.detach().double().square().sum().item()
    if not signal:
        raise ValueError("x is empty or 0 everywhere: there is no signal to compare with")
    noise = (x.detach().double() - rounded.detach().double()).square().sum().item()
    return 10 * math.log10(signal / noise) if noise else math.inf


def linear_inputs(model: nn.Module, run: Callable[[], Any]) -> dict[str, Tensor]:
    """What each `nn.Linear` in a model reads while `run` calls the model: the sample for calibration.

    Returns:
        Name of the layer in the model -> (N, I), all positions of all calls one below the other. Padding is
        among them: run on texts of one length, or one at a time.

    Raises:
        ValueError: no linear layer was reached.
    """
    found: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda _, inputs, name=name: found.setdefault(name, []).append(inputs[0].detach().flatten(0, -2))
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise ValueError("no nn.Linear of the model was reached: does run call this very model?")
    return {name: torch.cat(rows) for name, rows in found.items()}


def _range(x: Tensor, bits: int, axis: int | tuple[int, ...] | None) -> tuple[Tensor, Tensor]:
    """Smallest and largest x of each grid, in the shape of its scale."""
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}")
    if not 2 <= bits <= 8:
        raise ValueError(f"bits must be from 2 to 8, got {bits}")
    if x.numel() == 0 or not x.isfinite().all():
        raise ValueError(f"x must be finite and not empty, got shape {tuple(x.shape)}: leave out NaN and inf")
    x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    if axis is None:
        return x.min(), x.max()
    axes = (axis,) if isinstance(axis, int) else axis
    if not all(-x.ndim <= a < x.ndim for a in axes):
        raise ValueError(f"axis must be from {-x.ndim} to {x.ndim - 1} for this x, got {axis}")
    shared = sorted(set(range(x.ndim)) - {a % x.ndim for a in axes})
    return (x.amin(shared, keepdim=True), x.amax(shared, keepdim=True)) if shared else (x, x)


def _axis(matrix: Tensor, granularity: str) -> int | None:
    """`axis` of `qparams` for one grid a matrix or one a row."""
    _check_matrix(matrix)
    if granularity not in ("tensor", "row"):
        raise ValueError(f"granularity must be 'tensor', 'row' or a number, got {granularity!r}")
    return 0 if granularity == "row" else None


def _check_matrix(matrix: Tensor) -> None:
    if matrix.ndim != 2:
        raise ValueError(f"matrix must have two axes, got shape {tuple(matrix.shape)}")


def _check_linear(x: Tensor, x_grid: Grid, weight: Tensor, weight_grid: Grid, bias: Tensor | None) -> None:
    for name, q in (("x", x), ("weight", weight)):
        if q.dtype not in (torch.int8, torch.uint8):
            raise TypeError(f"{name} must be int8 or uint8, got {q.dtype}: quantize it first")
    if weight.ndim != 2 or x.ndim < 1 or x.size(-1) != weight.size(1):
        got = f"{tuple(x.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"x must be (…, I) and weight (O, I), got {got}")
    if x.size(-1) * 255**2 >= 2**31:
        raise ValueError(f"a sum over {x.size(-1)} products of bytes could overflow int32: split it")
    for name, q, grid in (("x", x, x_grid), ("weight", weight, weight_grid)):
        shape, one_each = tuple(grid.scale.shape), (*q.shape[:-1], 1)
        if shape and shape[-1] != 1:
            raise ValueError(f"scales of {name} change along the sum: no common factor")
        if shape not in ((), one_each):
            raise ValueError(f"{name}_grid must have shape () or {one_each}, got {shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have shape ({weight.size(0)},), got {tuple(bias.shape)}")


def _checked(x: Tensor, grid: Grid) -> Tensor:
    """x in at least the precision of the grid: a scale of shape () does not raise that of half precision."""
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, got {x.dtype}")
    sizes, wanted = grid.scale.shape, x.shape[x.ndim - grid.scale.ndim :]
    if len(sizes) > x.ndim or any(a not in (1, b) for a, b in zip(sizes, wanted, strict=True)):
        raise ValueError(f"a grid of shape {tuple(sizes)} does not fit x of shape {tuple(x.shape)}")
    if x.isnan().any():
        raise ValueError("x holds NaN, which no integer stands for: find out where it comes from")
    return x.to(torch.promote_types(x.dtype, grid.scale.dtype))
