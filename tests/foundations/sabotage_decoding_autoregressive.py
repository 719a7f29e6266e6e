"""A loop without search: what follows each memory is drawn once, and the "mode" goes on by that fixed rule.
It repeats itself, but at the surprisal of text drawn, so the thesis must not hold of it."""

import functools

import torch
from pytest import MonkeyPatch

from lmprep.foundations import decoding as module

THESIS = "mode_degenerates"


def sabotage(patch: MonkeyPatch) -> None:
    @functools.wraps(module.viterbi)
    def by_fixed_rule(log_probs, prompts, new_tokens):
        rule = module.sample(log_probs, torch.Generator().manual_seed(0))
        ids = prompts
        for _ in range(new_tokens):
            ids = torch.cat([ids, rule[tuple(ids[:, -rule.ndim :].T)][:, None]], dim=1)
        return ids

    patch.setattr(module, "viterbi", by_fixed_rule)
