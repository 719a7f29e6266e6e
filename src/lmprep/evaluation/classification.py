"""Accuracy, precision, recall and F1 of labels, from three counts for each class.

Where a denominator is 0, so is the quotient: a class that was never predicted has precision 0. scikit-learn
does the same, with a warning.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Labels = Sequence[int] | Sequence[str] | NDArray[Any]


class Scores(NamedTuple):
    """Precision, recall and F1: three numbers from 0 to 1, or three arrays of them."""

    precision: Any
    recall: Any
    f1: Any


def scores_from_counts(matches: Any, predicted: Any, actual: Any) -> Scores:
    """Precision, recall and their harmonic mean, from what was predicted, what is there and what is both.

    Args:
        matches, predicted, actual: counts, numbers or arrays of one shape; 0 ≤ matches ≤ the other two.

    Returns:
        matches / predicted, matches / actual and 2 · matches / (predicted + actual), in the counts' shape;
        0 where a denominator is 0.

    Raises:
        ValueError: a count is NaN or negative, or matches exceeds one of the other two.

    Source: van Rijsbergen (1979), whose effectiveness measure is 1 − F.
    """
    matches, predicted, actual = (np.asarray(x, dtype=np.float64) for x in (matches, predicted, actual))
    if not ((matches >= 0) & (matches <= predicted) & (matches <= actual)).all():
        raise ValueError(f"matches must be from 0 to the smaller of predicted and actual, got {matches}, "
                         f"{predicted} and {actual}")  # fmt: skip
    quotients = (
        np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        for above, below in ((matches, predicted), (matches, actual), (2 * matches, predicted + actual))
    )
    return Scores(*(x if x.ndim else float(x) for x in quotients))


def accuracy(targets: Labels, predictions: Labels) -> float:
    """Share of items whose label is right.

    Args:
        targets, predictions: (N,) labels, whole numbers or strings.

    Raises:
        TypeError: labels are neither, or of two kinds.
        ValueError: they are not two lists of one length, or empty.
    """
    targets, predictions = _checked(targets, predictions)
    return float((targets == predictions).mean())


def precision_recall_f1(
    targets: Labels,
    predictions: Labels,
    average: Literal["macro", "micro", "weighted"] | None = "macro",
) -> Scores:
    """Precision, recall and F1 over classes: those that occur among the targets or the predictions.

    Args:
        targets, predictions: (N,) labels, whole numbers or strings.
        average: "macro", the mean over classes; "weighted", the same, weighted by how often a class is a
            target; "micro", computed once from the counts of all classes together, which for one label an
            item is the accuracy, three times; None, no average.

    Returns:
        Three floats, or three arrays (K,) in the classes' sorted order where `average` is None. The macro F1
        is the mean of the classes' F1s, not the harmonic mean of macro precision and macro recall.

    Raises:
        TypeError: labels are neither whole numbers nor strings, or of two kinds.
        ValueError: they are not two lists of one length, or empty; or `average` is another.
    """
    targets, predictions = _checked(targets, predictions)
    if average not in ("macro", "micro", "weighted", None):
        raise ValueError(f"average must be 'macro', 'micro', 'weighted' or None, got {average!r}")
    classes, codes = np.unique(np.concatenate([targets, predictions]), return_inverse=True)
    y, guess = codes[: len(targets)], codes[len(targets) :]  # (N,) each, from 0 to K − 1
    counts = np.stack([np.bincount(x, minlength=len(classes)) for x in (y[y == guess], guess, y)])  # (3, K)
    if average == "micro":
        return scores_from_counts(*counts.sum(axis=1))
    scores = scores_from_counts(*counts)
    if average is None:
        return scores
    weights = counts[2] if average == "weighted" else np.ones(len(classes))
    return Scores(*(float(np.average(x, weights=weights)) for x in scores))


def _checked(targets: Labels, predictions: Labels) -> tuple[NDArray[Any], NDArray[Any]]:
    y, guess = np.asarray(targets), np.asarray(predictions)
    if y.shape != guess.shape or y.ndim != 1 or y.size == 0:
        raise ValueError(f"targets and predictions must be two lists of one length, at least 1, got shapes "
                         f"{y.shape} and {guess.shape}")  # fmt: skip
    kinds = {
        "U" if x.dtype.kind == "U" else "i" if x.dtype.kind in "iub" else str(x.dtype) for x in (y, guess)
    }
    if kinds not in ({"U"}, {"i"}):
        raise TypeError(f"labels must be whole numbers or strings, in targets and predictions alike, got "
                        f"{y.dtype} and {guess.dtype}")  # fmt: skip
    return y, guess
