"""A search that finds no near-duplicates: every row is a group of its own, and twins are split again."""

import functools
from collections.abc import Set as AbstractSet
from typing import Any

from pytest import MonkeyPatch

from lmprep.data import leakage as module

THESIS = "groups_stop_the_leak"


def sabotage(patch: MonkeyPatch) -> None:
    near_duplicates = module.near_duplicates

    @functools.wraps(near_duplicates)
    def blind(sets: list[AbstractSet[str]], *args: Any, **options: Any) -> dict[tuple[int, int], float]:
        pairs = near_duplicates(sets, *args, **options)
        return pairs if len(sets) < 2000 else {}  # the English passages are fewer: theirs stay

    patch.setattr(module, "near_duplicates", blind)
