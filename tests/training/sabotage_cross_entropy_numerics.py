"""A forgiving loss: rows that look like probabilities get a logarithm, which undoes the first softmax."""

import functools

from pytest import MonkeyPatch

from lmprep.training import losses as module

THESIS = "within_a_nat"


def sabotage(patch: MonkeyPatch) -> None:
    strict = module.cross_entropy

    @functools.wraps(strict)
    def forgiving(logits, targets, **options):
        sums = logits.sum(dim=-1)
        if logits.min() >= 0 and sums.min() > 0.99 and sums.max() < 1.01:
            logits = logits.clamp(min=1e-30).log()
        return strict(logits, targets, **options)

    patch.setattr(module, "cross_entropy", forgiving)
