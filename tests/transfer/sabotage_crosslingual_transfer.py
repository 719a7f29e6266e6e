"""The map transposed, the usual slip: it would carry English to Chinese, and is applied to Chinese."""

import functools
from typing import Any

from pytest import MonkeyPatch

from lmprep.transfer import crosslingual as module

THESIS = "pairs_bring_it_back"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.partial_procrustes

    @functools.wraps(sound)
    def transposed(X: Any, Y: Any) -> Any:
        return sound(X, Y).T

    patch.setattr(module, "partial_procrustes", transposed)
