"""Masking that hides nothing: the same positions are asked for, but the answer stands in the input."""

from typing import Any

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.pretraining import masking as module

THESIS = "co_occurrence_teaches"


def sabotage(patch: MonkeyPatch) -> None:
    hiding = module.mlm_mask

    def hides_nothing(ids: Tensor, special: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        return ids, hiding(ids, special, **options)[1]

    patch.setattr(module, "mlm_mask", hides_nothing)
