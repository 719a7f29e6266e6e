"""Contrastive learning: which row of the second view is this row's partner, and what the answers say.

A batch is two sets of N embeddings, z1 and z2, both (N, D). Rows of the same index are two views of one
thing; the other rows serve as negatives. Lengths do not matter: what takes embeddings divides each row by its
own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.training.losses import cross_entropy


def partner_loss(scores: Tensor) -> Tensor:
    """Cross-entropy of finding each row's partner among the columns, and each column's, averaged.

    Args:
        scores: (N, N), larger where row and column fit better. Partners stand on the diagonal.

    Returns:
        A scalar in nats: log N where all scores are equal, and without an upper limit.

    Raises:
        TypeError: scores are not floating point.
        ValueError: scores are no square matrix, or empty.

    Source: van den Oord, Li and Vinyals (2018), in one direction; in both: Radford et al. (2021).
    """
    if scores.ndim != 2 or scores.size(0) != scores.size(1):
        raise ValueError(f"scores must be a square matrix (N, N), got shape {tuple(scores.shape)}: "
                         "one row and one column for each pair")  # fmt: skip
    partners = torch.arange(len(scores), device=scores.device)
    return (cross_entropy(scores, partners) + cross_entropy(scores.mT, partners)) / 2


def info_nce(z1: Tensor, z2: Tensor, temperature: float | Tensor = 0.1) -> Tensor:
    """InfoNCE with negatives from the batch: `partner_loss` of cosines divided by the temperature.

    Args:
        z1, z2: (N, D), of any length but zero; rows of the same index are partners.
        temperature: τ > 0; a scalar tensor if it is learned, such as (−log_scale).exp().

    Returns:
        A scalar, at most log(1 + (N − 1) exp(2/τ)); 0 for N = 1.

    Raises:
        TypeError: z1 or z2 is not floating point, or their dtypes differ.
        ValueError: shapes differ or are not (N, D), the batch is empty, or temperature is not positive.

    Source: van den Oord, Li and Vinyals (2018); cosines and temperature: Chen et al. (2020), who also take
    negatives from a row's own view.
    """
    _check_pair(z1, z2)
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {float(temperature)}")
    cosines = F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).mT  # (N, N)
    return partner_loss(cosines / temperature)


def alignment(z1: Tensor, z2: Tensor) -> Tensor:
    """Mean squared distance of partners on the unit sphere, from 0 (equal) to 4 (opposite).

    Args:
        z1, z2: (N, D); rows of the same index are partners.

    Raises:
        TypeError, ValueError: as `info_nce`.

    Source: Wang and Isola (2020), with α = 2.
    """
    _check_pair(z1, z2)
    return (F.normalize(z1, dim=1) - F.normalize(z2, dim=1)).square().sum(dim=1).mean()


def _check(z: Tensor, name: str) -> None:
    if not z.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {z.dtype}")
    if z.ndim != 2 or z.numel() == 0:
        raise ValueError(f"{name} must be (N, D), neither zero, got shape {tuple(z.shape)}")


def _check_pair(z1: Tensor, z2: Tensor) -> None:
    _check(z1, "z1")
    _check(z2, "z2")
    if z1.shape != z2.shape:
        raise ValueError(f"z1 and z2 must have one shape, got {tuple(z1.shape)} and {tuple(z2.shape)}: "
                         "each row needs its partner")  # fmt: skip
    if z1.dtype != z2.dtype:
        raise TypeError(f"z1 and z2 must have one dtype, got {z1.dtype} and {z2.dtype}")
