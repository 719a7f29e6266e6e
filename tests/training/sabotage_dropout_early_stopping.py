"""Additive noise of one size for all features, as large on average as dropout's: it makes a plain ridge."""

import functools

import torch
from pytest import MonkeyPatch
from torch import Tensor

from lmprep.training import dropout as module

THESIS = "own_units"


def sabotage(patch: MonkeyPatch) -> None:
    @functools.wraps(module.inverted_dropout)
    def additive(
        x: Tensor, p: float, *, training: bool = True, generator: torch.Generator | None = None
    ) -> Tensor:
        size = (p / (1 - p) * x.square().mean()) ** 0.5
        return x + size * torch.randn(x.shape, dtype=x.dtype, generator=generator)

    patch.setattr(module, "inverted_dropout", additive)
