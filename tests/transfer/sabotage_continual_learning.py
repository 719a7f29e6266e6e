"""A buffer of the newest examples: older sites lose their seats, and replay has nothing of them to show."""

import functools

from pytest import MonkeyPatch

from lmprep.transfer import continual as module

THESIS = "replay_beats_ewc"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.ReplayBuffer.add

    @functools.wraps(sound)
    def broken(self, example):
        self.num_seen += 1
        self.examples = [*self.examples, example][-self.capacity :] if self.capacity else []

    patch.setattr(module.ReplayBuffer, "add", broken)
