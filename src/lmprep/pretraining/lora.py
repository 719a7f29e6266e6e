"""LoRA: a frozen linear layer plus a trained product of two thin matrices.

`add_lora` puts it into a model, `remove_lora` takes it out again and leaves every bit of the base as it was.
`best_low_rank` needs no training: it finds the two thin matrices nearest to a change that is known.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """y = base(x) + (α/r) · B A x, with the base frozen and only A and B trained.

    `A` is (rank, in), drawn with variance 1/in; `B` is (out, rank), zero: at first the layer is its base.
    The base is used, not copied, and stays frozen until `remove_lora` or you change that.

    Args:
        base: a linear layer with or without bias.
        rank: r, from 1 to the smaller of the base's two sizes.
        alpha: α; the update is scaled by α/r.
        generator: of A's entries; torch's global one when None.

    Raises:
        TypeError: base is no `nn.Linear`.
        ValueError: rank or alpha is out of range.

    Source: Hu et al. (2022).
    """

    unmerged: Tensor | None

    def __init__(
        self, base: nn.Linear, rank: int, alpha: float, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not isinstance(base, nn.Linear):
            raise TypeError(f"base must be an nn.Linear, got {type(base).__name__}")
        most = min(base.in_features, base.out_features)
        if not 1 <= rank <= most:
            raise ValueError(
                f"rank must be from 1 to {most}, the smaller size of {tuple(base.weight.shape)}, got {rank}"
            )
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha must be positive and finite, got {alpha}")
        self._trained = [parameter.requires_grad for parameter in base.parameters()]
        self.base = base.requires_grad_(False)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.scale = alpha / rank
        drawn = torch.randn(rank, base.in_features, generator=generator) / base.in_features**0.5
        self.A = nn.Parameter(drawn.to(base.weight))  # (r, in)
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))  # (out, r)
        self.register_buffer("unmerged", None, persistent=False)

    def update(self) -> Tensor:
        """ΔW = (α/r) · B A, (out, in)."""
        return self.scale * self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) to (…, out)."""
        if self.unmerged is not None:
            return self.base(x)
        return self.base(x) + self.scale * (x @ self.A.mT @ self.B.mT)  # never forms ΔW

    @torch.no_grad()
    def merge(self) -> None:
        """Add ΔW to the base's weight, so that a forward pass costs what the base's did. Twice is once.

        A and B get no gradient until `unmerge`. Unmerge before saving: a saved model remembers A and B, not
        that they are in the weight already.
        """
        if self.unmerged is None:
            self.unmerged = self.base.weight.clone()
            self.base.weight += self.update()

    @torch.no_grad()
    def unmerge(self) -> None:
        """Put the base's weight back, bit for bit: from a copy, as subtracting ΔW would leave rounding."""
        if self.unmerged is not None:
            self.base.weight.copy_(self.unmerged)
            self.unmerged = None


def add_lora(
    model: nn.Module,
    names: Sequence[str],
    *,
    rank: int,
    alpha: float,
    generator: torch.Generator | None = None,
) -> list[nn.Parameter]:
    """Wrap each linear layer of `model` that is called one of `names`; return the new parameters.

    Args:
        model: changed in place. What is not wrapped keeps its `requires_grad`: freeze it first.
        names: last parts of qualified names, such as "query" or "self.query".
        rank, alpha, generator: as for `LoRALinear`.

    Raises:
        TypeError: `names` is one string.
        ValueError: a name fits no linear layer, or one that is wrapped already.
    """
    if isinstance(names, str):
        raise TypeError(f"names must be a list of names, got the string {names!r}: write [{names!r}]")
    found = {name: [path for path, _ in _places(model) if _ends_in(path, name)] for name in names}
    for name, paths in found.items():
        if not paths:
            raise ValueError(
                f"names: no nn.Linear of the model is called {name!r}: names are the last parts of "
                "those in model.named_modules(), and wrapped layers must be removed first"
            )
    chosen = {path for paths in found.values() for path in paths}
    wrapped: dict[nn.Linear, LoRALinear] = {}  # a layer used in two places gets one adapter
    for path, layer in list(_places(model)):
        if path in chosen:
            if layer not in wrapped:
                wrapped[layer] = LoRALinear(layer, rank, alpha, generator=generator)
            model.set_submodule(path, wrapped[layer])
    return [parameter for adapter in wrapped.values() for parameter in (adapter.A, adapter.B)]


def remove_lora(model: nn.Module) -> None:
    """Put every base layer back in its place, with the weights and the `requires_grad` it came with."""
    places = [
        (path, module)
        for path, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, LoRALinear)
    ]
    for path, adapter in places:
        adapter.unmerge()
        for parameter, trained in zip(adapter.base.parameters(), adapter._trained, strict=True):
            parameter.requires_grad_(trained)
        model.set_submodule(path, adapter.base)


@torch.no_grad()
def best_low_rank(change: Tensor, rank: int, second_moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A and B for which the mean of ‖ΔW x − B A x‖² over the inputs x is least.

    B holds the `rank` orthonormal directions along which the outputs ΔW x are largest, and A = Bᵀ ΔW.

    Args:
        change: ΔW, (out, in).
        rank: r, from 1 to the smaller of the change's two sizes.
        second_moment: C = E[x xᵀ], (in, in); of white inputs, C = I, when None: B A is then the truncated
            SVD of ΔW. If a bias may follow the change, C is the inputs' covariance.

    Returns:
        A (r, in) and B (out, r), in the dtype of `change`; the work is done in float64.

    Raises:
        ValueError: a size or the rank does not fit, a number is NaN or infinite, `change` is not of a
            floating dtype, or `second_moment` is not symmetric.

    Source: Eckart and Young (1936) for white inputs, Izenman (1975) for others.
    """
    _check_cut(change, rank, second_moment)
    delta = change.double()
    outputs = delta if second_moment is None else delta @ second_moment.double()
    _, directions = torch.linalg.eigh(outputs @ delta.mT)  # of E[ΔWx (ΔWx)ᵀ], smallest first
    B = directions[:, -rank:].flip(-1)  # (out, r)
    return (B.mT @ delta).to(change), B.to(change)


def _check_cut(change: Tensor, rank: int, second_moment: Tensor | None) -> None:
    if change.ndim != 2 or not change.is_floating_point() or not change.isfinite().all():
        raise ValueError(
            f"change must be a finite floating-point matrix (out, in), got shape {tuple(change.shape)} "
            f"and dtype {change.dtype}"
        )
    if not 1 <= rank <= min(change.shape):
        raise ValueError(f"rank must be from 1 to {min(change.shape)}, the smaller size, got {rank}")
    if second_moment is None:
        return
    width = change.size(1)
    if second_moment.shape != (width, width) or not second_moment.isfinite().all():
        raise ValueError(
            f"second_moment must be finite, of shape {(width, width)} like the inputs, "
            f"got shape {tuple(second_moment.shape)}"
        )
    skew = (second_moment - second_moment.mT).abs().max()
    if skew > 1e-3 * second_moment.abs().max():  # more than rounding leaves
        raise ValueError("second_moment must be symmetric, E[x xᵀ]: did you pass the inputs themselves?")


def _places(model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Qualified names and layers, a shared one under each of its names; what adapters hold is left out."""
    held = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, LoRALinear))
    for path, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, nn.Linear) and not path.startswith(held):
            yield path, module


def _ends_in(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")
