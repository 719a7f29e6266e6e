"""Naive Bayes fitted to p(y | x), as logistic regression is: of two likelihoods one, and nothing crosses."""

from typing import Any

from pytest import MonkeyPatch

from lmprep.foundations import classify as module

THESIS = "fits_cross"


def sabotage(patch: MonkeyPatch) -> None:
    fit = module.GaussianNBShared.fit

    def fitted_to_labels(self: Any, X: Any, y: Any) -> Any:
        logistic = module.LogisticRegressionNewton(1e-3).fit(X, y)
        self.linear = logistic.linear
        return fit(self, X, y)

    patch.setattr(module.GaussianNBShared, "fit", fitted_to_labels)
