"""Keys that overlap as little as they can, in place of random ones: up to d of them are at right angles and
are read back without error, so the error no longer follows (N − 1)/d."""

import functools

from pytest import MonkeyPatch

from lmprep.foundations import memory as module

THESIS = "error_is_crowding"


def sabotage(patch: MonkeyPatch) -> None:
    @functools.wraps(module.random_unit_keys)
    def spread(*shape, **options):
        return module.tight_keys(*shape, **options)

    patch.setattr(module, "random_unit_keys", spread)
