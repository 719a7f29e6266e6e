"""First weights: how large random matrices must be so that signals neither grow nor fade with depth.

The functions write into the tensor they are given and return it. Shapes are torch's, (out, in, *kernel),
unless `layout` says "keras": (*kernel, in, out).
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

LAYOUTS = ("torch", "keras")


def fans(shape: Sequence[int], layout: str = "torch") -> tuple[int, int]:
    """How many products each output adds up (fan-in), and how many outputs each input reaches (fan-out).

    Args:
        shape: of a weight, (out, in, *kernel), or (*kernel, in, out) in the layout "keras".
        layout: "torch" or "keras". GPT-2's `Conv1D` stores (in, out), too. torch's transposed convolutions,
            (in, out, *kernel), are neither.

    Raises:
        ValueError: the shape has fewer than two axes or an empty one, or the layout is unknown.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"a weight has at least two axes, none empty, got shape {tuple(shape)}")
    if layout == "torch":
        outputs, inputs, *kernel = shape
    else:
        *kernel, inputs, outputs = shape
    return inputs * math.prod(kernel), outputs * math.prod(kernel)


def gain_for(activation: Callable[[Tensor], Tensor]) -> float:
    """1/√E[φ(z)²] for a standard normal z: with variance gain²/fan-in, what goes into φ keeps variance 1.

    Found by the trapezoid rule from −12 to 12. √2 for ReLU, and √(2/(1 + a²)) for a leaky ReLU of slope a.
    torch's `calculate_gain` gives the same two, but 5/3 for tanh, where this is 1.59.

    Raises:
        ValueError: the mean square is zero or not finite, so that no gain can restore it.
    """
    z = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    mean_square = torch.trapezoid(activation(z).square() * density, z).item()
    if not 0 < mean_square < math.inf:
        raise ValueError(f"activation must have a positive, finite mean square, got {mean_square}")
    return 1 / math.sqrt(mean_square)


@torch.no_grad()
def xavier_(
    weight: Tensor, generator: torch.Generator, *, gain: float = 1.0, layout: str = "torch"
) -> Tensor:
    """Uniform within ±gain·√(6/(fan-in + fan-out)): variance 2·gain²/(fan-in + fan-out).

    Raises:
        ValueError: the gain is not positive and finite, or as `fans`.
    Source: Glorot and Bengio (2010).
    """
    _check_positive(gain=gain)
    bound = gain * math.sqrt(6 / sum(fans(weight.shape, layout)))
    return weight.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def he_(
    weight: Tensor,
    generator: torch.Generator,
    *,
    slope: float = 0.0,
    mode: str = "in",
    layout: str = "torch",
) -> Tensor:
    """Normal with variance 2/((1 + slope²)·fan), for a ReLU whose negative side has this slope.

    Args:
        weight: to be filled.
        generator: where the numbers come from.
        slope: 0 for ReLU, 1 for no activation at all.
        mode: which fan, "in" to keep the signal's size or "out" to keep the gradient's.
        layout: as for `fans`.

    Raises:
        ValueError: slope is not finite, mode is unknown, or as `fans`.
    Source: He et al. (2015), with a plain normal. Keras's `he_normal` has the same variance, but is cut off
        beyond two standard deviations of the normal it comes from.
    """
    if not math.isfinite(slope):
        raise ValueError(f"slope must be finite, got {slope}")
    if mode not in ("in", "out"):
        raise ValueError(f'mode must be "in" or "out", got {mode!r}')
    fan = fans(weight.shape, layout)[("in", "out").index(mode)]
    return weight.normal_(0, math.sqrt(2 / fan) / math.hypot(1, slope), generator=generator)


@torch.no_grad()
def orthogonal_(weight: Tensor, generator: torch.Generator, *, gain: float = 1.0) -> Tensor:
    """Orthonormal rows times gain, or columns where there are more rows than columns.

    Axes after the first count as one. The sign of R's diagonal is moved into Q: otherwise Q would depend on
    the algorithm, and not be uniform over orthogonal matrices (Mezzadri, 2007).

    Raises:
        ValueError: the gain is not positive and finite, or the weight has fewer than two axes or an empty
            one.
    Source: Saxe, McClelland and Ganguli (2014).
    """
    _check_positive(gain=gain)
    fans(weight.shape)  # at least two axes
    flat = weight.new_empty(weight.size(0), weight[0].numel()).normal_(generator=generator)
    wide = flat.size(0) < flat.size(1)
    q, r = torch.linalg.qr(flat.mT if wide else flat)
    q = gain * q * r.diagonal().sign()
    return weight.copy_((q.mT if wide else q).reshape(weight.shape))


@torch.no_grad()
def gpt2_init(
    model: nn.Module,
    num_layers: int,
    generator: torch.Generator,
    *,
    std: float = 0.02,
    residual_scale: float | None = None,
    writes: tuple[str, ...] = ("attention.output.weight", "mlp.output.weight"),
) -> None:
    """GPT-2's start: normal matrices, those that write to the residual stream scaled by 1/√(2L), zero biases.

    Norms, embeddings and a tied head are where the model has them: a matrix is whatever has two axes, and a
    norm's gain stays as it is.

    Args:
        model: filled in the order of `named_parameters`; one that is shared is drawn once.
        num_layers: L blocks, each of which adds to the stream twice.
        generator: on the model's device.
        std: of all other matrices.
        residual_scale: the factor on `std` for the matrices that write, 1/√(2L) when None.
        writes: how the names of the matrices that write end. In transformers and nanoGPT: ("c_proj.weight",).

    Raises:
        ValueError: num_layers is below 1, std or residual_scale is negative or not finite, or not two
            matrices per layer write: a misspelled name would otherwise go unnoticed.
    Source: Radford et al. (2019), whose N residual layers are 2L here.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}")
    scale = 1 / math.sqrt(2 * num_layers) if residual_scale is None else residual_scale
    for name, number in (("std", std), ("residual_scale", scale)):
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} must be finite and at least 0, got {number}")
    names = [name for name, _ in model.named_parameters() if name.endswith(writes)]
    if len(names) != 2 * num_layers:
        raise ValueError(f"writes={writes} must end 2·{num_layers} parameters' names, ends {len(names)}")
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            parameter.normal_(0, std * scale if name in names else std, generator=generator)
        elif name.endswith("bias"):
            parameter.zero_()


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < number < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {number}")
