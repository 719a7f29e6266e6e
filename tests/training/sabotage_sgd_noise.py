"""A shuffle that is none: every index is drawn anew, so that an epoch's noise no longer cancels."""

import functools

import torch
from pytest import MonkeyPatch

from lmprep.training import noise as module

THESIS = "shuffling_cancels"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.epoch_batches

    @functools.wraps(sound)
    def always_anew(
        num_examples: int, batch_size: int, *, replace: bool = False, generator: torch.Generator
    ) -> torch.Tensor:
        return sound(num_examples, batch_size, replace=True, generator=generator)

    patch.setattr(module, "epoch_batches", always_anew)
