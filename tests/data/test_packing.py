"""Packing: nothing is lost but the tail, and rows meet where they are cut."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmprep.data.packing import document_mask, pack

DOCUMENTS = st.lists(st.lists(st.integers(0, 50), max_size=9), max_size=8)
END = 99


def test_by_hand() -> None:
    x, y, doc_id = pack([[1, 2], [], [3, 4, 5]], 3, END)
    assert x.tolist() == [[1, 2, END], [END, 3, 4]]
    assert y.tolist() == [[2, END, END], [3, 4, 5]]
    assert doc_id.tolist() == [[0, 0, 0], [1, 2, 2]]


@given(DOCUMENTS, st.integers(1, 7))
def test_rows_are_the_stream_and_its_shift(documents: list[list[int]], length: int) -> None:
    stream = [i for document in documents for i in [*document, END]]
    owners = [k for k, document in enumerate(documents) for _ in [*document, END]]
    x, y, doc_id = pack(documents, length, END)
    used = x.numel()
    assert x.shape == y.shape == doc_id.shape == (max(0, len(stream) - 1) // length, length)
    assert x.dtype == y.dtype == doc_id.dtype == torch.long
    assert x.flatten().tolist() == stream[:used]
    assert y.flatten().tolist() == stream[1 : used + 1]
    assert doc_id.flatten().tolist() == owners[:used]
    assert len(stream) - 1 - used < length  # what is dropped fills no row


def test_takes_tensors_and_arrays() -> None:
    plain = pack([[1, 2, 3], [4]], 2, END)
    for kind in (torch.tensor, np.array):
        given_so = pack([kind([1, 2, 3]), kind([4])], 2, END)
        assert all(a.equal(b) for a, b in zip(plain, given_so, strict=True))


@given(DOCUMENTS, st.integers(1, 7))
def test_the_mask_joins_what_has_one_owner(documents: list[list[int]], length: int) -> None:
    _, _, doc_id = pack(documents, length, END)
    mask = document_mask(doc_id)
    assert mask.shape == (len(doc_id), 1, length, length)
    assert mask.dtype == torch.bool
    for n, i, j in np.ndindex(len(doc_id), length, length):
        assert mask[n, 0, i, j] == (doc_id[n, i] == doc_id[n, j])


@pytest.mark.parametrize(
    ("documents", "length", "end", "error", "match"),
    [
        ([[1]], 0, END, ValueError, "length must be at least 1, got 0"),
        ([[1, -2]], 1, END, ValueError, "from 0, got -2"),
        ([[1]], 1, -1, ValueError, "from 0, got -1"),
        ([[1.5]], 1, END, TypeError, "integer"),
        (["text"], 1, END, TypeError, "integer"),
    ],
)
def test_bad_input(documents: Any, length: int, end: int, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        pack(documents, length, end)


def test_a_mask_needs_rows() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, T\), got \(3,\)"):
        document_mask(torch.zeros(3))
