"""A mask that counts only the first two tokens to predict of every row: all replies weigh the same again."""

import functools
from collections.abc import Sequence

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.training import batching as module

THESIS = "learns_short_replies"


def sabotage(patch: MonkeyPatch) -> None:
    pad_batch = module.pad_batch

    @functools.wraps(pad_batch)
    def equal_counts(sequences: Sequence[Tensor], pad: int) -> tuple[Tensor, Tensor]:
        ids, mask = pad_batch(sequences, pad)
        mask[:, 3:] = False
        return ids, mask

    patch.setattr(module, "pad_batch", equal_counts)
