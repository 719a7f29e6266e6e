"""A coder that cuts its interval into equal parts: it still restores every text, but the loss no longer says
how long the file is."""

import functools
from typing import Any

import numpy as np
from pytest import MonkeyPatch

from lmprep.foundations import coding as module

THESIS = "loss_is_file_size"


def sabotage(patch: MonkeyPatch) -> None:
    frequencies = module.frequencies

    @functools.wraps(frequencies)
    def equal(probs: Any) -> np.ndarray:
        return frequencies(np.full(len(probs), 1 / len(probs)))

    patch.setattr(module, "frequencies", equal)
