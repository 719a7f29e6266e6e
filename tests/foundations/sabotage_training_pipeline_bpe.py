"""A tokenizer that never merges: every vocabulary cuts the text into the same bytes, and the n-gram model
with the fewest bits per byte has the lowest perplexity too. Nothing ranks backwards."""

import functools

from pytest import MonkeyPatch

from lmprep.foundations.bpe import BPE

THESIS = "perplexity_ranks_backwards"


def sabotage(patch: MonkeyPatch) -> None:
    @functools.wraps(BPE._merged)
    def left_alone(self: BPE, ids: list[int]) -> list[int]:
        return ids

    patch.setattr(BPE, "_merged", left_alone)
