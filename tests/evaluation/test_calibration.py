"""lmprep.evaluation.calibration against scikit-learn's curve, Guo's loop, by hand, and at the edges."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from lmprep.evaluation.calibration import expected_calibration_error, reliability_bins

guesses = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)
sizes = st.integers(1, 20)


def random_guesses(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Confidences, some on the edges of bins; guesses right more or less as often as they say; bins."""
    rng = np.random.default_rng(seed)
    num_items, num_bins = int(rng.integers(1, 300)), int(rng.integers(1, 21))
    confidence = rng.random(num_items) ** rng.uniform(0.3, 3)
    edges = rng.random(num_items) < 0.1
    confidence[edges] = np.linspace(0, 1, num_bins + 1)[rng.integers(num_bins + 1, size=edges.sum())]
    return confidence, rng.random(num_items) < confidence ** rng.uniform(0.3, 3), num_bins


def guos_loop(confidence: np.ndarray, correct: np.ndarray, num_bins: int) -> float:
    """As in the code of Guo et al. (2017): above the lower edge, up to the upper; 0 joins the first bin."""
    edges, error = np.linspace(0, 1, num_bins + 1), 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if low == 0:
            inside |= confidence == 0
        if inside.any():
            error += abs(correct[inside].mean() - confidence[inside].mean()) * inside.mean()
    return float(error)


def test_bins_are_scikit_learns_and_the_error_is_guos() -> None:
    for seed in range(300):
        confidence, correct, num_bins = random_guesses(seed)
        bins = reliability_bins(confidence, correct, num_bins)
        filled, empty = bins.counts > 0, bins.counts == 0
        ours = np.stack([bins.accuracy[filled], bins.confidence[filled]])
        theirs = calibration_curve(correct, confidence, n_bins=num_bins)
        np.testing.assert_allclose(ours, theirs, atol=1e-12, err_msg=f"seed {seed}")
        assert np.isnan([bins.accuracy[empty], bins.confidence[empty]]).all()
        assert bins.counts.sum() == len(confidence)
        found = expected_calibration_error(confidence, correct, num_bins)
        assert found == pytest.approx(guos_loop(confidence, correct, num_bins), abs=1e-12), f"seed {seed}"


def test_random_guesses_are_no_trivial_reference() -> None:
    """Else the test above would compare zeros."""
    errors = [expected_calibration_error(*random_guesses(seed)) for seed in range(100)]
    assert sum(0.02 < error < 0.9 for error in errors) > 80


def test_by_hand() -> None:
    confidence, correct = [0.95, 0.85, 0.9, 0.3, 0.25], [True, False, True, False, True]
    bins = reliability_bins(confidence, correct, 2)
    assert bins.counts.tolist() == [2, 3]
    np.testing.assert_allclose(bins.confidence, [0.275, 0.9])
    np.testing.assert_allclose(bins.accuracy, [0.5, 2 / 3])
    expected = 2 / 5 * 0.225 + 3 / 5 * (0.9 - 2 / 3)
    assert expected_calibration_error(confidence, correct, 2) == pytest.approx(expected, abs=1e-15)


def test_an_edge_belongs_to_the_bin_below_and_zero_to_the_first() -> None:
    assert reliability_bins([0.0, 0.5, 0.5001, 1.0], [0, 0, 0, 0], 2).counts.tolist() == [2, 2]


@settings(max_examples=40)
@given(items=guesses)
def test_one_bin_compares_the_overall_means(items: list[tuple[float, bool]]) -> None:
    confidence, correct = map(np.array, zip(*items, strict=True))
    expected = abs(confidence.mean() - correct.mean())
    assert expected_calibration_error(confidence, correct, 1) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40)
@given(items=guesses, num_bins=sizes, shift=st.integers(-9, 9))
def test_bounded_and_the_order_of_items_does_not_matter(
    items: list[tuple[float, bool]], num_bins: int, shift: int
) -> None:
    confidence, correct = map(np.array, zip(*items, strict=True))
    error = expected_calibration_error(confidence, correct, num_bins)
    assert 0 <= error <= 1
    turned = expected_calibration_error(np.roll(confidence, shift), np.roll(correct, shift), num_bins)
    assert turned == pytest.approx(error, abs=1e-12)


@settings(max_examples=40)
@given(items=guesses, num_bins=sizes)
def test_finer_bins_find_no_less(items: list[tuple[float, bool]], num_bins: int) -> None:
    """Where each bin is split in two: gaps of opposite sign no longer cancel. Confidences on an edge, which
    rounding may put on either side, aside."""
    confidence, correct = map(np.array, zip(*items, strict=True))
    confidence = (np.floor(confidence * 997) + 0.5) / 998
    coarse, fine = (expected_calibration_error(confidence, correct, m) for m in (num_bins, 2 * num_bins))
    assert fine >= coarse - 1e-12


@pytest.mark.parametrize("kind", [bool, int, np.float32])
def test_kinds_of_correct(kind: type) -> None:
    correct: Any = np.array([1, 0, 1]).astype(kind)
    assert expected_calibration_error([0.9, 0.6, 0.7], correct) == pytest.approx(1 / 3 * (0.1 + 0.6 + 0.3))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: reliability_bins([], []), r"at least 1, got \(0,\) and \(0,\)"),
        (lambda: reliability_bins([0.5], [True, False]), r"one length, at least 1, got \(1,\) and \(2,\)"),
        (lambda: reliability_bins([[0.5]], [[True]]), r"\(N,\) of one length"),
        (lambda: reliability_bins([1.5], [True]), "from 0 to 1, got 1.5 to 1.5: give probabilities"),
        (lambda: reliability_bins([-0.1], [True]), "from 0 to 1, got -0.1"),
        (lambda: reliability_bins([math.nan], [True]), "from 0 to 1, got nan"),
        (lambda: reliability_bins([0.5], [2]), r"bools or 0 and 1, got \[2\]: compare the guesses"),
        (lambda: reliability_bins([0.5], [math.nan]), r"got \[nan\]"),
        (lambda: reliability_bins([0.5], [True], 0), "num_bins must be at least 1, got 0"),
        (lambda: expected_calibration_error([0.5], [True], -1), "num_bins must be at least 1, got -1"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
