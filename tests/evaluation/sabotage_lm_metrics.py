"""A language model that knows its top guess and nothing else: there is no tail for perplexity to lose."""

import functools
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from pytest import MonkeyPatch

from lmprep.foundations import ngram as module

THESIS = "the_tail_decides"


def sabotage(patch: MonkeyPatch) -> None:
    probs = module.WittenBellLM.probs

    @functools.wraps(probs)
    def without_tail(self: module.WittenBellLM, context: Sequence[SupportsIndex]) -> np.ndarray:
        p = probs(self, context)
        flat = np.full_like(p, (1 - p.max()) / (len(p) - 1))
        flat[p.argmax()] = p.max()
        return flat

    patch.setattr(module.WittenBellLM, "probs", without_tail)
