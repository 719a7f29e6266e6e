"""Which inputs an output can depend on, and by how much: measured, and as masks for attention."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lmprep.architectures.attention import causal_mask
from lmprep.architectures.position import sinusoidal
from lmprep.architectures.transformer import Block, EncoderConfig

MaskKind = Literal["causal", "bidirectional", "sliding", "prefix"]


def influence(fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """How far each output moves with each input: the norm of ∂y_t/∂x_s, (T, S).

    The norm is Frobenius's, over all features and all sequences of the batch, so that a path from one
    sequence to another counts too. B · T · E backward passes: for small models.

    Args:
        fn: maps (B, S, D) to (B, T, E), differentiably: a layer or a model, from embeddings on. Dropout
            must be off.
        x: (B, S, D), floating point; where the derivative is taken.

    Returns:
        (T, S), row t for output t.

    Raises:
        TypeError: x is not floating point, or fn returns no tensor.
        ValueError: x or fn's result has not three axes or is empty, fn's result is cut off from x, or the
            Jacobian holds NaN.
    """
    return torch.linalg.vector_norm(_jacobian(fn, x), dim=(0, 2, 3, 5))


def receptive_field(fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Which inputs reach which outputs: True where any entry of ∂y_t/∂x_s is not zero, (T, S).

    True proves a path. False does not disprove one: a weight of exactly zero, a ReLU that is off or a product
    too small for the dtype hides it. Take random weights, several sequences and float64.

    Args:
        fn, x: as for `influence`.

    Returns:
        (T, S), boolean, row t for output t.

    Raises:
        TypeError, ValueError: as `influence`.
    """
    return (_jacobian(fn, x) != 0).any(dim=5).any(dim=3).any(dim=2).any(dim=0)


def attention_mask(
    T: int,
    kind: MaskKind,
    *,
    window: int = 0,
    prefix: int = 0,
    device: torch.device | str | None = None,
) -> Tensor:
    """(T, T) boolean mask, row = query, True = may attend.

    Args:
        T: positions.
        kind: "causal": itself and all before; "bidirectional": all; "sliding": the last `window` positions,
            itself included; "prefix": causal, and the first `prefix` positions see each other both ways.
        window: at least 1; read for "sliding" only. It may exceed T.
        prefix: at least 0; read for "prefix" only. It may exceed T.
        device: where to build it.

    Raises:
        ValueError: T is negative, kind is another one, window is below 1, or prefix is negative.

    Source: Beltagy et al. (2020) for the window, here causal; Raffel et al. (2020) for the prefix.
    """
    if kind not in get_args(MaskKind):
        raise ValueError(f"kind must be one of {', '.join(get_args(MaskKind))}, got {kind!r}")
    mask = causal_mask(T, device=device)
    if kind == "bidirectional":
        return torch.ones_like(mask)
    if kind == "sliding":
        if window < 1:
            raise ValueError(f"a sliding mask needs a window of at least 1, got {window}")
        return mask.triu(1 - window)
    if kind == "prefix":
        if prefix < 0:
            raise ValueError(f"prefix must not be negative, got {prefix}")
        mask[:prefix, :prefix] = True
    return mask


class MaskedBlocks(nn.Module):
    """Transformer blocks that all use one kind of mask, on vectors: nothing but the mask sets what they see.

    Pre-norm blocks with an MLP of 2·D units; sinusoidal positions are added first.

    Args:
        width: D, even.
        kind, window, prefix: as for `attention_mask`.
        num_blocks: L, at least 1.
        num_heads: H, a divisor of D.

    Raises:
        ValueError: a size or the kind is none of these.
    """

    def __init__(
        self,
        width: int,
        kind: MaskKind,
        num_blocks: int = 1,
        *,
        window: int = 0,
        prefix: int = 0,
        num_heads: int = 2,
    ) -> None:
        super().__init__()
        attention_mask(1, kind, window=window, prefix=prefix)  # refuses what it cannot build
        config = EncoderConfig(vocab_size=1, context_length=1, width=width, num_layers=num_blocks,
                               num_heads=num_heads, mlp_width=2 * width, norm_first=True)  # fmt: skip
        self.blocks = nn.ModuleList(Block(config) for _ in range(num_blocks))
        self.kind: MaskKind = kind
        self.window, self.prefix = window, prefix

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        _, T, D = x.shape
        mask = attention_mask(T, self.kind, window=self.window, prefix=self.prefix, device=x.device)
        x = x + sinusoidal(T, D).to(x)
        for block in self.blocks:
            x, _ = block(x, return_weights=False, mask=mask)
        return x


def _jacobian(fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂y/∂x, (B, T, E, B, S, D)."""
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, such as embeddings, got {x.dtype}")
    if x.ndim != 3 or x.numel() == 0:
        raise ValueError(f"x must have shape (B, S, D) and not be empty, got {tuple(x.shape)}")
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = fn(x)
        if not isinstance(y, Tensor):
            raise TypeError(f"fn must return a tensor, got {type(y).__name__}: of a pair, take the first")
        if y.ndim != 3 or y.numel() == 0:
            raise ValueError(f"fn must return (B, T, E), not empty, got {tuple(y.shape)}")
        if not y.requires_grad:
            raise ValueError("fn's result is cut off from x: no detach, no argmax, no torch.no_grad inside")
        rows = [torch.autograd.grad(entry, x, retain_graph=True)[0] for entry in y.flatten()]
    jacobian = torch.stack(rows).view(*y.shape, *x.shape)
    if jacobian.isnan().any():
        raise ValueError("the Jacobian holds NaN: x or a weight is not finite")
    return jacobian
