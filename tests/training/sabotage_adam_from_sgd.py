"""One divisor for the whole tensor: Adam averages and corrects as before, but divides all entries alike."""

import functools
from typing import Any

from pytest import MonkeyPatch
from torch import Tensor

from lmprep.training.optim import Adam

THESIS = "rare_words_starve"


def sabotage(patch: MonkeyPatch) -> None:
    move = Adam.move

    @functools.wraps(move)
    def divided_alike(
        self: Adam, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        before = parameter.clone()
        move(self, parameter, grad, state, group)
        beta1, beta2 = group["betas"]
        square = state["v"].mean() / (1 - beta2 ** state["t"])
        mean = state["m"] / (1 - beta1 ** state["t"])
        parameter.copy_(before - group["lr"] * mean / (square.sqrt() + group["eps"]))

    patch.setattr(Adam, "move", divided_alike)
