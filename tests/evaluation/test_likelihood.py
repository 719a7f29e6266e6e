"""lmprep.evaluation.likelihood against scikit-learn, by hand, and at the edges."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from lmprep.evaluation.likelihood import bits_per_byte, perplexity

surprisals = st.lists(st.floats(0, 30), min_size=1, max_size=40)


def test_perplexity_and_bits_per_byte_are_scikit_learns_log_loss() -> None:
    """Of random texts in characters of one, two and three bytes, some of them Chinese."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        known = rng.permutation(list("etao 12ναικρ的很好不房间"))[: rng.integers(2, 19)]  # (V,)
        logits = rng.uniform(0, 4) * rng.normal(size=(rng.integers(1, 40), len(known)))
        log_p = log_softmax(logits, axis=1)  # (T, V)
        ids = rng.integers(len(known), size=len(log_p))
        prices = -log_p[np.arange(len(ids)), ids]
        nats = log_loss(ids, np.exp(log_p), labels=range(len(known)))  # their mean
        assert perplexity(prices) == pytest.approx(math.exp(nats), rel=1e-9), f"seed {seed}"
        text = "".join(known[ids])
        bits = nats * len(ids) / math.log(2)
        assert bits_per_byte(prices, text) == pytest.approx(bits / len(text.encode()), rel=1e-9), (
            f"seed {seed}"
        )


def test_uniform_guessing_is_as_uncertain_as_its_options() -> None:
    assert perplexity([math.log(50)] * 7) == pytest.approx(50)
    assert bits_per_byte([math.log(256)] * 7, b"1234567") == pytest.approx(8)
    assert bits_per_byte([math.log(8), 0.0], "中文") == pytest.approx(3 / 6)  # three bytes each


@settings(max_examples=40)
@given(prices=surprisals, pieces=st.integers(1, 5))
def test_cutting_tokens_changes_perplexity_and_not_bits_per_byte(prices: list[float], pieces: int) -> None:
    text = b"x" * 64
    finer = np.repeat(np.array(prices) / pieces, pieces)
    assert bits_per_byte(finer, text) == pytest.approx(bits_per_byte(prices, text), rel=1e-9)
    assert perplexity(finer) ** pieces == pytest.approx(perplexity(prices), rel=1e-9)


@settings(max_examples=40)
@given(prices=surprisals)
def test_the_two_agree_where_a_token_is_a_byte(prices: list[float]) -> None:
    assert 2 ** bits_per_byte(prices, b"x" * len(prices)) == pytest.approx(perplexity(prices), rel=1e-9)


def test_impossible_and_certain_texts() -> None:
    assert perplexity([0.0, math.inf]) == math.inf
    assert bits_per_byte([0.0, math.inf], "ab") == math.inf
    assert perplexity([1e5]) == math.inf
    assert perplexity([0.0, 0.0]) == 1
    assert bits_per_byte([0.0], "ab") == 0


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: perplexity([]), ValueError, r"T at least 1, got \(0,\)"),
        (lambda: perplexity(1.0), ValueError, r"shape \(T,\) with T at least 1, got \(\)"),
        (lambda: perplexity([[1.0]]), ValueError, r"got \(1, 1\)"),
        (lambda: perplexity([-0.5]), ValueError, "from 0 up, −log p in nats, got a minimum of -0.5"),
        (lambda: perplexity([1.0, math.nan]), ValueError, "minimum of nan"),
        (lambda: bits_per_byte([1.0], ""), ValueError, "text is empty"),
        (lambda: bits_per_byte([1.0], 3), TypeError, "a string or bytes, got int"),  # type: ignore[arg-type]
        (lambda: bits_per_byte([], "a"), ValueError, "T at least 1"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
