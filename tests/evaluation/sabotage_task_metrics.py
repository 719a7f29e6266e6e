"""An unpaired bootstrap: it draws other sentences for the second system than for the first."""

import functools
from typing import Any

import numpy as np
from pytest import MonkeyPatch

from lmprep.evaluation import significance as module

THESIS = "noise_or_real"


def sabotage(patch: MonkeyPatch) -> None:
    paired_bootstrap = module.paired_bootstrap

    @functools.wraps(paired_bootstrap)
    def unpaired(a: Any, b: Any, *args: Any, rng: np.random.Generator, **options: Any) -> Any:
        return paired_bootstrap(a, rng.permutation(b), *args, rng=rng, **options)

    patch.setattr(module, "paired_bootstrap", unpaired)
