"""Negatives drawn evenly from all words, not by frequency: the optimum is then not PMI − log k.

Everything else runs as before, and converges; only the noise that the thesis names is exchanged."""

import functools

import torch
from pytest import MonkeyPatch

from lmprep.foundations import embeddings as module

THESIS = "shifted_pmi"


def sabotage(patch: MonkeyPatch) -> None:
    sgns_expected_loss = module.sgns_expected_loss

    @functools.wraps(sgns_expected_loss)
    def even_noise(words, contexts, joint, k, noise):
        return sgns_expected_loss(words, contexts, joint, k, torch.full_like(noise, 1 / len(noise)))

    patch.setattr(module, "sgns_expected_loss", even_noise)
