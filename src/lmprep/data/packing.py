"""From documents to the rows that a language model trains on."""

import operator
from collections.abc import Iterable
from typing import SupportsIndex

import torch
from torch import Tensor


def pack(
    documents: Iterable[Iterable[SupportsIndex]], length: int, end: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Put documents one after the other, `end` after each, and cut the stream into rows.

    Row n reads tokens nT to nT + T − 1 of the stream and is asked for tokens nT + 1 to nT + T, so each token
    but the first is asked for once. What does not fill a row is dropped.

    Args:
        documents: token ids, each a list, array or tensor (T_i,); one may be empty.
        length: T, the tokens that a row reads.
        end: the id of the token that ends a document.

    Returns:
        x, y and doc_id, each (N, T) `torch.long`: what is read, what comes next, and the number of the
        document that the token in x belongs to. `end` belongs to the document that it ends. N may be 0.

    Raises:
        ValueError: `length` is below 1, or an id is negative.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    stream: list[int] = []
    owners: list[int] = []
    for number, document in enumerate(documents):
        stream += [*map(operator.index, document), operator.index(end)]
        owners += [number] * (len(stream) - len(owners))
    if stream and min(stream) < 0:
        raise ValueError(f"documents and end must hold ids from 0, got {min(stream)}")
    used = max(0, len(stream) - 1) // length * length
    ids = torch.tensor(stream, dtype=torch.long)
    doc_id = torch.tensor(owners[:used], dtype=torch.long).view(-1, length)
    return ids[:used].view(-1, length), ids[1 : used + 1].view(-1, length), doc_id


def document_mask(doc_id: Tensor) -> Tensor:
    """Which positions of packed rows belong to one document: (N, 1, T, T) boolean, True = may attend.

    It fits the `mask` of `architectures.attention`, beside `causal=True`.

    Args:
        doc_id: (N, T), as `pack` gives it.

    Raises:
        ValueError: `doc_id` is not of shape (N, T).
    """
    if doc_id.ndim != 2:
        raise ValueError(f"doc_id must have shape (N, T), got {tuple(doc_id.shape)}")
    return (doc_id[:, :, None] == doc_id[:, None, :])[:, None]
