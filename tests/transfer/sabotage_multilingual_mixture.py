"""Translations that only repeat eight messages: the controls have no fresh text either, and gain no more."""

from pytest import MonkeyPatch

from lmprep.data import corpora as module

THESIS = "fresh_text_gains_more"


def sabotage(patch: MonkeyPatch) -> None:
    pairs = module.english_chinese_pairs()
    train = pairs["train"]
    repeated = (list(train["chinese"][:8]) * len(train))[: len(train)]
    pairs["train"] = train.remove_columns("chinese").add_column("chinese", repeated)
    patch.setattr(module, "english_chinese_pairs", lambda: pairs)
