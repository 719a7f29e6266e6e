"""Divide by d instead of √d, the other scale that candidates write: no width then starts like the next."""

import functools
from typing import Any

from pytest import MonkeyPatch

from lmprep.architectures import attention as module

THESIS = "equally_sharp"


def sabotage(patch: MonkeyPatch) -> None:
    attention = module.attention

    @functools.wraps(attention)
    def divided_by_d(q: Any, *args: Any, **options: Any) -> Any:
        if options.get("scale") is None:
            options["scale"] = 1 / q.size(-1)
        return attention(q, *args, **options)

    patch.setattr(module, "attention", divided_by_d)
