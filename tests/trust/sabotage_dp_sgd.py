"""Nobody is clipped: the same sum under the same noise, whatever the length of a gradient."""

import torch
from pytest import MonkeyPatch

from lmprep.trust import privacy as module

THESIS = "attacker_within_promise"


def sabotage(patch: MonkeyPatch) -> None:
    def noise_alone(gradients, *, max_norm, noise_multiplier, expected_batch_size, generator):
        private = {}
        for name, gradient in gradients.items():
            total = gradient.sum(0)
            noise = torch.randn(total.shape, generator=generator, dtype=total.dtype)
            private[name] = (total + noise_multiplier * max_norm * noise) / expected_batch_size
        return private

    patch.setattr(module, "clip_and_noise", noise_alone)
