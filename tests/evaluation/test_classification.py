"""lmprep.evaluation.classification against scikit-learn's, by hand, and at the edges."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from lmprep.evaluation.classification import accuracy, precision_recall_f1, scores_from_counts

labels = st.integers(-2, 3)
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=30)
AVERAGES = ("macro", "micro", "weighted", None)


@pytest.mark.parametrize("average", AVERAGES)
@given(items=pairs)
def test_scores_are_scikit_learns(average: Any, items: list[tuple[int, int]]) -> None:
    targets, predictions = zip(*items, strict=True)
    theirs = precision_recall_fscore_support(targets, predictions, average=average, zero_division=0)
    ours = precision_recall_f1(targets, predictions, average)
    np.testing.assert_allclose(np.stack(ours), np.stack(theirs[:3]), atol=1e-12, rtol=0)


@given(items=pairs)
def test_micro_and_weighted_recall_are_accuracy(items: list[tuple[int, int]]) -> None:
    targets, predictions = zip(*items, strict=True)
    share = accuracy(targets, predictions)
    assert share == pytest.approx(accuracy_score(targets, predictions), abs=1e-15)
    assert precision_recall_f1(targets, predictions, "micro") == pytest.approx((share,) * 3, abs=1e-12)
    assert precision_recall_f1(targets, predictions, "weighted").recall == pytest.approx(share, abs=1e-12)


@given(items=pairs, shift=st.integers(-5, 5))
def test_names_and_order_of_items_do_not_matter(items: list[tuple[int, int]], shift: int) -> None:
    targets, predictions = zip(*items, strict=True)
    scores = precision_recall_f1(targets, predictions)
    renamed = ([f"class {9 - y}" for y in side] for side in (targets, predictions))
    assert precision_recall_f1(*renamed) == pytest.approx(scores, abs=1e-12)
    turned = (np.roll(side, shift) for side in (targets, predictions))
    assert precision_recall_f1(*turned) == pytest.approx(scores, abs=1e-12)


@given(items=pairs)
def test_f1_is_the_harmonic_mean_and_swapping_sides_swaps_precision_and_recall(
    items: list[tuple[int, int]],
) -> None:
    targets, predictions = zip(*items, strict=True)
    precision, recall, f1 = precision_recall_f1(targets, predictions, None)
    positive = precision + recall > 0
    p, r = precision[positive], recall[positive]
    np.testing.assert_allclose(f1[positive], 2 * p * r / (p + r), atol=1e-12)
    assert not f1[~positive].any()
    swapped = precision_recall_f1(predictions, targets, None)
    np.testing.assert_allclose(swapped.precision, recall, atol=0)
    np.testing.assert_allclose(swapped.f1, f1, atol=1e-15)


def test_by_hand() -> None:
    truth = ["positive"] * 6 + ["negative"] * 3 + ["neutral"]
    guess = ["positive"] * 5 + ["negative"] * 3 + ["positive"] * 2
    precision, recall, f1 = precision_recall_f1(truth, guess, None)  # negative, neutral, positive
    np.testing.assert_allclose(precision, [2 / 3, 0, 5 / 7])
    np.testing.assert_allclose(recall, [2 / 3, 0, 5 / 6])
    np.testing.assert_allclose(f1, [2 / 3, 0, 10 / 13])
    assert precision_recall_f1(truth, guess, "micro").f1 == pytest.approx(0.7)


def test_macro_f1_is_not_the_harmonic_mean_of_macro_precision_and_recall() -> None:
    precision, recall, f1 = precision_recall_f1([0, 0, 0, 1], [0, 0, 1, 1])
    assert f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert abs(f1 - 2 * precision * recall / (precision + recall)) > 0.03


def test_a_majority_vote_is_accurate_and_has_no_macro_f1() -> None:
    truth, guess = [0] * 95 + [1] * 5, [0] * 100
    assert accuracy(truth, guess) == 0.95
    assert precision_recall_f1(truth, guess).f1 == pytest.approx(190 / 195 / 2)


def test_counts_of_nothing_are_scores_of_zero() -> None:
    assert scores_from_counts(0, 0, 0) == (0, 0, 0)
    assert scores_from_counts(0, 0, 3) == (0, 0, 0)
    assert all(isinstance(score, float) for score in scores_from_counts(1, 2, 2))


def test_bools_are_labels_and_inputs_stay() -> None:
    truth, guess = np.array([True, False, True]), np.array([1, 0, 0])
    assert precision_recall_f1(truth, guess, "micro").f1 == pytest.approx(2 / 3)
    assert truth.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: accuracy([], []), ValueError, r"at least 1, got shapes \(0,\) and \(0,\)"),
        (lambda: accuracy([1, 2], [1]), ValueError, r"\(2,\) and \(1,\)"),
        (lambda: accuracy([[1]], [[1]]), ValueError, r"\(1, 1\)"),
        (lambda: accuracy([0.5], [0.5]), TypeError, "whole numbers or strings.*got float64"),
        (lambda: accuracy(["1"], [1]), TypeError, "in targets and predictions alike"),
        (lambda: scores_from_counts(5, 3, 3), ValueError, "smaller of predicted and actual, got 5.0, 3.0"),
        (lambda: scores_from_counts(-1, 3, 3), ValueError, "got -1.0"),
        (lambda: scores_from_counts(1, math.nan, 3), ValueError, "nan"),
        (lambda: precision_recall_f1([1], [1], "binary"), ValueError, "'weighted' or None, got 'binary'"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
