"""Sentences that are all said in the active voice: no training set lacks passives, as there are none."""

from pytest import MonkeyPatch

from lmprep.transfer.roles import Frame

THESIS = "all_four_tell"


def sabotage(patch: MonkeyPatch) -> None:
    say = Frame.say
    patch.setattr(Frame, "say", lambda frame, *, passive: say(frame, passive=False))
