"""The small task keeps 30 labels whatever is asked: without better training alone, sharing need not hurt."""

from pytest import MonkeyPatch

from lmprep.transfer import multitask as module

THESIS = "no_weights_spare_both"


def sabotage(patch: MonkeyPatch) -> None:
    draw = module.linear_tasks

    def with_few_labels(angle, sizes, generator):
        return draw(angle, (30, sizes[1]), generator)

    patch.setattr(module, "linear_tasks", with_few_labels)
