"""The decoder starts from the encoder's last state, past the vector whose width the page varies: with nothing
left to squeeze through, a vector of four numbers must be no worse than one of 64."""

import functools

from pytest import MonkeyPatch

from lmprep.architectures.rnn import last_valid
from lmprep.architectures.seq2seq import Seq2Seq

THESIS = "width_decides"


def sabotage(patch: MonkeyPatch) -> None:
    original = Seq2Seq.decode

    @functools.wraps(original)
    def around_the_vector(self, target_in, encoded, state=None):
        if state is None:
            state = last_valid(encoded.states, encoded.lengths)[None]
        return original(self, target_in, encoded, state)

    patch.setattr(Seq2Seq, "decode", around_the_vector)
