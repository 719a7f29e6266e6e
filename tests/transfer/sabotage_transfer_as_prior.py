"""Ridge that forgets half of the source: the center lies halfway between zero and the source's weights."""

import functools

import numpy as np
from pytest import MonkeyPatch

from lmprep.transfer import prior as module

THESIS = "sign_flips_at_the_norm"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.biased_ridge

    @functools.wraps(sound)
    def halfway(X, y, w_source, lam):
        return sound(X, y, np.asarray(w_source) / 2, lam)

    patch.setattr(module, "biased_ridge", halfway)
