"""Does a confidence of 70 % mean right 7 times in 10? Reliability bins, and the error that sums them up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ReliabilityBins:
    """What a reliability diagram shows: guesses sorted by confidence into M bins of equal width.

    Args:
        counts: (M,) guesses in each bin.
        confidence: (M,) their mean confidence, NaN where there is none.
        accuracy: (M,) the share of them that is right, NaN where there is none.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability_bins(confidence: ArrayLike, correct: ArrayLike, num_bins: int = 10) -> ReliabilityBins:
    """Sort guesses by confidence, and compare how sure and how right they are in each bin.

    Args:
        confidence: (N,), the probability that the model gave its own guess.
        correct: (N,), whether the guess is right: bools, or 0 and 1.
        num_bins: M. Bin m of 1 to M holds confidences above (m − 1)/M and up to m/M, the first one 0 as well.

    Raises:
        ValueError: the two are not (N,) of one length, at least 1; a confidence is outside [0, 1] or NaN;
            `correct` holds anything but 0 and 1; or num_bins < 1.

    Source: Naeini et al. (2015); the bins as in Guo et al. (2017).
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct)
    if sure.shape != right.shape or sure.ndim != 1 or sure.size == 0:
        raise ValueError(f"confidence and correct must be (N,) of one length, at least 1, got {sure.shape} "
                         f"and {right.shape}")  # fmt: skip
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError(f"confidence must be from 0 to 1, got {sure.min():.4g} to {sure.max():.4g}: give "
                         "probabilities, not logits")  # fmt: skip
    if not np.isin(right, (0, 1)).all():
        raise ValueError(f"correct must hold bools or 0 and 1, got {right.tolist()[:10]}: compare the "
                         "guesses with the targets first")  # fmt: skip
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.maximum(edges.searchsorted(sure, side="left") - 1, 0)  # (N,), from 0 to M − 1
    counts = np.bincount(bins, minlength=num_bins)
    sums = (np.bincount(bins, weights=each, minlength=num_bins) for each in (sure, right.astype(np.float64)))
    means = (np.divide(s, counts, out=np.full(num_bins, np.nan), where=counts > 0) for s in sums)
    return ReliabilityBins(counts, *means)


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, num_bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over the bins, weighted by how many guesses each holds.

    Args:
        confidence: (N,), the probability that the model gave its own guess.
        correct: (N,), whether the guess is right: bools, or 0 and 1.
        num_bins: M, see `reliability_bins`. The error depends on it: one bin sees only the overall means.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: as `reliability_bins`.

    Source: Naeini et al. (2015), Guo et al. (2017).
    """
    bins = reliability_bins(confidence, correct, num_bins)
    gaps = np.nan_to_num(abs(bins.accuracy - bins.confidence))  # an empty bin has weight 0
    return float((bins.counts * gaps).sum() / bins.counts.sum())
