"""lmprep.data.synthetic against counting, against scikit-learn's Bayes rule, and at the edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmprep.data.synthetic import (
    estimated_language,
    shuffle_between_texts,
    topic_language,
    topic_posterior,
    topic_texts,
)

seeds = st.integers(0, 2**32)
counts = st.integers(1, 6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(K=counts, W=counts, C=counts, topical=st.sampled_from([0.0, 0.3, 1.0]), first_id=st.integers(0, 5))
def test_a_language_is_its_topics_words_and_the_common_ones(
    K: int, W: int, C: int, topical: float, first_id: int
) -> None:
    language = topic_language(K, W, C, topical=topical, first_id=first_id)
    assert language.shape == (K, first_id + K * W + C)
    torch.testing.assert_close(language.sum(1), torch.ones(K, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (language[:, :first_id] == 0).all()
    own = language[:, first_id : first_id + K * W].reshape(K, K, W)
    for k in range(K):
        assert own[k].sum() == pytest.approx(topical)
        torch.testing.assert_close(own[k, k], torch.full((W,), topical / W, dtype=torch.float64))
    torch.testing.assert_close(
        language[:, first_id + K * W :], torch.full((K, C), (1 - topical) / C, dtype=torch.float64)
    )


def test_a_language_without_common_words() -> None:
    language = topic_language(2, 3, 0, topical=1.0)
    assert language.tolist() == [[1 / 3] * 3 + [0.0] * 3, [0.0] * 3 + [1 / 3] * 3]


def test_words_are_drawn_as_often_as_the_language_says() -> None:
    language = topic_language(3, 4, 5, topical=0.6, first_id=2)
    topics = torch.arange(3).repeat_interleave(4000)
    ids = topic_texts(topics, language, 10, generator())
    assert ids.shape == (12_000, 10)
    for k in range(3):
        drawn = ids[topics == k].flatten()
        found = torch.bincount(drawn, minlength=language.size(1)) / len(drawn)
        allowed = 4.5 * (language[k] * (1 - language[k]) / len(drawn)).sqrt()
        assert ((found - language[k]).abs() <= allowed).all()
        assert (found[language[k] == 0] == 0).all()


def test_words_are_independent_given_the_topic() -> None:
    language = topic_language(2, 1, 1, topical=0.5)
    ids = topic_texts(torch.zeros(20_000, dtype=torch.long), language, 2, generator())
    both = (ids == 0).double()
    assert abs(both.prod(dim=1).mean().item() - 0.25) <= 4 * (0.25 * 0.75 / 20_000) ** 0.5


@given(N=counts, T=counts, seed=seeds)
def test_texts_repeat_from_the_same_generator(N: int, T: int, seed: int) -> None:
    language = topic_language(3, 4, 2)
    topics = torch.randint(3, (N,), generator=generator(seed))
    first, again = (topic_texts(topics, language, T, generator(seed)) for _ in range(2))
    assert torch.equal(first, again)


def test_the_posterior_is_that_of_naive_bayes_with_the_true_probabilities() -> None:
    from sklearn.naive_bayes import MultinomialNB

    g = generator(1)
    language = torch.rand(3, 7, generator=g, dtype=torch.float64) + 0.1
    language /= language.sum(1, keepdim=True)
    topics = torch.randint(3, (50,), generator=g)
    ids = topic_texts(topics, language, 6, g)
    model = MultinomialNB().fit(np.eye(3, 7), range(3))
    model.feature_log_prob_, model.class_log_prior_ = language.log().numpy(), np.log(np.full(3, 1 / 3))
    words = torch.stack([torch.bincount(row, minlength=7) for row in ids]).numpy()
    torch.testing.assert_close(
        topic_posterior(ids, language), torch.from_numpy(model.predict_proba(words)), atol=1e-12, rtol=0
    )


def test_the_posterior_by_hand() -> None:
    language = topic_language(2, 1, 1, topical=0.5)  # words: topic 0's, topic 1's, common
    ids = torch.tensor([[2, 2], [0, 2], [2, 1], [0, 1]])
    found = topic_posterior(ids, language)
    assert found[:3].tolist() == [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    assert found[3].isnan().all()  # no topic has both
    assert topic_posterior(torch.empty(2, 0, dtype=torch.long), language).tolist() == [[0.5, 0.5]] * 2


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_estimates_are_those_of_scikit_learns_naive_bayes(smoothing: float) -> None:
    from sklearn.naive_bayes import MultinomialNB

    language = topic_language(3, 5, 4, first_id=1)
    topics = torch.arange(3).repeat(10)
    ids = topic_texts(topics, language, 6, generator(2))
    words = torch.stack([torch.bincount(row, minlength=20) for row in ids]).numpy()
    model = MultinomialNB(alpha=smoothing).fit(words, topics.numpy())
    found = estimated_language(ids, topics, (3, 20), smoothing)
    expected = torch.from_numpy(model.feature_log_prob_).exp()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        topic_posterior(ids, found), torch.from_numpy(model.predict_proba(words)), atol=1e-12, rtol=0
    )


def test_shuffling_keeps_the_words_and_destroys_what_meets_in_a_text() -> None:
    language = topic_language(4, 5, 5, topical=0.8)
    topics = torch.arange(4).repeat(500)
    ids = topic_texts(topics, language, 10, generator())
    before = ids.clone()
    shuffled = shuffle_between_texts(ids, generator(1))
    assert torch.equal(ids, before)
    assert shuffled.shape == ids.shape
    assert torch.equal(shuffled.flatten().sort().values, ids.flatten().sort().values)

    def right(texts: torch.Tensor) -> float:
        return (topic_posterior(texts, language + 1e-12).argmax(1) == topics).double().mean().item()

    assert right(ids) > 0.99
    assert abs(right(shuffled) - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5
    assert torch.equal(shuffled, shuffle_between_texts(ids, generator(1)))


LANGUAGE, TOPICS, G = topic_language(2, 3, 4), torch.tensor([0, 1]), generator()
IDS = torch.tensor([[5, 6], [7, 8]])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: topic_language(0, 1, 1), ValueError, "num_topics must be at least 1, got 0"),
        (lambda: topic_language(1, 0, 1), ValueError, "words_per_topic must be at least 1"),
        (lambda: topic_language(1, 1, -1), ValueError, "num_common must be at least 0, got -1"),
        (lambda: topic_language(1, 1, 1, first_id=-1), ValueError, "first_id must be at least 0"),
        (lambda: topic_language(1, 1, 1, topical=1.5), ValueError, r"topical must be from 0 to 1, got 1\.5"),
        (lambda: topic_language(1, 1, 0), ValueError, r"num_common is 0: .* share 0\.5"),
        (lambda: topic_texts(TOPICS.int(), LANGUAGE, 3, G), TypeError, r"topics must be torch\.long"),
        (lambda: topic_texts(TOPICS[None], LANGUAGE, 3, G), ValueError, r"shape \(N,\).* got \(1, 2\)"),
        (lambda: topic_texts(TOPICS[:0], LANGUAGE, 3, G), ValueError, r"got \(0,\)"),
        (lambda: topic_texts(TOPICS + 1, LANGUAGE, 3, G), ValueError, "from 0 to 1, got 1 to 2"),
        (lambda: topic_texts(TOPICS, LANGUAGE, 0, G), ValueError, "length must be at least 1, got 0"),
        (lambda: topic_texts(TOPICS, LANGUAGE[0], 3, G), ValueError, r"shape \(K, V\).* got \(10,\)"),
        (lambda: topic_texts(TOPICS, 2 * LANGUAGE, 3, G), ValueError, "rows ≥ 0 that sum to 1"),
        (lambda: topic_texts(TOPICS, LANGUAGE - LANGUAGE.flip(0), 3, G), ValueError, "probabilities"),
        (lambda: estimated_language(IDS.int(), TOPICS, (2, 9), 1), TypeError, r"ids must be torch\.long"),
        (lambda: estimated_language(IDS, TOPICS.int(), (2, 9), 1), TypeError, r"topics must be torch\.long"),
        (
            lambda: estimated_language(IDS, TOPICS, (2, 8), 1),
            ValueError,
            "ids must be from 0 to 7, got 5 to 8",
        ),
        (lambda: estimated_language(IDS, TOPICS, (1, 9), 1), ValueError, "topics must be from 0 to 0"),
        (lambda: estimated_language(IDS[0], TOPICS, (2, 9), 1), ValueError, r"got \(2,\) and \(2,\)"),
        (lambda: estimated_language(IDS, TOPICS[:1], (2, 9), 1), ValueError, r"got \(2, 2\) and \(1,\)"),
        (lambda: estimated_language(IDS, TOPICS, (2, 9), 0), ValueError, "smoothing must be above 0, got 0"),
        (lambda: topic_posterior(TOPICS, LANGUAGE), ValueError, r"shape \(N, T\), got \(2,\)"),
        (lambda: topic_posterior(TOPICS[None] + 9, LANGUAGE), ValueError, "from 0 to 9, got 9 to 10"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
