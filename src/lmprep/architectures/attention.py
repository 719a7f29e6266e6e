"""Attention: the function, the two older kinds, its tiled twin, the multi-head module, and an induction head
set by hand.

Masks are boolean everywhere, True = may attend, and broadcast to the scores' shape. A query that may attend
to nothing gets zeros, weights and output, and passes no gradient.
"""

from collections.abc import Callable, Collection

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    need_weights: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention: softmax(scale · q kᵀ) v, row by row over the keys.

    Args:
        q: queries (B, H, T, d). Any number of leading axes will do, also none.
        k: keys (B, H_kv, S, d), with q's leading axes, except that with four axes or more H_kv may be any
            divisor of H: each key head then serves H / H_kv neighboring query heads (grouped queries).
        v: values (B, H_kv, S, d_v).
        mask: boolean, True = may attend, broadcastable to (B, H, T, S).
        causal: whether query i sees keys ≤ i + S − T only, in addition to `mask`.
        scale: factor on the scores; 1/√d when None.
        need_weights: whether the weights are returned; without them torch's fused kernel does the work.

    Returns:
        The output (B, H, T, d_v) and the weights (B, H, T, S), or None in their place.

    Raises:
        TypeError: q, k, v are not of one floating dtype, or the mask is not boolean.
        ValueError: shapes do not fit together.

    Source: Vaswani et al. (2017), "Attention Is All You Need"; grouped queries: Ainslie et al. (2023).
    """
    _check(q, k, v, mask)
    scale = q.size(-1) ** -0.5 if scale is None else scale
    if not need_weights:
        return _fused(q, k, v, mask, causal, scale), None
    if causal:
        mask = _both(mask, causal_mask(q.size(-2), k.size(-2), device=q.device))
    k, v = _serve_heads(k, q), _serve_heads(v, q)
    weights = _masked_softmax(scale * q @ k.mT, mask)  # (B, H, T, S)
    return weights @ v, weights


def luong_attention(
    q: Tensor, k: Tensor, v: Tensor, weight: Tensor | None = None, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Multiplicative attention: scores q · k (`dot`), or qᵀ W k with a learned W (`general`), unscaled.

    Args:
        q: the decoder's states (B, T, d_q).
        k: the encoder's states (B, S, d_k); d_k = d_q without a weight.
        v: what is averaged (B, S, d_v), usually k.
        weight: W, (d_q, d_k); None for the dot product.
        mask: boolean, True = may attend, broadcastable to (B, T, S).

    Returns:
        The context (B, T, d_v) and the weights (B, T, S); zeros where a query may attend to nothing.

    Raises:
        TypeError, ValueError: as `attention`; or the weight does not fit q and k.

    Source: Luong et al. (2015), "Effective Approaches to Attention-based Neural Machine Translation".
    """
    if weight is not None:
        _check_same_dtype(q, weight=weight)
        if weight.shape != (q.size(-1), k.size(-1)):
            raise ValueError(f"weight must have shape {(q.size(-1), k.size(-1))}, got {tuple(weight.shape)}")
        q = q @ weight  # (B, T, d_k)
    context, weights = attention(q, k, v, mask, scale=1.0)
    assert weights is not None
    return context, weights


def additive_attention(
    q: Tensor, k: Tensor, v: Tensor, w_q: Tensor, w_k: Tensor, w: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Additive attention: scores w · tanh(W_q q + W_k k), from a network with one hidden layer of A units.

    Args:
        q: the decoder's states (B, T, d_q).
        k: the encoder's states (B, S, d_k), which may be of another width.
        v: what is averaged (B, S, d_v), usually k.
        w_q, w_k: (A, d_q) and (A, d_k), laid out (out, in) as in `nn.Linear`.
        w: (A,).
        mask: boolean, True = may attend, broadcastable to (B, T, S).

    Returns:
        The context (B, T, d_v) and the weights (B, T, S); zeros where a query may attend to nothing.

    Raises:
        TypeError, ValueError: as `attention`; or a weight does not fit.

    Source: Bahdanau et al. (2015), "Neural Machine Translation by Jointly Learning to Align and Translate".
    """
    _check_same_dtype(q, k=k, w_q=w_q, w_k=w_k, w=w)
    shapes = ((w.numel(), q.size(-1)), (w.numel(), k.size(-1)))
    if w.ndim != 1 or (w_q.shape, w_k.shape) != shapes:
        raise ValueError(f"w_q, w_k, w must have shapes (A, {q.size(-1)}), (A, {k.size(-1)}), (A,), got "
                         f"{tuple(w_q.shape)}, {tuple(w_k.shape)}, {tuple(w.shape)}")  # fmt: skip
    query, key = F.linear(q, w_q), F.linear(k, w_k)  # (B, T, A), (B, S, A)
    _check(query, key, v, mask)
    if q.shape[:-2] != k.shape[:-2]:  # no grouped queries here
        raise ValueError(f"k must have q's leading axes, got k of shape {tuple(k.shape)}, q of shape "
                         f"{tuple(q.shape)}")  # fmt: skip
    hidden = torch.tanh(query[..., :, None, :] + key[..., None, :, :])  # (B, T, S, A)
    weights = _masked_softmax(hidden @ w, mask)
    return weights @ v, weights


class LuongAttention(nn.Module):
    """`luong_attention` of decoder states to encoder states, which are keys and values.

    Args:
        width: H, of both kinds of state.
        general: whether a learned (H, H) matrix stands between the two.
    """

    def __init__(self, width: int, *, general: bool = False) -> None:
        super().__init__()
        self.general = nn.Linear(width, width, bias=False) if general else None

    def forward(self, x: Tensor, states: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Context (B, T, H) and weights (B, T, S), for x (B, T, H) and states (B, S, H)."""
        weight = None if self.general is None else self.general.weight
        return luong_attention(x, states, states, weight, mask)


class AdditiveAttention(nn.Module):
    """`additive_attention` of decoder states to encoder states, which are keys and values.

    Args:
        width: H, of both kinds of state, and of the hidden layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor, states: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Context (B, T, H) and weights (B, T, S), for x (B, T, H) and states (B, S, H)."""
        weights = self.query.weight, self.key.weight, self.score.weight[0]
        return additive_attention(x, states, states, *weights, mask)


def causal_mask(T: int, S: int | None = None, *, device: torch.device | str | None = None) -> Tensor:
    """(T, S) boolean mask: query i sees keys ≤ i + S − T, the last query all of them.

    With S > T the first S − T keys are the past, as with a cache. S is T when None. torch's `is_causal=True`
    means the same only where S = T: it aligns the first query with the first key.

    Raises:
        ValueError: T or S is negative.
    """
    S = T if S is None else S
    if T < 0 or S < 0:
        raise ValueError(f"T and S must not be negative, got T={T}, S={S}")
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


def tiled_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, block: int) -> Tensor:
    """The output of `attention`, exactly, from one tile of `block` keys at a time.

    Keeps a running maximum and a running sum of each row's softmax, and rescales what it has whenever the
    maximum rises: without gradients, at no time are more than (B, H, T, block) scores stored. Autograd, where
    it records, keeps every tile; FlashAttention's kernels compute them a second time instead.

    Args:
        q, k, v, mask: as for `attention`.
        block: keys in a tile, at least 1.

    Returns:
        (B, H, T, d_v).

    Raises:
        TypeError, ValueError: as `attention`; or block < 1.

    Source: Milakov & Gimelshein (2018), online softmax; Dao et al. (2022), FlashAttention.
    """
    _check(q, k, v, mask)
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    S = k.size(-2)
    mask = None if mask is None else mask.expand(*mask.shape[:-1], S)
    largest = q.new_full((*q.shape[:-1], 1), -torch.inf)  # (B, H, T, 1), as is the sum
    total = torch.zeros_like(largest)
    output = q.new_zeros(*q.shape[:-1], v.size(-1))
    for start in range(0, S, block):
        tile = slice(start, start + block)
        keys, values = _serve_heads(k[..., tile, :], q), _serve_heads(v[..., tile, :], q)
        scores = q.size(-1) ** -0.5 * q @ keys.mT  # (B, H, T, block)
        if mask is not None:
            scores = scores.masked_fill(~mask[..., tile], -torch.inf)
        # The result does not depend on the maximum, so no gradient flows through it.
        rise = torch.maximum(largest, scores.detach().amax(dim=-1, keepdim=True))
        # Where nothing was seen yet, −inf − (−inf) would be NaN.
        shift = rise.masked_fill(rise == -torch.inf, 0.0)
        rescale = (largest - shift).exp()
        exponentials = (scores - shift).exp()
        total = rescale * total + exponentials.sum(dim=-1, keepdim=True)
        output = rescale * output + exponentials @ values
        largest = rise
    # The largest score alone adds exp(0) = 1: the sum is below 1 only for a query that saw nothing.
    return output / total.clamp_min(1.0)


class MultiHeadAttention(nn.Module):
    """Multi-head attention of a sequence to itself or to another one.

    One matrix projects to all queries, then all keys, then all values; each head has width D / H.

    Args:
        width: D.
        num_heads: H, a divisor of D.
        num_kv_heads: H_kv, a divisor of H; H when None. 1 is multi-query attention (Shazeer 2019).
        bias: whether the projections have one.

    Raises:
        ValueError: H does not divide D, or H_kv does not divide H.

    Source: Vaswani et al. (2017).
    """

    def __init__(
        self, width: int, num_heads: int, *, num_kv_heads: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if num_heads < 1 or width < 1 or width % num_heads:
            raise ValueError(f"num_heads must divide width, got num_heads={num_heads}, width={width}")
        if num_kv_heads < 1 or num_heads % num_kv_heads:
            raise ValueError(
                f"num_kv_heads must divide num_heads, got num_kv_heads={num_kv_heads}, num_heads={num_heads}"
            )
        self.head_width = width // num_heads
        self.kv_width = num_kv_heads * self.head_width
        self.qkv = nn.Linear(width, width + 2 * self.kv_width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(
        self,
        x: Tensor,
        source: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        rotate: Callable[[Tensor], Tensor] | None = None,
        cache: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        return_weights: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Attend from `x` to `source`, or to `x` itself.

        Args:
            x: (B, T, D).
            source: (B, S, D) to attend to; `x` when None.
            mask: boolean, True = may attend, broadcastable to (B, H, T, S). A mask that differs between
                sequences needs an axis for the heads: (B, 1, T, S).
            causal: as in `attention`.
            rotate: applied to queries (B, H, T, d) and keys (B, H_kv, S, d), as rotary positions are.
            cache: given the new keys and values, (B, H_kv, S, d) each, returns all so far, the new ones last.
            return_weights: whether to return the weights too.

        Returns:
            (B, T, D), or that and the weights (B, H, T, S).

        Raises:
            ValueError: `x` or `source` is not of shape (B, T, D).
        """
        width = self.output.in_features
        for name, sequence in (("x", x), ("source", source)):
            if sequence is not None and (sequence.ndim != 3 or sequence.size(-1) != width):
                raise ValueError(f"{name} must have shape (B, T, {width}), got {tuple(sequence.shape)}")
        q, k, v = (self._split_heads(projected) for projected in self._project(x, source))
        if rotate is not None:
            q, k = rotate(q), rotate(k)
        if cache is not None:
            k, v = cache(k, v)
        heads, weights = attention(q, k, v, mask, causal=causal, need_weights=return_weights)
        output: Tensor = self.output(heads.transpose(1, 2).flatten(2))  # (B, H, T, d) → (B, T, D)
        return output if weights is None else (output, weights)

    def _project(self, x: Tensor, source: Tensor | None) -> tuple[Tensor, ...]:
        """Queries (B, T, D), keys and values (B, S, D_kv), heads side by side."""
        widths = (self.output.in_features, self.kv_width, self.kv_width)
        if source is None:
            return self.qkv(x).split(widths, dim=-1)
        weights = self.qkv.weight.split(widths)
        biases = (None, None, None) if self.qkv.bias is None else self.qkv.bias.split(widths)
        return tuple(map(F.linear, (x, source, source), weights, biases))

    def _split_heads(self, projected: Tensor) -> Tensor:
        """(B, T, H·d) → (B, H, T, d)."""
        return projected.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


def induction_head(
    ids: Tensor, vocab_size: int, *, ablate: Collection[int] = (), sharpness: float = 50.0
) -> tuple[Tensor, Tensor]:
    """Continue a repeated sequence by two layers of attention alone, their weights set by hand.

    The residual stream has four slots: this token | this position | the token before | the prediction. Layer
    1 attends from position t to t − 1 and copies that token into the third slot. Layer 2 attends from a token
    to the place whose third slot holds the same token, right after its earlier occurrence, and copies what
    stands there into the fourth.

    Begin the sequence with a token that does not occur again: position 0 has no predecessor, so its head in
    layer 1 falls on itself.

    Args:
        ids: (B, T), from 0 to V − 1.
        vocab_size: V.
        ablate: layers, of 1 and 2, whose output is left out of the residual stream.
        sharpness: factor on the scores, which are 0 or 1: the larger, the closer to attending to one key.

    Returns:
        Logits (B, T, V) of the next token, read from the fourth slot, and both layers' weights (2, B, T, T).

    Raises:
        TypeError: ids are not `torch.long`.
        ValueError: ids are not of shape (B, T) or not from 0 to V − 1, or `ablate` names another layer.

    Source: Olsson et al. (2022), "In-context Learning and Induction Heads".
    """
    check_ids(ids)
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise ValueError(f"ids must be from 0 to {vocab_size - 1}, got {int(ids.min())} to {int(ids.max())}")
    if not set(ablate) <= {1, 2}:
        raise ValueError(f"ablate may name the layers 1 and 2, got {sorted(ablate)}")
    T, V = ids.size(1), vocab_size
    width = V + T + V + V
    # Each reads its slot, (width, V) or (width, T); transposed, it writes to it.
    token, position, previous, prediction = torch.eye(width, device=ids.device).split((V, T, V, V), dim=1)
    back = torch.ones(T - 1, device=ids.device).diag(-1)  # (T, T): one-hot t ↦ one-hot t − 1
    layers = (  # what the query, the key and the value read, where the output is written
        (position @ back, position, token, previous),
        (token, previous, token, prediction),
    )
    x = F.one_hot(ids, V).float() @ token.mT + position.mT  # (B, T, width)
    mask = causal_mask(T, device=ids.device)
    maps = []
    for layer, (W_q, W_k, W_v, W_o) in enumerate(layers, start=1):
        head, weights = attention(x @ W_q, x @ W_k, x @ W_v, mask, scale=sharpness)
        assert weights is not None
        maps.append(weights)
        if layer not in ablate:
            x = x + head @ W_o.mT
    return x @ prediction, torch.stack(maps)


def check_ids(ids: Tensor) -> None:
    """Raise unless `ids` are token ids (B, T), with at least one token.

    Raises:
        TypeError: ids are not `torch.long`.
        ValueError: ids are not of shape (B, T), or empty.
    """
    if ids.dtype != torch.long:
        raise TypeError(f"ids must be torch.long, got {ids.dtype}")
    if ids.ndim != 2 or ids.numel() == 0:
        raise ValueError(f"ids must have shape (B, T) and hold at least one token, got {tuple(ids.shape)}")


def _check(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
    for name, x in (("q", q), ("k", k), ("v", v)):
        if not x.is_floating_point() or x.dtype != q.dtype:
            raise TypeError(f"q, k and v must share a floating dtype, got {name} {x.dtype} and q {q.dtype}")
        if x.ndim < 2 or x.ndim != q.ndim:
            raise ValueError(f"q, k and v must have the same axes, (..., length, width), got {name} of shape "
                             f"{tuple(x.shape)}, q of shape {tuple(q.shape)}")  # fmt: skip
    if q.size(-1) != k.size(-1) or q.size(-1) == 0:
        raise ValueError(f"q and k must have the same width of at least 1, got {q.size(-1)} and {k.size(-1)}")
    if k.shape[:-1] != v.shape[:-1]:
        raise ValueError(f"k and v must agree up to their width, got {tuple(k.shape)} and {tuple(v.shape)}")
    grouped = q.ndim >= 4 and k.size(-3) > 0 and q.size(-3) % k.size(-3) == 0
    shared = q.shape[:-3] == k.shape[:-3] if grouped else q.shape[:-2] == k.shape[:-2]
    if not shared:
        raise ValueError(f"k must have q's leading axes (with four axes, k's heads may divide q's), "
                         f"got k of shape {tuple(k.shape)}, q of shape {tuple(q.shape)}")  # fmt: skip
    if mask is not None:
        _check_mask(mask, (*q.shape[:-1], k.size(-2)))


def _check_same_dtype(q: Tensor, **others: Tensor) -> None:
    for name, x in others.items():
        if x.dtype != q.dtype:
            raise TypeError(f"{name} must have q's dtype {q.dtype}, got {x.dtype}")


def _check_mask(mask: Tensor, scores_shape: tuple[int, ...]) -> None:
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean, True = may attend, got {mask.dtype}")
    try:
        # numpy's, as torch's imports sympy first: half a CPU-second.
        fits = np.broadcast_shapes(mask.shape, scores_shape) == scores_shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"mask must be broadcastable to {scores_shape}, got {tuple(mask.shape)}")


def _masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores.softmax(dim=-1)
    # A row of −inf alone has no softmax, so it is left as it is and zeroed afterwards.
    sees = mask.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~mask & sees, -torch.inf)
    return scores.softmax(dim=-1).masked_fill(~sees, 0.0)


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    T, S = q.size(-2), k.size(-2)
    aligned = causal and mask is None and T == S  # the one case in which torch's causal flag means ours
    if causal and not aligned and T > 1:  # a single query, the last, sees every key
        mask = _both(mask, causal_mask(T, S, device=q.device))
    if mask is not None:
        mask = torch.atleast_2d(mask)  # the kernel does not broadcast a mask over the keys alone
    grouped = q.ndim >= 4 and q.size(-3) != k.size(-3)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=aligned, scale=scale, enable_gqa=grouped
    )


def _both(mask: Tensor | None, other: Tensor) -> Tensor:
    return other if mask is None else mask & other


def _serve_heads(x: Tensor, q: Tensor) -> Tensor:
    """Repeat the key or value heads of `x` until every query head has its own."""
    if x.shape[:-2] == q.shape[:-2]:
        return x
    return x.repeat_interleave(q.size(-3) // x.size(-3), dim=-3)
