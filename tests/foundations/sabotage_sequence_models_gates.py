"""The bias meant for the update gate goes to the reset gate, as if torch's blocks stood in another order: the
same number in the wrong place must not teach the GRU to remember."""

import functools

from pytest import MonkeyPatch

from lmprep.architectures import rnn as module

THESIS = "open_gate_learns"


def sabotage(patch: MonkeyPatch) -> None:
    original = module.set_gate_bias

    @functools.wraps(original)
    def first_block(recurrent, gate, value):
        original(recurrent, "reset" if gate == "update" else gate, value)

    patch.setattr(module, "set_gate_bias", first_block)
