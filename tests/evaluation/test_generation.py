"""lmprep.evaluation.generation against every choice of answers, Chen et al.'s product, and at the edges."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprep.evaluation.generation import pass_at_k


@pytest.mark.parametrize("n", range(1, 10))
def test_it_is_the_share_of_choices_that_hold_a_right_answer(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        picks = [any(pick) for pick in itertools.combinations([1] * c + [0] * (n - c), k)]
        assert pass_at_k(n, c, k) == pytest.approx(np.mean(picks), abs=1e-12)


@given(n=st.integers(1, 300), data=st.data())
def test_it_is_chens_product(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    product = 1.0 if n - c < k else 1 - np.prod(1 - k / np.arange(n - c + 1, n + 1))
    assert pass_at_k(n, c, k) == pytest.approx(float(product), abs=1e-12)


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (10, 1), (10, 7), (10, 10), (60, 25)])
def test_unbiased(n: int, k: int, p: float) -> None:
    """Averaged over a binomial c, exactly."""
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    mean = np.dot(chance, [pass_at_k(n, c, k) for c in range(n + 1)])
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


@settings(max_examples=40)
@given(n=st.integers(2, 60), data=st.data())
def test_more_right_answers_or_more_tries_do_no_harm(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, n - 1))
    assert pass_at_k(n, c, k) <= pass_at_k(n, c + 1, k)
    assert pass_at_k(n, c, k) <= pass_at_k(n, c, k + 1)
    assert pass_at_k(n, c, 1) == pytest.approx(c / n, abs=1e-15)


def test_thousands_of_answers() -> None:
    assert pass_at_k(5000, 1, 2500) == pytest.approx(0.5, abs=1e-12)
    assert pass_at_k(5000, 0, 2500) == 0
    assert pass_at_k(5000, 2501, 2500) == 1


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: pass_at_k(5, 2, 6), ValueError, "from 1 to num_samples, got 6 and 5: draw more"),
        (lambda: pass_at_k(5, 2, 0), ValueError, "k must be from 1"),
        (lambda: pass_at_k(5, 6, 1), ValueError, "num_correct must be from 0 to num_samples, got 6 and 5"),
        (lambda: pass_at_k(5, -1, 1), ValueError, "num_correct must be from 0"),
        (lambda: pass_at_k(5.0, 1, 1), TypeError, "integer"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
