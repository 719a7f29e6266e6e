"""The learned weights are ignored and the losses plainly added: scale then matters again."""

import functools

from pytest import MonkeyPatch

from lmprep.transfer import multitask as module

THESIS = "weights_cancel_scale"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.UncertaintyWeight.forward

    @functools.wraps(sound)
    def broken(self, losses):
        return 1e-4 * losses.sum(dim=0) + 0 * sound(self, losses)  # small, lest SGD diverge

    patch.setattr(module.UncertaintyWeight, "forward", broken)
