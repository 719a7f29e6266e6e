"""A cut that cuts nothing: whatever the rank, the whole change comes back, and LoRA has no lead over it."""

import functools

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.pretraining import lora as module

THESIS = "trained_not_cut"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.best_low_rank

    @functools.wraps(sound)
    def broken(change: Tensor, rank: int, second_moment: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return sound(change, min(change.shape), second_moment)

    patch.setattr(module, "best_low_rank", broken)
