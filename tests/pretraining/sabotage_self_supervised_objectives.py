"""The masked model sees the left side only: the first twin is a guess again, and products sum to one."""

import functools
from typing import Any

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.architectures.transformer import Transformer

THESIS = "no_probability"


def sabotage(patch: MonkeyPatch) -> None:
    hidden = Transformer.hidden

    @functools.wraps(hidden)
    def left_only(self: Transformer, ids: Tensor, **options: Any) -> tuple[Tensor, Tensor | None]:
        return hidden(self, ids, **options | {"causal": True})

    patch.setattr(Transformer, "hidden", left_only)
