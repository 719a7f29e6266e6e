"""The gradients are taken on new data, not on the data that were fitted: then they tell pairs apart."""

from pytest import MonkeyPatch

from lmprep.transfer import multitask as module

THESIS = "opposed_at_the_optimum"


def sabotage(patch: MonkeyPatch) -> None:
    def on_new_data(self, weights):
        return 2 * (weights - self.truth)

    patch.setattr(module.LinearTasks, "gradients", on_new_data)
