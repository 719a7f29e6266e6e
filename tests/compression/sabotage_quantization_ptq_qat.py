"""Grids that ignore their axis: a scale each row becomes the widest row's, and saves nothing."""

import functools

from pytest import MonkeyPatch

from lmprep.compression import quantize as module

THESIS = "rows_break_one_scale"


def sabotage(patch: MonkeyPatch) -> None:
    fitted = module.qparams

    @functools.wraps(fitted)
    def one_for_all(x, bits, *, symmetric=True, axis=None):
        own, shared = fitted(x, bits, symmetric=symmetric, axis=axis), fitted(x, bits, symmetric=symmetric)
        scale, zero_point = (a.expand_as(own.scale).contiguous() for a in (shared.scale, shared.zero_point))
        return module.Grid(scale, zero_point, own.low, own.high)

    patch.setattr(module, "qparams", one_for_all)
