"""A buffer that counts but stores nothing: replay trains on new images alone, like plain training."""

import functools

from pytest import MonkeyPatch

from lmprep.transfer import continual as module

THESIS = "replay_learns_and_keeps"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.ReplayBuffer.add

    @functools.wraps(sound)
    def broken(self, example):
        self.num_seen += 1

    patch.setattr(module.ReplayBuffer, "add", broken)
