"""Adapters whose A starts at zero like B: neither ever gets a gradient, and the encoder stays as it was."""

import functools

import torch
from pytest import MonkeyPatch

from lmprep.pretraining import lora as module

THESIS = "encoder_improves"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.LoRALinear.__init__

    @functools.wraps(sound)
    def broken(self, *arguments, **options):
        sound(self, *arguments, **options)
        torch.nn.init.zeros_(self.A)

    patch.setattr(module.LoRALinear, "__init__", broken)
