"""A surrogate that is given the losses in the wrong order: what neighbors say is lost, the rest stays."""

import functools

import numpy as np
from numpy.typing import ArrayLike
from pytest import MonkeyPatch

from lmprep.training import bayesopt as module

THESIS = "worth_of_a_trial"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.most_likely

    @functools.wraps(sound)
    def of_others(
        x: ArrayLike, y: ArrayLike, length_scales: list[float], noise: float = 1e-6
    ) -> module.GaussianProcess:
        return sound(x, np.roll(y, 1), length_scales, noise)

    patch.setattr(module, "most_likely", of_others)
