"""A threshold without a kink: it divides, as a ridge penalty would, so that no weight is held at zero."""

import numpy as np
from pytest import MonkeyPatch

from lmprep.training import linear as module

THESIS = "own_prior_prefers_ridge"


def sabotage(patch: MonkeyPatch) -> None:
    def divided(z, amount):
        return np.asarray(z) / (1 + np.asarray(amount) / 50)  # 50: about the squared length of a feature

    patch.setattr(module, "soft_threshold", divided)
