"""One step of reservoir sampling."""

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `reservoir_add(buf, item, n_seen, k, rng)`, one step of reservoir sampling: the list `buf` holds a
uniform sample of the $n$ = `n_seen` items that came before, $\min(n, k)$ of them, and afterwards it
must hold a uniform sample of all $n + 1$, `item` included. Change `buf` in place; what the function
returns is ignored. While $n < k$ the item is appended; from then on it takes the seat of an item that
is there, each seat being as likely as any other, or is dropped, and all others stay in their seats.
With `k` = 0 nothing is stored, and `n_seen` may be as large as $10^{12}$, so take neither time nor
memory that grows with it. Chance comes from the NumPy generator `rng` alone. Items may be anything,
also equal to each other or None; they are stored as they are, not copied.
"""

STARTER = '''
from typing import Any

import numpy as np


def reservoir_add(
    buf: list[Any], item: Any, n_seen: int, k: int, rng: np.random.Generator
) -> None:
    """One step of reservoir sampling, in place.

    buf: the sample so far, min(n_seen, k) items.
    n_seen: how many items came before this one. k: seats, from 0.
    """
    raise NotImplementedError
'''

HINTS = (
    "What must the probability be that the newest item is in the sample? Count it among those seen.",
    "Let a single draw decide both, whether the item gets a seat and which one: a whole number among as many "
    "as have now been seen.",
    "Append while fewer than k have been seen. After that draw a whole number from 0 to n_seen, both "
    "included. If it is below k, put the item into the seat with that number; otherwise change nothing.",
)


def reservoir_add(buf: list[Any], item: Any, n_seen: int, k: int, rng: np.random.Generator) -> None:
    if n_seen < k:
        buf.append(item)
        return
    place = int(rng.integers(n_seen + 1))  # among all seen, this one included
    if place < k:
        buf[place] = item


# What the checks are made with.

_SIGMAS = 6  # standard errors: a share leaves this range once in 500 million times


def added(candidate: Candidate) -> Callable[..., list[Any]]:
    """`candidate` as a function that returns the list after one item."""

    def run(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> list[Any]:
        candidate(buf, item, n_seen, k, rng)
        return buf

    return run


def streamed(candidate: Candidate) -> Callable[..., list[Any]]:
    """`candidate` as a function that returns the list after the stream 0, 1, …, n − 1."""

    def run(n: int, k: int, rng: Rng) -> list[Any]:
        buf: list[Any] = []
        for item in range(n):
            candidate(buf, item, item, k, rng)
        return buf

    return run


def repeated(candidate: Candidate) -> Callable[..., list[int]]:
    """`candidate` as a function that returns, for each seat, how often a newcomer takes it in many trials."""

    def run(n_seen: int, k: int, trials: int, rng: Rng) -> list[int]:
        taken = [0] * k
        for _ in range(trials):
            buf = list(range(k))
            candidate(buf, -1, n_seen, k, rng)
            if -1 in buf:
                taken[buf.index(-1)] += 1
        return taken

    return run


def share(call: Call, name: str, hits: float, trials: int, p: float, cause: str) -> None:
    allowed = _SIGMAS * (p * (1 - p) / trials) ** 0.5
    call.holds(abs(hits / trials - p) <= allowed + 1e-12, expected=f"{name} {p:.4g} ± {allowed:.2g}",
               got=f"{hits / trials:.4g} in {trials} trials", cause=cause)  # fmt: skip


# Checks.


def fills(candidate: Candidate, rng: Rng) -> None:
    """While fewer than k items were seen, each is appended to buf, in place."""
    for n, k in ((1, 1), (1, 3), (2, 3), (3, 3), (9, 20)):
        call = Call(streamed(candidate), n=n, k=k, rng=rng)
        call.equals("buf", call.value, list(range(n)),
                    cause="a new list bound to the name `buf`, or chance where none belongs")  # fmt: skip


def size(candidate: Candidate, rng: Rng) -> None:
    """buf never holds more than k items, nor fewer than were seen up to k."""
    for n, k in ((2, 1), (5, 1), (4, 3), (5, 3), (30, 7)):
        call = Call(streamed(candidate), n=n, k=k, rng=rng)
        call.holds(len(call.value) == min(n, k), expected=f"{min(n, k)} items", got=f"{len(call.value)}",
                   cause="an append where a seat should be taken, or an item removed")  # fmt: skip
        call.holds(len(set(call.value)) == len(call.value) and set(call.value) <= set(range(n)),
                   expected="different items of the stream", got=str(call.value),
                   cause="something else than the item is stored, or it is stored twice")  # fmt: skip


def no_seats(candidate: Candidate, rng: Rng) -> None:
    """With k = 0 nothing is stored, and nothing is raised."""
    for n in (1, 2, 9):
        call = Call(streamed(candidate), n=n, k=0, rng=rng)
        call.equals(
            "buf", call.value, [], cause="a draw among no seats, or the first item kept without asking"
        )


def others_stay(candidate: Candidate, rng: Rng) -> None:
    """Once buf is full, at most one seat changes, and the newcomer sits there."""
    for n_seen, k in ((1, 1), (3, 3), (4, 3), (7, 6)):
        for _ in range(20):
            call = Call(added(candidate), buf=list(range(k)), item=-1, n_seen=n_seen, k=k, rng=rng)
            changed = [new for old, new in enumerate(call.value) if old != new]
            call.holds(len(call.value) == k and changed in ([], [-1]),
                       expected="the same items in their seats, or -1 in one of them", got=str(call.value),
                       cause="a removal and an append, which moves the others up, or a shuffle")  # fmt: skip


def newest(candidate: Candidate, rng: Rng) -> None:
    """The newest item gets a seat with probability k / (n_seen + 1)."""
    for n_seen, k in ((1, 1), (2, 1), (2, 2), (3, 2), (5, 4), (9, 4), (40, 8)):
        call = Call(repeated(candidate), n_seen=n_seen, k=k, trials=1500, rng=rng)
        share(call, "a share of newcomers of", sum(call.value), 1500, k / (n_seen + 1),
              "a constant probability, a newcomer that always gets a seat or never does, or n_seen taken "
              "with the newcomer, where it is without")  # fmt: skip


def uniform(candidate: Candidate, rng: Rng) -> None:
    """After a whole stream, every item is in the sample with probability k / n."""
    for n, k in ((2, 1), (3, 2), (6, 1), (12, 4)):
        trials, counts = 800, np.zeros(n)
        for _ in range(trials):
            call = Call(streamed(candidate), n=n, k=k, rng=rng)
            counts[call.value] += 1
        for item, count in enumerate(counts):
            share(call, f"item {item} in a share of", float(count), trials, k / n,
                  "recent or early items favored, or a generator that draws the same each time")  # fmt: skip


def chance_from_rng(candidate: Candidate, rng: Rng) -> None:
    """All chance comes from rng: the same state gives the same sample, another state another."""
    for n, k in ((200, 5), (300, 20)):
        number = int(rng.integers(2**32))
        first, second, other = (
            Call(streamed(candidate), n=n, k=k, rng=np.random.default_rng(number + extra))
            for extra in (0, 0, 1)
        )
        cause = "`random`, `np.random`, or a generator made inside the function"
        first.equals("buf, a second time from the same state,", second.value, first.value, cause=cause)
        first.holds(first.value != other.value, expected="another sample from another state",
                    got="the same one", cause=cause)  # fmt: skip


def any_item(candidate: Candidate, rng: Rng) -> None:
    """Items may be anything, also equal or None, and are stored as they are."""
    for n_seen, k in ((0, 1), (2, 3)):
        for item in (None, 0, "", float("nan"), object()):
            call = Call(added(candidate), buf=[item] * n_seen, item=item, n_seen=n_seen, k=k, rng=rng)
            call.holds(len(call.value) == n_seen + 1 and call.value[-1] is item,
                       expected="the item itself, appended", got=str(call.value),
                       cause="a copy of the item, or a look at it: `if item`, `item not in buf`")  # fmt: skip
    taken = Call(repeated_equal(candidate), n_seen=1, k=1, trials=400, rng=rng)
    taken.holds(taken.value >= 0, expected="items as they were", got="an item changed in place",
                cause="a method that changes the item")  # fmt: skip
    share(
        taken,
        "a share of equal newcomers of",
        taken.value,
        400,
        1 / 2,
        "`item not in buf`: equal items count too",
    )


def repeated_equal(candidate: Candidate) -> Callable[..., int]:
    """How often a newcomer that equals what is there, but is another object, takes the only seat; −1 if an
    item changes."""

    def run(n_seen: int, k: int, trials: int, rng: Rng) -> int:
        taken = 0
        for _ in range(trials):
            old, new = [1], [1]
            buf = [old]
            candidate(buf, new, n_seen, k, rng)
            if (old, new) != ([1], [1]):
                return -1
            taken += buf[0] is new
        return taken

    return run


def long_streams(candidate: Candidate, rng: Rng) -> None:
    """Late in a stream of 10¹² items it is as fast, and nearly always leaves buf as it is."""
    for n_seen in (10**6, 10**9, 10**12):
        for _ in range(30):
            call = Call(added(candidate), buf=[0, 1, 2], item=-1, n_seen=n_seen, k=3, rng=rng)
            call.holds(sum(item == -1 for item in call.value) <= 1 and len(call.value) == 3,
                       expected="three items", got=str(call.value),
                       cause="an item stored more than once")  # fmt: skip
    call = Call(repeated(candidate), n_seen=10**9, k=3, trials=300, rng=rng)
    call.holds(sum(call.value) == 0, expected="no seat taken in 300 trials", got=str(sum(call.value)),
               cause="a probability that does not fall with n_seen")  # fmt: skip


# Right answers of other style, and wrong ones.


def chance_then_seat(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> list[Any]:
    if len(buf) < k:
        buf.append(item)
    elif rng.random() < k / (n_seen + 1):
        buf[rng.integers(k)] = item
    return buf


def by_slice(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    seat = n_seen if n_seen < k else int(rng.random() * (n_seen + 1))
    if seat < k:
        buf[seat : seat + 1] = [item]


def by_choice(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if n_seen < k:
        buf += [item]
    elif (seat := rng.integers(1, n_seen + 1, endpoint=True)) <= k:
        buf[k - seat] = item


def full(replace: Callable[[list[Any], Any, int, int, Rng], object]) -> Candidate:
    """An answer that fills buf rightly and then does `replace`."""

    def answer(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
        if n_seen < k:
            buf.append(item)
        elif k:
            replace(buf, item, n_seen, k, rng)

    return answer


def seat_by(draw: Callable[[int, int, Rng], int]) -> Candidate:
    """An answer that takes the seat drawn, if there is such a seat."""

    def replace(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
        if (seat := draw(n_seen, k, rng)) < k:
            buf[seat] = item

    return full(replace)


def never_asks_about_seats(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if n_seen < k:
        buf.append(item)
    else:
        buf[int(rng.integers(k))] = item


def off_by_one_seat(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if n_seen < k:
        buf.append(item)
    elif (seat := int(rng.integers(n_seen + 1))) <= k:
        buf[seat] = item


def new_list(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> list[Any]:
    buf = list(buf)
    reservoir_add(buf, item, n_seen, k, rng)
    return buf


def moves_up(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if (seat := int(rng.integers(n_seen + 1))) < k:
        del buf[seat]
        buf.append(item)


def keeps_one_too_many(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if n_seen <= k:
        buf.append(item)
    else:
        reservoir_add(buf, item, n_seen, k, rng)


def fills_by_chance(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if len(buf) < k and rng.random() < 0.5:
        buf.append(item)
    elif len(buf) >= k:
        reservoir_add(buf, item, n_seen, k, rng)


def only_new(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if item not in buf:
        reservoir_add(buf, item, n_seen, k, rng)


def only_true(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    if item is not None:
        reservoir_add(buf, item, n_seen, k, rng)


def copies(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    reservoir_add(buf, copy.deepcopy(item), n_seen, k, rng)


def by_length(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    reservoir_add(buf, item, len(buf), k, rng)


def drops_when_full(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    buf.append(item)
    if len(buf) > k:
        del buf[int(rng.integers(len(buf)))]


def own_generator(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    reservoir_add(buf, item, n_seen, k, np.random.default_rng())


def same_generator(buf: list[Any], item: Any, n_seen: int, k: int, rng: Rng) -> None:
    reservoir_add(buf, item, n_seen, k, np.random.default_rng(n_seen))


TASK = Task(
    name="reservoir_add",
    entry="continual_learning",
    statement=STATEMENT,
    starter=STARTER,
    reference=reservoir_add,
    hints=HINTS,
    checks=(
        fills,
        size,
        no_seats,
        others_stay,
        uniform,
        newest,
        chance_from_rng,
        any_item,
        long_streams,
    ),
    wrong={
        "replaces with probability ½": full(
            lambda buf, item, n, k, rng: (
                buf.__setitem__(int(rng.integers(k)), item) if rng.random() < 0.5 else None
            )
        ),
        "always replaces": seat_by(lambda n, k, rng: int(rng.integers(k))),
        "always replaces, no seats": never_asks_about_seats,
        "first k only": full(lambda buf, item, n, k, rng: None),
        "last k only": full(lambda buf, item, n, k, rng: buf.__setitem__(slice(None), [*buf[1:], item])),
        "ring": seat_by(lambda n, k, rng: n % k),
        "n_seen with the newcomer": seat_by(lambda n, k, rng: int(rng.integers(n))),
        "one too many to draw from": seat_by(lambda n, k, rng: int(rng.integers(n + 2))),
        "one seat too many": off_by_one_seat,
        "last seat never taken": seat_by(
            lambda n, k, rng: k if (j := int(rng.integers(n + 1))) == k - 1 else j
        ),
        "first seat always": seat_by(lambda n, k, rng: 0 if rng.random() < k / (n + 1) else k),
        "probability 1/(n + 1)": seat_by(
            lambda n, k, rng: int(rng.integers(k)) if rng.random() < 1 / (n + 1) else k
        ),
        "another list": new_list,
        "seats move up": full(moves_up),
        "one item too many": keeps_one_too_many,
        "filled by chance": fills_by_chance,
        "new values only": only_new,
        "None left out": only_true,
        "copies stored": copies,
        "counts the list": by_length,
        "appended, then one dropped": drops_when_full,
        "a generator of its own": own_generator,
        "a generator seeded by n_seen": same_generator,
        "a window of 20": seat_by(lambda n, k, rng: int(rng.integers(min(n, 20) + 1))),
        "a window of 60": seat_by(lambda n, k, rng: int(rng.integers(min(n, 60) + 1))),
        "Python's random": seat_by(lambda n, k, rng: random.randrange(n + 1)),
    },
    also_right={
        "chance, then seat": chance_then_seat,
        "a slice, a scaled uniform number": by_slice,
        "seats counted from 1, backward": by_choice,
    },
    asked=2,
)
