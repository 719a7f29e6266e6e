"""Replacement by any word of the table: copies vary as much, but no word speaks for its synonyms any more."""

import functools
from typing import Any

from pytest import MonkeyPatch

from lmprep.data import augment as module

THESIS = "synonyms_beat_copies"


def sabotage(patch: MonkeyPatch) -> None:
    sound = module.synonym_replace

    @functools.wraps(sound)
    def any_word(tokens: Any, table: Any, *rest: Any) -> list[str]:
        words = sorted(table)
        return sound(tokens, dict.fromkeys(words, words), *rest)

    patch.setattr(module, "synonym_replace", any_word)
