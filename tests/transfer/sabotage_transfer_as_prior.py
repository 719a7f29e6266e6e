"""Inputs that no longer vary alike: the first half of them varies three times as much as the second."""

import functools

import numpy as np
from pytest import MonkeyPatch

from lmprep.transfer import prior as module

THESIS = "sign_flips_at_the_norm"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.noisy_examples

    @functools.wraps(sound)
    def unequal(N, target, scale, noise, random):
        louder = np.array(scale, dtype=float)
        louder[: len(louder) // 2] *= 3
        return sound(N, target, louder, noise, random)

    patch.setattr(module, "noisy_examples", unequal)
