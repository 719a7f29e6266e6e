"""Packing: documents joined, cut into rows, and the targets one token on."""

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `pack_documents(docs, T, end)`. The documents, lists of token ids, are put one after the other, with
the id `end` after each, the last one too: an empty document leaves just its `end`, and an id equal to `end`
inside a document is a token like any other. Row $n$ of `x` holds tokens $nT$ to $nT + T - 1$ of that
stream, row $n$ of the targets `y` the tokens one place further on, $nT + 1$ to $nT + T$, and row $n$ of
`doc_id` the number, from 0, of the document that each token of `x` belongs to; an `end` belongs to the
document that it ends. Return `x`, `y` and `doc_id`, each of shape $(N, T)$ and dtype `torch.long`, with
every row that has all its targets: what is left over at the end of the stream is dropped, and a stream that
is too short gives $N = 0$ rows. Leave the lists as they are.
"""

STARTER = '''
import torch


def pack_documents(docs: list[list[int]], T: int, end: int) -> tuple[torch.Tensor, ...]:
    """Rows for training a language model.

    docs: any number of lists of token ids, which may be empty.
    T: tokens a row, at least 1; end: the id that ends a document.
    Returns x, y, doc_id: (N, T) each, long.
    """
    raise NotImplementedError
'''

HINTS = (
    "Forget rows at first. What is the one long list of tokens, and which list of the same length says whose "
    "each token is?",
    "Targets are the stream one place on, across the boundary of two rows as well. How many tokens do N rows "
    "of T need, if the last of them also needs its target?",
    "With S tokens in the stream, N is S minus 1, divided by T and rounded down, but not below 0. Cut the "
    "first N · T tokens of the stream into x, the N · T that begin one place later into y, and the first "
    "N · T owners into doc_id. Name the dtype, since an empty list would make floats.",
)


def pack_documents(docs: list[list[int]], T: int, end: int) -> tuple[torch.Tensor, ...]:
    stream: list[int] = []
    owners: list[int] = []
    for number, doc in enumerate(docs):
        stream += [*doc, end]
        owners += [number] * (len(doc) + 1)
    N = max(0, len(stream) - 1) // T
    ids = torch.tensor(stream, dtype=torch.long)
    doc_id = torch.tensor(owners, dtype=torch.long)[: N * T]
    return ids[: N * T].view(N, T), ids[1 : N * T + 1].view(N, T), doc_id.view(N, T)


# What the checks compare with.

# lengths of the documents, T
CASES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((1,), 1),
    ((2,), 2),
    ((2, 1), 2),
    ((3, 2), 3),
    ((4, 3, 3), 2),
    ((5, 1, 6, 2), 4),
    ((9, 30, 7, 14), 8),
    ((40, 3), 5),
    ((3, 1, 2) * 40, 17),
)
V = 1000


def documents(rng: Rng, lengths: tuple[int, ...], end: int) -> list[list[int]]:
    """Ids that are not `end`."""
    return [[i + (i >= end) for i in rng.integers(0, V, size=n).tolist()] for n in lengths]


def expected(docs: list[list[int]], T: int, end: int) -> tuple[list[int], list[int]]:
    """The stream, and whose its tokens are: token by token."""
    stream = list(chain.from_iterable([*doc, end] for doc in docs))
    owners = list(chain.from_iterable([number] * len([*doc, end]) for number, doc in enumerate(docs)))
    return stream, owners


def run(candidate: Candidate, docs: list[list[int]], T: int, end: int) -> tuple[Call, Tensor, Tensor, Tensor]:
    """The call and its answer, if it has the shapes and the dtype asked for."""
    call = Call(candidate, docs=docs, T=T, end=end)
    tokens = sum(map(len, docs)) + len(docs)
    N = max(0, tokens - 1) // T
    x, y, doc_id = call.returns(torch.long, x=(N, T), y=(N, T), doc_id=(N, T))
    return call, x, y, doc_id


def compare(candidate: Candidate, docs: list[list[int]], T: int, end: int, cause: str) -> None:
    call, x, y, doc_id = run(candidate, docs, T, end)
    stream, owners = expected(docs, T, end)
    used = x.numel()
    call.equals("x, row after row", x.flatten().tolist(), stream[:used], cause=cause)
    call.equals("y, row after row", y.flatten().tolist(), stream[1 : used + 1], cause=cause)
    call.equals("doc_id, row after row", doc_id.flatten().tolist(), owners[:used], cause=cause)


# Checks.


def three_tensors(candidate: Candidate, rng: Rng) -> None:
    """Returns x, y and doc_id: as many rows of T as have all their targets, long."""
    for lengths, T in (*CASES, *(((length,), 4) for length in range(4, 26))):
        run(candidate, documents(rng, lengths, 7), T, 7)


def reads_the_stream(candidate: Candidate, rng: Rng) -> None:
    """x is the stream: every document in order, with one end token after each."""
    for lengths, T in CASES:
        end = int(rng.integers(V))
        docs = documents(rng, lengths, end)
        call, x, _, _ = run(candidate, docs, T, end)
        call.equals("x, row after row", x.flatten().tolist(), expected(docs, T, end)[0][: x.numel()],
                    cause="no end token after each document, or one in front; documents in another order; "
                    "rows that overlap, or that leave a token out between them")  # fmt: skip


def targets_are_next(candidate: Candidate, rng: Rng) -> None:
    """y is the stream one token on, across the boundaries of rows and documents too."""
    for lengths, T in CASES:
        end = int(rng.integers(V))
        docs = documents(rng, lengths, end)
        call, x, y, _ = run(candidate, docs, T, end)
        call.equals("y, row after row", y.flatten().tolist(), expected(docs, T, end)[0][1 : x.numel() + 1],
                    cause="a shift inside each row, so that its last target is lost, made up or rolled in "
                    "from the row's own beginning; no shift; or a shift the other way")  # fmt: skip


def owners(candidate: Candidate, rng: Rng) -> None:
    """doc_id counts documents from 0; an end token belongs to the document that it ends."""
    for lengths, T in CASES:
        end = int(rng.integers(V))
        docs = documents(rng, lengths, end)
        call, x, _, doc_id = run(candidate, docs, T, end)
        want = expected(docs, T, end)[1][: x.numel()]
        call.equals("doc_id, row after row", doc_id.flatten().tolist(), want,
                    cause="the owner of the target in place of that of the token read; an end token counted "
                    "with the document after it; or a count that starts anew in each row")  # fmt: skip


def empty_documents(candidate: Candidate, rng: Rng) -> None:
    """An empty document leaves its end token, and takes a number."""
    for lengths, T in (((0, 0), 1), ((2, 0, 2), 2), ((0, 3, 0, 0, 4), 3), ((0,) * 9, 4)):
        docs = documents(rng, lengths, 5)
        compare(candidate, docs, T, 5, "an empty document skipped")


def too_short(candidate: Candidate, rng: Rng) -> None:
    """A stream with too few tokens for a row and its last target gives N = 0."""
    for lengths, T in (((), 1), ((), 4), ((0,), 1), ((3,), 4), ((2, 1), 5), ((5, 5), 99)):
        compare(candidate, documents(rng, lengths, 5), T, 5,
                "a row without its last target, padding, an error, or a shape without T")  # fmt: skip


def end_inside(candidate: Candidate, rng: Rng) -> None:
    """An id equal to `end` inside a document is a token like any other."""
    for docs in ([[5, 1, 5], [2, 5]], [[5], [5, 5], [3]], [[0, 0, 7, 0], [0, 8]]):
        for T in (1, 2, 3):
            compare(candidate, docs, T, docs[0][0],
                    "documents told apart, or counted, by the end token instead of by the lists")  # fmt: skip


def end_id(candidate: Candidate, rng: Rng) -> None:
    """`end` may be any id: 0, or beyond all others."""
    for end in (0, V + 1, 2**40):
        compare(
            candidate, documents(rng, (3, 0, 4), end), 2, end, "an end token of one's own, or a small dtype"
        )


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the documents as they were."""
    for lengths, T in CASES:
        Call(candidate, docs=documents(rng, lengths, 5), T=T, end=5).unchanged(
            cause="`doc.append(end)`, which changes the reader's list: build `[*doc, end]`"
        )


# Right answers of other style, and wrong ones.


def by_unfold(docs: list[list[int]], T: int, end: int) -> tuple[Tensor, ...]:
    ids = torch.tensor([i for doc in docs for i in [*doc, end]], dtype=torch.long)
    owner = torch.repeat_interleave(
        torch.arange(len(docs)), torch.tensor([len(doc) + 1 for doc in docs], dtype=torch.long)
    )
    if len(ids) < T + 1:
        return (torch.zeros(0, T, dtype=torch.long),) * 3
    windows = ids.unfold(0, T + 1, T)
    return windows[:, :-1], windows[:, 1:], owner.unfold(0, T, T)[: len(windows)]


def row_by_row(docs: list[list[int]], T: int, end: int) -> list[Tensor]:
    pairs = [(token, number) for number, doc in enumerate(docs) for token in [*doc, end]]
    rows: list[list[list[int]]] = [[], [], []]
    start = 0
    while start + T < len(pairs):
        rows[0].append([token for token, _ in pairs[start : start + T]])
        rows[1].append([token for token, _ in pairs[start + 1 : start + T + 1]])
        rows[2].append([number for _, number in pairs[start : start + T]])
        start += T
    return [torch.tensor(part, dtype=torch.long).reshape(-1, T) for part in rows]


def by_tensors(docs: list[list[int]], T: int, end: int) -> tuple[Tensor, ...]:
    parts = [torch.tensor([*doc, end]) for doc in docs]
    empty = torch.zeros(0, dtype=torch.long)
    ids = torch.cat([empty, *parts])
    owner = torch.cat([empty, *(torch.full_like(part, k) for k, part in enumerate(parts))])
    used = (max(len(ids), 1) - 1) // T * T
    return tuple(part[:used].reshape(-1, T) for part in (ids, ids[1:], owner))


Stream = Callable[[list[list[int]], int], tuple[list[int], list[int]]]


def packed(stream: Stream) -> Candidate:
    """An answer right in everything but the stream and whose its tokens are."""

    def answer(docs: list[list[int]], T: int, end: int) -> tuple[Tensor, ...]:
        tokens, numbers = stream(docs, end)
        N = max(0, len(tokens) - 1) // T
        ids, owner = (torch.tensor(part, dtype=torch.long) for part in (tokens, numbers))
        return ids[: N * T].view(N, T), ids[1 : N * T + 1].view(N, T), owner[: N * T].view(N, T)

    return answer


def labeled(docs: list[list[int]]) -> list[tuple[int, list[int]]]:
    return list(enumerate(docs))


def from_parts(parts: list[tuple[int, list[int]]]) -> tuple[list[int], list[int]]:
    return [i for _, part in parts for i in part], [k for k, part in parts for _ in part]


def end_in_front(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    return from_parts([(k, [end, *doc]) for k, doc in labeled(docs)])


def no_end(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    return from_parts(labeled(docs))


def end_between(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    return from_parts([(k, [*doc, end] if k < len(docs) - 1 else doc) for k, doc in labeled(docs)])


def empty_skipped(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    return from_parts([(k, [*doc, end]) for k, doc in labeled([doc for doc in docs if doc])])


def end_of_the_next(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    tokens, numbers = from_parts([(k, [*doc, end]) for k, doc in labeled(docs)])
    ends = {sum(len(doc) + 1 for doc in docs[: k + 1]) - 1 for k in range(len(docs))}
    return tokens, [number + (place in ends) for place, number in enumerate(numbers)]


def counted_by_end(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    tokens, _ = from_parts([(k, [*doc, end]) for k, doc in labeled(docs)])
    return tokens, [tokens[:place].count(end) for place in range(len(tokens))]


def from_one(docs: list[list[int]], end: int) -> tuple[list[int], list[int]]:
    return from_parts([(k + 1, [*doc, end]) for k, doc in labeled(docs)])


Parts = tuple[Tensor, ...]


def then(change: Callable[[Tensor, Tensor, Tensor], Parts]) -> Candidate:
    """The right answer, changed."""

    def answer(docs: list[list[int]], T: int, end: int) -> Parts:
        return change(*pack_documents(docs, T, end))

    return answer


def shift_inside(docs: list[list[int]], T: int, end: int) -> Parts:
    x, _, doc_id = pack_documents(docs, T, end)
    y = torch.cat([x[:, 1:], torch.full((len(x), 1), end)], dim=1)
    return x, y, doc_id


def steps_of_one_more(docs: list[list[int]], T: int, end: int) -> Parts:
    tokens, numbers = expected(docs, T, end)
    N = len(tokens) // (T + 1)
    ids, owner = (torch.tensor(p, dtype=torch.long)[: N * (T + 1)].view(N, T + 1) for p in (tokens, numbers))
    return ids[:, :-1], ids[:, 1:], owner[:, :-1]


def tail_padded(docs: list[list[int]], T: int, end: int) -> Parts:
    tokens, numbers = expected(docs, T, end)
    missing = -(len(tokens) - 1) % T
    ids = torch.tensor([*tokens, *[end] * missing], dtype=torch.long)
    owner = torch.tensor([*numbers, *[len(docs) - 1] * missing], dtype=torch.long)
    return ids[:-1].view(-1, T), ids[1:].view(-1, T), owner[:-1].view(-1, T)


def rows_of_full_x(docs: list[list[int]], T: int, end: int) -> Parts:
    tokens, numbers = expected(docs, T, end)
    N = len(tokens) // T
    ids = torch.tensor([*tokens, end], dtype=torch.long)
    owner = torch.tensor(numbers, dtype=torch.long)
    return ids[: N * T].view(N, T), ids[1 : N * T + 1].view(N, T), owner[: N * T].view(N, T)


def each_apart(docs: list[list[int]], T: int, end: int) -> Parts:
    parts = [pack_documents([doc], T, end) for doc in docs]
    x, y = (torch.cat([p[k] for p in parts]) if parts else torch.zeros(0, T).long() for k in (0, 1))
    owner = [torch.full_like(p[0], k) for k, p in enumerate(parts)]
    return x, y, torch.cat(owner) if owner else torch.zeros(0, T).long()


def appended_in_place(docs: list[list[int]], T: int, end: int) -> Parts:
    result = pack_documents(docs, T, end)
    for doc in docs:
        doc.append(end)
    return result


def dtype_left_open(docs: list[list[int]], T: int, end: int) -> Parts:
    tokens, numbers = expected(docs, T, end)
    N = max(0, len(tokens) - 1) // T
    ids, owner = torch.tensor(tokens), torch.tensor(numbers)
    return ids[: N * T].view(N, T), ids[1 : N * T + 1].view(N, T), owner[: N * T].view(N, T)


def int32_inside(docs: list[list[int]], T: int, end: int) -> Parts:
    tokens, _ = expected(docs, T, end)
    torch.tensor(tokens, dtype=torch.int32)  # raises where an id does not fit
    return pack_documents(docs, T, end)


def fails_when_short(docs: list[list[int]], T: int, end: int) -> Parts:
    x, y, doc_id = pack_documents(docs, T, end)
    return torch.stack(list(x)), torch.stack(list(y)), torch.stack(list(doc_id))


def owner_of_target(docs: list[list[int]], T: int, end: int) -> Parts:
    x, y, _ = pack_documents(docs, T, end)
    numbers = torch.tensor(expected(docs, T, end)[1], dtype=torch.long)
    return x, y, numbers[1 : x.numel() + 1].view(-1, T)


TASK = Task(
    name="pack_documents",
    entry="training_pipeline_bpe",
    statement=STATEMENT,
    starter=STARTER,
    reference=pack_documents,
    hints=HINTS,
    checks=(
        three_tensors,
        reads_the_stream,
        targets_are_next,
        owners,
        empty_documents,
        too_short,
        end_inside,
        end_id,
        inputs_kept,
    ),
    wrong={
        "shifted inside the row": shift_inside,
        "rolled inside the row": then(lambda x, y, d: (x, x.roll(-1, 1), d)),
        "rolled over the whole": then(lambda x, y, d: (x, x.flatten().roll(-1).view(x.shape), d)),
        "not shifted": then(lambda x, y, d: (x, x.clone(), d)),
        "shifted the other way": then(lambda x, y, d: (y, x, d)),
        "windows a step of T + 1 apart": steps_of_one_more,
        "no end tokens": packed(no_end),
        "end tokens in front": packed(end_in_front),
        "end tokens between documents": packed(end_between),
        "empty documents skipped": packed(empty_skipped),
        "end token given to the next document": packed(end_of_the_next),
        "documents counted by end tokens": packed(counted_by_end),
        "documents counted from 1": packed(from_one),
        "owner of the target": owner_of_target,
        "numbers that start anew in each row": then(lambda x, y, d: (x, y, d - d[:, :1])),
        "tail padded": tail_padded,
        "a row without its last target": rows_of_full_x,
        "each document packed alone": each_apart,
        "end tokens appended in place": appended_in_place,
        "dtype left open": dtype_left_open,
        "an error where there is no row": fails_when_short,
        "int32 inside": int32_inside,
        "int32": then(lambda x, y, d: (x.int(), y.int(), d.int())),
        "rows and columns swapped": then(lambda x, y, d: (x.T, y.T, d.T)),
        "filled column by column": then(lambda x, y, d: tuple(p.reshape(p.shape[::-1]).T for p in (x, y, d))),
        "last row dropped": then(lambda x, y, d: (x[:-1], y[:-1], d[:-1])),
    },
    also_right={
        "unfold": by_unfold,
        "row by row, a list of three": row_by_row,
        "tensors joined": by_tensors,
    },
    asked=3,
)
