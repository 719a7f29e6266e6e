"""Associative memory: pairs of key and value in a matrix of fixed size, or in a cache that grows with them.

A state is a matrix S of shape (..., d_v, d); a query q is answered with S q, which for rows of queries is
`q @ state.mT`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def random_unit_keys(*shape: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
    """Vectors of length 1 in independent, uniformly random directions.

    Args:
        shape: (..., d); the vectors lie along the last axis.
        generator: the source of randomness, on the CPU.
        dtype: of the result; torch's default when None.

    Raises:
        ValueError: there is no axis, or d is below 1.
    """
    if not shape or shape[-1] < 1:
        raise ValueError(f"shape must end in a width of at least 1, got {shape}")
    return F.normalize(torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)


def tight_keys(*shape: int, generator: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
    """Vectors of length 1 that overlap as little as N of them can: block after block of d at right angles.

    Where d divides N they are a tight frame, with the least sum of squared overlaps that N vectors of length
    1 can have, N²/d with each one's own.

    Args:
        shape: (..., N, d).
        generator: the source of randomness, on the CPU.
        dtype: of the result; torch's default when None.

    Raises:
        ValueError: there are fewer than two axes, or N or d is below 1.

    Source: Welch (1974) for the bound; Waldron (2003) for the tight frames that reach it.
    """
    if len(shape) < 2 or min(shape[-2:]) < 1:
        raise ValueError(f"shape must end in a number and a width of at least 1, got {shape}")
    *leading, number, width = shape
    blocks = math.ceil(number / width)
    squares = torch.randn(*leading, blocks, width, width, generator=generator, dtype=dtype)
    return torch.linalg.qr(squares).Q.flatten(-3, -2)[..., :number, :]


def hebbian_state(k: Tensor, v: Tensor) -> Tensor:
    """The sum of the outer products v kᵀ of all pairs: what linear attention keeps of its past.

    Args:
        k: keys (..., N, d).
        v: values (..., N, d_v).

    Returns:
        (..., d_v, d).

    Raises:
        TypeError: k and v are not of one floating dtype.
        ValueError: shapes do not fit together, or there is no pair.

    Source: Katharopoulos et al. (2020); Schlag et al. (2021) for the view as a memory.
    """
    _check_pairs(k, v)
    return v.mT @ k


def delta_rule_state(k: Tensor, v: Tensor, beta: float = 1.0) -> Tensor:
    """Write pair after pair, each as the correction of what the state answers so far: S += β (v − S k) kᵀ.

    With β = 1 and keys of length 1, the pair written last is read back exactly.

    Args:
        k: keys (..., N, d), in the order of writing.
        v: values (..., N, d_v).
        beta: β. For keys of length 1 the state stays bounded for β below 2.

    Returns:
        (..., d_v, d).

    Raises:
        TypeError: k and v are not of one floating dtype.
        ValueError: shapes do not fit together, there is no pair, or β is not a positive number.

    Source: Widrow and Hoff (1960); Schlag et al. (2021) for its use in attention.
    """
    _check_pairs(k, v)
    _check_positive("beta", beta)
    state = v.new_zeros(*v.shape[:-2], v.size(-1), k.size(-1))
    for key, value in zip(k.unbind(-2), v.unbind(-2), strict=True):  # (..., d), (..., d_v)
        correction = value - (state @ key.unsqueeze(-1)).squeeze(-1)
        state = state + beta * correction.unsqueeze(-1) * key.unsqueeze(-2)
    return state


def softmax_read(q: Tensor, k: Tensor, v: Tensor, beta: float) -> Tensor:
    """Answer queries from all pairs: the mean of the values, weighted by softmax(β · q kᵀ).

    Args:
        q: queries (..., M, d).
        k: keys (..., N, d), with q's leading axes.
        v: values (..., N, d_v).
        beta: β, the sharpness. Attention's 1/√d on keys of length √d is β = √d on keys of length 1.

    Returns:
        (..., M, d_v).

    Raises:
        TypeError: q, k and v are not of one floating dtype.
        ValueError: shapes do not fit together, there is no pair, or β is not a positive number.
    """
    _check_pairs(k, v)
    _check_queries(q, k)
    _check_positive("beta", beta)
    weights = (beta * q @ k.mT).softmax(dim=-1)  # (..., M, N)
    return weights @ v


def read_error(read: Tensor, v: Tensor) -> float:
    """The squared error of all answers, as a share of the squares of the values: 1 for answers of zeros.

    Args:
        read, v: answers and values, (..., N, d_v) both.

    Raises:
        ValueError: shapes differ, or all values are zero.
    """
    if read.shape != v.shape:
        raise ValueError(f"read must have v's shape {tuple(v.shape)}, got {tuple(read.shape)}")
    power = v.square().sum()
    if power == 0:
        raise ValueError("v holds nothing but zeros: no error is a share of that")
    return float((read - v).square().sum() / power)


def share_picked(read: Tensor, v: Tensor) -> float:
    """How often the stored value with the largest dot product with an answer is the right one.

    Args:
        read, v: answers and values, (..., N, d_v) both. For values of one length the largest dot product
            is the least distance.

    Raises:
        ValueError: shapes differ, or there is no value.
    """
    if read.shape != v.shape or v.ndim < 2 or v.numel() == 0:
        raise ValueError(
            f"read and v must have one shape (..., N, d_v), not empty, got {tuple(read.shape)} and "
            f"{tuple(v.shape)}"
        )
    right = torch.arange(v.size(-2), device=v.device)
    return float(((read @ v.mT).argmax(dim=-1) == right).double().mean())


def causal_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, *, chunk: int = 64, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Read a Hebbian state with each token's query, right after its pair was written.

    Tokens are taken in chunks. Within one, the state's part in the past is read at once and the rest is a
    masked product, so that no more than chunk × chunk scores exist at a time.

    Args:
        q, k: (..., T, d).
        v: (..., T, d_v).
        chunk: tokens taken at once; 1 is a recurrence, T or more one masked product.
        state: (..., d_v, d), what was written before; zeros when None.

    Returns:
        What is read, (..., T, d_v), and the state after the last token, (..., d_v, d).

    Raises:
        TypeError: the tensors are not of one floating dtype.
        ValueError: shapes do not fit together, there is no token, or `chunk` is below 1.

    Source: Katharopoulos et al. (2020); in chunks: Yang et al. (2024).
    """
    _check_pairs(k, v)
    _check_queries(q, k)
    if q.shape != k.shape:
        raise ValueError(f"q must have k's shape {tuple(k.shape)}, got {tuple(q.shape)}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    wanted = (*v.shape[:-2], v.size(-1), k.size(-1))
    if state is None:
        state = v.new_zeros(wanted)
    elif state.shape != wanted:
        raise ValueError(f"state must have shape {wanted}, got {tuple(state.shape)}")
    outputs = []
    for queries, keys, values in zip(q.split(chunk, -2), k.split(chunk, -2), v.split(chunk, -2), strict=True):
        scores = (queries @ keys.mT).tril()  # (..., chunk, chunk): no token sees a later one
        outputs.append(queries @ state.mT + scores @ values)
        state = state + hebbian_state(keys, values)
    return torch.cat(outputs, dim=-2), state


def _check_pairs(k: Tensor, v: Tensor) -> None:
    if not k.is_floating_point() or k.dtype != v.dtype:
        raise TypeError(f"k and v must share a floating dtype, got k {k.dtype} and v {v.dtype}")
    if k.ndim < 2 or k.shape[:-1] != v.shape[:-1]:
        raise ValueError(
            f"k and v must be (..., N, width) and agree up to their width, got {tuple(k.shape)} and "
            f"{tuple(v.shape)}"
        )
    if k.size(-2) == 0:
        raise ValueError("k and v hold no pair: give at least one")


def _check_queries(q: Tensor, k: Tensor) -> None:
    if q.dtype != k.dtype:
        raise TypeError(f"q must be of k's dtype {k.dtype}, got {q.dtype}")
    if q.ndim < 2 or q.shape[:-2] != k.shape[:-2] or q.size(-1) != k.size(-1):
        raise ValueError(
            f"q must agree with k in width and leading axes, got {tuple(q.shape)} and {tuple(k.shape)}"
        )


def _check_positive(name: str, number: float) -> None:
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be a positive, finite number, got {number}")
