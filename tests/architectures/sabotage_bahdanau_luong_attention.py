"""Blind the query of the dot product: all scores are then 0 and the weights uniform, as in the control. The
path to the states and the parameters stay, and nothing is left of what choosing brings."""

import functools
from typing import Any

from pytest import MonkeyPatch

from lmprep.architectures import attention as module

THESIS = "choosing_helps"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.LuongAttention.forward

    @functools.wraps(sound)
    def blind(self: Any, x: Any, *arguments: Any, **options: Any) -> Any:
        return sound(self, 0 * x, *arguments, **options)

    patch.setattr(module.LuongAttention, "forward", blind)
