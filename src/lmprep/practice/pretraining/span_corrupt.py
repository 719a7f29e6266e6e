"""T5's span corruption: what the encoder reads and what the decoder writes."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from lmprep.practice.checks import Call, Rng, raises
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `span_corrupt(ids, rate, mean_length, sentinels, rng)`: inputs and target for one text of $T$ token
ids, as two lists. Of the text $n$ tokens are hidden, in $k$ spans of at least one token, with at least one
visible token between any two spans; rounding is yours, but $n$ must differ from `rate` $\cdot\, T$, and $k$
from $n$ / `mean_length`, by less than 1, and $k \ge 1$ if $n \ge 1$. In the inputs the $i$-th span from the
left, as a whole, is replaced by the $i$-th sentinel; the target holds, in the same order, each sentinel
followed by its span's tokens, and then one sentinel more, the next one, so that at rate 0 the inputs are the
text and the target is the first sentinel alone. Raise `ValueError` if there are fewer than $k + 1$ sentinels.
Draw the spans as you like, but from `rng` alone (a `numpy.random.Generator`; in the same state it gives the
same answer): from draw to draw, in a text of several spans, their lengths must differ, and so must the
visible stretches between them, and every token, except perhaps the first and the last, is now hidden and now
visible. Leave the lists as they were; `rate` is from 0 to 0.5, `mean_length` at least 2, no sentinel occurs
in the text, and the text may be empty.
"""

STARTER = '''
import numpy as np


def span_corrupt(
    ids: list[int],
    rate: float,
    mean_length: float,
    sentinels: list[int],
    rng: np.random.Generator,
) -> tuple[list[int], list[int]]:
    """Hide spans of a text behind sentinels.

    ids: T token ids, T may be 0. rate: share of tokens to hide. mean_length: tokens per span.
    Returns inputs and target.
    """
    raise NotImplementedError
'''

HINTS = (
    "Draw the spans first and write the two lists afterwards. Two things describe k spans that do not touch. "
    "One is how long each is. What is the other?",
    "Lengths: cut n tokens into k parts, none empty, by choosing k − 1 of the n − 1 places between them. "
    "Positions: the T − n visible tokens leave T − n + 1 slots, in front, between and behind.",
    "Choose k different slots and sort them: no two spans can then touch. A span starts at its slot plus "
    "the tokens hidden before it. Walk through the spans in order: copy the visible stretch and a sentinel "
    "to the inputs, the sentinel and the span to the target. In the end copy the rest, and add one more "
    "sentinel.",
)


def span_corrupt(
    ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    n = round(rate * len(ids))
    k = max(1, round(n / mean_length)) if n else 0
    if len(sentinels) < k + 1:
        raise ValueError(f"{k} spans need {k + 1} sentinels, got {len(sentinels)}")
    slots = np.sort(rng.permutation(len(ids) - n + 1)[:k])
    cuts = np.sort(rng.permutation(max(n - 1, 0))[: max(k - 1, 0)]) + 1
    lengths: list[int] = np.diff([0, *cuts, n]).tolist() if n else []
    inputs, target, read, hidden = [], [], 0, 0
    for sentinel, slot, length in zip(sentinels, slots, lengths, strict=False):
        start = slot + hidden
        inputs += [*ids[read:start], sentinel]
        target += [sentinel, *ids[start : start + length]]
        read, hidden = start + length, hidden + length
    return inputs + ids[read:], [*target, sentinels[k]]


# What the checks look at.

CASES = (  # T, rate, mean length
    (1, 0.5, 2.0),
    (2, 0.5, 2.0),
    (3, 0.4, 2.0),
    (8, 0.25, 2.0),
    (12, 0.5, 2.0),
    (40, 0.5, 2.5),
    (61, 0.37, 4.0),
)
DRAWS = 2  # of each case
MANY = 60

Lists = tuple[list[int], list[int]]
Spans = list[tuple[int, int]]  # start and length


def text(rng: Rng, T: int) -> list[int]:
    """Different ids, 0 among them now and then."""
    ids: list[int] = rng.permutation(3 * T)[:T].tolist()
    return ids


def ends(rng: Rng, T: int) -> list[int]:
    """Sentinels for any text of T tokens: counted down, as T5's are, or in no order."""
    count = T // 2 + 3
    down = list(range(32_099, 32_099 - count, -1))
    return down if rng.random() < 0.5 else rng.permutation(down).tolist()


def run(
    candidate: Candidate, rng: Rng, ids: list[int], rate: float, mean_length: float, sentinels: list[int]
) -> tuple[Call, list[int], list[int]]:
    """The call and its two lists."""
    source = np.random.default_rng(int(rng.integers(2**31)))
    call = Call(candidate, ids=ids, rate=rate, mean_length=mean_length, sentinels=sentinels, rng=source)
    parts = call.value
    if not isinstance(parts, tuple | list) or len(parts) != 2 or not all(isinstance(p, list) for p in parts):
        call.fail("inputs and target, two lists", f"{type(parts).__name__} {parts!r}"[:200],
                  "a missing `return`, arrays in place of lists, or one list for both")  # fmt: skip
    return call, parts[0], parts[1]


def restored(inputs: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """The text: whatever stands between two sentinels of the target, put back."""
    spans: dict[int, list[int]] = {}
    name = None
    for token in target:
        if token in sentinels:
            name = token
            spans[name] = []
        elif name is not None:
            spans[name].append(token)
    return [i for token in inputs for i in (spans.get(token, []) if token in sentinels else [token])]


def counted(inputs: list[int], target: list[int], sentinels: list[int]) -> tuple[int, int]:
    """n and k, as the lists show them."""
    return sum(i not in sentinels for i in target), sum(i in sentinels for i in inputs)


def each_case(candidate: Candidate, rng: Rng, look: Callable[..., None]) -> None:
    for T, rate, mean_length in CASES:
        for _ in range(DRAWS):
            ids, sentinels = text(rng, T), ends(rng, T)
            call, inputs, target = run(candidate, rng, ids, rate, mean_length, sentinels)
            look(call, inputs, target)


# Checks.


def two_lists(candidate: Candidate, rng: Rng) -> None:
    """Returns inputs and target, two lists of ids."""
    each_case(candidate, rng, lambda *_: None)


def nothing_hidden(candidate: Candidate, rng: Rng) -> None:
    """At rate 0, and for an empty text, the inputs are the text and the target is one sentinel."""
    for T, rate in ((0, 0.0), (0, 0.5), (1, 0.0), (5, 0.0), (30, 0.0)):
        ids, sentinels = text(rng, T), ends(rng, T)
        call, inputs, target = run(candidate, rng, ids, rate, 3.0, sentinels)
        call.equals("inputs", inputs, ids, cause="a token hidden all the same: at rate 0 there is no span")
        call.equals("target", target, sentinels[:1], cause="an empty target: the last sentinel is missing")


def gives_the_text_back(candidate: Candidate, rng: Rng) -> None:
    """Each sentinel of the inputs, replaced by its tokens in the target, gives the text."""

    def look(call: Call, inputs: list[int], target: list[int]) -> None:
        back = restored(inputs, target, call.inputs["sentinels"])
        call.equals("the text put back", back, call.inputs["ids"],
                    cause="a span off by one, spans not in order, one sentinel used twice, hidden tokens "
                    "left in the inputs or visible ones in the target")  # fmt: skip

    each_case(candidate, rng, look)


def sentinels_in_order(candidate: Candidate, rng: Rng) -> None:
    """Sentinels come in the order given, the same in both lists, and the target has one more at its end."""

    def look(call: Call, inputs: list[int], target: list[int]) -> None:
        sentinels = call.inputs["sentinels"]
        _, k = counted(inputs, target, sentinels)
        call.equals("sentinels of the inputs", [i for i in inputs if i in sentinels], sentinels[:k],
                    cause="one sentinel for all spans, or sentinels sorted or made up")  # fmt: skip
        call.equals("sentinels of the target", [i for i in target if i in sentinels], sentinels[: k + 1],
                    cause="the last sentinel missing, or one for each token")  # fmt: skip
        call.equals("the target's last id", target[-1:], sentinels[k : k + 1],
                    cause="the last sentinel missing, or not at the end")  # fmt: skip

    each_case(candidate, rng, look)


def counts(candidate: Candidate, rng: Rng) -> None:
    """n is within 1 of rate · T, k within 1 of n / mean_length and at least 1."""

    def look(call: Call, inputs: list[int], target: list[int]) -> None:
        given = call.inputs
        n, k = counted(inputs, target, given["sentinels"])
        wanted = given["rate"] * len(given["ids"])
        call.holds(abs(n - wanted) < 1, expected=f"hidden tokens within 1 of {wanted:.4g}", got=str(n),
                   cause="a coin tossed for each token, the rate used for spans in place of tokens, or spans "
                   "that overlap")  # fmt: skip
        wanted = n / given["mean_length"]
        call.holds(abs(k - wanted) < 1 and (k >= 1 or n == 0), got=str(k),
                   expected=f"spans within 1 of {wanted:.4g}, and one if a token is hidden",
                   cause="a sentinel for each token, mean_length not used, or spans that touch and "
                   "are counted as one")  # fmt: skip

    each_case(candidate, rng, look)


def apart(candidate: Candidate, rng: Rng) -> None:
    """A visible token stands between any two spans, and no span is empty."""

    def look(call: Call, inputs: list[int], target: list[int]) -> None:
        sentinels = call.inputs["sentinels"]
        for name, ids in (("inputs", inputs), ("target", target)):
            touching = any(a in sentinels and b in sentinels for a, b in pairwise(ids))
            call.holds(not touching, expected=f"a token between any two sentinels of the {name}",
                       got=str(ids), cause="starts drawn independently, so that spans touch, or a cut at 0 "
                       "or drawn twice, so that a span is empty")  # fmt: skip

    each_case(candidate, rng, look)


def drawn(candidate: Candidate, rng: Rng) -> None:
    """Over many draws every inner token is now hidden and now visible, and spans and gaps vary in length."""
    T, ids = 20, list(range(20))
    hidden, lengths, gaps = np.zeros(T), set(), set()
    for _ in range(MANY):
        call, inputs, _ = run(candidate, rng, ids, 0.4, 2.0, ends(rng, T))
        out = sorted(set(ids) - set(inputs))
        hidden[out] += 1
        starts = [i for i in out if i - 1 not in out]
        stops = [i + 1 for i in out if i + 1 not in out]
        lengths.add(tuple(sorted(stop - start for start, stop in zip(starts, stops, strict=True))))
        gaps.add(tuple(start - stop for start, stop in zip(starts[1:], stops, strict=False)))
    stuck = [i for i in range(1, T - 1) if hidden[i] in (0, MANY)]
    call.holds(not stuck, expected=f"each of tokens 1 to {T - 2} hidden in some of {MANY} draws",
               got=f"always or never: {stuck}", cause="spans at fixed places, in equal steps, or only in "
               "one part of the text; or `rng` not used")  # fmt: skip
    call.holds(len(lengths) > 1, expected="spans of different lengths", got=f"always {lengths.pop()}",
               cause="each span as long as the mean: the lengths are drawn too")  # fmt: skip
    call.holds(len(gaps) > 1, expected="visible stretches of different lengths between spans",
               got=f"always {gaps.pop()}", cause="one start drawn, the spans in a row behind it")  # fmt: skip


def repeatable(candidate: Candidate, rng: Rng) -> None:
    """The same state of `rng` gives the same answer, and no other random numbers are used or changed."""
    ids, state = text(rng, 40), int(rng.integers(2**31))
    np.random.seed(0)  # noqa: NPY002 — the state that must not matter
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    sentinels = ends(rng, 40)
    _, *first = run(candidate, np.random.default_rng(state), ids, 0.3, 2.0, sentinels)
    np.random.seed(1)  # noqa: NPY002
    call, *second = run(candidate, np.random.default_rng(state), ids, 0.3, 2.0, sentinels)
    cause = "random numbers from another place than `rng`: `random`, `np.random.…`, a generator of your own"
    call.equals("inputs and target, once more", second, first, cause=cause)
    np.random.seed(0)  # noqa: NPY002
    call, *_ = run(candidate, rng, ids, 0.3, 2.0, sentinels)
    call.holds(np.random.get_state()[1].tolist() == before,  # type: ignore[index]  # noqa: NPY002
               expected="numpy's global state as it was", got="another state", cause=cause)  # fmt: skip


def too_few_sentinels(candidate: Candidate, rng: Rng) -> None:
    """k + 1 sentinels are enough, k are not: ValueError."""
    for T, rate, mean_length, k in (
        (8, 0.25, 2.0, 1),
        (40, 0.5, 2.0, 10),
        (60, 0.1, 3.0, 2),
        (4, 0.0, 2.0, 0),
    ):
        ids, sentinels = text(rng, T), list(range(500, 501 + k))
        source = np.random.default_rng(int(rng.integers(2**31)))
        Call(candidate, ids=ids, rate=rate, mean_length=mean_length, sentinels=sentinels, rng=source)
        raises(ValueError, candidate, ids=ids, rate=rate, mean_length=mean_length, sentinels=sentinels[:k],
               rng=source, cause="no test, an IndexError, or the last sentinel not counted")  # fmt: skip


def repeated_tokens(candidate: Candidate, rng: Rng) -> None:
    """Tokens may repeat: spans are places, not tokens."""
    for T in (6, 30):
        ids = rng.integers(2, size=T).tolist()
        sentinels = ends(rng, T)
        call, inputs, target = run(candidate, rng, ids, 0.5, 2.0, sentinels)
        call.equals("the text put back", restored(inputs, target, sentinels), ids,
                    cause="tokens looked up by value (`ids.index`, `in`), not by place")  # fmt: skip


def lists_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the text and the sentinels as they were."""
    each_case(
        candidate, rng, lambda call, *_: call.unchanged(cause="`del ids[…]`, `sentinels.pop(0)`, an alias")
    )


# Right answers of other style, and wrong ones.


def sizes(T: int, rate: float, mean_length: float) -> tuple[int, int]:
    n = round(rate * T)
    return n, max(1, round(n / mean_length)) if n else 0


def parts(total: int, count: int, rng: Rng) -> list[int]:
    """`total` things in `count` parts, none empty: T5's shuffle of the marks where a part begins."""
    marks = rng.permutation(np.arange(total - 1) < count - 1)
    return np.bincount(np.concatenate([[0], np.cumsum(marks)]).astype(int)).tolist()


def write(ids: list[int], spans: Spans, sentinels: list[int]) -> Lists:
    if len(sentinels) < len(spans) + 1:
        raise ValueError("sentinels")
    inputs: list[int] = []
    target: list[int] = []
    read = 0
    for sentinel, (start, length) in zip(sentinels, spans, strict=False):
        inputs += [*ids[read:start], sentinel]
        target += [sentinel, *ids[start : start + length]]
        read = start + length
    return inputs + ids[read:], [*target, sentinels[len(spans)]]


def t5_spans(T: int, n: int, k: int, rng: Rng) -> Spans:
    """Begins with a visible token, ends with a hidden one."""
    if n in (0, T):
        return [(0, n)] if n else []
    hidden, visible = parts(n, k, rng), parts(T - n, k, rng)
    starts = np.cumsum(visible) + np.cumsum([0, *hidden[:-1]])
    return list(zip(starts.tolist(), hidden, strict=True))


def as_t5(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    return write(ids, t5_spans(len(ids), *sizes(len(ids), rate, mean_length), rng), sentinels)


def at_least_one_and_up(
    ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng
) -> Lists:
    """Rounds up, as far as that stays within 1."""
    n = int(np.ceil(rate * len(ids)))
    k = int(np.ceil(n / mean_length))
    return write(ids, t5_spans(len(ids), n, k, rng), sentinels)


def shuffled_pieces(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    """Each span takes the visible token behind it along; the text has one more at its end for that."""
    n, k = sizes(len(ids), rate, mean_length)
    lengths = iter(parts(n, k, rng) if n else [])
    spans, place = [], 0
    for is_span in rng.permutation([True] * k + [False] * (len(ids) + 1 - n - k)):
        if is_span:
            spans.append((place, next(lengths)))
            place += spans[-1][1]
        place += 1
    return write(ids, spans, sentinels)


def token_by_token(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    """Floor of both counts, and a list of pieces."""
    n = int(rate * len(ids))
    k = max(1, int(n / mean_length)) if n else 0
    if len(sentinels) <= k:
        raise ValueError("too few")
    pieces: list[list[int]] = [[] for _ in range(len(ids) - n)]
    chosen = sorted(rng.choice(len(ids) - n + 1, size=k, replace=False).tolist())
    lengths = parts(n, k, rng) if n else []
    stream, names = iter(ids), iter(sentinels)
    inputs, target = [], []
    for slot in range(len(pieces) + 1):
        if slot in chosen:
            name = next(names)
            inputs.append(name)
            target.append(name)
            target.extend(next(stream) for _ in range(lengths[chosen.index(slot)]))
        if slot < len(pieces):
            inputs.append(next(stream))
    target.append(next(names))
    return inputs, target


def from_spans(draw: Callable[[int, int, int, Rng], Spans]) -> Candidate:
    """An answer right in everything but which spans it draws."""

    def answer(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
        return write(ids, draw(len(ids), *sizes(len(ids), rate, mean_length), rng), sentinels)

    return answer


def then(change: Callable[[list[int], list[int], list[int]], Lists]) -> Candidate:
    """The right answer, changed; it is given inputs, target and sentinels."""

    def answer(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
        return change(*span_corrupt(ids, rate, mean_length, sentinels, rng), sentinels)

    return answer


def one_sentinel(inputs: list[int], target: list[int], sentinels: list[int]) -> Lists:
    return tuple([sentinels[0] if i in sentinels else i for i in part] for part in (inputs, target))  # type: ignore[return-value]


def reversed_names(inputs: list[int], target: list[int], sentinels: list[int]) -> Lists:
    used = [i for i in target if i in sentinels]
    swap = dict(zip(used, used[::-1], strict=True))
    return [swap.get(i, i) for i in inputs], [swap.get(i, i) for i in target]


def sentinel_per_token(
    ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng
) -> Lists:
    n, k = sizes(len(ids), rate, mean_length)
    spans = [(a + i, 1) for a, length in t5_spans(len(ids), n, k, rng) for i in range(length)]
    return write(ids, spans, sentinels + list(range(40_000, 40_000 + len(ids))))


def touching(T: int, n: int, k: int, rng: Rng) -> Spans:
    lengths = parts(n, k, rng) if n else []
    slots = np.sort(rng.integers(T - n + 1, size=k))
    return [(int(s) + sum(lengths[:i]), lengths[i]) for i, s in enumerate(slots)]


def equal_lengths(T: int, n: int, k: int, rng: Rng) -> Spans:
    lengths = [n // k + (i < n % k) for i in range(k)] if k else []
    slots = np.sort(rng.permutation(T - n + 1)[:k])
    return [(int(s) + sum(lengths[:i]), lengths[i]) for i, s in enumerate(slots)]


def fixed_place(T: int, n: int, k: int, rng: Rng) -> Spans:
    lengths = parts(n, k, rng) if n else []
    return [(i + sum(lengths[:i]), lengths[i]) for i in range(k)]


def in_a_row(T: int, n: int, k: int, rng: Rng) -> Spans:
    """Draws where the first span starts; one visible token follows each span."""
    lengths = parts(n, k, rng) if n else []
    start = int(rng.integers(T - n - k + 2))
    return [(start + i + sum(lengths[:i]), lengths[i]) for i in range(k)]


def coins(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    mask = np.concatenate([[False], rng.random(len(ids)) < rate, [False]])
    edges = np.flatnonzero(np.diff(mask.astype(int))).tolist()
    spans = [(a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return write(ids, spans, sentinels + list(range(40_000, 40_000 + len(ids))))


def rate_of_spans(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    """A span starts at the share `rate` of the tokens."""
    return span_corrupt(ids, min(rate * 2, 0.5), mean_length, sentinels, rng)


def unsorted(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    """The target lists spans as they were drawn, not as they stand in the text."""
    spans = t5_spans(len(ids), *sizes(len(ids), rate, mean_length), rng)
    inputs, target = write(ids, spans, sentinels)
    order = rng.permutation(len(spans))
    listed = [token for i in order for a, b in [spans[i]] for token in [sentinels[i], *ids[a : a + b]]]
    return inputs, [*listed, target[-1]]


def own_generator(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    return span_corrupt(ids, rate, mean_length, sentinels, np.random.default_rng())


def global_generator(
    ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng
) -> Lists:
    state = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
    return span_corrupt(ids, rate, mean_length, sentinels, state)


def unchecked(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    spans = t5_spans(len(ids), *sizes(len(ids), rate, mean_length), rng)
    if len(sentinels) < len(spans):  # forgets the last one
        raise ValueError("sentinels")
    inputs, target = write(ids, spans, [*sentinels, 99_999])
    return inputs, target


def at_least_one(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    """T5's own, at rate 0 too."""
    T = len(ids)
    if T < 2:
        return write(ids, [], sentinels)
    n = min(max(round(rate * T), 1), T - 1)
    return write(ids, t5_spans(T, n, max(1, round(n / mean_length)), rng), sentinels)


def pops(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    inputs, target = span_corrupt(ids, rate, mean_length, sentinels, rng)
    sentinels.pop(0)
    return inputs, target


def by_value(ids: list[int], rate: float, mean_length: float, sentinels: list[int], rng: Rng) -> Lists:
    """Takes the hidden tokens out of the inputs by their value."""
    inputs, target = span_corrupt(ids, rate, mean_length, sentinels, rng)
    hidden = [i for i in target if i not in sentinels]
    return [i for i in inputs if i not in hidden], target


TASK = Task(
    name="span_corrupt",
    entry="self_supervised_objectives",
    statement=STATEMENT,
    starter=STARTER,
    reference=span_corrupt,
    hints=HINTS,
    checks=(
        two_lists,
        nothing_hidden,
        gives_the_text_back,
        sentinels_in_order,
        counts,
        apart,
        drawn,
        repeatable,
        too_few_sentinels,
        repeated_tokens,
        lists_kept,
    ),
    wrong={
        "a sentinel for each token": sentinel_per_token,
        "one sentinel for all spans": then(one_sentinel),
        "sentinels in reverse": then(reversed_names),
        "last sentinel missing": then(lambda x, y, s: (x, y[:-1])),
        "last sentinel is the first": then(lambda x, y, s: (x, [*y[:-1], s[0]])),
        "a last sentinel in the inputs too": then(lambda x, y, s: ([*x, y[-1]], y)),
        "sentinels behind their spans": then(lambda x, y, s: (x, y[1:])),
        "target without sentinels": then(lambda x, y, s: (x, [i for i in y if i not in s])),
        "target is the whole text": lambda ids, rate, mean, s, rng: (
            span_corrupt(ids, rate, mean, s, rng)[0],
            list(ids),
        ),
        "spans may touch": from_spans(touching),
        "spans of equal lengths": from_spans(equal_lengths),
        "spans at the beginning": from_spans(fixed_place),
        "one visible token between spans": from_spans(in_a_row),
        "a coin for each token": coins,
        "rate of span starts": rate_of_spans,
        "target in the order drawn": unsorted,
        "a generator of its own": own_generator,
        "the global generator": global_generator,
        "last sentinel not counted": unchecked,
        "always hides one": at_least_one,
        "pops the sentinels": pops,
        "hidden tokens by value": by_value,
        "arrays": then(lambda x, y, s: (np.array(x), np.array(y))),  # type: ignore[return-value, arg-type]
    },
    also_right={
        "T5's: visible first, hidden last": as_t5,
        "rounded up": at_least_one_and_up,
        "rounded down, token by token": token_by_token,
        "shuffled pieces": shuffled_pieces,
    },
    asked=1,
)
