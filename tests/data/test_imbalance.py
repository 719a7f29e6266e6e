"""lmprep.data.imbalance against torch, scikit-learn, SciPy and closed forms, and at the edges."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array, csr_matrix
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.utils import resample
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from lmprep.data.corpora import chinese_reviews
from lmprep.data.imbalance import (
    cheapest_threshold,
    class_weights,
    expected_bill,
    fit_linear,
    focal_loss,
    implied_threshold,
    normal_classes,
    prior_correct,
    random_oversample,
    rare_complaints,
    weighted_cross_entropy,
)

seeds = st.integers(0, 2**32)
shares = st.floats(0.001, 0.999)


def batch(N: int, K: int, seed: int = 0, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Logits (N, K) in float64 and targets (N,)."""
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(K, (N,), generator=g)


def positive(K: int, seed: int = 0) -> Tensor:
    return 0.1 + torch.rand(K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- weights and the threshold they imply ------------------------------------------------------------------


@given(y=st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_class_weights_are_scikit_learns(y: list[int]) -> None:
    classes = np.unique(y)
    expected = compute_class_weight("balanced", classes=classes, y=np.array(y))
    found = class_weights(y)
    assert list(found) == classes.tolist()
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-12)


@given(y=st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_every_class_weighs_the_same_in_all(y: list[int]) -> None:
    weights = class_weights(y)
    totals = [weights[k] * y.count(k) for k in weights]
    np.testing.assert_allclose(totals, len(y) / len(weights), rtol=1e-12)


def test_class_weights_takes_tensors_and_gives_plain_numbers() -> None:
    weights = class_weights(torch.tensor([0] * 96 + [1] * 4))
    assert weights == {0: 100 / 192, 1: 12.5}
    assert all(type(key) is int and type(value) is float for key, value in weights.items())


@given(rare=st.integers(1, 50), common=st.integers(1, 500))
def test_balanced_weights_imply_the_share_of_class_1(rare: int, common: int) -> None:
    weights = class_weights([0] * common + [1] * rare)
    assert implied_threshold(weights) == pytest.approx(rare / (rare + common), rel=1e-12)


@given(eta=st.floats(0.01, 0.99), w0=st.floats(0.1, 10), w1=st.floats(0.1, 10))
def test_the_weighted_minimum_exceeds_a_half_where_the_truth_exceeds_the_threshold(
    eta: float, w0: float, w1: float
) -> None:
    """Found by a numerical minimizer over the log-odds, not by the formula."""

    def expected_loss(z: float) -> float:
        return float(w1 * eta * np.logaddexp(0, -z) + w0 * (1 - eta) * np.logaddexp(0, z))

    z = minimize_scalar(expected_loss, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x
    assert z == pytest.approx(math.log(w1 / w0) + logit(eta), abs=1e-4)
    threshold = implied_threshold({0: w0, 1: w1})
    if abs(eta - threshold) > 1e-3:
        assert (z > 0) == (eta > threshold)


# --- losses ------------------------------------------------------------------------------------------------


@given(N=st.integers(1, 9), K=st.integers(1, 6), scale=st.sampled_from([1.0, 100.0]), seed=seeds)
def test_weighted_cross_entropy_is_torchs(N: int, K: int, scale: float, seed: int) -> None:
    logits, targets = batch(N, K, seed, scale)
    weights = positive(K, seed)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = weighted_cross_entropy(ours, targets, weights)
    expected = F.cross_entropy(theirs, targets, weight=weights)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-14)
    found.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-12, rtol=0)


def test_the_mean_is_over_weights_and_not_over_samples() -> None:
    logits, targets, weights = *batch(50, 3), torch.tensor([1.0, 4.0, 9.0]).double()
    losses = F.cross_entropy(logits, targets, weight=weights, reduction="none")
    found = weighted_cross_entropy(logits, targets, weights)
    assert found.item() == pytest.approx((losses.sum() / weights[targets].sum()).item(), rel=1e-12)
    assert abs(found - losses.mean()) > 0.1


@pytest.mark.parametrize("k", [0, 1])
def test_weights_cancel_in_a_batch_of_one_class(k: int) -> None:
    logits, _ = batch(8, 2)
    targets = torch.full((8,), k)
    found = weighted_cross_entropy(logits, targets, torch.tensor([0.52, 12.5]))
    torch.testing.assert_close(found, F.cross_entropy(logits, targets))


def test_the_share_that_a_small_batch_leaves_the_rare_class() -> None:
    """The page's 72, 77 and 22 %, for batches of 8 at a share of 4 % and balanced weights."""
    w0, w1 = 1 / (2 * 0.96), 1 / (2 * 0.04)
    chances = [math.comb(8, k) * 0.04**k * 0.96 ** (8 - k) for k in range(9)]
    weight_of_rare = [k * w1 / (k * w1 + (8 - k) * w0) for k in range(9)]
    assert round(chances[0], 2) == 0.72
    assert round(weight_of_rare[1], 2) == 0.77
    assert round(float(np.dot(chances, weight_of_rare)), 2) == 0.22


@given(N=st.integers(1, 9), K=st.integers(1, 6), gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]), seed=seeds)
def test_focal_loss_is_its_formula(N: int, K: int, gamma: float, seed: int) -> None:
    logits, targets = batch(N, K, seed)
    alpha = positive(K, seed)
    p = logits.softmax(1)[torch.arange(N), targets]
    expected = -(alpha[targets] * (1 - p) ** gamma * p.log()).sum() / alpha[targets].sum()
    found = focal_loss(logits, targets, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


def test_focal_loss_at_0_is_cross_entropy() -> None:
    logits, targets = batch(20, 4)
    torch.testing.assert_close(focal_loss(logits, targets, gamma=0.0), F.cross_entropy(logits, targets))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, positive(4)])
def test_gradients_are_those_of_finite_differences(gamma: float, alpha: Tensor | None) -> None:
    logits, targets = batch(5, 4)
    logits.requires_grad_()
    assert gradcheck(lambda z: focal_loss(z, targets, gamma=gamma, alpha=alpha), (logits,))
    assert gradgradcheck(lambda z: focal_loss(z, targets, gamma=gamma, alpha=alpha), (logits,))


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [50.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sure_model_has_a_finite_loss_and_gradient(gamma: float, scale: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([[scale, 0.0], [scale, 0.0]], dtype=dtype, requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 1]), gamma=gamma)
    assert loss.item() == pytest.approx(scale / 2, rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    torch.testing.assert_close(logits.grad[1], torch.tensor([0.5, -0.5], dtype=dtype))


def test_focal_loss_mutes_the_easy_of_both_classes() -> None:
    easy = torch.tensor([[4.0, 0.0], [0.0, 4.0]])
    targets = torch.tensor([0, 1])
    ratio = focal_loss(easy, targets, gamma=2.0) / F.cross_entropy(easy, targets)
    assert ratio.item() == pytest.approx((1 - expit(4.0)) ** 2, rel=1e-4)
    for row in (slice(0, 1), slice(1, 2)):
        torch.testing.assert_close(focal_loss(easy[row], targets[row]), focal_loss(easy, targets))


def test_the_focal_minimum_is_no_probability_but_sides_with_the_truth() -> None:
    for eta in (0.1, 0.3, 0.45, 0.7, 0.9):

        def expected_loss(z: float, eta: float = eta) -> float:
            logits = torch.tensor([[0.0, z], [0.0, z]], dtype=torch.float64)
            losses = [focal_loss(logits[k : k + 1], torch.tensor([k])).item() for k in (0, 1)]
            return (1 - eta) * losses[0] + eta * losses[1]

        q = expit(minimize_scalar(expected_loss, bounds=(-10, 10), method="bounded").x)
        assert (q > 0.5) == (eta > 0.5)
        assert abs(q - 0.5) < abs(eta - 0.5) - 0.01


# --- prior correction --------------------------------------------------------------------------------------


@given(p=st.floats(1e-6, 1 - 1e-6), train=shares, true=shares)
def test_prior_correct_shifts_the_log_odds(p: float, train: float, true: float) -> None:
    found = prior_correct(np.array([p]), train, true)
    expected = expit(logit(p) + logit(true) - logit(train))
    np.testing.assert_allclose(found, [expected], rtol=1e-8)


@given(train=shares, true=shares, seed=seeds)
def test_prior_correct_is_bayes_exact_on_two_normals(train: float, true: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0.5, 2, 20)
    f0, f1 = norm.pdf(x), norm.pdf(x, 1.0)
    before, after = (share * f1 / (share * f1 + (1 - share) * f0) for share in (train, true))
    np.testing.assert_allclose(prior_correct(before, train, true), after, rtol=1e-9)


@given(train=shares, middle=shares, true=shares)
def test_prior_correct_keeps_order_and_ends_undoes_itself_and_chains(
    train: float, middle: float, true: float
) -> None:
    p = np.linspace(0, 1, 21)
    found = prior_correct(p, train, true)
    assert (found[0], found[-1]) == (0.0, 1.0)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(prior_correct(found, true, train), p, atol=1e-10)
    chained = prior_correct(prior_correct(p, train, middle), middle, true)
    np.testing.assert_allclose(chained, found, atol=1e-10)
    np.testing.assert_array_equal(prior_correct(p, true, true), p / (p + (1 - p)))


def test_what_weights_do_prior_correct_undoes() -> None:
    """The page's 0.8: odds of 4, divided by 24, are 1 to 6."""
    assert prior_correct(np.array([0.8]), 0.5, 0.04).item() == pytest.approx(1 / 7, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_prior_correct_keeps_shape_dtype_and_input(dtype: Any) -> None:
    p = np.linspace(0, 1, 24, dtype=dtype).reshape(2, 3, 4)[:, ::-1]
    before = p.copy()
    found = prior_correct(p, 0.5, 0.04)
    assert (found.shape, found.dtype) == (p.shape, p.dtype)
    np.testing.assert_array_equal(p, before)
    assert prior_correct(np.zeros((0,)), 0.5, 0.04).shape == (0,)
    shares = np.array([0.5, 0.04])  # its elements are float64
    assert prior_correct(p, shares[0], shares[1]).dtype == dtype


def test_prior_correct_passes_missing_scores_through() -> None:
    found = prior_correct(np.array([0.0, np.nan, 0.5, 1.0]), 0.5, 0.04)
    np.testing.assert_allclose(found, [0, np.nan, 0.04, 1], rtol=1e-12)


# --- oversampling ------------------------------------------------------------------------------------------


@given(y=st.lists(st.integers(0, 4), min_size=1, max_size=40), seed=seeds)
def test_oversampling_gives_every_class_the_largest_count(y: list[int], seed: int) -> None:
    X = np.arange(2 * len(y)).reshape(len(y), 2)
    more, labels = random_oversample(X, y, np.random.default_rng(seed))
    assert len(more) == len(labels)
    _, counts = np.unique(labels, return_counts=True)
    assert set(counts) == {max(y.count(k) for k in set(y))}
    np.testing.assert_array_equal(more[: len(y)], X)
    np.testing.assert_array_equal(labels[: len(y)], y)
    own = {tuple(row): k for row, k in zip(X.tolist(), y, strict=True)}
    assert all(own[tuple(row)] == k for row, k in zip(more.tolist(), labels.tolist(), strict=True))


def test_oversampling_copies_as_many_as_scikit_learns_resample_would() -> None:
    X, y = np.arange(100)[:, None], np.array([0] * 90 + [1] * 10)
    more, labels = random_oversample(X, y, np.random.default_rng(0))
    theirs = resample(X[y == 1], n_samples=80, random_state=0)
    assert (labels == 1).sum() == 10 + len(theirs)
    copies = np.bincount(more[labels == 1, 0], minlength=100)[90:]
    assert copies.sum() == 90
    assert copies.min() >= 1  # each was there before
    assert copies.max() < 25  # and none is drawn alone


def test_oversampling_takes_sparse_rows() -> None:
    X, y = np.arange(1, 13.0).reshape(6, 2), [0, 0, 0, 0, 0, 1]
    dense, labels = random_oversample(X, y, np.random.default_rng(0))
    for sparse in (csr_array(X), csr_matrix(X)):
        found, theirs = random_oversample(sparse, y, np.random.default_rng(0))
        np.testing.assert_array_equal(found.toarray(), dense)
        np.testing.assert_array_equal(theirs, labels)


def test_oversampling_follows_its_generator() -> None:
    X, y = np.arange(50)[:, None], np.array([0] * 45 + [1] * 5)
    a, b, c = (random_oversample(X, y, np.random.default_rng(s))[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


# --- costs -------------------------------------------------------------------------------------------------


@given(eta=st.floats(0.01, 0.99), miss=st.floats(0.5, 200), review=st.floats(0.1, 5))
def test_a_case_is_worth_reading_where_its_probability_times_a_miss_exceeds_a_review(
    eta: float, miss: float, review: float
) -> None:
    counts = np.array([1 - eta, eta])
    prices: dict[str, Any] = {"miss": miss, "review": review, "counts": counts}
    read, left = (expected_bill([0, 1], [flag, flag], **prices) for flag in (True, False))
    assert read == pytest.approx(review)
    assert left == pytest.approx(eta * miss)
    assert expected_bill([0, 1], [False, True], **prices) == pytest.approx(eta * review)


def test_the_bill_by_hand() -> None:
    labels, flagged = np.array([1, 1, 0, 0, 1]), np.array([True, False, True, False, False])
    assert expected_bill(labels, flagged, miss=25) == 2 + 2 * 25
    assert expected_bill(labels, flagged, miss=25, review=3, counts=[1, 1, 1, 1, 10]) == 6 + 11 * 25
    assert expected_bill(labels == 1, flagged, miss=25) == 2 + 2 * 25  # bool labels too


@given(N=st.integers(1, 12), miss=st.floats(0, 9), seed=seeds)
def test_no_threshold_is_cheaper_than_the_cheapest(N: int, miss: float, seed: int) -> None:
    r = np.random.default_rng(seed)
    labels, scores = r.integers(0, 2, N), r.integers(0, 5, N) / 4
    found = cheapest_threshold(labels, scores, miss=miss)
    least = min(expected_bill(labels, scores > cut, miss=miss) for cut in np.arange(-1, 10) / 8)
    assert expected_bill(labels, scores > found, miss=miss) == least


def test_the_cheapest_threshold_by_hand() -> None:
    labels, scores = [0, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5]
    assert cheapest_threshold(labels, scores, miss=10) == 0.2
    assert cheapest_threshold(labels, scores, miss=1.5) == 0.4
    assert cheapest_threshold(labels, scores, miss=0.5) == 0.5
    assert cheapest_threshold([1, 0], [0.1, 0.2], miss=10) == -math.inf


# --- the linear model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.0, 0.05])
@pytest.mark.parametrize("weight", [None, 7.0])
def test_fit_linear_is_scikit_learns_logistic_regression(penalty: float, weight: float | None) -> None:
    x, y, _ = normal_classes(300, 0.2, (1.0, 2.0), np.random.default_rng(0))
    weights = torch.tensor([1.0, weight or 1.0], dtype=torch.float64)
    found = fit_linear(lambda z, t: weighted_cross_entropy(z, t, weights), x, y, penalty=penalty)
    total = float(weights[torch.from_numpy(y)].sum())  # scikit-learn's loss is a sum, ours a mean
    C = 1 / (2 * penalty * total) if penalty else np.inf
    theirs = LogisticRegression(C=C, class_weight={0: 1.0, 1: weight or 1.0}, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(found, [*theirs.coef_[0], theirs.intercept_[0]], atol=1e-4)


# --- data --------------------------------------------------------------------------------------------------


def test_rare_complaints_are_as_rare_as_asked_for_and_never_on_both_sides() -> None:
    reviews = rare_complaints(0.04, np.random.default_rng(0))
    labels = {name: np.array(split["label"]) for name, split in reviews.items()}
    assert np.bincount(labels["train"]).tolist() == [6000, 250]
    assert (labels["test"] == 1).sum() == 2000
    assert (labels["test"] == 0).sum() > 2000
    counts = np.array(reviews["test"]["count"])
    assert [counts[labels["test"] == k].sum() for k in (0, 1)] == pytest.approx([9600, 400])
    assert set(reviews["train"]["count"]) == {1.0}
    texts = {name: set(split["text"]) for name, split in reviews.items()}
    assert len(texts["train"]) == 6250
    assert not texts["train"] & texts["test"]


def test_rare_complaints_are_the_negative_reviews_and_follow_the_generator() -> None:
    source = {
        text: label
        for split in chinese_reviews().values()
        for text, label in zip(split["text"], split["label"], strict=True)
    }
    first, again, other = (
        rare_complaints(0.25, np.random.default_rng(s), num_praises=90)["train"] for s in (1, 1, 2)
    )
    assert [1 - source[text] for text in first["text"]] == first["label"][:]
    assert sum(first["label"]) == 30
    assert first["text"][:] == again["text"][:]
    assert first["text"][:] != other["text"][:]


@given(share=st.floats(0.05, 0.95), widths=st.lists(st.floats(0.3, 3), min_size=1, max_size=3), seed=seeds)
def test_normal_classes_know_their_posterior(share: float, widths: list[float], seed: int) -> None:
    points, classes, posterior = normal_classes(40, share, widths, np.random.default_rng(seed))
    assert (points.shape, classes.sum()) == ((40, len(widths)), round(share * 40))
    f0, f1 = norm.pdf(points).prod(axis=1), norm.pdf(points, 1, widths).prod(axis=1)
    expected = share * f1 / (share * f1 + (1 - share) * f0)
    np.testing.assert_allclose(posterior, expected, rtol=1e-9, atol=1e-300)


def test_normal_classes_are_as_wide_as_they_say() -> None:
    points, classes, _ = normal_classes(40_000, 0.5, (3.0, 0.5), np.random.default_rng(0))
    for k, mean, width in ((0, [0, 0], [1, 1]), (1, [1, 1], [3, 0.5])):
        np.testing.assert_allclose(points[classes == k].mean(axis=0), mean, atol=0.08)
        np.testing.assert_allclose(points[classes == k].std(axis=0), width, rtol=0.03)


# --- bad input ---------------------------------------------------------------------------------------------

Z, T = batch(3, 2)
P = np.array([0.2, 0.7])
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: class_weights([]), ValueError, r"y must be \(N,\) with N at least 1, got shape \(0,\)"),
        (lambda: class_weights([[0, 1]]), ValueError, r"got shape \(1, 2\)"),
        (lambda: class_weights([0.0, 1.0]), TypeError, "whole numbers, one class a sample, got float64"),
        (lambda: class_weights([True, False]), TypeError, r"got bool: use astype\(int\)"),
        (lambda: implied_threshold({0: 1.0}), ValueError, r"classes 0 and 1, got \[0\]"),
        (lambda: implied_threshold({1: 1.0, 2: 1.0}), ValueError, r"got \[1, 2\]"),
        (lambda: implied_threshold({0: 1.0, 1: 0.0}), ValueError, "positive and finite"),
        (lambda: implied_threshold({0: math.nan, 1: 1.0}), ValueError, "positive and finite"),
        (lambda: focal_loss(Z.long(), T), TypeError, r"logits must be floating point, got torch\.int64"),
        (lambda: focal_loss(Z, T.int()), TypeError, r"targets must be torch\.long .* got torch\.int32"),
        (lambda: focal_loss(Z[0], T), ValueError, r"logits must be \(N, K\), neither 0, got \(2,\)"),
        (lambda: focal_loss(Z[:0], T[:0]), ValueError, r"neither 0, got \(0, 2\)"),
        (lambda: focal_loss(Z, T[:2]), ValueError, r"targets must have shape \(3,\), got \(2,\)"),
        (lambda: focal_loss(Z, T + 2), ValueError, r"targets must be from 0 to 1, got [23]"),
        (lambda: focal_loss(Z, T - 5), ValueError, r"got -[45]"),
        (lambda: focal_loss(Z, T, gamma=-0.5), ValueError, r"gamma must be finite .* got -0\.5"),
        (lambda: focal_loss(Z, T, gamma=math.nan), ValueError, "gamma must be finite"),
        (lambda: focal_loss(Z, T, alpha=torch.ones(3)), ValueError, r"class weights must be \(2,\)"),
        (lambda: weighted_cross_entropy(Z, T, torch.tensor([1.0, -1.0])), ValueError, "not negative"),
        (lambda: weighted_cross_entropy(Z, T, torch.tensor([1.0, math.nan])), ValueError, "not negative"),
        (
            lambda: focal_loss(Z, T, alpha=torch.tensor([1.0, math.inf])),
            ValueError,
            "finite and not negative",
        ),
        (lambda: weighted_cross_entropy(Z, T, torch.zeros(2)), ValueError, "no target has a weight above 0"),
        (
            lambda: prior_correct(np.array([0, 1]), 0.5, 0.1),
            TypeError,
            "p must be an array of floating point, got int64",
        ),
        (lambda: prior_correct(P + 1, 0.5, 0.1), ValueError, "probabilities from 0 to 1"),
        (lambda: prior_correct(P - 1, 0.5, 0.1), ValueError, "through a sigmoid first"),
        (lambda: prior_correct([0.2, 0.7], 0.5, 0.1), TypeError, "an array of floating point, got list"),
        (lambda: prior_correct(torch.rand(2), 0.5, 0.1), TypeError, r"got torch\.float32"),
        (lambda: prior_correct(P, 0.0, 0.1), ValueError, r"pi_train must lie between 0 and 1, got 0\.0"),
        (lambda: prior_correct(P, 0.5, 1.0), ValueError, r"pi_true must lie between 0 and 1, got 1\.0"),
        (lambda: prior_correct(P, 0.5, math.nan), ValueError, "pi_true must lie"),
        (lambda: random_oversample(P, [0], RNG), ValueError, "a row for each of 1 labels, got 2"),
        (lambda: random_oversample(P, [0.0, 1.0], RNG), TypeError, "whole numbers"),
        (lambda: random_oversample(P[:0], [], RNG), ValueError, "N at least 1"),
        (lambda: expected_bill([0, 2], [True, True], miss=1), ValueError, "labels must be 0 or 1"),
        (lambda: expected_bill([0, 1], [True], miss=1), ValueError, r"got shapes \(2,\) and \(1,\)"),
        (lambda: expected_bill([[0, 1]], [[True, True]], miss=1), ValueError, r"got shapes \(1, 2\)"),
        (
            lambda: expected_bill([0, 1], [True, True], miss=1, counts=[[1], [2]]),
            ValueError,
            r"counts must be \(2,\)",
        ),
        (lambda: expected_bill([0], [True], miss=1, counts=-1), ValueError, "counts must be"),
        (lambda: expected_bill([0], [True], miss=-1), ValueError, "prices must not be negative, got miss=-1"),
        (lambda: cheapest_threshold([0, 1], P * math.nan, miss=1), ValueError, "scores must not be NaN"),
        (lambda: cheapest_threshold([0], P, miss=1), ValueError, r"got shapes \(1,\) and \(2,\)"),
        (
            lambda: fit_linear(F.cross_entropy, P, P),
            ValueError,
            r"x must be \(N, D\) and y \(N,\), got \(2,\)",
        ),
        (
            lambda: fit_linear(F.cross_entropy, P[:, None], P, penalty=-1),
            ValueError,
            "penalty must be finite",
        ),
        (lambda: rare_complaints(1.0, RNG), ValueError, r"share must lie between 0 and 1, got 1\.0"),
        (lambda: rare_complaints(0.04, RNG, num_praises=9000), ValueError, "num_praises must be below 8"),
        (lambda: rare_complaints(0.7, RNG), ValueError, "got 6000 with 14000 complaints"),
        (lambda: rare_complaints(0.04, RNG, num_praises=5), ValueError, "got 5 with 0 complaints"),
        (lambda: normal_classes(0, 0.5, [1.0], RNG), ValueError, r"got 0 and 0\.5"),
        (lambda: normal_classes(9, math.nan, [1.0], RNG), ValueError, "share between 0 and 1"),
        (lambda: normal_classes(9, 0.5, [1.0, 0.0], RNG), ValueError, "widths must be positive"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
