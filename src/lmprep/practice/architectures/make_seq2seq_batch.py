"""Pairs of token lists, as the padded tensors that an encoder–decoder trains on."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lmprep.practice.checks import Call, Rng, raises
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `make_seq2seq_batch(pairs, pad, bos, eos)`. It turns $B$ pairs of a source and a target, lists of token
ids, into four tensors, in the order of the pairs:

- `source` $(B, S)$, the sources as they are; $S$ is the longest
- `target_in` $(B, T)$, what the decoder reads: `bos`, then the target
- `target_out` $(B, T)$, what it is to predict at these places: the target, then `eos`; $T$ is the longest
  target plus one
- `mask` $(B, T)$, boolean, True at each target token and its `eos`, False at padding

The first three are `torch.long` and padded at the end with `pad`; if you cut one padded row, `bos`, target,
`eos`, at either end, the `eos` that this leaves in the padding of `target_in` may stay, since no loss looks
there. `pad` may equal any other id, even `eos`, and targets may hold `bos` and `eos` as tokens, so ids do
not tell what is padding. A target may be empty; raise a `ValueError` if there is no pair or a source is
empty. Leave the pairs as they are.
"""

STARTER = '''
import torch

Tokens = list[int]


def make_seq2seq_batch(
    pairs: list[tuple[Tokens, Tokens]], pad: int, bos: int, eos: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded tensors to train an encoder-decoder on.

    pairs: source and target ids. A target may be empty, a source may not.
    Returns source (B, S), target_in (B, T), target_out (B, T), all torch.long,
    and mask (B, T), boolean: what of target_out counts.
    Raises ValueError for no pairs or an empty source.
    """
    raise NotImplementedError
'''

HINTS = (
    "Write the target 7 8 on paper. Which token should the decoder have read when it is asked for 7, and "
    "which when it is asked to stop? How long are the two rows?",
    "target_in and target_out are the same tokens, one with BOS in front, the other with EOS behind. So both "
    "are one longer than the target, and at each position the input is the output of the position before.",
    "Fill tensors of pad row by row, from each row's own length. The mask comes from the same lengths: True "
    "at the first n + 1 positions of a target with n tokens. Do not compare with pad.",
)


def make_seq2seq_batch(
    pairs: list[tuple[list[int], list[int]]], pad: int, bos: int, eos: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    if not pairs or not all(source for source, _ in pairs):
        raise ValueError("there must be at least one pair, and no source may be empty")
    B, S = len(pairs), max(len(source) for source, _ in pairs)
    T = max(len(target) for _, target in pairs) + 1
    source, target_in, target_out = (torch.full((B, length), pad) for length in (S, T, T))
    mask = torch.zeros(B, T, dtype=torch.bool)
    for b, (tokens, target) in enumerate(pairs):
        source[b, : len(tokens)] = torch.tensor(tokens)
        target_in[b, : len(target) + 1] = torch.tensor([bos, *target])
        target_out[b, : len(target) + 1] = torch.tensor([*target, eos])
        mask[b, : len(target) + 1] = True
    return source, target_in, target_out, mask


# What the checks look at.

Pairs = list[tuple[list[int], list[int]]]
IDS = (0, 1, 2)  # pad, bos, eos


def padded(rows: Sequence[Sequence[int]], pad: int) -> list[list[int]]:
    length = max(map(len, rows))
    return [[*row, *[pad] * (length - len(row))] for row in rows]


def compare(candidate: Candidate, pairs: Pairs, pad: int, bos: int, eos: int) -> Call:
    """Look at everything, in the order in which a batch is made."""
    call = Call(candidate, pairs=pairs, pad=pad, bos=bos, eos=eos)
    B, S = len(pairs), max(len(source) for source, _ in pairs)
    T = max(len(target) for _, target in pairs) + 1
    if not isinstance(call.value, tuple | list) or len(call.value) != 4:
        call.returns(torch.long, source=(B, S), target_in=(B, T), target_out=(B, T), mask=(B, T))
    parts = dict(zip(("source", "target_in", "target_out", "mask"), call.value, strict=True))
    for name, part in parts.items():
        one = Call.__new__(Call)
        one.__dict__.update(call.__dict__, value=part)
        one.returns(torch.bool if name == "mask" else torch.long, **{name: (B, S if name == "source" else T)})
    got = {name: part.tolist() for name, part in parts.items()}
    call.equals("source", got["source"], padded([source for source, _ in pairs], pad),
                cause="a source that is reversed, cut, marked with BOS or EOS, sorted, or padded in front "
                "or with another id")  # fmt: skip
    call.equals("target_out", got["target_out"], padded([[*target, eos] for _, target in pairs], pad),
                cause="EOS forgotten or put after the padding; BOS among what is predicted")  # fmt: skip
    want = padded([[True] * (len(target) + 1) for _, target in pairs], False)
    call.equals("mask", got["mask"], want,
                cause="a mask from `!= pad`, where pad is a real id too; EOS left out of it; a mask that is "
                "one off, or turned round")  # fmt: skip
    inputs = padded([[bos, *target] for _, target in pairs], pad)
    for row, shown, (_, target) in zip(inputs, got["target_in"], pairs, strict=True):
        end = len(target) + 1
        if end < T and shown[end] == eos:  # one row cut at either end: no loss looks there
            row[end] = eos
    call.equals("target_in", got["target_in"], inputs,
                cause="no shift, so that the decoder reads what it is to predict; BOS forgotten; the source "
                "in place of the target")  # fmt: skip
    return call


def draw(rng: Rng, B: int, longest: int, low: int = 3, high: int = 60) -> Pairs:
    def tokens() -> list[int]:
        return [int(i) for i in rng.integers(low, high, size=rng.integers(1, longest + 1))]

    return [(tokens(), tokens()) for _ in range(B)]


# Checks.


def one_pair(candidate: Candidate, rng: Rng) -> None:
    """Returns source, target_in, target_out and mask of one pair, the two target rows shifted by one."""
    compare(candidate, [([5], [6])], *IDS)
    compare(candidate, [([5, 4, 3], [7, 8])], *IDS)
    compare(candidate, [([5], [9, 8, 7, 6])], *IDS)


def unequal(candidate: Candidate, rng: Rng) -> None:
    """Pads sources and targets at the end, each to its own longest, in the order of the pairs."""
    compare(candidate, [([5], [6, 7]), ([8, 9, 10], [11])], *IDS)
    compare(candidate, [([5, 6, 7, 8], [6]), ([8], [11, 12]), ([9, 3], [4, 5, 3])], *IDS)
    for B in (2, 5, 9):
        compare(candidate, draw(rng, B, 6), *IDS)


def empty_target(candidate: Candidate, rng: Rng) -> None:
    """An empty target is BOS in, EOS out, and counts."""
    compare(candidate, [([5], [])], *IDS)
    compare(candidate, [([5], []), ([6, 7], [8, 9])], *IDS)
    compare(candidate, [([5, 4], []), ([6], [])], *IDS)


def pad_is_real(candidate: Candidate, rng: Rng) -> None:
    """The mask comes from lengths: pad may be a token of the target, EOS or BOS."""
    compare(candidate, [([5], [0, 6, 0]), ([0], [7])], 0, 1, 2)
    for pad in (2, 1):
        compare(candidate, [([5, 6], [6]), ([7], [8, 9, 3])], pad, 1, 2)
    for _ in range(3):
        compare(candidate, draw(rng, 4, 5, low=3, high=6), 4, 1, 2)


def markers(candidate: Candidate, rng: Rng) -> None:
    """pad, bos and eos are the given ids, all alike if need be, and tokens equal to them stay."""
    compare(candidate, [([5, 6], [6]), ([7], [8, 9, 3])], 1, 1, 1)
    for _ in range(3):
        pad, bos, eos = (int(i) for i in rng.permutation(90)[:3])
        compare(candidate, draw(rng, 4, 5, high=90), pad, bos, eos)
    compare(candidate, [([1, 2, 5], [2, 6, 1]), ([2], [1, 1])], *IDS)
    compare(candidate, [([5, 6], [6, 2]), ([7, 2], [2])], *IDS)


def large(candidate: Candidate, rng: Rng) -> None:
    """Keeps ids beyond 32 bits, repeated pairs, and an already equal length."""
    compare(candidate, [([2**40], [2**41, 2**40]), ([3], [4, 5])], *IDS)
    compare(candidate, [([5, 6], [7, 8])] * 3, *IDS)


def refusals(candidate: Candidate, rng: Rng) -> None:
    """Raises ValueError for no pairs, and for an empty source."""
    cause = "another error from deep inside, or a batch that no encoder can read"
    refused: tuple[Pairs, ...] = ([], [([], [5])], [([5], [6]), ([], [])])
    for pairs in refused:
        raises(ValueError, candidate, pairs=pairs, pad=0, bos=1, eos=2, cause=cause)


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the pairs as they were."""
    cause = "`target.append(eos)`, `insert` or `+=` on the caller's own lists"
    for B in (1, 3):
        compare(candidate, draw(rng, B, 4), *IDS).unchanged(cause=cause)


# Right answers of other style, and wrong ones.


def variant(
    source: Callable[..., list[int]] = lambda source, target, pad, bos, eos: source,
    read: Callable[..., list[int]] = lambda source, target, pad, bos, eos: [bos, *target],
    predict: Callable[..., list[int]] = lambda source, target, pad, bos, eos: [*target, eos],
    mask: Callable[[Tensor, Tensor, int, int], Tensor] | None = None,
    change: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Any, ...]] = lambda *parts: parts,
    padding_side: str = "right",
    filler: int | None = None,
) -> Candidate:
    """An answer by `pad_sequence`, right but for what is given."""

    def answer(pairs: Pairs, pad: int, bos: int, eos: int) -> tuple[Any, ...]:
        if not pairs or any(not source for source, _ in pairs):
            raise ValueError("pairs")

        def tensor(row: Callable[..., list[int]]) -> Tensor:
            rows = [torch.tensor(row(*pair, pad, bos, eos), dtype=torch.long) for pair in pairs]
            value = pad if filler is None else filler
            return pad_sequence(rows, True, value, padding_side=padding_side)

        outputs = tensor(predict)
        lengths = torch.tensor([len(target) + 1 for _, target in pairs])
        counts = (torch.arange(outputs.size(1)) < lengths[:, None]) if mask is None else mask(
            outputs, lengths, pad, eos
        )  # fmt: skip
        return change(tensor(source), tensor(read), outputs, counts)

    return answer


def by_lists(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    if len(pairs) == 0:
        raise ValueError("no pairs")
    if min(len(source) for source, _ in pairs) == 0:
        raise ValueError("empty source")
    outputs = [[*target, eos] for _, target in pairs]
    mask = padded([[True] * len(row) for row in outputs], False)
    tables = (padded(rows, pad) for rows in ([s for s, _ in pairs], [[bos, *t] for _, t in pairs], outputs))
    return (*map(torch.tensor, tables), torch.tensor(mask))


def by_numpy(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    if not pairs or any(len(source) < 1 for source, _ in pairs):
        raise ValueError("pairs")
    lengths = np.array([len(target) + 1 for _, target in pairs])
    source = np.full((len(pairs), max(len(s) for s, _ in pairs)), pad, dtype=np.int64)
    out = np.full((len(pairs), lengths.max()), pad, dtype=np.int64)
    for b, (s, t) in enumerate(pairs):
        source[b, : len(s)] = s
        out[b, : len(t) + 1] = [*t, eos]
    mask = np.arange(lengths.max()) < lengths[:, None]
    read = np.where(mask, np.roll(out, 1, axis=1), pad)
    read[:, 0] = bos
    return tuple(map(torch.from_numpy, (source, read, out, mask)))


def shifted(source: Tensor, read: Tensor, out: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """target_in from target_out, EOS and all."""
    return source, torch.cat([read[:, :1], out[:, :-1]], dim=1), out, mask


def both_markers(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    """One row [BOS, target, EOS] for both, cut at either end."""
    source, _, out, mask = variant()(pairs, pad, bos, eos)
    whole = torch.cat([torch.full((len(pairs), 1), bos), out], dim=1)
    return [source, whole[:, :-1], whole[:, 1:], mask]


def in_place(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    result = variant()(pairs, pad, bos, eos)
    for _, target in pairs:
        target.append(eos)
    return result


def eos_after_padding(source: Tensor, read: Tensor, out: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    eos, moved = out[mask][-1], out.clone()
    for b, n in enumerate(mask.sum(1) - 1):
        moved[b, n:-1], moved[b, -1] = source.new_zeros(()), eos
    return source, read, moved, mask


def longest_first(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    return variant()(sorted(pairs, key=lambda pair: -len(pair[0])), pad, bos, eos)


def same_width(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    parts = variant()(pairs, pad, bos, eos)
    width = max(part.size(1) for part in parts)
    fillers = (pad, pad, pad, False)
    return tuple(
        torch.nn.functional.pad(part, (0, width - part.size(1)), value=filler)
        for part, filler in zip(parts, fillers, strict=True)
    )


def unchecked(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    if not pairs:
        raise ValueError("pairs")
    return by_lists([(source or [pad], target) for source, target in pairs], pad, bos, eos)


def cut_at_eos(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    cut = [(s, t[: t.index(eos)] if eos in t else t) for s, t in pairs]
    return variant()(cut, pad, bos, eos)


def no_second_eos(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    source, read, out, mask = variant()(pairs, pad, bos, eos)
    for b, (_, target) in enumerate(pairs):
        if target[-1:] == [eos]:
            mask[b, len(target)] = False
    return source, read, out, mask


def without_empty_targets(pairs, pad, bos, eos):  # type: ignore[no-untyped-def]
    source, read, out, mask = variant()(pairs, pad, bos, eos)
    full = torch.tensor([bool(target) for _, target in pairs])
    return source, read, out, mask & full[:, None]


TASK = Task(
    name="make_seq2seq_batch",
    entry="seq2seq_bottleneck",
    statement=STATEMENT,
    starter=STARTER,
    reference=make_seq2seq_batch,
    hints=HINTS,
    checks=(one_pair, unequal, empty_target, pad_is_real, markers, large, refusals, inputs_kept),
    wrong={
        "no shift": variant(read=lambda s, t, pad, bos, eos: [*t, eos]),
        "no shift, BOS on both sides": variant(predict=lambda s, t, pad, bos, eos: [bos, *t]),
        "EOS forgotten": variant(
            read=lambda s, t, pad, bos, eos: [bos, *t][: max(len(t), 1)],
            predict=lambda s, t, pad, bos, eos: t or [pad],
        ),
        "pad in place of EOS": variant(predict=lambda s, t, pad, bos, eos: [*t, pad]),
        "BOS in the targets": variant(
            read=lambda s, t, pad, bos, eos: [bos, *t, eos],
            predict=lambda s, t, pad, bos, eos: [bos, *t, eos],
        ),
        "BOS forgotten": variant(read=lambda s, t, pad, bos, eos: [eos, *t]),
        "the source read by the decoder": variant(read=lambda s, t, pad, bos, eos: [bos, *s]),
        "input and output exchanged": variant(change=lambda s, i, o, m: (s, o, i, m)),
        "shifted to the left": variant(change=lambda s, i, o, m: (s, o.roll(-1, 1), o, m)),
        "mask from the ids": variant(mask=lambda out, n, pad, eos: out != pad),
        "mask up to the first EOS": variant(
            mask=lambda out, n, pad, eos: ((out == eos).cumsum(1) - (out == eos).int()) == 0
        ),
        "mask without EOS": variant(mask=lambda out, n, pad, eos: torch.arange(out.size(1)) < n[:, None] - 1),
        "mask one too long": variant(mask=lambda out, n, pad, eos: torch.arange(out.size(1)) <= n[:, None]),
        "everything counts": variant(mask=lambda out, n, pad, eos: torch.ones_like(out, dtype=torch.bool)),
        "mask turned round": variant(change=lambda s, i, o, m: (s, i, o, ~m)),
        "a mask of numbers": variant(change=lambda s, i, o, m: (s, i, o, m.long())),
        "source reversed": variant(source=lambda s, t, pad, bos, eos: s[::-1]),
        "EOS after the source": variant(source=lambda s, t, pad, bos, eos: [*s, eos]),
        "BOS before the source": variant(source=lambda s, t, pad, bos, eos: [bos, *s]),
        "padded in front": variant(padding_side="left"),
        "padded with 0": variant(filler=0),
        "padded with −100": variant(change=lambda s, i, o, m: (s, i, o.masked_fill(~m, -100), m)),
        "EOS after the padding": variant(change=eos_after_padding),
        "all padded to one width": same_width,
        "longest first": longest_first,
        "target in place of source": variant(source=lambda s, t, pad, bos, eos: t or s),
        "ids in 32 bits": variant(change=lambda s, i, o, m: (s.int().long(), i, o, m)),
        "int32": variant(change=lambda s, i, o, m: (s.int(), i.int(), o.int(), m)),
        "BOS always 1": variant(read=lambda s, t, pad, bos, eos: [1, *t]),
        "EOS always 2": variant(predict=lambda s, t, pad, bos, eos: [*t, 2]),
        "cut at an EOS within the target": cut_at_eos,
        "no EOS counted after an EOS": no_second_eos,
        "empty targets do not count": without_empty_targets,
        "an empty source let through": unchecked,
        "the caller's lists changed": in_place,
        "mask forgotten": variant(change=lambda s, i, o, m: (s, i, o)),
    },
    also_right={
        "pad_sequence": variant(),
        "lists": by_lists,
        "numpy": by_numpy,
        "the outputs shifted": variant(change=shifted),
        "one row, cut at either end": both_markers,
        "mask from a running count": variant(
            mask=lambda out, n, pad, eos: torch.ones_like(out).cumsum(1) <= n[:, None]
        ),
    },
    asked=2,
)
