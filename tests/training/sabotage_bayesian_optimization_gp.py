"""EI of a maximum in a search for a minimum: the sign that snippets get wrong."""

import functools

from numpy.typing import ArrayLike
from pytest import MonkeyPatch

from lmprep.training import bayesopt as module

THESIS = "worth_of_a_trial"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.expected_improvement

    @functools.wraps(sound)
    def of_a_maximum(mean: ArrayLike, sd: ArrayLike, best: float) -> module.Floats:
        return sound([-m for m in mean], sd, -best)

    patch.setattr(module, "expected_improvement", of_a_maximum)
