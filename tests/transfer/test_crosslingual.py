import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprep.transfer.crosslingual import (
    NEGATIVE,
    POSITIVE,
    csls,
    partial_procrustes,
    precision_at_one,
    procrustes,
    renumbered,
    rotated_languages,
    short_pairs,
    short_reviews,
    topic_chances,
    unit_rows,
)


def rng(k: int = 0) -> np.random.Generator:
    return np.random.default_rng(k)


def test_reviews_are_balanced_distinct_and_in_two_languages():
    assert len(POSITIVE) == len(NEGATIVE) == 60
    for column in (0, 1):
        assert len({pair[column] for pair in (*POSITIVE, *NEGATIVE)}) == 120
    assert all(english.isascii() and not chinese.isascii() for english, chinese in (*POSITIVE, *NEGATIVE))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 1000))
def test_procrustes_is_orthogonal_and_as_good_as_scipys(N, d, seed):
    X, Y = rng(seed).standard_normal((2, N, d))
    W = procrustes(X, Y)
    np.testing.assert_allclose(W.T @ W, np.eye(d), atol=1e-10)
    theirs, _ = scipy.linalg.orthogonal_procrustes(X, Y)
    assert np.linalg.norm(X @ W - Y) <= np.linalg.norm(X @ theirs - Y) + 1e-10
    for _ in range(5):
        Q, _ = np.linalg.qr(rng(seed).standard_normal((d, d)))
        assert np.linalg.norm(X @ W - Y) <= np.linalg.norm(X @ Q - Y) + 1e-10


@pytest.mark.parametrize("sign", [1, -1])
def test_procrustes_finds_rotation_and_reflection(sign):
    Q, _ = np.linalg.qr(rng().standard_normal((4, 4)))
    Q[:, 0] *= sign * np.sign(np.linalg.det(Q))
    X = rng(1).standard_normal((9, 4))
    np.testing.assert_allclose(procrustes(X, X @ Q), Q, atol=1e-10)


def test_maps_keep_float32():
    X, Y = rng().standard_normal((2, 3, 5)).astype(np.float32)
    assert procrustes(X, Y).dtype == partial_procrustes(X, Y).dtype == np.float32


def test_partial_procrustes_fits_as_well_and_drops_what_no_pair_covers():
    X, Y = rng().standard_normal((2, 3, 8))
    full, part = procrustes(X, Y), partial_procrustes(X, Y)
    assert np.linalg.matrix_rank(part) == 3
    np.testing.assert_allclose(X @ part, X @ full, atol=1e-10)
    away = scipy.linalg.null_space(X)  # (8, 5)
    np.testing.assert_allclose(away.T @ part, 0, atol=1e-10)


def test_partial_procrustes_drops_what_repeated_or_zero_pairs_do_not_cover():
    X, Y = rng().standard_normal((2, 2, 6))
    repeated = partial_procrustes(np.vstack([X, X[:1], 0 * X]), np.vstack([Y, Y[:1], Y]))
    assert np.linalg.matrix_rank(repeated) == 2
    np.testing.assert_allclose(scipy.linalg.null_space(X).T @ repeated, 0, atol=1e-10)
    assert not partial_procrustes(0 * X, Y).any()


def test_with_enough_pairs_partial_procrustes_is_procrustes():
    X, Y = rng().standard_normal((2, 9, 4))
    np.testing.assert_allclose(partial_procrustes(X, Y), procrustes(X, Y), atol=1e-10)


@pytest.mark.parametrize("k", [1, 3, 4])
def test_csls_is_its_definition(k):
    Q, K = rng().standard_normal((4, 3)), rng(1).standard_normal((6, 3))
    cos = [[float(q @ y / np.linalg.norm(q) / np.linalg.norm(y)) for y in K] for q in Q]
    want = np.zeros((4, 6))
    for i in range(4):
        for j in range(6):
            near = sum(sorted(cos[i])[-k:]) / k
            near_key = sum(sorted(row[j] for row in cos)[-k:]) / k
            want[i, j] = 2 * cos[i][j] - near - near_key
    np.testing.assert_allclose(csls(Q, K, k), want, atol=1e-12)


def test_csls_demotes_a_hub():
    keys = np.array([[1.0, 0.0], [np.cos(0.9), np.sin(0.9)], [np.cos(0.9), -np.sin(0.9)]])
    queries = np.array([[1.0, 0.0], [np.cos(0.4), np.sin(0.4)], [np.cos(0.4), -np.sin(0.4)]])
    assert (queries @ keys.T).argmax(axis=1).tolist() == [0, 0, 0]
    assert csls(queries, keys, 2).argmax(axis=1).tolist() == [0, 1, 2]


def test_languages_are_isometric_without_noise():
    words = rotated_languages(rng(), num_words=40, width=6, noise=0.0)
    np.testing.assert_allclose(words.source @ words.source.T, words.target @ words.target.T, atol=1e-12)
    assert not np.allclose(words.source, words.target)
    noisy = rotated_languages(rng(), num_words=40, width=6)
    assert not np.allclose(noisy.source @ noisy.source.T, noisy.target @ noisy.target.T)


def test_renumbering_keeps_angles_and_dtype():
    x = rng().standard_normal((5, 7)).astype(np.float32)
    y = renumbered(x, rng(1))
    assert y.dtype == np.float32
    np.testing.assert_allclose(x @ x.T, y @ y.T, rtol=1e-5, atol=1e-5)


def test_precision_at_one():
    assert precision_at_one([[2, 1], [2, 1]]) == 0.5


def test_topic_chances_are_distributions():
    chances = topic_chances(np.array([0, 1, 1, 0, 0]), share=0.5)
    np.testing.assert_allclose(chances, [[0.1 + 0.5 / 3, 0.1, 0.1, 0.1 + 0.5 / 3, 0.1 + 0.5 / 3],
                                         [0.1, 0.35, 0.35, 0.1, 0.1]])  # fmt: skip


def test_short_texts_are_drawn_balanced_and_paired():
    rows = {"text": ["a" * n for n in range(1, 41)] * 2, "label": [1] * 40 + [0] * 40}
    texts, labels = short_reviews(rows, 6, rng(), longest=10)
    assert labels.tolist() == [1, 1, 1, -1, -1, -1]
    assert all(6 <= len(text) <= 10 for text in texts)
    pairs = {"english": ["one", "two words here", "three"], "chinese": ["一", "二", "三"]}
    english, chinese = short_pairs(pairs, 2, rng(), longest=5)
    assert dict(zip(english, chinese, strict=True)) == {"one": "一", "three": "三"}


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: procrustes(ONES, np.ones((3, 3))), "one shape"),
        (lambda: procrustes(np.ones(3), np.ones(3)), "shape"),
        (lambda: partial_procrustes(ONES, ONES * np.nan), "finite"),
        (lambda: csls(ONES, np.ones((2, 4)), 1), "one width"),
        (lambda: csls(ONES, ONES, 3), "k must be"),
        (lambda: unit_rows(np.zeros((2, 3))), "zeros"),
        (lambda: rotated_languages(rng(), width=0), "width"),
        (lambda: rotated_languages(rng(), noise=-1.0), "noise"),
        (lambda: topic_chances(np.array([0, 2])), "topics"),
        (lambda: topic_chances(np.array([0, 1]), share=2.0), "share"),
        (lambda: short_reviews({"text": ["aaaaaaa"], "label": [1]}, 2, rng()), "at most"),
        (lambda: short_reviews({"text": [], "label": []}, 3, rng()), "even"),
        (lambda: short_pairs({"english": ["a"], "chinese": ["一"]}, 2, rng()), "number"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
