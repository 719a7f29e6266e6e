"""Shares that ignore alpha: every mixture is the natural one, and no exponent is better than another."""

import numpy as np
from pytest import MonkeyPatch

from lmprep.transfer import multilingual as module

THESIS = "best_in_between"


def sabotage(patch: MonkeyPatch) -> None:
    def natural(sizes, alpha):
        return np.array(sizes, dtype=float) / sum(sizes)

    patch.setattr(module, "temperature_mix", natural)
