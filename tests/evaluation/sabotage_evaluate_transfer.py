"""A fit that does not hear which labels were drawn: all runs at one number of labels are one model."""

import functools
from typing import Any

import numpy as np
from pytest import MonkeyPatch

from lmprep.transfer import prior as module

THESIS = "test_hears_the_draw"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.leave_one_out
    first: dict[Any, Any] = {}

    @functools.wraps(sound)
    def deaf(X: Any, y: Any, centers: Any, lams: Any) -> Any:
        kind = len(X), len(lams), np.asarray(centers).tobytes()
        if kind not in first:
            first[kind] = sound(X, y, centers, lams)
        return first[kind]

    patch.setattr(module, "leave_one_out", deaf)
