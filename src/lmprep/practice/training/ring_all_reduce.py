"""All-reduce around a ring, with every transfer through a given function."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Send = Callable[[int, int, np.ndarray], np.ndarray]

STATEMENT = r"""
Write `ring_all_reduce(arrays, send)`. `arrays` is a list of $n \geq 1$ numpy arrays of one shape $(L,)$,
float64, $L \geq 0$; entry $r$ belongs to rank $r$. Return a list of $n$ new arrays, all equal to the sum, of
which none shares memory with another or with an input; the inputs stay as they are. Ranks know of each other
only what goes through `send(source, destination, chunk)`, which returns what arrives at `destination`: a copy
of `chunk`, an array $(k,)$ with $k \geq 0$. Rank $r$ sends to rank $(r + 1) \bmod n$ alone, and in all at
most $2 (n - 1) \lceil L / n \rceil$ numbers; with one rank nothing is sent.
"""

STARTER = '''
import numpy as np


def ring_all_reduce(arrays: list[np.ndarray], send) -> list[np.ndarray]:
    """Sum n arrays (L,) around a ring; rank r's result is entry r.

    send(source, destination, chunk) returns what arrives at the destination.
    """
    raise NotImplementedError
'''

HINTS = (
    "Cut every rank's copy into n chunks whose lengths differ by at most 1. Two rounds of n − 1 steps: in "
    "the first, what arrives is added; in the second, it replaces.",
    "In each step of the first round every rank passes on the chunk that it has just added to. Follow one "
    "chunk: it starts at some rank, visits all others and is complete at the last. Which chunk does rank r "
    "hold complete after the round?",
    "First round, step s: rank r sends chunk (r − s) mod n to its right neighbor, which adds it. Afterwards "
    "rank r has chunk r + 1 complete. Second round, step s: rank r sends chunk (r + 1 − s) mod n, and the "
    "neighbor overwrites its own. `np.array_split` makes the chunks; work on copies.",
)


def ring_all_reduce(arrays: list[np.ndarray], send: "Send") -> list[np.ndarray]:
    n = len(arrays)
    results = [array.copy() for array in arrays]
    chunks = [np.array_split(result, n) for result in results]  # views
    for step in range(n - 1):  # reduce-scatter
        for rank in range(n):
            index, right = (rank - step) % n, (rank + 1) % n
            chunks[right][index] += send(rank, right, chunks[rank][index])
    for step in range(n - 1):  # all-gather
        for rank in range(n):
            index, right = (rank + 1 - step) % n, (rank + 1) % n
            chunks[right][index][:] = send(rank, right, chunks[rank][index])
    return results


# What the checks use.

SIZES = ((2, 4), (3, 6), (4, 8), (5, 20))  # n and L
UNEVEN = ((2, 3), (3, 4), (4, 7), (5, 3))


@dataclass
class Wire:
    """Delivers copies and keeps a record; to the rank `broken` it delivers NaN."""

    broken: int = -1
    links: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def __call__(self, source: int, destination: int, chunk: np.ndarray) -> np.ndarray:
        self.links.append((int(source), int(destination)))
        self.sizes.append(int(np.size(chunk)))
        return np.full_like(chunk, np.nan) if destination == self.broken else np.copy(chunk)

    def sent(self, rank: int) -> int:
        """Numbers that a rank has sent."""
        return sum(size for (source, _), size in zip(self.links, self.sizes, strict=True) if source == rank)


def draw(rng: Rng, n: int, length: int) -> list[np.ndarray]:
    return [rng.standard_normal(length) for _ in range(n)]


def run(candidate: Candidate, arrays: list[np.ndarray], wire: Wire | None = None) -> tuple[Call, list[Any]]:
    """The call, and the answer if it is a list of n arrays (L,)."""
    call = Call(candidate, arrays=arrays, send=wire or Wire())
    n, length = len(arrays), len(arrays[0])
    cause = "a missing `return`, or one array in place of a list of one per rank"
    call.holds(isinstance(call.value, list | tuple) and len(call.value) == n,
               expected=f"a list of {n} arrays", got=type(call.value).__name__, cause=cause)  # fmt: skip
    for rank, result in enumerate(call.value):
        shape, dtype = getattr(result, "shape", None), str(getattr(result, "dtype", type(result).__name__))
        call.holds(shape == (length,) and dtype == "float64", expected=f"rank {rank}: float64 ({length},)",
                   got=f"{dtype} {shape}", cause="chunks not put together again, another dtype")  # fmt: skip
    return call, list(call.value)


def summed(candidate: Candidate, arrays: list[np.ndarray], cause: str) -> None:
    call, results = run(candidate, arrays)
    for rank, result in enumerate(results):
        call.same(f"rank {rank}'s result", result, np.sum(arrays, axis=0), cause=cause)


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns one array (L,) per rank."""
    for n, length in SIZES:
        run(candidate, draw(rng, n, length))


def sums(candidate: Candidate, rng: Rng) -> None:
    """Every rank ends with the sum of all arrays."""
    for n, length in SIZES:
        summed(candidate, draw(rng, n, length),
               "a chunk number off by one, a mean, or only one of the two rounds")  # fmt: skip


def uneven(candidate: Candidate, rng: Rng) -> None:
    """Also where n does not divide L, and where L is smaller than n."""
    for n, length in (*UNEVEN, (3, 0)):
        summed(candidate, draw(rng, n, length),
               "chunks of L // n numbers, which lose the rest: `np.array_split` loses nothing")  # fmt: skip


def alone(candidate: Candidate, rng: Rng) -> None:
    """One rank gets a copy of its own array and sends nothing."""
    wire = Wire()
    arrays = draw(rng, 1, 5)
    call, results = run(candidate, arrays, wire)
    call.same("rank 0's result", results[0], arrays[0], cause="n = 1 treated as a ring of two")
    call.holds(not wire.links, expected="nothing sent", got=f"{len(wire.links)} transfers",
               cause="a rank that sends to itself")  # fmt: skip


def neighbors(candidate: Candidate, rng: Rng) -> None:
    """Each rank sends to its right neighbor only."""
    for n, length in (*SIZES, *UNEVEN):
        wire = Wire()
        call, _ = run(candidate, draw(rng, n, length), wire)
        wrong = [link for link in wire.links if link[1] != (link[0] + 1) % n or not 0 <= link[0] < n]
        call.holds(not wrong, expected="transfers from r to (r + 1) mod n", got=f"{wrong[:1]}",
                   cause="a collection at one rank, a ring in the other direction, or source and "
                   "destination exchanged")  # fmt: skip


def traffic(candidate: Candidate, rng: Rng) -> None:
    """No rank sends more than 2 (n − 1) ⌈L / n⌉ numbers."""
    for n, length in (*SIZES, *UNEVEN, (6, 30)):
        wire = Wire()
        call, _ = run(candidate, draw(rng, n, length), wire)
        limit, most = 2 * (n - 1) * -(-length // n), max(map(wire.sent, range(n)))
        call.holds(most <= limit, expected=f"at most {limit} numbers from any rank", got=f"{most}",
                   cause="whole arrays sent around the ring, where each step takes one chunk")  # fmt: skip


def through_send(candidate: Candidate, rng: Rng) -> None:
    """Every number of a result has come over the wire: what arrives at a rank as NaN is NaN there."""
    cause = "another rank's array read without `send`, or what `send` returns thrown away"
    for n, length in (*SIZES, *UNEVEN):
        for rank in range(n):
            call, results = run(candidate, draw(rng, n, length), Wire(broken=rank))
            call.holds(np.isnan(results[rank]).all(), expected=f"rank {rank}: NaN everywhere, as it arrives",
                       got=f"rank {rank}: {results[rank]}", cause=cause)  # fmt: skip


def separate(candidate: Candidate, rng: Rng) -> None:
    """Results share no memory, and the inputs stay as they are."""
    for n, length in ((1, 4), (2, 4), (3, 7)):
        arrays = draw(rng, n, length)
        call, results = run(candidate, arrays)
        call.unchanged()
        given = call._passed["arrays"]
        every = [*results, *given]
        shared = any(np.shares_memory(a, b) for i, a in enumerate(every) for b in every[:i])
        call.holds(not shared, expected="memory of its own for each rank's result", got="shared memory",
                   cause="`[total] * n`, views of an input, or an input returned")  # fmt: skip


# Right answers of other style, and wrong ones.


def stacked(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    """Equal chunks by padding, tables of chunks, and the other numbering: rank r completes chunk r."""
    n, length = len(arrays), len(arrays[0])
    size = -(-length // n)
    held = [np.pad(array, (0, n * size - length)).reshape(n, size) for array in arrays]
    for step in range(n - 1):
        moving = [send(rank, (rank + 1) % n, held[rank][(rank - step - 1) % n]) for rank in range(n)]
        for rank, chunk in enumerate(moving):
            held[(rank + 1) % n][(rank - step - 1) % n] += chunk
    for step in range(n - 1):
        moving = [send(rank, (rank + 1) % n, held[rank][(rank - step) % n]) for rank in range(n)]
        for rank, chunk in enumerate(moving):
            held[(rank + 1) % n][(rank - step) % n] = chunk
    return [table.reshape(-1)[:length].copy() for table in held]


def by_chunk(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    """One chunk after the other: around the ring to its last rank, and around once more."""
    n = len(arrays)
    pieces: list[list[np.ndarray]] = [[] for _ in range(n)]
    for index, parts in enumerate(zip(*(np.array_split(array, n) for array in arrays), strict=True)):
        running = parts[index]
        for hop in range(1, n):
            rank = (index + hop) % n
            running = parts[rank] + send((rank - 1) % n, rank, running)
        last = (index + n - 1) % n
        found = {last: running}
        for hop in range(1, n):
            rank = (last + hop) % n
            found[rank] = send((rank - 1) % n, rank, found[(rank - 1) % n])
        for rank in range(n):
            pieces[rank].append(found[rank])
    return [np.concatenate(each).copy() for each in pieces]


def varied(
    *,
    first: int = 0,
    second: int = 1,
    steps: tuple[int, int] = (-1, -1),
    split: Callable[[np.ndarray, int], list[np.ndarray]] = np.array_split,
    direction: int = 1,
    adds_again: bool = False,
    copies: bool = True,
    finish: Callable[[np.ndarray, int], np.ndarray] = lambda result, n: result,
) -> Candidate:
    """The right answer with one part changed."""

    def answer(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
        n = len(arrays)
        results = [array.copy() if copies else array for array in arrays]
        chunks = [split(result, n) for result in results]
        for step in range(max(0, n + steps[0])):
            for rank in range(n):
                index, right = (rank - step + first) % n, (rank + direction) % n
                chunks[right][index] += send(rank, right, chunks[rank][index])
        for step in range(max(0, n + steps[1])):
            for rank in range(n):
                index, right = (rank + second - step) % n, (rank + direction) % n
                arrived = send(rank, right, chunks[rank][index])
                chunks[right][index][:] = chunks[right][index] + arrived if adds_again else arrived
        return [finish(result, n) for result in results]

    return answer


def cut_short(array: np.ndarray, n: int) -> list[np.ndarray]:
    size = len(array) // n
    return [array[i * size : (i + 1) * size] for i in range(n)]


def through_rank_0(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    total = arrays[0].copy()
    for rank in range(1, len(arrays)):
        total += send(rank, 0, arrays[rank])
    return [total, *(send(0, rank, total) for rank in range(1, len(arrays)))]


def whole_arrays(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    n = len(arrays)
    results, moving = [array.copy() for array in arrays], list(arrays)
    for _ in range(n - 1):
        moving = [send((rank - 1) % n, rank, moving[(rank - 1) % n]) for rank in range(n)]
        results = [result + arrived for result, arrived in zip(results, moving, strict=True)]
    return results


def without_send(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    return [np.sum(arrays, axis=0) for _ in arrays]


def in_equal_chunks_only(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    divides = len(arrays[0]) % len(arrays) == 0
    return (ring_all_reduce if divides else without_send)(arrays, send)


def for_show(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    ring_all_reduce(arrays, send)
    return without_send(arrays, send)


def one_total(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    return [ring_all_reduce(arrays, send)[0]] * len(arrays)


def gathers_without_send(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    n = len(arrays)
    chunks = [np.array_split(array.copy(), n) for array in arrays]
    for step in range(n - 1):
        for rank in range(n):
            index, right = (rank - step) % n, (rank + 1) % n
            chunks[right][index] += send(rank, right, chunks[rank][index])
    return [np.concatenate([chunks[(index - 1) % n][index] for index in range(n)]) for _ in range(n)]


def in_float32(arrays: list[np.ndarray], send: Send) -> list[np.ndarray]:
    with np.errstate(over="ignore"):
        halves = [array.astype(np.float32) for array in arrays]
    return [result.astype(np.float64) for result in ring_all_reduce(halves, send)]


TASK = Task(
    name="ring_all_reduce",
    entry="ddp_ring_zero",
    statement=STATEMENT,
    starter=STARTER,
    reference=ring_all_reduce,
    hints=HINTS,
    checks=(shapes, sums, uneven, alone, neighbors, traffic, through_send, separate),
    wrong={
        "mean instead of sum": varied(finish=lambda result, n: result / n),
        "only reduce-scatter": varied(steps=(-1, -100)),
        "second round starts at the wrong chunk": varied(second=0),
        "second round adds": varied(adds_again=True),
        "one step too few": varied(steps=(-2, -1)),
        "one step too many": varied(steps=(0, -1)),
        "one step too many in the second round": varied(steps=(-1, 0)),
        "the rest of L / n lost": varied(split=cut_short),
        "works on the inputs": varied(copies=False),
        "to the left": varied(direction=-1),
        "everything to rank 0": through_rank_0,
        "whole arrays around the ring": whole_arrays,
        "sums without sending": without_send,
        "sums without sending where n does not divide L": in_equal_chunks_only,
        "sends for show": for_show,
        "gathers without sending": gathers_without_send,
        "one array for all ranks": one_total,
        "float32": in_float32,
    },
    also_right={"padded chunks, all at once": stacked, "one chunk after the other": by_chunk},
    asked=2,
)
