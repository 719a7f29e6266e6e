"""Words that name no digit: a caption's pictures show another pair, so each caption is an arbitrary name."""

import functools

import torch
from pytest import MonkeyPatch
from torch import Tensor

from lmprep.transfer import multimodal as module

THESIS = "words_name_the_unseen"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.draw_pictures
    shown = module.CAPTIONS[torch.randperm(100, generator=torch.Generator().manual_seed(0))]

    @functools.wraps(sound)
    def of_another(images: Tensor, labels: Tensor, pairs: Tensor, generator: torch.Generator) -> Tensor:
        return sound(images, labels, shown[module.caption_ids(pairs)], generator)

    patch.setattr(module, "draw_pictures", of_another)
