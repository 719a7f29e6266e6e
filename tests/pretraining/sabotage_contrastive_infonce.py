"""Pairs that are no pairs: each view is asked for the view of another thing, so nothing is shared."""

import functools

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.pretraining import contrastive as module

THESIS = "pairs_decide"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.info_nce

    @functools.wraps(sound)
    def strangers(z1: Tensor, z2: Tensor, temperature: float = 0.1) -> Tensor:
        return sound(z1, z2.roll(1, dims=0), temperature)

    patch.setattr(module, "info_nce", strangers)
