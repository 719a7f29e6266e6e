"""Forget the scale: scores reach the softmax undivided, as in `attention(..., scale=1.0)`."""

import functools

from pytest import MonkeyPatch

from lmprep.architectures import attention as module

THESIS = "scale_feeds_all_queries"


def sabotage(patch: MonkeyPatch) -> None:
    scaled = module.attention

    @functools.wraps(scaled)
    def unscaled(*args, **kwargs):
        return scaled(*args, **kwargs | {"scale": 1.0})

    patch.setattr(module, "attention", unscaled)
