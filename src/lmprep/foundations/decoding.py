"""From logits to the next token: the filters that reshape a distribution, and the draw from it.

A filter maps logits (..., V) to logits (..., V) and leaves its input as it is; a token it rules out gets
−inf, hence probability 0. A sampler maps logits and a generator to ids; `sampler` builds one from filters.
All raise `TypeError` for logits that are not floating point, and `ValueError` for empty ones or a row from
which no token can be drawn: all −inf, or with NaN or +inf.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Filter = Callable[[Tensor], Tensor]
Sampler = Callable[[Tensor, torch.Generator], Tensor]


def temperature(logits: Tensor, t: float) -> Tensor:
    """Divide the logits by `t`: below 1 sharpens the distribution, above 1 flattens it.

    Args:
        logits: (..., V), unnormalized log-probabilities.
        t: above 0 and finite. The limit t → 0 is `greedy`, which divides by nothing.

    Raises:
        ValueError: `t` is not a finite number above 0, or so small that the logits overflow.
    """
    _check_logits(logits)
    if t == 0:
        raise ValueError("t = 0 divides by zero: for the most likely token, take greedy as the sampler")
    if not (t > 0 and math.isfinite(t)):
        raise ValueError(f"t must be a finite number above 0, got {t}")
    scaled = logits / t
    if not scaled.amax(dim=-1).isfinite().all():
        raise ValueError(f"t = {t} is so small that the logits overflow: take greedy as the sampler")
    return scaled


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` most likely tokens (Fan et al., 2018), and whatever is tied with the k-th.

    Args:
        logits: (..., V).
        k: at least 1; from V on, everything is kept.

    Raises:
        TypeError: `k` is not an int.
        ValueError: `k` is below 1.
    """
    _check_logits(logits)
    if not isinstance(k, int):
        raise TypeError(f"k must be an int, got {k!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}: at least one token has to remain")
    kth_best = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < kth_best, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of most likely tokens that together reach probability `p`.

    The nucleus of Holtzman et al. (2020). The token that crosses `p` is kept, so one token always remains.
    Of tied tokens the lower ids are kept first, so the set stays the smallest.

    Args:
        logits: (..., V).
        p: from 0 (the most likely token alone) to 1 (everything).

    Raises:
        ValueError: `p` lies outside [0, 1].
    """
    _check_logits(logits)
    _check_probability(p)
    if p == 1:  # summed in floating point, the probabilities may reach 1 before the last token
        return logits
    order = logits.argsort(dim=-1, descending=True, stable=True)
    mass = _probabilities(logits).gather(-1, order).cumsum(dim=-1)  # (..., V), most likely first
    drop = torch.zeros_like(mass, dtype=torch.bool)
    drop[..., 1:] = mass[..., :-1] >= p  # the likelier tokens reach p without this one
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens that are at least `p` times as likely as the most likely one (Nguyen et al., 2024).

    Args:
        logits: (..., V).
        p: from 0 (everything) to 1 (the most likely token, and whatever is tied with it).

    Raises:
        ValueError: `p` lies outside [0, 1].
    """
    _check_logits(logits)
    _check_probability(p)
    probabilities = _probabilities(logits)
    return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -math.inf)


def greedy(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The most likely token of each row, the lowest id where several are tied: (..., V) → (...), int64.

    `generator` is there because every sampler takes one; nothing is drawn from it.
    """
    _check_logits(logits)
    return logits.argmax(dim=-1)


def sample(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one token from each row's softmax: (..., V) → (...), int64, on the logits' device.

    The draw is made on the generator's device: with a generator on the CPU, a GPU gives the CPU's tokens.

    Raises:
        TypeError: `generator` is no `torch.Generator`.
    """
    _check_logits(logits)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {generator!r}: pass torch.Generator().manual_seed(...)"
        )
    rows = _probabilities(logits).reshape(-1, logits.shape[-1])
    drawn = torch.multinomial(rows.to(generator.device), 1, generator=generator)  # (rows, 1)
    return drawn.to(logits.device).reshape(logits.shape[:-1])


def sampler(*filters: Filter) -> Sampler:
    """A sampler that applies `filters` from left to right, then draws from what they leave.

    The order matters: after a temperature, `top_p` and `min_p` see the changed probabilities. transformers
    applies temperature, top-k, top-p, min-p:
    `sampler(partial(temperature, t=0.8), partial(top_k, k=50), partial(top_p, p=0.95))`.

    Raises:
        TypeError: a filter is not callable.
    """
    for position, apply in enumerate(filters):
        if not callable(apply):
            raise TypeError(
                f"filters[{position}] must map logits to logits, got {apply!r}: pass partial(top_k, k=50)"
            )

    def filtered_sample(logits: Tensor, generator: torch.Generator) -> Tensor:
        for apply in filters:
            logits = apply(logits)
        return sample(logits, generator)

    return filtered_sample


def _probabilities(logits: Tensor) -> Tensor:
    """Softmax in at least float32: sums over a large vocabulary go wrong in 16 bits."""
    return logits.softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _check_logits(logits: Tensor) -> None:
    """Raise unless each row of (..., V) has a finite largest entry: NaN, +inf or only −inf has none."""
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, got {logits.dtype}")
    if logits.ndim == 0 or logits.numel() == 0:
        raise ValueError(f"logits must be (..., V) and not empty, got shape {tuple(logits.shape)}")
    largest = logits.amax(dim=-1)
    if not largest.isfinite().all():
        bad = largest[~largest.isfinite()][0].item()
        raise ValueError(
            f"logits have a row whose largest entry is {bad}: every row needs a finite one. "
            "−inf: a filter or mask left no token; nan or inf: the model's output is broken before decoding"
        )


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie in [0, 1], got {p}")
