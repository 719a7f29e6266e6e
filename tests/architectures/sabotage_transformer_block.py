"""Leave out pre-norm's final norm: nothing divides the stream that has grown, so the last block's gradient no
longer falls with depth, and times what should have divided it, it is one constant no more."""

import functools
from typing import Any

from pytest import MonkeyPatch
from torch import nn

from lmprep.architectures import transformer as module

THESIS = "one_division"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.Transformer.__init__

    @functools.wraps(sound)
    def without_final_norm(self: Any, *arguments: Any, **options: Any) -> None:
        sound(self, *arguments, **options)
        self.final_norm = nn.Identity()

    patch.setattr(module.Transformer, "__init__", without_final_norm)
