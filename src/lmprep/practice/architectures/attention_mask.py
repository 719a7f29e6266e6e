"""Who may attend to whom: causal, both ways, a sliding window, a prefix."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, raises
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `attention_mask(T, kind, window=0, prefix=0)`, the boolean mask of self-attention over $T \geq 1$
positions: rows are queries, columns keys, and True means *may attend*. There are four kinds: `"causal"`,
each position sees itself and all earlier ones; `"bidirectional"`, everything; `"sliding"`, causal, and of
the past only the last `window` positions, *the query itself included*; `"prefix"`, causal, except that the
first `prefix` positions all see each other. A `window`, for `"sliding"`, must be at least 1, a `prefix`,
for `"prefix"`, at least 0; both may exceed $T$, and other kinds ignore them, whatever they are. Raise a
`ValueError` for any other kind, and for a window or prefix that is not allowed. Each call returns a tensor
of its own.
"""

STARTER = '''
import torch


def attention_mask(T: int, kind: str, window: int = 0, prefix: int = 0) -> torch.Tensor:
    """Who may attend to whom.

    kind: "causal", "bidirectional", "sliding" or "prefix".
    Returns (T, T), bool: row = query, column = key, True = may attend.
    """
    raise NotImplementedError
'''

HINTS = (
    "Draw T = 4 for each kind. In which row does query 0 stand, and how many True does a row hold if the "
    "window is 1?",
    "All that matters is how far the key lies behind the query: i − j. Which range of it does each kind "
    "allow? For the prefix, which square block is added?",
    "Make a column of query indices and a row of key indices, and compare. Causal is j ≤ i, sliding also "
    "asks for i − j < window, and the prefix adds the pairs in which both i and j are below prefix.",
)


def attention_mask(T: int, kind: str, window: int = 0, prefix: int = 0) -> torch.Tensor:
    i, j = torch.arange(T)[:, None], torch.arange(T)  # query, key
    if kind == "causal":
        return j <= i
    if kind == "bidirectional":
        return torch.ones(T, T, dtype=torch.bool)
    if kind == "sliding" and window >= 1:
        return (j <= i) & (i - j < window)
    if kind == "prefix" and prefix >= 0:
        return (j <= i) | ((i < prefix) & (j < prefix))
    raise ValueError(f"cannot build kind {kind!r} with window {window} and prefix {prefix}")


# What the checks compare with.

LENGTHS = (1, 2, 3, 4, 5, 8, 13)


def wanted(T: int, kind: str, window: int, prefix: int) -> Tensor:
    """Pair by pair, in plain Python."""

    def sees(i: int, j: int) -> bool:
        if kind == "bidirectional":
            return True
        if kind == "sliding":
            return max(0, i - window + 1) <= j <= i
        return j <= i or (kind == "prefix" and max(i, j) < prefix)

    return torch.tensor([[sees(i, j) for j in range(T)] for i in range(T)], dtype=torch.bool)


def compare(
    candidate: Candidate, T: int, kind: str, window: int = 0, prefix: int = 0, *, cause: str
) -> Tensor:
    call = Call(candidate, T=T, kind=kind, window=window, prefix=prefix)
    mask: Tensor = call.returns(torch.bool, mask=(T, T))
    want = wanted(T, kind, window, prefix)
    if not torch.equal(mask, want):
        i, j = (mask != want).nonzero()[0].tolist()
        picture = "\n".join("".join("■" if cell else "·" for cell in row) for row in want.tolist()[:12])
        shown = "\n".join("".join("■" if cell else "·" for cell in row) for row in mask.tolist()[:12])
        call.fail(f"mask[{i}, {j}] = {bool(want[i, j])}\n{picture}", f"{bool(mask[i, j])}\n{shown}", cause)
    return mask


# Checks.


def shapes(candidate: Candidate, rng: Rng) -> None:
    """Returns a boolean (T, T) tensor for every kind, also for T = 1."""
    for T in LENGTHS:
        for kind in ("causal", "bidirectional", "sliding", "prefix"):
            Call(candidate, T=T, kind=kind, window=1, prefix=1).returns(torch.bool, mask=(T, T))


def causal(candidate: Candidate, rng: Rng) -> None:
    """Causal: each query sees itself and every earlier key, no later one."""
    for T in LENGTHS:
        cause = "a triangle turned over (rows are queries), a diagonal left out, or True for what is hidden"
        compare(candidate, T, "causal", cause=cause)


def both_ways(candidate: Candidate, rng: Rng) -> None:
    """Bidirectional: every query sees every key."""
    for T in LENGTHS:
        compare(candidate, T, "bidirectional", cause="True for what is hidden, or a diagonal left out")


def sliding(candidate: Candidate, rng: Rng) -> None:
    """Sliding: the last `window` positions, the query itself among them."""
    cause = (
        "a window off by one (a window of 1 is the diagonal), one that also looks ahead, or one that counts "
        "from the start"
    )
    for T in LENGTHS:
        for window in range(1, T + 1):
            compare(candidate, T, "sliding", window, cause=cause)


def wide_window(candidate: Candidate, rng: Rng) -> None:
    """A window as long as the text, or longer, is causal."""
    for T in LENGTHS:
        for window in (T, T + 1, 3 * T, 10**6):
            compare(candidate, T, "sliding", window, cause="an index that leaves the matrix or wraps around")


def prefixes(candidate: Candidate, rng: Rng) -> None:
    """Prefix: the first `prefix` positions see each other, the rest is causal."""
    cause = (
        "a prefix that sees what comes after it, that stays causal inside, that the rest cannot see, or that "
        "is one too long or short"
    )
    for T in LENGTHS:
        for prefix in range(T + 1):
            compare(candidate, T, "prefix", 0, prefix, cause=cause)


def long_prefix(candidate: Candidate, rng: Rng) -> None:
    """A prefix longer than the text: everything sees everything."""
    for T in LENGTHS:
        for prefix in (T + 1, T + 2, 3 * T, 10**6):
            compare(candidate, T, "prefix", 0, prefix, cause="an index that leaves the matrix")


def any_sizes(candidate: Candidate, rng: Rng) -> None:
    """Holds for any sizes."""
    drawn = [tuple(int(n) for n in rng.integers((1, 1, 0), (40, 45, 45))) for _ in range(8)]
    for T, window, prefix in [(40, 33, 29), (130, 70, 3), *drawn]:
        compare(candidate, T, "sliding", window, cause="a window that is right for short texts only")
        compare(candidate, T, "prefix", 0, prefix, cause="a prefix that is right for short texts only")


def unused(candidate: Candidate, rng: Rng) -> None:
    """Each kind reads its own argument only."""
    cause = "a window or a prefix that is applied, or refused, where the kind does not use it"
    for T in (1, 3, 6):
        compare(candidate, T, "causal", 2, 3, cause=cause)
        compare(candidate, T, "bidirectional", 1, 2, cause=cause)
        compare(candidate, T, "sliding", 2, 3, cause=cause)
        compare(candidate, T, "prefix", 1, 2, cause=cause)
        compare(candidate, T, "causal", 0, -1, cause=cause)
        compare(candidate, T, "bidirectional", 0, -1, cause=cause)
        compare(candidate, T, "sliding", 2, -1, cause=cause)
        compare(candidate, T, "prefix", 0, 2, cause=cause)


def refusals(candidate: Candidate, rng: Rng) -> None:
    """Raises ValueError for an unknown kind, a window below 1, a negative prefix."""
    cause = "a kind that falls through to the last branch, or arguments that are not checked"
    for kind in ("full", "Causal", "", "prefix-lm"):
        raises(ValueError, candidate, T=3, kind=kind, window=2, prefix=1, cause=cause)
    for window in (0, -1, -7):
        raises(ValueError, candidate, T=3, kind="sliding", window=window, prefix=0, cause=cause)
    for prefix in (-1, -3):
        raises(ValueError, candidate, T=3, kind="prefix", window=0, prefix=prefix, cause=cause)


def own_memory(candidate: Candidate, rng: Rng) -> None:
    """Each call returns a tensor of its own: writing to one mask changes no later one."""
    cause = "a mask that is cached and handed out again"
    for kind in ("causal", "bidirectional", "sliding", "prefix"):
        first = compare(candidate, 4, kind, 2, 2, cause=cause)
        first.copy_(~first) if first.is_contiguous() else None
        compare(candidate, 4, kind, 2, 2, cause=cause)


# Right answers of other style, and wrong ones.


def checked(
    build: Callable[[int, str, int, int], Tensor],
) -> Candidate:
    """An answer that refuses what it must and then builds."""

    def answer(T: int, kind: str, window: int = 0, prefix: int = 0) -> Tensor:
        if kind not in ("causal", "bidirectional", "sliding", "prefix"):
            raise ValueError("kind")
        if (kind == "sliding" and window < 1) or (kind == "prefix" and prefix < 0):
            raise ValueError("size")
        return build(T, kind, window, prefix)

    return answer


def triangles(T: int, kind: str, window: int, prefix: int, *, shift: int = 0, diagonal: int = 0) -> Tensor:
    """By tril and triu; `shift` widens the window or the prefix, `diagonal` moves the triangle."""
    mask = torch.ones(T, T, dtype=torch.bool)
    if kind == "bidirectional":
        return mask
    mask = mask.tril(diagonal)
    if kind == "sliding":
        mask = mask.triu(1 - window - shift)
    if kind == "prefix":
        end = max(prefix + shift, 0)
        mask[:end, :end] = True
    return mask


def by_loops(T: int, kind: str, window: int, prefix: int) -> Tensor:
    mask = torch.zeros((T, T), dtype=torch.bool)
    for i in range(T):
        first = max(0, i - window + 1) if kind == "sliding" else 0
        last = T if kind == "bidirectional" else i + 1
        if kind == "prefix" and i < prefix:
            last = min(T, prefix)
        mask[i, first:last] = True
    return mask


def by_numpy(T: int, kind: str, window: int, prefix: int) -> Tensor:
    behind = np.subtract.outer(np.arange(T), np.arange(T))
    allowed = behind >= (-T if kind == "bidirectional" else 0)
    if kind == "sliding":
        allowed &= behind < window
    if kind == "prefix":
        inside = np.arange(T) < prefix
        allowed |= np.logical_and.outer(inside, inside)
    return torch.from_numpy(allowed)


def by_last_key(T: int, kind: str, window: int, prefix: int) -> Tensor:
    """From the first and the last key that each query sees."""
    i = torch.arange(T)
    first = (i - window + 1).clamp(min=0) if kind == "sliding" else torch.zeros_like(i)
    last = {"bidirectional": torch.full_like(i, T - 1),
            "prefix": torch.where(i < prefix, prefix - 1, i)}.get(kind, i)  # fmt: skip
    return (first[:, None] <= i) & (i <= last[:, None])


def by_scores(T: int, kind: str, window: int, prefix: int) -> Tensor:
    scores = torch.zeros(T, T)
    if kind != "bidirectional":
        scores = scores + torch.full((T, T), -torch.inf).triu(1)
    if kind == "sliding":
        scores = scores + torch.full((T, T), -torch.inf).tril(-window)
    if kind == "prefix":
        scores[:prefix, :prefix] = 0.0
    return torch.isfinite(scores)


def mirrored_window(T: int, kind: str, window: int, prefix: int) -> Tensor:
    mask = triangles(T, kind, window, prefix)
    return mask | mask.T if kind == "sliding" else mask


def half_windows(T: int, kind: str, window: int, prefix: int) -> Tensor:
    if kind != "sliding":
        return triangles(T, kind, window, prefix)
    i = torch.arange(T)
    return (i[:, None] - i).abs() <= window // 2


def blocks(T: int, kind: str, window: int, prefix: int) -> Tensor:
    """Windows that do not slide."""
    mask = triangles(T, kind, window, prefix)
    if kind == "sliding":
        i = torch.arange(T)
        mask = triangles(T, "causal", 0, 0) & (i[:, None] // window == i // window)
    return mask


def rows_open(T: int, kind: str, window: int, prefix: int) -> Tensor:
    mask = triangles(T, kind, window, prefix)
    if kind == "prefix":
        mask[:prefix] = True
    return mask


def own_block_only(T: int, kind: str, window: int, prefix: int) -> Tensor:
    mask = triangles(T, kind, window, prefix)
    if kind == "prefix":
        mask[prefix:, :prefix] = False
    return mask


def negative_slice(T: int, kind: str, window: int, prefix: int) -> Tensor:
    """Rows cut by a slice that wraps around where the window is longer than the past."""
    mask = triangles(T, kind, window, prefix)
    if kind == "sliding":
        mask = torch.zeros(T, T, dtype=torch.bool)
        for i in range(T):
            mask[i, i - window + 1 : i + 1] = True
    return mask


def refusing_more(T: int, kind: str, window: int, prefix: int) -> Tensor:
    if kind == "sliding" and window > T:
        raise ValueError("window")
    return triangles(T, kind, window, prefix)


def prefix_by_index(T: int, kind: str, window: int, prefix: int) -> Tensor:
    mask = triangles(T, kind, window, 0)
    if kind == "prefix":
        for i in range(prefix):
            for j in range(prefix):
                mask[i, j] = True
    return mask


_CACHE: dict[tuple[int, str, int, int], Tensor] = {}


def cached(T: int, kind: str, window: int, prefix: int) -> Tensor:
    return _CACHE.setdefault((T, kind, window, prefix), triangles(T, kind, window, prefix))


def unchecked(T: int, kind: str, window: int = 0, prefix: int = 0) -> Tensor:
    return triangles(T, kind, window, max(prefix, 0))


def off_diagonal(mask: Tensor) -> Tensor:
    return mask & ~torch.eye(len(mask), dtype=torch.bool)


TASK = Task(
    name="attention_mask",
    entry="context_directionality",
    statement=STATEMENT,
    starter=STARTER,
    reference=attention_mask,
    hints=HINTS,
    checks=(
        shapes,
        causal,
        both_ways,
        sliding,
        wide_window,
        prefixes,
        long_prefix,
        any_sizes,
        unused,
        refusals,
        own_memory,
    ),
    wrong={
        "transposed": checked(lambda *sizes: triangles(*sizes).T),
        "True for what is hidden": checked(lambda *sizes: ~triangles(*sizes)),
        "zeros and minus infinities": checked(
            lambda *sizes: torch.zeros(sizes[0], sizes[0]).masked_fill(~triangles(*sizes), -torch.inf)
        ),
        "ones and zeros": checked(lambda *sizes: triangles(*sizes).int()),
        "diagonal left out": checked(lambda *sizes: triangles(*sizes, diagonal=-1)),
        "one key of the future": checked(lambda *sizes: triangles(*sizes, diagonal=1)),
        "diagonal hidden everywhere": checked(lambda *sizes: off_diagonal(triangles(*sizes))),
        "window or prefix one too long": checked(lambda *sizes: triangles(*sizes, shift=1)),
        "window or prefix one too short": checked(lambda *sizes: triangles(*sizes, shift=-1)),
        "window to both sides": checked(mirrored_window),
        "half a window to each side": checked(half_windows),
        "windows that do not slide": checked(blocks),
        "a slice that wraps around": checked(negative_slice),
        "window longer than the text refused": checked(refusing_more),
        "window of at most 16": checked(
            lambda T, kind, window, prefix: triangles(T, kind, min(window, 16), prefix)
        ),
        "prefix written pair by pair": checked(prefix_by_index),
        "prefix sees what follows": checked(rows_open),
        "prefix hidden from the rest": checked(own_block_only),
        "prefix stays causal": checked(lambda T, kind, window, prefix: triangles(T, kind, window, 0)),
        "prefix under any kind": checked(
            lambda T, kind, window, prefix: (
                triangles(T, kind, window, prefix) | triangles(T, "prefix", 0, max(prefix, 0))
            )
        ),
        "window under any kind": checked(
            lambda T, kind, window, prefix: (
                triangles(T, kind, window, prefix) & triangles(T, "sliding", max(window, 1), 0)
                if window and kind == "causal"
                else triangles(T, kind, window, prefix)
            )
        ),
        "nothing refused": unchecked,
        "one mask for all calls": checked(cached),
        "with axes for batch and heads": checked(lambda *sizes: triangles(*sizes)[None, None]),
        "numpy": checked(lambda *sizes: triangles(*sizes).numpy()),  # type: ignore[arg-type]
    },
    also_right={
        "tril and triu": checked(triangles),
        "row by row": checked(by_loops),
        "numpy's outer": checked(by_numpy),
        "first and last key": checked(by_last_key),
        "finite scores": checked(by_scores),
    },
    asked=2,
)
