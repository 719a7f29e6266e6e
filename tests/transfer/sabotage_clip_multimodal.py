"""No shared words: every caption is read as a symbol of its own, so no training reaches the held-out ones."""

import functools

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.transfer import multimodal as module

THESIS = "words_name_the_unseen"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.read_captions

    @functools.wraps(sound)
    def as_symbols(pairs: Tensor, reading: module.Reading) -> Tensor:
        return sound(pairs, "symbols")

    patch.setattr(module, "read_captions", as_symbols)
