"""Targets keep the teacher's confidence; which wrong class comes near is lost: all become equal."""

import functools

from pytest import MonkeyPatch

from lmprep.compression import distill as module

THESIS = "own_second_choices"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.kd_loss

    @functools.wraps(sound)
    def even(student, teacher, T=1.0, *, counts=None):
        p = (teacher / T).softmax(dim=-1)
        top = p.amax(dim=-1, keepdim=True)
        spread = ((1 - top) / (p.size(-1) - 1)).expand_as(p)
        return sound(student, T * spread.where(p < top, top).log(), T, counts=counts)

    patch.setattr(module, "kd_loss", even)
