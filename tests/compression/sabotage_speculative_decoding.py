"""Rejected tokens replaced from the target's p: what the draft says too often is then said twice."""

from pytest import MonkeyPatch

from lmprep.compression import speculative as module

THESIS = "law_is_the_targets"


def sabotage(patch: MonkeyPatch) -> None:
    patch.setattr(module, "residual", lambda p, q: p)
