"""A WSD that never decays: the branches go on at the trunk's rate."""

import functools
from typing import Any

from pytest import MonkeyPatch

from lmprep.training import schedules as module

THESIS = "one_trunk"


def sabotage(patch: MonkeyPatch) -> None:
    @functools.wraps(module.wsd)
    def never_decays(total: int, *, warmup: int = 0, **options: Any) -> module.Schedule:
        return module.linear_warmup(warmup)

    patch.setattr(module, "wsd", never_decays)
