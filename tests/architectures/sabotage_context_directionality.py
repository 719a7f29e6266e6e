"""The causal mask lets everything through, as one that is built and then not applied: a cue to the right is
then within reach, and nothing is left of what the full mask has ahead."""

import functools

from pytest import MonkeyPatch

from lmprep.architectures import context as module

THESIS = "the_mask_decides"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.attention_mask

    @functools.wraps(sound)
    def leaking(T, kind, **options):
        return sound(T, "bidirectional" if kind == "causal" else kind, **options)

    patch.setattr(module, "attention_mask", leaking)
