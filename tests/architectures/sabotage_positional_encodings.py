"""Turn with base 100: hand 1 then completes a turn in training, so holding it no longer mends anything."""

import functools
from typing import Any

from pytest import MonkeyPatch

from lmprep.architectures import position as module

THESIS = "one_hand"


def sabotage(patch: MonkeyPatch) -> None:
    apply_rope = module.apply_rope

    @functools.wraps(apply_rope)
    def faster(x: Any, positions: Any, base: float = 100.0) -> Any:
        return apply_rope(x, positions, 100.0)

    patch.setattr(module, "apply_rope", faster)
