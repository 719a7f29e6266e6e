"""One loss from the token losses of several micro-batches."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `accumulated_loss(losses, masks)`: the mean loss of all tokens that count, over all micro-batches of one
update together, as one number in the dtype of the losses. Micro-batch $k$ of $K \ge 1$ has `losses[k]` and
`masks[k]`, both of shape $(B_k, T_k)$, which differ from one micro-batch to the next and may hold no token. A
token counts if its mask is True, whatever its loss: 0 counts, infinity makes the result infinite, NaN makes
it NaN. Where the mask is False anything may stand, NaN and infinity too, and leaves no trace. A micro-batch
in which no token counts adds nothing, nothing is added to the number of tokens, and if none counts anywhere
the result is 0. Gradients must flow to all losses; those of tokens that do not count are exactly 0.
"""

STARTER = '''
import torch


def accumulated_loss(losses: list[torch.Tensor], masks: list[torch.Tensor]) -> torch.Tensor:
    """The mean loss of all tokens that count, over all micro-batches.

    losses: K tensors (B_k, T_k), the tokens' losses.
    masks: K boolean tensors (B_k, T_k), True = counts.
    Returns a tensor of shape (), in the dtype of the losses.
    """
    raise NotImplementedError
'''

HINTS = (
    "How much should one token weigh? Two tokens in different micro-batches should weigh the same.",
    "Two numbers are wanted from each micro-batch, and neither is a mean. And mind that NaN times 0 is NaN: "
    "a mask may be used to choose, but not to multiply.",
    "Add up the losses that the mask picks (index with it), over all micro-batches. Count how many they are. "
    "Divide once, at the very end, by the count or by 1 if it is 0. An empty sum is still part of the graph.",
)


def accumulated_loss(losses: list[torch.Tensor], masks: list[torch.Tensor]) -> torch.Tensor:
    total = torch.stack([loss[mask].sum() for loss, mask in zip(losses, masks, strict=True)]).sum()
    count = sum(int(mask.sum()) for mask in masks)
    return total / max(count, 1)


# What the checks compare with.

# Shapes (B_k, T_k) of the micro-batches.
SHAPES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((1, 1),),
    ((1, 2),),
    ((2, 3),),
    ((1, 1), (1, 3)),
    ((2, 2), (2, 2)),
    ((2, 5), (3, 2)),
    ((4, 3), (4, 7), (1, 2)),
    ((3, 4), (1, 9), (2, 1), (5, 6)),
    ((2, 3), (0, 3), (2, 0), (3, 1)),
)


def inputs(
    rng: Rng, shapes: tuple[tuple[int, int], ...], dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Losses from 0 on, and masks that leave at least one token of each micro-batch, at other places."""
    losses = [normal(rng, *shape, dtype=dtype).abs() + k for k, shape in enumerate(shapes)]
    masks = [torch.from_numpy(rng.random(shape) < 0.6) for shape in shapes]
    for mask in masks:
        if mask.numel():
            mask.view(-1)[int(rng.integers(mask.numel()))] = True
    return {"losses": losses, "masks": masks}


def by_numpy(losses: list[Tensor], masks: list[Tensor]) -> float:
    pairs = zip(losses, masks, strict=True)
    chosen = np.concatenate([loss.double().numpy()[mask.numpy()] for loss, mask in pairs])
    return float(chosen.mean()) if len(chosen) else 0.0


def compare(candidate: Candidate, given: dict[str, Any], cause: str) -> None:
    dtype = given["losses"][0].dtype
    call = Call(candidate, **given)
    call.same("loss", call.returns(dtype, loss=()), by_numpy(**given), cause=cause)


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number, as a tensor in the dtype of the losses."""
    for shapes in (*SHAPES[:3], SHAPES[4]):
        for dtype in (torch.float32, torch.float64):
            Call(candidate, **inputs(rng, shapes, dtype)).returns(dtype, loss=())


def one_micro_batch(candidate: Candidate, rng: Rng) -> None:
    """With one micro-batch, it is the mean over the tokens that count."""
    cause = "padding in the number of tokens, a sum in place of the mean, or a mean of the rows' means"
    for B, T in ((1, 1), (1, 4), (2, 3), (5, 4)):
        compare(candidate, inputs(rng, ((B, T),)), cause)


def any_cut(candidate: Candidate, rng: Rng) -> None:
    """Every token weighs the same: rows give one loss, however they are cut into micro-batches."""
    for B, T, cuts in ((2, 2, ([1, 1],)), (6, 5, ([3, 3], [1, 5], [4, 2], [1] * 6, [2, 3, 1]))):
        given = inputs(rng, ((B, T),), torch.float64)
        given["masks"][0][0] = True
        given["masks"][0][1, 1:] = False
        for cut in cuts:
            parts = {name: list(value[0].split(cut)) for name, value in given.items()}
            cause = (
                "the mean of the micro-batches' means, or of their sums; weights by rows or by padded size; "
                "a last micro-batch left out because it is smaller"
            )
            compare(candidate, parts, cause)


def other_lengths(candidate: Candidate, rng: Rng) -> None:
    """Micro-batches may differ in their length T_k as well."""
    cause = "`torch.cat` or `torch.stack` of tables of different width: flatten or sum them first"
    for shapes in SHAPES[3:8]:
        compare(candidate, inputs(rng, shapes), cause)


def nothing_in_one(candidate: Candidate, rng: Rng) -> None:
    """A micro-batch in which no token counts, or which is empty, adds nothing."""
    for shapes, empty in ((((1, 1), (1, 2)), 0), (((2, 3), (2, 2)), 1), (((3, 1), (2, 4), (2, 2)), 1)):
        given = inputs(rng, shapes)
        given["masks"][empty].fill_(False)
        compare(candidate, given, "0/0 in that micro-batch, or a count of at least 1 for each of them")
    compare(candidate, inputs(rng, SHAPES[8]), "the mean of no token, which is NaN")


def nothing_at_all(candidate: Candidate, rng: Rng) -> None:
    """If no token counts anywhere, the loss is 0."""
    for shapes in (((1, 1),), ((2, 3),), ((2, 2), (1, 3)), ((0, 2),), ((2, 0), (0, 0))):
        given = inputs(rng, shapes)
        for mask in given["masks"]:
            mask.fill_(False)
        compare(candidate, given, "0/0: the number of tokens that count is 0")


def zeros_count(candidate: Candidate, rng: Rng) -> None:
    """A token with loss 0 counts like any other; so does a negative loss."""
    losses = [torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0], [0.0]]), torch.tensor([[-2.0, 5.0, 0.0]])]
    cause = "tokens counted by their loss, as in `losses != 0` or `losses > 0`, and not by the mask"
    compare(candidate, {"losses": losses, "masks": [loss == loss for loss in losses]}, cause)


def anything_under_the_mask(candidate: Candidate, rng: Rng) -> None:
    """NaN and infinity where the mask is False leave no trace."""
    for value in (torch.nan, torch.inf, -torch.inf):
        for shapes in (SHAPES[2], SHAPES[3], SHAPES[5]):
            given = inputs(rng, shapes)
            for loss, mask in zip(given["losses"], given["masks"], strict=True):
                mask[-1, -1] = mask.numel() == 1
                loss[~mask] = value
            compare(candidate, given, "a product with the mask: NaN · 0 and ∞ · 0 are NaN")


def what_counts_shows(candidate: Candidate, rng: Rng) -> None:
    """NaN or infinity in a token that counts is in the result: a broken model must not look fine."""
    for value in (torch.nan, torch.inf):
        for shapes in (SHAPES[0], SHAPES[2], SHAPES[3]):
            given = inputs(rng, shapes)
            given["masks"][-1][0, 0] = True
            given["losses"][-1][0, 0] = value
            call = Call(candidate, **given)
            loss = call.returns(torch.float32, loss=())
            call.holds(loss.isnan() if value != value else loss == value, expected=f"loss = {value}",
                       got=f"{loss.item():.4g}", cause="`nan_to_num`, `nanmean`, or losses chosen by "
                       "`isfinite`")  # fmt: skip


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to all losses: 1 over the number of tokens that count, and exactly 0 elsewhere."""
    cases = [inputs(rng, shapes, torch.float64) for shapes in (SHAPES[1], SHAPES[3], SHAPES[6])]
    hidden = inputs(rng, ((2, 2), (1, 3)), torch.float64)
    hidden["masks"][0][0, 0], hidden["losses"][0][0, 0] = False, torch.nan
    nothing = inputs(rng, ((2, 2), (1, 3)), torch.float64)
    for mask in nothing["masks"]:
        mask.fill_(False)
    for given in [*cases, hidden, nothing]:
        leaves = [loss.clone().requires_grad_() for loss in given["losses"]]
        call = Call(candidate, losses=leaves, masks=given["masks"])
        loss = call.returns(torch.float64, loss=())
        cause = (
            "`.item()`, `.detach()`, a new tensor made from numbers, or a micro-batch left out of the graph"
        )
        call.holds(loss.requires_grad, expected="a loss that carries gradients",
                   got="a result cut off from autograd", cause=cause)  # fmt: skip
        try:
            found = torch.autograd.grad(loss, leaves, allow_unused=True)
        except RuntimeError as error:
            call.fail("gradients", str(error).split(":")[0], "an input changed in place")
        count = max(1, sum(int(mask.sum()) for mask in given["masks"]))
        for k, (gradient, mask) in enumerate(zip(found, given["masks"], strict=True)):
            if gradient is None and not bool(mask.any()):
                continue  # no path to it is a gradient of 0
            call.holds(gradient is not None, expected=f"a gradient for losses[{k}]", got="none", cause=cause)
            call.same(f"gradient of losses[{k}]", gradient, mask.double() / count, cause="another weight for "
                      "some tokens, or NaN from a product with the mask")  # fmt: skip
            dropped = gradient[~mask]
            call.same(f"gradient of losses[{k}] under the mask", dropped, torch.zeros_like(dropped),
                      tolerance=0.0, cause="tokens that do not count take part in the loss")  # fmt: skip


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes losses and masks that are not contiguous."""
    for shapes in (SHAPES[2], SHAPES[5]):
        given = inputs(rng, shapes)
        apart = {name: [strided(tensor) for tensor in tensors] for name, tensors in given.items()}
        compare(candidate, apart, "`.view` of an input: use `.reshape` or `.flatten`")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves losses and masks as they were."""
    for shapes in (SHAPES[2], SHAPES[5]):
        Call(candidate, **inputs(rng, shapes)).unchanged()


# Right answers of other style, and wrong ones.


def joined(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    flat = torch.cat([loss.flatten() for loss in losses])
    chosen = flat[torch.cat([mask.flatten() for mask in masks])]
    return chosen.sum() / max(chosen.numel(), 1)


def by_where(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    total, count = losses[0].new_zeros(()), torch.tensor(0)
    for k in range(len(losses)):
        total = total + torch.where(masks[k], losses[k], 0.0).sum()
        count = count + masks[k].sum()
    return total / count.clamp(min=1)


def by_weights(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    """Means, but weighted by their tokens."""
    counts = [int(mask.sum()) for mask in masks]
    whole = max(1, sum(counts))
    parts = [
        loss.masked_select(mask).sum() / max(1, count) * (count / whole)
        for loss, mask, count in zip(losses, masks, counts, strict=True)
    ]
    return torch.stack(parts).sum()


def by_fill(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    sums = [loss.masked_fill(~mask, 0).sum() for loss, mask in zip(losses, masks, strict=True)]
    tokens = sum(mask.count_nonzero().item() for mask in masks)
    return sum(sums) / (tokens or 1)  # type: ignore[return-value]


def in_float64(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    return accumulated_loss([loss.double() for loss in losses], masks).to(losses[0].dtype)


Pairs = list[tuple[Tensor, Tensor]]


def from_pairs(reduce: Callable[[Pairs], Any]) -> Candidate:
    """An answer from the pairs of losses and masks."""

    def answer(losses: list[Tensor], masks: list[Tensor]) -> Any:
        return reduce(list(zip(losses, masks, strict=True)))

    return answer


def tokens(pairs: Pairs) -> int:
    return max(1, sum(int(mask.sum()) for _, mask in pairs))


def picked(pairs: Pairs) -> Tensor:
    return torch.stack([loss[mask].sum() for loss, mask in pairs]).sum()


def means(pairs: Pairs) -> list[Tensor]:
    """The micro-batches' own means, 0 where nothing counts."""
    return [loss[mask].sum() / mask.sum().clamp(min=1) for loss, mask in pairs]


def means_of_those_that_count(pairs: Pairs) -> Tensor:
    found = [loss[mask].mean() for loss, mask in pairs if mask.any()]
    return torch.stack(found).mean() if found else picked(pairs)


def rows_weighted(pairs: Pairs) -> Tensor:
    rows = [len(mask) for _, mask in pairs]
    parts = [mean * n for mean, n in zip(means(pairs), rows, strict=True)]
    return torch.stack(parts).sum() / max(1, sum(rows))


def sizes_weighted(pairs: Pairs) -> Tensor:
    sizes = [mask.numel() for _, mask in pairs]
    parts = [mean * n for mean, n in zip(means(pairs), sizes, strict=True)]
    return torch.stack(parts).sum() / max(1, sum(sizes))


def row_means(pairs: Pairs) -> Tensor:
    found = [
        loss[row][mask[row]].mean() for loss, mask in pairs for row in range(len(loss)) if mask[row].any()
    ]
    return torch.stack(found).mean() if found else picked(pairs)


def only_full(pairs: Pairs) -> Tensor:
    """Leaves out micro-batches with fewer rows than the first, as `drop_last` does."""
    return accumulated_loss(
        *map(list, zip(*(p for p in pairs if len(p[0]) >= len(pairs[0][0])), strict=True))
    )


def first_of_each_row(pairs: Pairs) -> Tensor:
    """Takes the mask for lengths: as many losses as it counts, from the start of the row."""
    first = [(loss, torch.arange(loss.shape[1]) < mask.sum(dim=1, keepdim=True)) for loss, mask in pairs]
    return picked(first) / tokens(first)


def filled_in_place(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    for loss, mask in zip(losses, masks, strict=True):
        loss.data[~mask] = 0
    return torch.stack([loss.sum() for loss in losses]).sum() / max(1, sum(int(m.sum()) for m in masks))


def padded_to_one(losses: list[Tensor], masks: list[Tensor]) -> Tensor:
    """Concatenates the rows, which needs equal lengths."""
    loss, mask = torch.cat(losses), torch.cat(masks)
    return loss[mask].sum() / mask.sum().clamp(min=1)


TASK = Task(
    name="accumulated_loss",
    entry="batching_grad_accumulation",
    statement=STATEMENT,
    starter=STARTER,
    reference=accumulated_loss,
    hints=HINTS,
    checks=(
        one_number,
        one_micro_batch,
        any_cut,
        other_lengths,
        nothing_in_one,
        nothing_at_all,
        zeros_count,
        anything_under_the_mask,
        what_counts_shows,
        gradients,
        memory,
        inputs_kept,
    ),
    wrong={
        "mean of means": from_pairs(lambda p: torch.stack(means(p)).mean()),
        "mean of the means that exist": from_pairs(means_of_those_that_count),
        "mean of means, NaN for nothing": from_pairs(
            lambda p: torch.stack([loss[mask].mean() for loss, mask in p]).mean()
        ),
        "sum of means": from_pairs(lambda p: torch.stack(means(p)).sum()),
        "mean of sums": from_pairs(lambda p: picked(p) / len(p)),
        "sum": from_pairs(picked),
        "means weighted by rows": from_pairs(rows_weighted),
        "means weighted by padded size": from_pairs(sizes_weighted),
        "mean of the sequences' means": from_pairs(row_means),
        "divided by the padded size": from_pairs(
            lambda p: picked(p) / max(1, sum(mask.numel() for _, mask in p))
        ),
        "divided by the number of sequences": from_pairs(
            lambda p: picked(p) / max(1, sum(len(mask) for _, mask in p))
        ),
        "divided by the first count": from_pairs(
            lambda p: picked(p) / p[0][1].sum().clamp(min=1),
        ),
        "divided by the last count": from_pairs(lambda p: picked(p) / p[-1][1].sum().clamp(min=1)),
        "divided by tokens and by micro-batches": from_pairs(lambda p: picked(p) / tokens(p) / len(p)),
        "a count of at least 1 per micro-batch": from_pairs(
            lambda p: picked(p) / sum(mask.sum().clamp(min=1) for _, mask in p)
        ),
        "one added to the count": from_pairs(lambda p: picked(p) / (tokens(p) + 1)),
        "a small number added to the count": from_pairs(lambda p: picked(p) / (tokens(p) + 1e-6)),
        "losses that are not 0 counted": from_pairs(
            lambda p: picked(p) / max(1, sum(int(loss[mask].count_nonzero()) for loss, mask in p))
        ),
        "0/0 for nothing": from_pairs(lambda p: picked(p) / sum(mask.sum() for _, mask in p)),
        "product with the mask": from_pairs(
            lambda p: torch.stack([(loss * mask).sum() for loss, mask in p]).sum() / tokens(p)
        ),
        "NaN taken as 0": from_pairs(
            lambda p: (
                torch.stack([loss[mask].nan_to_num(posinf=torch.inf).sum() for loss, mask in p]).sum()
                / tokens(p)
            )
        ),
        "finite losses alone": from_pairs(
            lambda p: torch.stack([loss[mask & loss.isfinite()].sum() for loss, mask in p]).sum() / tokens(p)
        ),
        "mask ignored": from_pairs(lambda p: torch.cat([loss.flatten() for loss, _ in p]).mean()),
        "mask turned around": from_pairs(lambda p: accumulated_loss([a for a, _ in p], [~b for _, b in p])),
        "last micro-batch left out": from_pairs(
            lambda p: accumulated_loss([a for a, _ in p[:-1] or p], [b for _, b in p[:-1] or p])
        ),
        "smaller micro-batches left out": from_pairs(only_full),
        "first micro-batch alone": from_pairs(lambda p: accumulated_loss([p[0][0]], [p[0][1]])),
        "rows concatenated": padded_to_one,
        "mask taken for lengths": from_pairs(first_of_each_row),
        "a number without a gradient": from_pairs(
            lambda p: torch.tensor(picked(p).item() / tokens(p), dtype=p[0][0].dtype)
        ),
        "gradient of the last micro-batch alone": from_pairs(
            lambda p: (
                (sum(loss[mask].sum().detach() for loss, mask in p[:-1]) + p[-1][0][p[-1][1]].sum())
                / tokens(p)
            )
        ),
        "a Python number": from_pairs(lambda p: picked(p).item() / tokens(p)),
        "float32 inside": from_pairs(
            lambda p: accumulated_loss([a.float() for a, _ in p], [b for _, b in p]).to(p[0][0].dtype)
        ),
        "padding zeroed in place": filled_in_place,
        "view of the losses": from_pairs(
            lambda p: torch.cat([loss.view(-1)[mask.view(-1)] for loss, mask in p]).sum() / tokens(p)
        ),
    },
    also_right={
        "joined into one": joined,
        "where, in a loop": by_where,
        "means weighted by tokens": by_weights,
        "masked_fill and Python's sum": by_fill,
        "float64 inside": in_float64,
    },
    asked=2,
)
