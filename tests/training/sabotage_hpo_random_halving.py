"""Halving that sees no loss before the last rung: each cut keeps the lowest indices, which are any."""

import functools
import math
from collections.abc import Callable
from typing import Any

from pytest import MonkeyPatch

from lmprep.training import search as module

THESIS = "halving_at_equal_cost"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.successive_halving

    @functools.wraps(sound)
    def blind(
        train: Callable[[int, float], float],
        num_configs: int,
        *,
        max_budget: float = math.inf,
        **options: Any,
    ) -> tuple[int, list[module.Rung]]:
        def only_at_the_end(index: int, budget: float) -> float:
            return train(index, budget) if budget >= max_budget else 0.0

        return sound(only_at_the_end, num_configs, max_budget=max_budget, **options)

    patch.setattr(module, "successive_halving", blind)
