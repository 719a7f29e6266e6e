"""Search that does not search: the beam's tokens are drawn from the model, not kept for their probability.
What it writes is then typical text, neither likelier nor poorer than the reference."""

import functools

import torch
from pytest import MonkeyPatch

from lmprep.foundations import decoding as module

THESIS = "mode_degenerates"


def sabotage(patch: MonkeyPatch) -> None:
    @functools.wraps(module.beam_search)
    def drawn(log_probs, prompt, width, max_new_tokens, *, stop=None, length_penalty=0.0):
        g = torch.Generator().manual_seed(int(prompt.sum()))
        ids, total = prompt[None], torch.zeros(1, dtype=torch.float64)
        for _ in range(max_new_tokens):
            log_p = log_probs(ids)
            token = module.sample(log_p, g)
            ids, total = torch.cat([ids, token[:, None]], dim=1), total + log_p[0, token]
        return ids, total

    patch.setattr(module, "beam_search", drawn)
