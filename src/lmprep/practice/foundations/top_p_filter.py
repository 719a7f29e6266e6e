"""The nucleus of each row of logits."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `top_p_filter(logits, p)`, the filter of nucleus sampling: in each row of logits, over the last of any
number of dimensions, keep the smallest set of most likely tokens whose probabilities sum to at least $p$. So
the token that crosses $p$ is kept, and of tokens that tie no more than needed, whichever; at $p = 0$ the most
likely token alone is left, and $p = 1$ keeps everything, also what has a probability that rounds to zero.
Kept logits stay as they are, the others become $-\infty$. Return a new tensor in the dtype of the logits,
float64 to full precision, and leave the input alone. Some logits may be $-\infty$ already, others in the
thousands, but none is NaN and each row has a finite one.
"""

STARTER = '''
import torch


def top_p_filter(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Keep each row's smallest set of most likely tokens that reaches probability p.

    logits: (..., V), float32 or float64.
    p: from 0 to 1.
    Returns (..., V), in the dtype of logits: −inf for what is dropped, the rest as it was.
    """
    raise NotImplementedError
'''

HINTS = (
    "Sort one row on paper, most likely first, and write the running sum of the probabilities below it. "
    "Which token is the last to stay, and what does its own running sum say about p?",
    "A token goes when the tokens before it already reach p: compare p with the running sum without the "
    "token itself. The result is a mask in sorted order. Where does each of its entries belong in the row?",
    "Argsort the logits downwards, gather the softmax in that order, take the cumulative sum. Shift it by "
    "one place, so that each token sees the sum before it, with 0 for the first. What is at least p gets "
    "dropped: scatter that mask back along the sorted indices, then fill with minus infinity. p = 1 needs "
    "a line of its own, because the sum may round to 1 early.",
)


def top_p_filter(logits: torch.Tensor, p: float) -> torch.Tensor:
    if p == 1:
        return logits.clone()
    order = logits.argsort(dim=-1, descending=True)
    mass = logits.softmax(dim=-1).gather(-1, order).cumsum(dim=-1)
    drop = torch.zeros_like(logits, dtype=torch.bool)
    drop[..., 1:] = mass[..., :-1] >= p  # reached without this token; the first always stays
    drop = torch.zeros_like(drop).scatter(-1, order, drop)  # from sorted order to the row's own
    return logits.masked_fill(drop, -torch.inf)


# What the checks look at.

SHAPES = ((1,), (2,), (5,), (1, 1), (1, 3), (2, 4), (3, 7), (2, 3, 5), (2, 1, 2, 6), (4, 60))
SLACK = {torch.float32: 1e-5, torch.float64: 1e-12}


def levels(rng: Rng) -> list[float]:
    """Values for p from 0 to 1."""
    return [0.0, 0.05, *map(float, rng.uniform(0.1, 0.95, size=3)), 0.99, 1.0]


def filtered(candidate: Candidate, logits: Tensor, p: float) -> tuple[Call, Tensor, Tensor]:
    """The call, and rows of logits (N, V) and of the answer, after what every check asks for: kept logits are
    as they were, the others −∞, and one at least is kept."""
    call = Call(candidate, logits=logits, p=p)
    answer = call.returns(logits.dtype, filtered=logits.shape)
    rows, ours = logits.reshape(-1, logits.shape[-1]), answer.reshape(-1, logits.shape[-1])
    kept = ours > -torch.inf
    call.holds(not ours.isnan().any(), expected="no NaN", got=f"{int(ours.isnan().sum())} NaN",
               cause="a mask multiplied in: 0 · ∞ is NaN")  # fmt: skip
    call.same("the kept logits", ours[kept], rows[kept], tolerance=0.0,
              cause="sorted, shifted or normalized logits returned, or a dropped token set to a number that "
              "is not −∞")  # fmt: skip
    call.holds(kept.any(-1).all(), expected="at least one token kept in each row", got="a row without any",
               cause="dropping the token that crosses p, which may be the first")  # fmt: skip
    return call, rows, ours


def nucleus(candidate: Candidate, logits: Tensor, p: float, *, cause: str) -> None:
    """Each row keeps a smallest set of most likely tokens that reaches p, up to rounding."""
    call, rows, ours = filtered(candidate, logits, p)
    slack = SLACK[logits.dtype]
    for row, left in zip(rows, ours, strict=True):
        kept = left > -torch.inf
        probabilities = row.double().softmax(-1)
        least, most_dropped = probabilities[kept].min(), probabilities[~kept].max() if (~kept).any() else 0.0
        call.holds(
            row[kept].min() >= row[~kept].max() if (~kept).any() else True,
            expected="every kept token at least as likely as every dropped one",
            got=f"kept a token of probability {least:.4g}, dropped one of {most_dropped:.4g}",
            cause="a mask left in sorted order, not scattered back to the row's own, or a sort upwards",
        )
        mass = probabilities[kept].sum()
        call.holds(mass >= p - slack, expected=f"kept tokens with a mass of at least p = {p:.6g}",
                   got=f"{int(kept.sum())} tokens with {mass:.6g}", cause=cause)  # fmt: skip
        if p < 1 and kept.sum() > 1:
            call.holds(mass - least < p + slack, expected=f"no token that p = {p:.6g} does not need",
                       got=f"{int(kept.sum())} tokens; without the last one still {mass - least:.6g}",
                       cause=cause)  # fmt: skip


CROSSING = (
    "the token that crosses p dropped, one too many kept, p compared with each probability in place of the "
    "running sum, one row's set used for all rows, or a sum over another dimension than the last"
)


# Checks.


def form(candidate: Candidate, rng: Rng) -> None:
    """Returns logits of the same shape and dtype: kept ones as they were, −∞ for the others."""
    for shape in SHAPES:
        for dtype in (torch.float32, torch.float64):
            filtered(candidate, normal(rng, *shape, dtype=dtype), 0.6)


def by_hand(candidate: Candidate, rng: Rng) -> None:
    """Probabilities 0.1, 0.4, 0.05, 0.3, 0.15: p = 0.5 keeps two tokens, p = 0.8 three."""
    logits = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15]).log()
    for p, wanted in ((0.0, [1]), (0.3, [1]), (0.5, [1, 3]), (0.8, [1, 3, 4]), (0.9, [0, 1, 3, 4])):
        call, _, ours = filtered(candidate, logits, p)
        found = (ours[0] > -torch.inf).nonzero().flatten().tolist()
        call.equals("kept tokens", found, wanted, cause=CROSSING)


def smallest_set(candidate: Candidate, rng: Rng) -> None:
    """The kept tokens reach p, and would not without the least likely of them."""
    for shape in SHAPES:
        for p in levels(rng):
            for dtype in (torch.float32, torch.float64):
                nucleus(candidate, 2 * normal(rng, *shape, dtype=dtype), p, cause=CROSSING)


def everything(candidate: Candidate, rng: Rng) -> None:
    """p = 1 keeps everything, also tokens whose probability rounds to zero."""
    for logits in (normal(rng, 2, 5), torch.tensor([[0.0, -200.0, -40.0]]), 50 * normal(rng, 3, 40)):
        call, rows, ours = filtered(candidate, logits, 1.0)
        call.equals("number of kept tokens", int((ours > -torch.inf).sum()), rows.numel(),
                    cause="a running sum that rounds to 1 before the last token")  # fmt: skip


def exactly_p(candidate: Candidate, rng: Rng) -> None:
    """Tokens that tie: no more of them than needed. A set that reaches p exactly is large enough."""
    for V, p, count in (
        (3, 0.0, 1),
        (2, 0.5, 1),
        (4, 0.25, 1),
        (4, 0.5, 2),
        (4, 0.6, 3),
        (8, 0.75, 6),
        (6, 0.4, 3),
    ):
        call, _, ours = filtered(candidate, torch.full((2, V), 1.5), p)
        found = (ours > -torch.inf).sum(-1).tolist()
        call.equals("number of kept tokens in each row", found, [count, count],
                    cause="`>` for `>=`, or a threshold on the logits, which keeps all that tie with the "
                    "last token")  # fmt: skip


def ruled_out(candidate: Candidate, rng: Rng) -> None:
    """A token of logit −∞ has no probability and stays out."""
    for V in (2, 5):
        for p in (0.0, 0.5, 0.95):
            logits = normal(rng, 3, V)
            logits[0, 0] = logits[1, -1] = logits[2, 1] = -torch.inf
            nucleus(candidate, logits, p, cause="−∞ replaced by a number, or sorted to the front")


def large(candidate: Candidate, rng: Rng) -> None:
    """Logits in the thousands neither overflow nor share one scale for all rows."""
    apart = torch.tensor([[1e4, 1e4 + 1, 1e4 - 2], [0.0, 1.0, -1.0], [-1e4, -1e4, 1.0 - 1e4]])
    for logits in (apart, 1000 * torch.from_numpy(rng.integers(-9, 10, size=(4, 5))).float()):
        for p in (0.2, 0.7, 0.99):
            nucleus(candidate, logits, p, cause="exp without subtracting each row's own largest logit")


def precision(candidate: Candidate, rng: Rng) -> None:
    """Float64 to full precision: a token of probability 2·10⁻¹² is needed for p = 1 − 10⁻¹²."""
    logits = torch.tensor([[0.0, -27.0], [-27.0, 0.0]], dtype=torch.float64)
    call, _, ours = filtered(candidate, logits, 1 - 1e-12)
    call.equals(
        "number of kept tokens",
        int((ours > -torch.inf).sum()),
        4,
        cause="a softmax or a running sum in float32",
    )


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes logits that are not contiguous."""
    for shape in ((3, 4), (2, 3, 5)):
        nucleus(candidate, strided(normal(rng, *shape)), 0.6, cause="`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves the logits as they were, and returns no view of them."""
    for p in (0.0, 0.5, 1.0):
        logits = normal(rng, 3, 5)
        call = Call(candidate, logits=logits, p=p)
        call.unchanged()
        answer = call.returns(torch.float32, filtered=logits.shape)
        answer.fill_(7.0)
        call.unchanged(cause="the input itself returned: whoever changes the result changes the input")


# Right answers of other style, and wrong ones.


def upwards(logits: Tensor, p: float) -> Tensor:
    """As transformers does it, from the least likely token."""
    if p >= 1:
        return logits.clone()
    values, order = torch.sort(logits, dim=-1, stable=True)
    drop = values.softmax(-1).flip(-1).cumsum(-1).flip(-1)  # each token's mass and that of all likelier ones
    drop = drop - values.softmax(-1) >= p
    drop[..., -1] = False
    return torch.where(drop.gather(-1, order.argsort(-1)), -math.inf, logits)


def as_in_transformers(logits: Tensor, p: float) -> Tensor:
    if p == 1.0:
        return logits.clone()
    values, order = torch.sort(logits, descending=False)
    drop = values.softmax(dim=-1).cumsum(dim=-1) <= (1 - p)
    drop[..., -1:] = False
    return logits.masked_fill(drop.scatter(-1, order, drop), -torch.inf)


def by_loop(logits: Tensor, p: float) -> Tensor:
    rows = logits.reshape(-1, logits.shape[-1])
    result = torch.full_like(rows, -torch.inf)
    for row, left in zip(rows, result, strict=True):
        mass = 0.0
        probabilities = row.softmax(0).tolist()
        for token in sorted(range(len(row)), key=probabilities.__getitem__, reverse=True):
            if mass >= p and p < 1 and mass > 0:
                break
            left[token] = row[token]
            mass += probabilities[token]
    return result.reshape(logits.shape)


def by_ranks(logits: Tensor, p: float) -> Tensor:
    """Where a token stands in the sorted row says whether it is among the first few."""
    mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    count = (mass < p).sum(-1, keepdim=True) + 1 if p < 1 else logits.shape[-1]
    ranks = logits.argsort(-1, descending=True).argsort(-1)
    return logits.clone().masked_fill_(ranks >= count, -torch.inf)


def sorted_back(logits: Tensor, p: float) -> Tensor:
    values, order = logits.sort(-1, descending=True)
    probabilities = values.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    keep = (before < p) | (torch.arange(logits.shape[-1]) == 0) | (p == 1)
    return torch.empty_like(logits).scatter_(-1, order, values.where(keep, -torch.inf))


def by_pairs(logits: Tensor, p: float) -> Tensor:
    """Without a sort: the mass of all that go before a token."""
    if p == 1:
        return logits.clone()
    V = logits.shape[-1]
    one, other = logits[..., :, None], logits[..., None, :]
    tied_before = (one == other) & torch.ones(V, V, dtype=torch.bool).tril(-1)
    before = (other > one) | tied_before
    mass = (before * logits.softmax(-1)[..., None, :]).sum(-1)
    return logits.masked_fill((mass >= p) & before.any(-1), -torch.inf)


def in_log_space(logits: Tensor, p: float) -> Tensor:
    if p == 1:
        return logits.clone()
    log_p, order = logits.log_softmax(-1).sort(-1, descending=True)
    drop = shift(log_p.logcumsumexp(-1) >= (math.log(p) if p > 0 else -math.inf))
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def nearest(logits: Tensor, p: float) -> Tensor:
    """Keeps as many tokens as bring the sum nearest to p, above or below."""
    mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    count = (mass - p).abs().argmin(-1, keepdim=True) + 1 if p < 1 else logits.shape[-1]
    ranks = logits.argsort(-1, descending=True).argsort(-1)
    return logits.masked_fill(ranks >= count, -torch.inf)


def edited(rule: Callable[[Tensor, float], Tensor]) -> Candidate:
    """An answer right in everything but how the running sum (..., V), sorted, says what is dropped."""

    def answer(logits: Tensor, p: float) -> Tensor:
        if p == 1:
            return logits.clone()
        order = logits.argsort(dim=-1, descending=True)
        mass = logits.softmax(dim=-1).gather(-1, order).cumsum(dim=-1)
        drop = rule(mass, p)
        return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)

    return answer


def result(change: Callable[[Tensor, Tensor], Tensor]) -> Candidate:
    """The right answer, changed: from the logits and what is kept of them."""

    def answer(logits: Tensor, p: float) -> Tensor:
        return change(logits, top_p_filter(logits, p) > -torch.inf)

    return answer


def shift(drop: Tensor) -> Tensor:
    """A token is dropped if the one before it was beyond p; the first never is."""
    return torch.cat([torch.zeros_like(drop[..., :1]), drop[..., :-1]], dim=-1)


def mask_in_sorted_order(logits: Tensor, p: float) -> Tensor:
    mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    return logits.masked_fill(shift(mass >= p) & (p < 1), -torch.inf)


def returned_sorted(logits: Tensor, p: float) -> Tensor:
    values = logits.sort(-1, descending=True).values
    return values.masked_fill(shift(values.softmax(-1).cumsum(-1) >= p) & (p < 1), -torch.inf)


def gathered_for_scattered(logits: Tensor, p: float) -> Tensor:
    order = logits.argsort(-1, descending=True)
    drop = shift(logits.softmax(-1).gather(-1, order).cumsum(-1) >= p) & (p < 1)
    return logits.masked_fill(drop.gather(-1, order), -torch.inf)


def threshold_on_each(logits: Tensor, p: float) -> Tensor:
    probabilities = logits.softmax(-1)
    return logits.masked_fill((probabilities < p) & (probabilities < probabilities.amax(-1, keepdim=True)),
                              -torch.inf)  # fmt: skip


def relative_threshold(logits: Tensor, p: float) -> Tensor:
    probabilities = logits.softmax(-1)
    return logits.masked_fill(probabilities < p * probabilities.amax(-1, keepdim=True), -torch.inf)


def share_of_tokens(logits: Tensor, p: float) -> Tensor:
    count = max(1, math.ceil(p * logits.shape[-1]))
    order = logits.argsort(-1, descending=True)
    return torch.full_like(logits, -torch.inf).scatter(-1, order[..., :count],
                                                       logits.gather(-1, order[..., :count]))  # fmt: skip


def ties_kept(logits: Tensor, p: float) -> Tensor:
    last = top_p_filter(logits, p)
    last = last.masked_fill(last == -torch.inf, torch.inf).amin(-1, keepdim=True)
    return logits.masked_fill(logits < last, -torch.inf)


def without_maximum(logits: Tensor, p: float) -> Tensor:
    order = logits.argsort(-1, descending=True)
    powers = logits.exp()
    mass = (powers / powers.sum(-1, keepdim=True)).gather(-1, order).cumsum(-1)
    drop = shift(mass >= p) & (p < 1)
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def minimum_subtracted(logits: Tensor, p: float) -> Tensor:
    drop = top_p_filter((logits - logits.amin(-1, keepdim=True)) * (p < 1), p) == -torch.inf
    return logits.masked_fill(drop, -torch.inf)


def softmax_in_float32(logits: Tensor, p: float) -> Tensor:
    return logits.masked_fill(top_p_filter(logits.float(), p) == -torch.inf, -torch.inf)


def first_dimension(logits: Tensor, p: float) -> Tensor:
    return top_p_filter(logits.movedim(0, -1), p).movedim(-1, 0)


def one_count_for_all(logits: Tensor, p: float) -> Tensor:
    rows = logits.reshape(-1, logits.shape[-1])
    if p == 1:
        return logits.clone()
    mass = rows[0].softmax(-1).sort(descending=True).values.cumsum(-1)
    count = int((mass < p).sum()) + 1
    return rows.masked_fill(rows.argsort(-1, descending=True).argsort(-1) >= count, -torch.inf).reshape(
        logits.shape
    )


def in_place(logits: Tensor, p: float) -> Tensor:
    return logits.copy_(top_p_filter(logits, p))


def itself_at_one(logits: Tensor, p: float) -> Tensor:
    return logits if p == 1 else top_p_filter(logits, p)


def sum_at_one(logits: Tensor, p: float) -> Tensor:
    order = logits.argsort(-1, descending=True)
    drop = shift(logits.softmax(-1).gather(-1, order).cumsum(-1) >= p)
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def viewed(logits: Tensor, p: float) -> Tensor:
    return top_p_filter(logits.view(-1, logits.shape[-1]), p).view(logits.shape)


TASK = Task(
    name="top_p_filter",
    entry="decoding_autoregressive",
    statement=STATEMENT,
    starter=STARTER,
    reference=top_p_filter,
    hints=HINTS,
    checks=(
        form,
        by_hand,
        smallest_set,
        everything,
        exactly_p,
        ruled_out,
        large,
        precision,
        memory,
        inputs_kept,
    ),
    wrong={
        "crossing token dropped": edited(lambda mass, p: mass > p),
        "crossing token dropped, the first kept": edited(
            lambda mass, p: (mass > p) & (torch.arange(mass.shape[-1]) > 0)
        ),
        "one token too many": edited(lambda mass, p: shift(shift(mass >= p))),
        "two tokens at least": edited(lambda mass, p: shift(mass >= p) & (torch.arange(mass.shape[-1]) > 1)),
        "the sum nearest to p": nearest,
        "> for ≥": edited(lambda mass, p: shift(mass > p)),
        "1 − p for p": edited(lambda mass, p: shift(mass >= 1 - p)),
        "mask left in sorted order": mask_in_sorted_order,
        "sorted logits returned": returned_sorted,
        "gather where scatter belongs": gathered_for_scattered,
        "p compared with each probability": threshold_on_each,
        "min-p": relative_threshold,
        "a share p of the tokens": share_of_tokens,
        "all that tie with the last token kept": ties_kept,
        "all that tie for the most likely kept at p = 0": lambda logits, p: (
            logits.masked_fill(logits < logits.amax(-1, keepdim=True), -torch.inf)
            if p == 0
            else top_p_filter(logits, p)
        ),
        "exp without the maximum": without_maximum,
        "the minimum subtracted": minimum_subtracted,
        "over the first dimension": first_dimension,
        "the first row's count for all rows": one_count_for_all,
        "least likely tokens kept": lambda logits, p: -top_p_filter(-logits, p),
        "zero for what is dropped": result(lambda logits, keep: logits * keep),
        "−10⁹ for what is dropped": result(lambda logits, keep: logits.masked_fill(~keep, -1e9)),
        "the lowest float for what is dropped": result(
            lambda logits, keep: logits.masked_fill(~keep, torch.finfo(logits.dtype).min)
        ),
        "probabilities returned": result(
            lambda logits, keep: logits.masked_fill(~keep, -torch.inf).softmax(-1)
        ),
        "log-probabilities returned": result(
            lambda logits, keep: logits.masked_fill(~keep, -torch.inf).log_softmax(-1)
        ),
        "the mask returned": result(lambda logits, keep: keep),
        "float32 inside": computed_in(torch.float32, top_p_filter),
        "bfloat16 inside": computed_in(torch.bfloat16, top_p_filter),
        "the running sum trusted at p = 1": sum_at_one,
        "the input itself at p = 1": itself_at_one,
        "softmax in float32": softmax_in_float32,
        "filled in place": in_place,
        "view of the logits": viewed,
    },
    also_right={
        "from the least likely token": upwards,
        "as in transformers": as_in_transformers,
        "one row at a time": by_loop,
        "by ranks": by_ranks,
        "sorted, cut, scattered back": sorted_back,
        "pair by pair": by_pairs,
        "in log space": in_log_space,
        "float64 inside": computed_in(torch.float64, top_p_filter),
    },
    asked=3,
)
