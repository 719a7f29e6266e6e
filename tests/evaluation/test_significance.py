"""lmprep.evaluation.significance against sacreBLEU on the same draws, SciPy and closed forms; calibration."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU as SacreBLEU

from lmprep.evaluation.significance import mcnemar, paired_bootstrap, sign_flip
from lmprep.evaluation.text import bleu_from_statistics, bleu_statistics


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def systems(seed: int, sentences: int = 60) -> tuple[Any, Any]:
    """BLEU statistics (N, 10) of two systems that garble the same references."""
    random = rng(seed)
    references = random.integers(50, size=(sentences, 12))
    outputs = (
        np.where(
            random.random(references.shape) < quality, references, random.integers(50, size=references.shape)
        )
        for quality in (0.7, 0.75)
    )
    return tuple(
        np.array([bleu_statistics(h, [r]) for h, r in zip(side.tolist(), references.tolist(), strict=True)])
        for side in outputs
    )  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(5))
def test_resampled_differences_are_those_of_sacrebleus_scores(seed: int) -> None:
    a, b = systems(seed)
    ours = paired_bootstrap(a, b, bleu_from_statistics, rng=rng(seed), num_samples=200)
    draws = rng(seed).choice(len(a), size=(200, len(a)), replace=True)  # as sacrebleu.significance draws

    def score(statistics: Any) -> float:
        c, r, *counts = statistics.tolist()
        return float(SacreBLEU.compute_bleu(counts[:4], counts[4:], c, r).score)

    differences = np.array([score(b[draw].sum(0)) - score(a[draw].sum(0)) for draw in draws])
    observed = score(b.sum(0)) - score(a.sum(0))
    assert ours.difference == pytest.approx(observed, abs=1e-9)
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])), abs=1e-9)
    further = (abs(differences - differences.mean()) >= abs(observed)).sum()
    assert ours.p_value == (1 + further) / 201


def test_intervals_of_a_mean_are_scipys() -> None:
    a, b = rng(1).normal(0, 1, 80), rng(2).normal(0.3, 1, 80)
    ours = paired_bootstrap(a, b, rng=rng(3), num_samples=20_000)
    theirs = scipy.stats.bootstrap((b - a,), np.mean, n_resamples=20_000, method="percentile", rng=rng(4))
    interval = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=0.01)
    assert ours.difference == pytest.approx((b - a).mean(), abs=1e-12)


def test_intervals_of_a_mean_have_the_width_of_the_closed_form() -> None:
    a, b = rng(1).normal(size=400), rng(2).normal(size=400)
    ours = paired_bootstrap(a, b, rng=rng(3), num_samples=5000)
    expected = 2 * 1.96 * (b - a).std() / math.sqrt(400)
    assert ours.high - ours.low == pytest.approx(expected, rel=0.05)
    narrow = paired_bootstrap(a, b, rng=rng(3), num_samples=5000, level=0.5)
    assert narrow.high - narrow.low == pytest.approx(expected * 0.6745 / 1.96, rel=0.06)


def test_p_values_of_a_mean_are_near_those_of_a_t_test() -> None:
    a = rng(1).normal(size=300)
    for shift in (0.0, 0.1, 0.2):
        b = rng(2).normal(shift, 1, size=300)
        ours = paired_bootstrap(a, b, rng=rng(3), num_samples=5000).p_value
        assert ours == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, abs=0.03)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """200 experiments at a level of 0.9; binomial standard deviation 0.02."""
    covered = 0
    for seed in range(200):
        a = rng(2 * seed).normal(size=60)
        b = a + rng(2 * seed + 1).normal(0.5, 1, size=60)
        result = paired_bootstrap(a, b, rng=rng(seed), num_samples=300, level=0.9)
        covered += result.low <= 0.5 <= result.high
    assert 0.82 <= covered / 200 <= 0.96


def test_pairing_is_what_makes_it_narrow() -> None:
    hard = rng(1).normal(0, 5, size=500)
    a, b = hard + rng(2).normal(size=500), hard + rng(3).normal(0.3, 1, size=500)
    paired = paired_bootstrap(a, b, rng=rng(4))
    unpaired = paired_bootstrap(a, rng(5).permutation(b), rng=rng(4))
    assert paired.difference == pytest.approx(unpaired.difference, abs=1e-12)
    assert paired.low > 0 > unpaired.low
    assert (unpaired.high - unpaired.low) > 3 * (paired.high - paired.low)


@given(seed=st.integers(0, 2**32), shift=st.integers(-4, 4))
def test_swapped_systems_swap_the_interval(seed: int, shift: int) -> None:
    a, b = rng(seed).normal(size=20), rng(seed + 1).normal(shift, 1, size=20)
    forth, back = (paired_bootstrap(x, y, rng=rng(7), num_samples=50) for x, y in ((a, b), (b, a)))
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-forth.difference, -forth.high, -forth.low)
    )
    assert back.p_value == forth.p_value
    assert forth.low <= forth.high


def test_a_system_against_itself_does_not_differ() -> None:
    a, _ = systems(0)
    result = paired_bootstrap(a, a, bleu_from_statistics, rng=rng(), num_samples=20)
    assert (result.difference, result.low, result.high, result.p_value) == (0, 0, 0, 1)
    scores = rng(1).normal(size=40)
    assert paired_bootstrap(scores, scores, rng=rng(), num_samples=20).p_value == 1


def test_a_constant_difference_is_certain() -> None:
    a = rng().normal(size=30)
    result = paired_bootstrap(a, a + 1, rng=rng(), num_samples=99)
    assert (result.difference, result.low, result.high) == pytest.approx((1, 1, 1))
    assert result.p_value == 0.01


def test_a_score_sees_sums_of_statistics() -> None:
    correct = np.array([[1, 2], [0, 3], [4, 5]])  # right and all answers of each document
    better = correct + np.array([[1, 0], [1, 0], [0, 0]])
    result = paired_bootstrap(correct, better, lambda sums: sums[:, 0] / sums[:, 1], rng=rng(), num_samples=9)
    assert result.difference == pytest.approx(7 / 10 - 5 / 10)


def test_inputs_stay_and_draws_repeat() -> None:
    a, b = systems(1)
    before = a.copy(), b.copy()
    results = [paired_bootstrap(a, b, bleu_from_statistics, rng=rng(5), num_samples=30) for _ in range(2)]
    assert results[0] == results[1]
    assert (a == before[0]).all()
    assert (b == before[1]).all()


A = np.arange(4.0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: paired_bootstrap(A, A[:3], rng=rng()), r"got \(4,\) and \(3,\)"),
        (lambda: paired_bootstrap(A[:0], A[:0], rng=rng()), "not empty"),
        (lambda: paired_bootstrap(A[:1], A[:1], rng=rng()), "at least two items, got 1"),
        (lambda: paired_bootstrap(A[None, None], A[None, None], rng=rng()), r"\(N,\) or \(N, K\)"),
        (lambda: paired_bootstrap(A[:, None], A[:, None], rng=rng()), r"score is needed .* \(4, 1\)"),
        (lambda: paired_bootstrap(A, A * np.nan, rng=rng()), "must be finite"),
        (lambda: paired_bootstrap(A, A, rng=rng(), num_samples=0), "at least 1 .* got 0"),
        (lambda: paired_bootstrap(A, A, rng=rng(), level=95), "between 0 and 1, got 1000 and 95"),
        (lambda: paired_bootstrap(A, A, lambda sums: sums, rng=rng()), r"R finite numbers, got \(1001, 1\)"),
        (lambda: paired_bootstrap(A, A, lambda sums: sums[:, 0] * np.nan, rng=rng()), "R finite numbers"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rng": 0}, "rng must be a numpy Generator.* got 0"),
        ({"rng": rng(), "num_samples": 10.5}, "num_samples must be a whole number, got 10.5"),
    ],
)
def test_options_of_another_type_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        paired_bootstrap(A, A, **options)


def two_models(only_a: int, only_b: int, same: int) -> tuple[Any, Any]:
    """What two models get right: so many items one alone, and `same` both, then neither."""
    a = np.repeat([True, False, True, False], [only_a, only_b, same, same])
    b = np.repeat([False, True, True, False], [only_a, only_b, same, same])
    return a, b


@pytest.mark.parametrize(
    "counts", [(0, 0), (1, 0), (3, 0), (4, 1), (12, 30), (80, 80), (700, 760), (2000, 1700)]
)
def test_mcnemar_is_the_binomial_test_of_the_items_apart(counts: tuple[int, int]) -> None:
    p = mcnemar(*two_models(*counts, same=50))
    theirs = scipy.stats.binomtest(counts[0], sum(counts)).pvalue if sum(counts) else 1.0
    assert p == pytest.approx(theirs, rel=1e-9)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(*two_models(3, 0, 4)) == 2 / 8
    assert mcnemar(*two_models(4, 1, 4)) == 12 / 32
    assert mcnemar(*two_models(2, 2, 4)) == 1.0


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 5))
def test_mcnemar_takes_either_model_first_and_ignores_the_rest(only_a: int, only_b: int, same: int) -> None:
    a, b = two_models(only_a, only_b, same)
    assert mcnemar(a, b) == mcnemar(b, a) == mcnemar(*two_models(only_a, only_b, 7 * same))
    assert 0 < mcnemar(a, b) <= 1


def test_mcnemar_keeps_its_word_for_models_that_are_equally_good() -> None:
    random = rng(1)
    p = [mcnemar(random.random(200) < 0.7, random.random(200) < 0.7) for _ in range(2000)]
    assert (
        0.02 < np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
    )  # exact: conservative


@pytest.mark.parametrize(
    ("a", "b", "error", "match"),
    [
        ([True, False], [True], ValueError, r"both be \(N,\)"),
        ([], [], ValueError, "not empty"),
        ([[True]], [[True]], ValueError, r"\(1, 1\)"),
        ([1, 0], [0, 1], TypeError, "boolean"),
        ([True, False], [0.9, 0.1], TypeError, "float64"),
    ],
)
def test_mcnemar_names_bad_input(a: Any, b: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        mcnemar(a, b)


@pytest.mark.parametrize("runs", [1, 2, 5, 9])
def test_sign_flip_is_scipys_permutation_test(runs: int) -> None:
    for shift in (0.0, 1.0):
        d = rng(runs).normal(shift, 1, runs)
        theirs = 1.0 if runs == 1 else scipy.stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue  # fmt: skip
        assert sign_flip(d) == pytest.approx(theirs, abs=1e-12)


def test_sign_flip_by_hand() -> None:
    assert sign_flip([1.0, 2.0, 3.0]) == 2 / 8  # as far: all signs as they are, and all turned
    assert sign_flip([1.0, 2.0, -3.0]) == 1.0
    assert sign_flip([0.1, 0.2, 0.3, -0.3]) == 12 / 16  # |sum| of 0.3 or more, rounding aside
    assert sign_flip(np.full(10, 0.3)) == 2 / 2**10


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_sign_flip_does_not_care_about_scale_sign_and_order(d: list[float]) -> None:
    values = np.round(d, 3)
    p = sign_flip(values)
    assert p == sign_flip(-values) == sign_flip(1024 * values) == sign_flip(values[::-1])
    assert 2 / 2 ** len(d) <= p <= 1


@pytest.mark.parametrize(
    ("d", "match"),
    [([], "R from 1 to 16"), (np.ones(17), "17"), (np.ones((2, 2)), "shape"), ([1, math.nan], "finite")],
)
def test_sign_flip_names_bad_input(d: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        sign_flip(d)
