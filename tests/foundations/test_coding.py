"""The arithmetic coder against exact fractions, and what it promises: any ids, any distribution, no loss."""

import math
import zlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmprep.foundations.coding import ArithmeticCoder, frequencies
from lmprep.foundations.ngram import WittenBellLM

TOTAL = 2**40


class Fixed:
    """The same distribution after any context, or one for each position."""

    def __init__(self, *rows: object) -> None:
        self.rows = rows

    def probs(self, context: Sequence[int]) -> object:
        return self.rows[len(context) % len(self.rows)]


# Spiky rows: mostly tiny or zero weights, now and then a large one.
weights = st.sampled_from([0.0, 1e-300, 1e-30, 1e-13, 1e-9, 0.3, 1.0, 1.0, 7.0, 1e9])
rows = st.integers(1, 6).flatmap(
    lambda V: st.lists(
        st.lists(weights, min_size=V, max_size=V).filter(lambda row: sum(row) > 1e-300),
        min_size=1,
        max_size=5,
    )
)


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[np.ndarray], list[int]]:
    """Distributions, and ids that have nothing to do with them."""
    table = [np.array(row) / max(row) for row in draw(rows)]
    ids = draw(st.lists(st.integers(0, len(table[0]) - 1), max_size=60))
    return [row / row.sum() for row in table], ids


@settings(max_examples=80, deadline=None)
@given(texts())
def test_lossless_for_any_ids_and_distributions(case: tuple[list[np.ndarray], list[int]]) -> None:
    table, ids = case
    coder = ArithmeticCoder(Fixed(*table))
    file = coder.encode(ids)
    assert coder.decode(file, len(ids)) == ids
    assert coder.decode(file + bytes(3), len(ids)) == ids  # zeros that follow the file do not matter


@settings(max_examples=80, deadline=None)
@given(texts())
def test_exact_fractions(case: tuple[list[np.ndarray], list[int]]) -> None:
    """The file's number lies within the text's own interval, and the file is no longer than a byte more."""
    table, ids = case
    low, width = Fraction(0), Fraction(1)
    for t, token in enumerate(ids):
        share = [int(count) for count in frequencies(table[t % len(table)])]
        low += width * sum(share[:token]) / TOTAL
        width *= Fraction(share[token], TOTAL)
    file = ArithmeticCoder(Fixed(*table)).encode(ids)
    number = Fraction(int.from_bytes(file, "big"), 256 ** len(file))
    # 64 bits are kept where fractions keep all: each step may move an end by 2^-16 of the width before it.
    slack = Fraction(len(ids), 2**15)
    assert low - slack <= number < low + width + slack
    ideal = -math.log2(width.numerator) + math.log2(width.denominator)
    assert ideal - 1e-3 <= 8 * len(file) <= ideal + 8 + 1e-3 * (1 + len(ids))


def test_by_hand() -> None:
    """e ½, t ¼, s ¼: tee is [1/2, 9/16), and 0.1000 0000 lies in it; see the entry's page."""
    coder = ArithmeticCoder(Fixed([0.5, 0.25, 0.25]))
    assert coder.encode([1, 0, 0]) == bytes([0b10000000])
    assert coder.decode(b"\x80", 3) == [1, 0, 0]
    # Ones only: the last quarter of the last quarter …, at two bits a token. 0.11111111 = [255/256, 1).
    assert coder.encode([2, 2, 2, 2]) == b"\xff"
    assert coder.encode([]) == b"\x00"
    assert coder.decode(b"", 2) == [0, 0]


def test_a_carry_runs_through_bytes_of_ones() -> None:
    """An interval that straddles a half for long: whether a 0 or a 1 leads is settled at the very end."""
    third = 1 / 3
    coder = ArithmeticCoder(Fixed([third, third, third]))
    for last in range(3):
        ids = [1] * 200 + [last]
        assert coder.decode(coder.encode(ids), 201) == ids
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):  # ends just below and above a multiple of 1/256, 1/65536 …
        p = np.array([0.5 - 2.0 ** -rng.integers(8, 39), 2.0 ** -rng.integers(8, 39), 0])
        p[2] = 1 - p.sum()
        ids = [1, *rng.integers(3, size=12).tolist()]
        coder = ArithmeticCoder(Fixed(p))
        file = coder.encode(ids)
        seen.add(file[0])
        assert coder.decode(file, 13) == ids
    assert {127, 128} <= seen


@pytest.mark.parametrize("size", [1, 2, 3, 257, 70_000])
def test_sizes_of_the_vocabulary(size: int) -> None:
    rng = np.random.default_rng(size)
    model = Fixed(rng.dirichlet(np.full(size, 0.05)), np.full(size, 1 / size))
    ids = [0, size - 1, *rng.integers(size, size=20).tolist()]
    coder = ArithmeticCoder(model)
    assert coder.decode(coder.encode(ids), len(ids)) == ids
    if size == 1:
        assert coder.encode([0] * 1000) == b"\x00"  # what was certain takes nothing


def test_the_loss_is_the_length() -> None:
    ids = np.random.default_rng(1).integers(0, 3, 3000)
    ids[1::2] = ids[::2]  # every second token repeats the one before
    model = WittenBellLM(3, 5).fit(ids[:1500])
    file = ArithmeticCoder(model).encode(ids[1500:])
    loss = model.surprisals(ids[1500:]).sum() / math.log(2)
    assert 0 <= 8 * len(file) - loss <= 8.01
    assert len(file) < len(zlib.compress(ids[1500:].astype(np.uint8).tobytes(), 9))


def test_adaptive() -> None:
    """Each token is counted after it was coded, in writing and in reading; the model stays as it was."""
    ids = [0, 1, 2, 3] * 60
    model = WittenBellLM(3, 4)
    coder = ArithmeticCoder(model, adaptive=True)
    file = coder.encode(ids)
    assert coder.decode(file, len(ids)) == ids
    assert coder.encode(ids) == file
    np.testing.assert_array_equal(model.probs([0, 1]), np.full(4, 0.25))
    assert len(file) < 12  # of 60 bytes at two bits a token
    assert len(ArithmeticCoder(model).encode(ids)) == 60
    loss, grown = 0.0, WittenBellLM(3, 4)
    for t, token in enumerate(ids):
        loss -= math.log2(grown.probs(ids[:t])[token])
        grown.update(ids[:t], token)
    assert 0 <= 8 * len(file) - loss <= 8.01


def test_a_prefix_of_the_text_can_be_read() -> None:
    coder = ArithmeticCoder(Fixed([0.7, 0.2, 0.1]))
    ids = [0, 2, 1, 0, 0, 1, 2, 2, 0]
    file = coder.encode(ids)
    for length in range(len(ids) + 1):
        assert coder.decode(file, length) == ids[:length]


def test_any_bytes_decode_to_some_ids() -> None:
    coder = ArithmeticCoder(Fixed([0.1] * 3 + [0.7]))
    for file in (b"", b"\xff" * 40, bytes(range(256))):
        ids = coder.decode(file, 50)
        assert len(ids) == 50 and set(ids) <= {0, 1, 2, 3}


def test_arrays_tensors_and_bytes_are_texts() -> None:
    coder = ArithmeticCoder(Fixed(np.full(256, 1 / 256)))
    text = b"any bytes \xff\x00"
    for ids in (text, list(text), np.frombuffer(text, np.uint8), torch.tensor(list(text))):
        assert coder.encode(ids) == text


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_network_gives_tensors(dtype: torch.dtype) -> None:
    p = torch.tensor([0.5, 0.25, 0.25], dtype=dtype, requires_grad=True)
    np.testing.assert_array_equal(frequencies(p), [TOTAL // 2, TOTAL // 4, TOTAL // 4])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda row: sum(row) > 1e-3))
def test_frequencies(row: list[float]) -> None:
    p = np.array(row) / sum(row)
    before = p.copy()
    share = frequencies(p)
    assert share.dtype == np.int64 and share.shape == p.shape
    assert share.sum() == TOTAL and share.min() >= 1
    np.testing.assert_allclose(share / TOTAL, p / p.sum(), rtol=0, atol=2 * len(p) / TOTAL)
    np.testing.assert_array_equal(p, before)
    np.testing.assert_array_equal(frequencies(list(p)), share)


def test_float32_sums_are_near_enough_to_one() -> None:
    p = np.full(50_000, np.float32(1 / 50_000))
    assert frequencies(p).sum() == TOTAL


fair = ArithmeticCoder(Fixed([0.5, 0.5]))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: frequencies([]), ValueError, r"shape \(V,\) with V at least 1, got \(0,\)"),
        (lambda: frequencies(np.ones((2, 2)) / 2), ValueError, r"got \(2, 2\)"),
        (lambda: frequencies([0.5, np.nan]), ValueError, "add up to 1"),
        (lambda: frequencies([1.5, -0.5]), ValueError, "minimum of -0.5"),
        (lambda: frequencies([2.0, 1.0]), ValueError, "sum of 3.*not logits"),
        (lambda: frequencies([np.inf, 0.0]), ValueError, "sum of inf"),
        (lambda: ArithmeticCoder(Fixed([1.0]), adaptive=True), TypeError, "Fixed has none"),
        (lambda: fair.encode([0, 2]), ValueError, "ids must be from 0 to 1, got 2"),
        (lambda: fair.encode([-1]), ValueError, "ids must be from 0 to 1, got -1"),
        (lambda: fair.encode([0.5]), TypeError, "float"),
        (lambda: fair.encode("ab"), TypeError, "str"),
        (lambda: fair.decode(b"", -1), ValueError, "num_tokens must not be negative"),
        (lambda: fair.decode("", 1), TypeError, "file must be bytes, got str"),
    ],
)  # fmt: skip
def test_bad_arguments(use: object, error: type[Exception], message: str) -> None:
    assert callable(use)
    with pytest.raises(error, match=message):
        use()
