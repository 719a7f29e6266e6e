"""The n-gram model against nltk's Witten–Bell, numbers by hand, and what must hold for any counts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.lm import WittenBellInterpolated
from nltk.util import everygrams

from lmprep.architectures.generate import generate
from lmprep.foundations.decoding import greedy
from lmprep.foundations.ngram import CausalNGram, WittenBellLM

texts = st.lists(st.integers(0, 4), min_size=1, max_size=40)


def by_formula(ids: list[int], order: int, vocab_size: int, context: list[int], token: int) -> float:
    """The definition, read off the sequence with no table of counts."""
    p = 1 / vocab_size
    for length in range(min(order - 1, len(context)) + 1):
        recent = context[len(context) - length :]
        followers = [ids[t] for t in range(length, len(ids)) if ids[t - length : t] == recent]
        different = len(set(followers))
        if followers:
            p = (followers.count(token) + different * p) / (len(followers) + different)
    return p


def test_by_hand() -> None:
    model = WittenBellLM(2, 3).fit([0, 1, 0, 0])
    # Empty context: 3 zeros, 1 one, 2 different, 1/V = 1/3: (3 + 2/3)/6, (1 + 2/3)/6, (0 + 2/3)/6.
    np.testing.assert_allclose(model.probs([]), [11 / 18, 5 / 18, 2 / 18], atol=1e-15)
    # After 0 came 1 and 0: (1 + 2·11/18)/4, (1 + 2·5/18)/4, (0 + 2·2/18)/4.
    np.testing.assert_allclose(model.probs([0]), [20 / 36, 14 / 36, 2 / 36], atol=1e-15)
    # After 1 came 0 once: (1 + 11/18)/2 and halves of the rest. After 2 came nothing.
    np.testing.assert_allclose(model.probs([1]), [29 / 36, 5 / 36, 2 / 36], atol=1e-15)
    np.testing.assert_array_equal(model.probs([2]), model.probs([]))


@pytest.mark.parametrize("order", [2, 3, 5])
def test_nltk(order: int) -> None:
    """nltk's recursion ends in the unigram frequencies; with our unigrams in their place, all agrees."""
    ids = np.random.default_rng(order).integers(0, 6, 400).tolist()
    unigrams = WittenBellLM(1, 6).fit(ids).probs([])
    words = [str(token) for token in ids]
    theirs = WittenBellInterpolated(order)
    theirs.fit([list(everygrams(words, max_len=order))], vocabulary_text=words)
    theirs.estimator.unigram_score = lambda word: unigrams[int(word)]
    ours = WittenBellLM(order, 6).fit(ids)
    rng = np.random.default_rng(1)
    for _ in range(50):
        context = rng.integers(0, 6, order - 1).tolist()
        expected = [theirs.score(str(token), list(map(str, context))) for token in range(6)]
        np.testing.assert_allclose(ours.probs(context), expected, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 4), st.lists(st.integers(0, 4), max_size=6))
def test_the_definition(ids: list[int], order: int, context: list[int]) -> None:
    p = WittenBellLM(order, 5).fit(ids).probs(context)
    expected = [by_formula(ids, order, 5, context, token) for token in range(5)]
    np.testing.assert_allclose(p, expected, rtol=0, atol=1e-12)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.min() > 0


@settings(max_examples=40, deadline=None)
@given(texts, st.integers(1, 4), st.lists(st.integers(0, 4), max_size=6))
def test_updates_one_at_a_time_equal_a_fit(ids: list[int], order: int, context: list[int]) -> None:
    grown = WittenBellLM(order, 5)
    for t, token in enumerate(ids):
        grown.probs(context)  # a remembered distribution must not survive the update
        grown.update(ids[:t], token)
    np.testing.assert_array_equal(grown.probs(context), WittenBellLM(order, 5).fit(ids).probs(context))


def test_without_counts_all_tokens_are_equally_likely() -> None:
    np.testing.assert_array_equal(WittenBellLM(3, 4).probs([1, 2]), np.full(4, 0.25))


def test_fitting_again_forgets_the_first_text() -> None:
    model = WittenBellLM(2, 3).fit([0, 1, 2, 1])
    again = model.fit([2, 2, 0])
    assert again is model
    np.testing.assert_array_equal(again.probs([2]), WittenBellLM(2, 3).fit([2, 2, 0]).probs([2]))


def test_only_the_last_tokens_of_a_context_count() -> None:
    model = WittenBellLM(3, 4).fit([0, 1, 2, 3, 0, 1, 3, 2, 1, 0])
    np.testing.assert_array_equal(model.probs([3, 3, 3, 0, 1]), model.probs([0, 1]))
    assert WittenBellLM(1, 4).fit([0, 1]).probs([3, 3]).tolist() == [0.375, 0.375, 0.125, 0.125]


def test_arrays_and_tensors_are_contexts_and_texts() -> None:
    ids = [0, 1, 2, 0, 1, 1]
    expected = WittenBellLM(3, 3).fit(ids).probs([0, 1])
    for kind in (np.array, torch.tensor):
        np.testing.assert_array_equal(WittenBellLM(3, 3).fit(kind(ids)).probs(kind([2, 0, 1])), expected)


def test_surprisals_add_up_to_the_probability_of_the_text() -> None:
    model = WittenBellLM(3, 3).fit([0, 1, 2, 0, 1, 1, 2])
    text = [0, 1, 1, 2, 2]
    surprisals = model.surprisals(text)
    assert surprisals.shape == (5,)
    product = math.prod(model.probs(text[:t])[token] for t, token in enumerate(text))
    assert surprisals.sum() == pytest.approx(-math.log(product), abs=1e-12)
    assert model.surprisals([]).shape == (0,)


def test_a_longer_context_compresses_what_depends_on_it() -> None:
    ids = [0, 0, 1, 1] * 50  # the next token follows from two, not from one
    one, two = (WittenBellLM(order, 2).fit(ids).surprisals(ids).mean() for order in (2, 3))
    assert one > 0.6
    assert two < 0.1


def test_the_counts_generate() -> None:
    counts = WittenBellLM(2, 4).fit([0, 1, 2, 3] * 5)
    model = CausalNGram(counts)
    ids = torch.tensor([[3, 0], [1, 2]])
    expected = np.log([counts.probs([0]), counts.probs([2])])
    np.testing.assert_array_equal(model(ids)[:, -1].numpy(), expected)
    assert generate(model, ids, 4, greedy, cache=False).tolist() == [[3, 0, 1, 2, 3, 0], [1, 2, 3, 0, 1, 2]]


def test_probabilities_cannot_be_changed_from_outside() -> None:
    p = WittenBellLM(2, 3).fit([0, 1]).probs([0])
    with pytest.raises(ValueError, match="read-only"):
        p[0] = 1.0


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: WittenBellLM(0, 3), ValueError, "order must be at least 1, got 0"),
        (lambda: WittenBellLM(2, 0), ValueError, "vocab_size must be at least 1, got 0"),
        (lambda: WittenBellLM(2, 3).fit([]), ValueError, "ids is empty"),
        (lambda: WittenBellLM(2, 3).fit([0, 3]), ValueError, "ids must be from 0 to 2, got 3"),
        (lambda: WittenBellLM(2, 3).fit([0.5]), TypeError, "float"),
        (lambda: WittenBellLM(2, 3).fit("ab"), TypeError, "str"),
        (lambda: WittenBellLM(2, 3).probs([-1]), ValueError, "context must be from 0 to 2, got -1"),
        (lambda: WittenBellLM(2, 3).update([0], 7), ValueError, "token must be from 0 to 2, got 7"),
        (lambda: WittenBellLM(2, 3).surprisals([0, 9]), ValueError, "ids must be from 0 to 2, got 9"),
    ],
)
def test_bad_arguments(use: object, error: type[Exception], message: str) -> None:
    assert callable(use)
    with pytest.raises(error, match=message):
        use()
