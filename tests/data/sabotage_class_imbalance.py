"""Weights that reach the loss squared: the model moves, but not to the threshold that the weights imply."""

import functools

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.data import imbalance as module

THESIS = "same_pile"


def sabotage(patch: MonkeyPatch) -> None:
    weighted_cross_entropy = module.weighted_cross_entropy

    @functools.wraps(weighted_cross_entropy)
    def squared(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return weighted_cross_entropy(logits, targets, weights**2)

    patch.setattr(module, "weighted_cross_entropy", squared)
