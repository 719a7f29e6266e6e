"""lmprep.foundations.classify against scikit-learn's, by hand, and at the edges."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn import naive_bayes
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from lmprep.foundations.classify import (
    GaussianNBShared,
    LinearDiscriminant,
    LogisticRegressionNewton,
    MultinomialNB,
    error_on_normals,
    shuffle_within_classes,
)

seeds = st.integers(0, 10**6)


def points(seed: int, N: int = 60, D: int = 4, K: int = 2) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    y = np.append(np.arange(K), random.integers(K, size=N - K))
    return random.normal(size=(N, D)) * np.arange(1, D + 1) + 0.5 * y[:, None], y


def texts(seed: int, N: int = 30, V: int = 7, K: int = 3) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.poisson(1.5, (N, V)), np.append(np.arange(K), random.integers(K, size=N - K))


# Multinomial naive Bayes.


@given(seed=seeds, alpha=st.sampled_from([1e-3, 0.5, 1.0, 10.0]))
@settings(max_examples=25)
def test_multinomial_is_scikit_learns(seed: int, alpha: float) -> None:
    X, y = texts(seed)
    ours, theirs = MultinomialNB(alpha).fit(X, y), naive_bayes.MultinomialNB(alpha=alpha).fit(X, y)
    np.testing.assert_allclose(ours.joint_log_prob(X), theirs.predict_joint_log_proba(X), atol=1e-10)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_multinomial_by_hand() -> None:
    model = MultinomialNB(1.0).fit([[3, 1], [0, 2]], [0, 1])
    np.testing.assert_allclose(np.exp(model.log_word), [[4 / 6, 2 / 6], [1 / 4, 3 / 4]])
    np.testing.assert_allclose(model.joint_log_prob([[2, 0]]), np.log([[0.5 * 4 / 9, 0.5 / 16]]))


@given(seed=seeds)
@settings(max_examples=20)
def test_multinomial_log_odds_are_linear(seed: int) -> None:
    X, y = texts(seed, K=2)
    model = MultinomialNB().fit(X, y)
    w, b = model.linear()
    np.testing.assert_allclose(X @ w + b, np.diff(model.joint_log_prob(X), axis=1)[:, 0], atol=1e-10)


@given(seed=seeds)
@settings(max_examples=20)
def test_multinomial_is_the_texts_of_a_class_joined(seed: int) -> None:
    X, y = texts(seed)
    joined = np.stack([X[y == k].sum(axis=0) for k in range(3)])
    np.testing.assert_allclose(MultinomialNB().fit(X, y).log_word,
                               MultinomialNB().fit(joined, [0, 1, 2]).log_word, atol=1e-12)  # fmt: skip


@given(seed=seeds, alpha=st.sampled_from([0.5, 1.0, 10.0]))
@settings(max_examples=10)
def test_multinomial_of_present_and_absent_is_scikit_learns_bernoulli(seed: int, alpha: float) -> None:
    X, y = texts(seed)
    present = (X > 1).astype(int)
    both = np.hstack([present, 1 - present])
    ours = MultinomialNB(alpha).fit(both, y).joint_log_prob(both)
    theirs = naive_bayes.BernoulliNB(alpha=alpha).fit(present, y).predict_joint_log_proba(present)
    # Each text is V draws from 2V columns, of which each pair has the share 1 / V.
    np.testing.assert_allclose(ours + X.shape[1] * np.log(X.shape[1]), theirs, atol=1e-10)


# Gaussian naive Bayes with shared variances.


@given(seed=seeds, K=st.integers(2, 4))
@settings(max_examples=20)
def test_gaussian_is_the_normal_density(seed: int, K: int) -> None:
    X, y = points(seed, K=K)
    model = GaussianNBShared().fit(X, y)
    rest = np.concatenate([X[y == k] - X[y == k].mean(axis=0) for k in range(K)])
    covariance = np.diag((rest**2).sum(axis=0) / len(X))
    parts = [X[y == k] for k in range(K)]
    densities = [multivariate_normal(part.mean(axis=0), covariance).logpdf(X) for part in parts]
    want = np.stack(
        [d + np.log(len(part) / len(X)) for d, part in zip(densities, parts, strict=True)], axis=1
    )
    np.testing.assert_allclose(model.joint_log_prob(X), want, atol=1e-10)
    np.testing.assert_array_equal(model.predict(X), want.argmax(axis=1))


def test_gaussian_is_scikit_learns_where_classes_have_equal_variances() -> None:
    random = np.random.default_rng(0)
    zero = random.normal(size=(20, 3))
    X, y = np.concatenate([zero, zero + np.array([1.0, -0.5, 2.0])]), np.repeat([0, 1], 20)
    theirs = naive_bayes.GaussianNB(var_smoothing=0).fit(X, y)
    np.testing.assert_allclose(
        GaussianNBShared().fit(X, y).joint_log_prob(X), theirs.predict_joint_log_proba(X), atol=1e-10
    )


@given(seed=seeds)
@settings(max_examples=20)
def test_gaussian_log_odds_are_linear(seed: int) -> None:
    X, y = points(seed)
    model = GaussianNBShared().fit(X, y)
    w, b = model.linear()
    np.testing.assert_allclose(X @ w + b, np.diff(model.joint_log_prob(X), axis=1)[:, 0], atol=1e-9)


@given(seed=seeds)
@settings(max_examples=20)
def test_gaussian_does_not_see_dependence_within_classes(seed: int) -> None:
    X, y = points(seed)
    shuffled = shuffle_within_classes(X, y, np.random.default_rng(seed))
    (w, b), (other_w, other_b) = (GaussianNBShared().fit(x, y).linear() for x in (X, shuffled))
    np.testing.assert_allclose(w, other_w, atol=1e-9)
    assert b == pytest.approx(other_b, abs=1e-9)


def test_gaussian_on_one_feature_is_linear_discriminant_analysis() -> None:
    X, y = points(3, D=1)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    w, b = GaussianNBShared().fit(X, y).linear()
    np.testing.assert_allclose(w, theirs.coef_[0], rtol=1e-9)
    np.testing.assert_allclose(b, theirs.intercept_[0], rtol=1e-9)


# Linear discriminant analysis.


@given(seed=seeds)
@settings(max_examples=10)
def test_discriminant_is_scikit_learns(seed: int) -> None:
    X, y = points(seed)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    w, b = LinearDiscriminant().fit(X, y).linear()
    np.testing.assert_allclose(w, theirs.coef_[0], rtol=1e-8, atol=1e-10)
    assert b == pytest.approx(theirs.intercept_[0], abs=1e-8)


def test_discriminant_wants_more_examples_than_features() -> None:
    X, y = points(0, N=5)
    with pytest.raises(ValueError, match="at least D"):
        LinearDiscriminant().fit(X, y)


def test_discriminant_is_least_squares_on_the_label_up_to_length() -> None:
    X, _ = points(4, N=80)
    y = np.arange(80) % 2
    w, b = LinearDiscriminant().fit(X, y).linear()
    *slope, constant = np.linalg.lstsq(np.hstack([X, np.ones((80, 1))]), 2.0 * y - 1, rcond=None)[0]
    length = np.linalg.norm(slope) / np.linalg.norm(w)
    np.testing.assert_allclose(np.append(w, b) * length, [*slope, constant], atol=1e-12)


def test_discriminant_refuses_a_feature_made_of_others_in_any_units() -> None:
    X, y = points(0)
    for scale in (1e-6, 1.0, 1e6):
        with pytest.raises(ValueError, match="combination"):
            LinearDiscriminant().fit(np.column_stack([X, scale * (X[:, 0] - 2 * X[:, 1])]), y)
        units = np.array([scale, 1, 1, 1])
        np.testing.assert_allclose(LinearDiscriminant().fit(X * units, y).linear()[0] * units,
                                   LinearDiscriminant().fit(X, y).linear()[0], rtol=1e-8)  # fmt: skip


# Logistic regression.


@given(seed=seeds, l2=st.sampled_from([0.03, 1.0, 50.0]))
@settings(max_examples=10)
def test_logistic_is_scikit_learns(seed: int, l2: float) -> None:
    X, y = points(seed)
    ours = LogisticRegressionNewton(l2).fit(X, y)
    theirs = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=5000).fit(X, y)
    np.testing.assert_allclose(ours.weights, theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(ours.offset, theirs.intercept_[0], atol=1e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@given(seed=seeds, l2=st.sampled_from([0.0, 1e-3, 1.0, 1e6]))
@settings(max_examples=15)
def test_logistic_gradient_vanishes(seed: int, l2: float) -> None:
    X, y = points(seed, N=200)
    model = LogisticRegressionNewton(l2).fit(X, y)
    p = 1 / (1 + np.exp(-model.log_odds(X)))
    np.testing.assert_allclose(X.T @ (p - y) + l2 * model.weights, 0, atol=1e-6)
    assert (p - y).sum() == pytest.approx(0, abs=1e-6)  # the offset is not penalized
    w, b = model.linear()
    np.testing.assert_array_equal(model.predict(X), (X @ w + b > 0).astype(int))


def test_logistic_without_features_that_tell_gives_the_shares() -> None:
    model = LogisticRegressionNewton(1.0).fit(np.zeros((10, 2)), [1] * 7 + [0] * 3)
    np.testing.assert_allclose(model.weights, 0, atol=1e-12)
    assert model.offset == pytest.approx(np.log(7 / 3))


def test_logistic_fits_separated_classes_with_a_penalty_and_says_so_without() -> None:
    X, y = np.array([[-2.0], [-1.0], [1.0], [3.0]]), [0, 0, 1, 1]
    assert (LogisticRegressionNewton(1e-6).fit(X, y).predict(X) == y).all()
    with pytest.raises(RuntimeError, match="larger l2"):
        LogisticRegressionNewton(0.0).fit(X, y)
    with pytest.raises(RuntimeError, match="larger l2"):  # all but one point on the plane's sides
        LogisticRegressionNewton(0.0).fit([[-1.0], [0.0], [0.0], [1.0]], [0, 0, 1, 1])


def test_logistic_weights_of_a_huge_penalty_point_along_the_difference_of_means() -> None:
    X, y = points(5, N=80)
    y = np.arange(80) % 2
    difference = X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)
    weights = LogisticRegressionNewton(1e8).fit(X, y).weights
    np.testing.assert_allclose(weights * 1e8 / (len(X) / 4), difference, rtol=1e-4)


def test_logistic_takes_features_of_any_size() -> None:
    X, y = points(6, N=200)
    small, large = (LogisticRegressionNewton(0.0).fit(X * scale, y) for scale in (1e-6, 1e6))
    np.testing.assert_allclose(small.weights * 1e-6, large.weights * 1e6, rtol=1e-5)
    assert np.isfinite(LogisticRegressionNewton(1.0).fit(X * 1e8, y).log_odds(X * 1e8)).all()


def test_logistic_may_err_more_than_naive_bayes_however_many_examples_there_are() -> None:
    values = np.array([-2.0, -1.0, 1.0, 6.0])
    shares = [[0, 2], [3, 1], [0, 3], [0, 1]]  # of class 0 and class 1 at each value: log-odds not linear
    X, y = np.repeat(values, [2, 4, 3, 1])[:, None], np.concatenate([[0] * a + [1] * b for a, b in shares])
    for copies in (1, 100):
        x, labels = np.tile(X, (copies, 1)), np.tile(y, copies)
        bayes, logistic = GaussianNBShared().fit(x, labels), LogisticRegressionNewton(0.0).fit(x, labels)
        assert (bayes.predict(x) != labels).sum() == 3 * copies
        assert (logistic.predict(x) != labels).sum() == 5 * copies


# What the comparison is made with.


@given(seed=seeds)
@settings(max_examples=20)
def test_shuffling_keeps_each_feature_s_values_in_each_class_and_nothing_else(seed: int) -> None:
    X, y = points(seed, N=400, D=2, K=3)
    X[:, 1] += 3 * X[:, 0]
    before = X.copy()
    shuffled = shuffle_within_classes(X, y, np.random.default_rng(seed))
    np.testing.assert_array_equal(X, before)
    for k in range(3):
        np.testing.assert_array_equal(np.sort(shuffled[y == k], axis=0), np.sort(X[y == k], axis=0))
        assert abs(np.corrcoef(shuffled[y == k].T)[0, 1]) < 0.5 < np.corrcoef(X[y == k].T)[0, 1]


def test_error_on_normals_is_what_sampling_finds() -> None:
    random = np.random.default_rng(0)
    mean, root = np.array([0.3, -0.2, 0.5]), random.normal(size=(3, 3))
    w, b = np.array([1.0, 0.4, 0.8]), 0.3
    y = np.arange(200_000) % 2
    x = (2 * y - 1)[:, None] * mean + random.normal(size=(len(y), 3)) @ root.T
    sampled = ((x @ w + b > 0) != y).mean()
    assert error_on_normals((w, b), mean, root @ root.T) == pytest.approx(sampled, abs=0.005)


def test_error_on_normals_by_hand() -> None:
    one = np.array([1.0])
    assert error_on_normals((one, 0.0), one, np.eye(1)) == pytest.approx(0.158655, abs=1e-6)  # Φ(−1)
    assert error_on_normals((-one, 0.0), one, np.eye(1)) == pytest.approx(0.841345, abs=1e-6)
    assert error_on_normals((one, 1e9), one, np.eye(1)) == pytest.approx(0.5)  # always class 1
    assert error_on_normals((7 * one, 3.5), one, 4 * np.eye(1)) == pytest.approx(
        (0.226627 + 0.401294) / 2, abs=1e-6
    )  # Φ(−0.75) and Φ(−0.25)
    with pytest.raises(ValueError, match="shapes"):
        error_on_normals((one, 0.0), np.ones(2), np.eye(2))
    with pytest.raises(ValueError, match="vary"):
        error_on_normals((0 * one, 0.0), one, np.eye(1))


# Bad input.

MODELS = (MultinomialNB(), GaussianNBShared(), LinearDiscriminant(), LogisticRegressionNewton())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    ("X", "y", "error", "match"),
    [
        ([[1.0], [2.0]], [0], ValueError, "y"),
        ([1.0, 2.0], [0, 1], ValueError, "shape"),
        (np.zeros((0, 2)), [], ValueError, "neither 0"),
        ([[1.0], [np.nan]], [0, 1], ValueError, "finite"),
        ([[1.0], [np.inf]], [0, 1], ValueError, "finite"),
        ([[1.0], [2.0]], [0.0, 1.0], TypeError, "whole"),
        ([[1.0], [2.0]], [1, 1], ValueError, "each of the classes"),
        ([[1.0], [2.0]], [0, 2], ValueError, "each of the classes"),
        ([[1.0], [2.0]], [-1, 0], ValueError, "each of the classes"),
    ],
)
def test_bad_examples_are_refused(model: Any, X: Any, y: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        model.fit(X, y)


def test_other_bad_input_is_refused() -> None:
    for alpha in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match="alpha"):
            MultinomialNB(alpha)
    for l2 in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="l2"):
            LogisticRegressionNewton(l2)
    with pytest.raises(ValueError, match="counts"):
        MultinomialNB().fit([[1, -1], [0, 2]], [0, 1])
    with pytest.raises(ValueError, match=r"features \[1\]"):
        GaussianNBShared().fit([[1.0, 5.0], [2.0, 5.0], [3.0, 6.0]], [0, 0, 1])
    for model in (GaussianNBShared(), LinearDiscriminant()):
        for n in (6, 7, 10):  # the mean of some 0.1 is not 0.1
            constant = np.column_stack([np.arange(n) ** 2, np.full(n, 0.1)])
            with pytest.raises(ValueError, match=r"features \[1\]"):
                model.fit(constant, np.arange(n) % 2)
    with pytest.raises(ValueError, match="max_steps"):
        LogisticRegressionNewton().fit([[1.0], [2.0]], [0, 1], max_steps=0)
    with pytest.raises(ValueError, match="two classes"):
        LogisticRegressionNewton().fit([[1.0], [2.0], [0.0]], [0, 1, 2])


def test_three_classes_have_no_single_log_odds() -> None:
    X, y = texts(0)
    for model in (MultinomialNB().fit(X, y), GaussianNBShared().fit(X, y)):
        with pytest.raises(ValueError, match="two classes"):
            model.linear()


def test_another_width_is_refused() -> None:
    X, y = texts(0, K=2)
    for model in (MultinomialNB(), GaussianNBShared(), LogisticRegressionNewton()):
        fitted: Any = model.fit(X, y)
        with pytest.raises(ValueError, match="shape"):
            fitted.predict(X[:, 1:])


def test_inputs_stay_as_they_were() -> None:
    X, y = texts(1, K=2)
    before = X.copy(), y.copy()
    for model in MODELS:
        fitted: Any = model.fit(X, y)
        fitted.linear()
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])
