"""Matrices that write to the stream are not scaled down: the sum of all branches grows with depth."""

import functools
from typing import Any

import torch
from pytest import MonkeyPatch
from torch import nn

from lmprep.architectures import transformer as module

THESIS = "root_law"


def sabotage(patch: MonkeyPatch) -> None:
    scaled = module.gpt2_init

    @functools.wraps(scaled)  # so that show(...) still finds its source
    def unscaled(model: nn.Module, num_layers: int, generator: torch.Generator, **options: Any) -> None:
        if options.get("residual_scale") is None:
            options["residual_scale"] = 1.0
        scaled(model, num_layers, generator, **options)

    patch.setattr(module, "gpt2_init", unscaled)
