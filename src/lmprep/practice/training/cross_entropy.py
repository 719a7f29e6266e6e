"""Cross-entropy from logits, with rows that do not count."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.practice.checks import Call, Rng, normal, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `cross_entropy(logits, targets, ignore_index=-100)`: the mean over the rows that count of $-\log
\mathrm{softmax}(\text{logits})[\text{target}]$, natural logarithm, as one number in the dtype of the logits.
A row whose target equals `ignore_index`, which may be any number, also that of a class, does not count: it
adds nothing, to the sum or to the number of rows. If no row counts the loss is 0, where PyTorch gives NaN.
Logits of any size are fine, and a logit of $-\infty$ only rules its class out, in any row; the loss is
infinite where the target of a row that counts is ruled out, and NaN where such a row holds a NaN. Gradients
must flow to the logits; those of rows that do not count are exactly 0, also if none counts. Functions of
PyTorch are allowed, its losses too, but interviewers ask you to do without them.
"""

STARTER = '''
import torch


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100
) -> torch.Tensor:
    """Mean of −log softmax(logits)[target] over the rows that count.

    logits: (N, V), float32 or float64.
    targets: (N,), long: 0 to V − 1, or ignore_index: does not count.
    Returns a tensor of shape (), in the dtype of logits.
    """
    raise NotImplementedError
'''

HINTS = (
    "Write −log of a quotient as a difference before you write any code: which part is one of the logits, "
    "and which part needs all of them?",
    "A constant may be added to all logits of a row without changing the loss. Which constant makes sure "
    "that no exponential overflows, and that at least one does not vanish? As for the rows that do not "
    "count: throw them away before anything else, and no special case for their gradient is left.",
    "Keep the rows that count. Subtract from each its own largest logit. The loss of a row is the log of "
    "its sum of exponentials minus the logit that its target picks (gather along the class axis). Add up, "
    "and divide by the number of rows that count, or by 1 if there is none, so that the sum stays in the "
    "graph.",
)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, ignore_index: int = -100) -> torch.Tensor:
    counts = targets != ignore_index
    logits, targets = logits[counts], targets[counts]  # (M, V), (M,)
    logits = logits - logits.amax(dim=1, keepdim=True)
    picked = logits.gather(1, targets[:, None])[:, 0]  # (M,)
    losses = logits.exp().sum(dim=1).log() - picked
    return losses.sum() / max(len(targets), 1)


# What the checks compare with.

SIZES = ((1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (2, 5), (6, 4), (17, 9))  # N, V


def inputs(rng: Rng, N: int, V: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {
        "logits": 2 * normal(rng, N, V, dtype=dtype),
        "targets": torch.from_numpy(rng.integers(V, size=N)),
    }


def masked(rng: Rng, N: int, V: int, ignore_index: int, dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """Inputs of which about half the rows do not count, but the first does and the last does not."""
    given = inputs(rng, N, V, dtype)
    drop = torch.from_numpy(rng.random(N) < 0.5)
    drop[0], drop[-1] = False, True
    targets = given["targets"]
    targets = torch.where(targets == ignore_index, (targets + 1) % V, targets)
    return given | {"targets": targets.masked_fill(drop, ignore_index), "ignore_index": ignore_index}


def by_torch(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """PyTorch's, except that nothing costs nothing."""
    total = F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="sum")
    return total / (targets != ignore_index).sum().clamp(min=1)


def compare(candidate: Candidate, given: dict[str, Any], cause: str, tolerance: float | None = None) -> Call:
    call = Call(candidate, **given)
    loss = call.returns(given["logits"].dtype, loss=())
    call.same("loss", loss, by_torch(**given), cause=cause, tolerance=tolerance)
    return call


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number, as a tensor in the dtype of the logits."""
    for sizes in SIZES:
        for dtype in (torch.float32, torch.float64):
            Call(candidate, **inputs(rng, *sizes, dtype=dtype)).returns(dtype, loss=())


def equal_logits(candidate: Candidate, rng: Rng) -> None:
    """Equal logits cost log V, in nats."""
    for N, V in SIZES:
        given = {"logits": torch.zeros(N, V), "targets": torch.from_numpy(rng.integers(V, size=N))}
        cause = "a sum in place of the mean, another logarithm, a sign, or a softmax over the rows"
        compare(candidate, given, cause)


def values(candidate: Candidate, rng: Rng) -> None:
    """Agrees with F.cross_entropy where every row counts."""
    for sizes in SIZES:
        for dtype in (torch.float32, torch.float64):
            cause = (
                "a second softmax, the wrong axis, something added inside the logarithm, or float32 inside"
            )
            compare(candidate, inputs(rng, *sizes, dtype=dtype), cause)


def ignored(candidate: Candidate, rng: Rng) -> None:
    """Rows that do not count are in neither the sum nor the number of rows."""
    for sizes in ((2, 2), (3, 2), (6, 4), (17, 9)):
        given = masked(rng, *sizes, ignore_index=-100)
        del given["ignore_index"]  # the default
        cause = "dividing by the number of all rows, or reading target −100 as a class"
        compare(candidate, given, cause)


def any_ignore_index(candidate: Candidate, rng: Rng) -> None:
    """`ignore_index` may be any number, also that of a class, as a padding id is."""
    for sizes in ((2, 2), (3, 3), (6, 4)):
        for ignore_index in (-1, 0, 1, 99):
            cause = "−100 written into the code, or `targets >= 0` as the test of what counts"
            compare(candidate, masked(rng, *sizes, ignore_index=ignore_index), cause)


def nothing_counts(candidate: Candidate, rng: Rng) -> None:
    """A batch of ignored rows alone costs 0; whoever drops them is left with no row, logits (0, V)."""
    for N, V in ((1, 1), (1, 2), (3, 4)):
        given = inputs(rng, N, V) | {"targets": torch.full((N,), -100)}
        compare(candidate, given, "0/0: the number of rows that count is 0", tolerance=0.0)


def any_size(candidate: Candidate, rng: Rng) -> None:
    """Logits of ±10,000 neither overflow nor vanish, nor do rows that lie far apart."""
    large = torch.tensor([[0.0, 1e4, -1e4]])
    apart = torch.tensor([[1e4, 1e4 + 1, 1e4 - 2], [0.0, 1.0, -1.0], [-1e4, -1e4, 1.0 - 1e4]])
    drawn = 1000.0 * torch.from_numpy(rng.integers(-9, 10, size=(6, 5))).float()
    for logits in (large, -large, apart, drawn):
        for target in range(3):
            given = {"logits": logits, "targets": torch.full((len(logits),), target)}
            cause = (
                "exp without subtracting the row's own largest logit, the log of a softmax that underflowed "
                "to 0, a clamp, or an ε inside the logarithm that caps the loss"
            )
            compare(candidate, given, cause, tolerance=1e-3)  # float32's step at 10⁴ is 10⁻³


def ruled_out(candidate: Candidate, rng: Rng) -> None:
    """A logit of −∞ rules its class out and changes nothing else."""
    for N, V in ((1, 2), (2, 3), (6, 4)):
        given = inputs(rng, N, V - 1)
        given["logits"] = torch.cat([given["logits"], torch.full((N, 1), -torch.inf)], dim=1)
        cause = (
            "0 · log 0 = NaN: a one-hot vector times log-probabilities, where one of them should be picked"
        )
        compare(candidate, given, cause)


def target_ruled_out(candidate: Candidate, rng: Rng) -> None:
    """A target whose logit is −∞ costs infinitely much."""
    for N, V in ((1, 2), (2, 3), (6, 4)):
        given = inputs(rng, N, V)
        given["logits"][-1, given["targets"][-1]] = -torch.inf
        cause = "logits or probabilities clamped, or what is infinite replaced by a number"
        compare(candidate, given, cause)


def not_a_number(candidate: Candidate, rng: Rng) -> None:
    """NaN among the logits of a row that counts makes the loss NaN: a broken model must not look fine."""
    for sizes in ((1, 2), (2, 3), (6, 4)):
        given = masked(rng, *sizes, ignore_index=-100) if sizes[0] > 1 else inputs(rng, *sizes)
        given["logits"][0, -1] = torch.nan
        call = Call(candidate, **given)
        loss = call.returns(torch.float32, loss=())
        call.holds(loss.isnan(), expected="loss = nan", got=f"{loss.item():.4g}",
                   cause="`nan_to_num`, or a row dropped because its loss is not finite")  # fmt: skip


def ruled_out_where_ignored(candidate: Candidate, rng: Rng) -> None:
    """A logit of −∞ in a row that does not count leaves no trace, in the loss or its gradients."""
    for N, V, ignore_index in ((2, 2, -100), (3, 3, 1), (6, 4, -100)):
        for none_counts in (False, True):
            given = masked(rng, N, V, ignore_index, torch.float64)
            if none_counts:
                given["targets"].fill_(ignore_index)
            given["logits"][given["targets"] == ignore_index, 0] = -torch.inf
            _check_gradients(candidate, given, "−∞ · 0 = NaN: rows left out by multiplication with 0, or "
                             "`logits.sum() * 0` where nothing counts")  # fmt: skip


def _check_gradients(candidate: Candidate, given: dict[str, Any], cause: str) -> None:
    leaf = given["logits"].clone().requires_grad_()
    expected = by_torch(**given | {"logits": leaf})
    expected.backward()
    call = Call(candidate, **given | {"logits": given["logits"].clone().requires_grad_()})
    loss = call.returns(leaf.dtype, loss=())
    call.same("loss", loss, expected, cause=cause)
    gradient = call.gradients(loss=loss)["logits"]
    call.same("gradient of logits", gradient, leaf.grad, cause=cause)
    dropped = gradient[given["targets"] == given.get("ignore_index", -100)]
    call.same("gradient of ignored rows", dropped, torch.zeros_like(dropped), tolerance=0.0,
              cause="ignored rows that take part in the loss")  # fmt: skip


def gradients(candidate: Candidate, rng: Rng) -> None:
    """Gradients flow to the logits, as in PyTorch; rows that do not count get exactly 0."""
    cases = [
        inputs(rng, 1, 2, torch.float64),
        masked(rng, 2, 2, -100, torch.float64),
        masked(rng, 6, 4, 0, torch.float64),
        inputs(rng, 2, 3, torch.float64) | {"targets": torch.full((2,), -100)},
        {"logits": torch.tensor([[0.0, 1e4, -1e4]] * 2), "targets": torch.tensor([2, 1])},
    ]
    for given in cases:
        cause = (
            "a normalizer cut off from autograd, so that of p − y only −y is left, an ε inside the "
            "logarithm, a clamp, or NaN · 0 where a result is masked after it was computed"
        )
        _check_gradients(candidate, given, cause)


def memory(candidate: Candidate, rng: Rng) -> None:
    """Takes logits that are not contiguous."""
    for sizes in ((2, 2), (2, 5), (6, 4)):
        given = inputs(rng, *sizes)
        compare(candidate, given | {"logits": strided(given["logits"])}, "`.view` of an input")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves logits and targets as they were."""
    for sizes in ((2, 2), (6, 4)):
        Call(candidate, **masked(rng, *sizes, ignore_index=-100)).unchanged()


# Right answers of other style, and wrong ones.


def by_log_softmax(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets != ignore_index
    log_p = torch.log_softmax(logits[counts], -1)
    picked = log_p[torch.arange(len(log_p)), targets[counts]]
    return -picked.sum() / counts.sum().clamp_min(1)


def by_mask(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets.ne(ignore_index)
    safe = torch.where(counts, targets, 0)
    losses = torch.logsumexp(logits, 1) - torch.take_along_dim(logits, safe.unsqueeze(1), 1).squeeze(1)
    return losses.where(counts, 0.0).sum() / counts.sum().clamp(min=1)


def by_loop(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    pairs = [(row, t) for row, t in zip(logits, targets.tolist(), strict=True) if t != ignore_index]
    losses = [torch.logsumexp(row, 0) - row[t] for row, t in pairs]
    return torch.stack(losses).mean() if losses else logits[:0].sum()


def by_one_hot(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets != ignore_index
    chosen = targets[:, None] == torch.arange(logits.shape[1])
    log_p = logits.log_softmax(1)[chosen & counts[:, None]]
    return -log_p.sum() / max(1, counts.sum().item())


def in_float64(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return cross_entropy(logits.double(), targets, ignore_index).to(logits.dtype)


class _ByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
        counts = (targets != ignore_index).to(logits.dtype)[:, None]
        log_p = logits.log_softmax(1)
        chosen = F.one_hot(targets.where(counts[:, 0] > 0, 0), logits.size(1)).bool()
        number = counts.sum().clamp(min=1)
        ctx.save_for_backward((log_p.exp() - chosen.to(logits.dtype)) * counts / number)
        return -log_p[chosen & (counts > 0)].sum() / number

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:
        return upstream * ctx.saved_tensors[0], None, None


def by_hand(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    loss: Tensor = _ByHand.apply(logits, targets, ignore_index)
    return loss


def loss(log_p: Callable[[Tensor], Tensor]) -> Candidate:
    """An answer right in everything but how it gets from logits (M, V) to log-probabilities."""

    def answer(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
        counts = targets != ignore_index
        picked = log_p(logits[counts]).gather(1, targets[counts, None])
        return -picked.sum() / max(len(picked), 1)

    return answer


def mean(reduce: Callable[[Tensor, Tensor], Tensor]) -> Candidate:
    """An answer right in everything but how the losses (N,), 0 where ignored, and what counts become one."""

    def answer(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
        return reduce(F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="none"),
                      targets != ignore_index)  # fmt: skip

    return answer


def naive(z: Tensor) -> Tensor:
    return torch.log(z.exp() / z.exp().sum(1, keepdim=True))


def one_maximum(z: Tensor) -> Tensor:
    """Subtracts the largest logit of the whole batch."""
    z = z - z.amax() if z.numel() else z
    return z - z.exp().sum(1, keepdim=True).log()


def torchs_own(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return F.cross_entropy(logits, targets, ignore_index=ignore_index)


def cut_off_if_empty(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    if bool((targets == ignore_index).all()):
        return torch.tensor(0.0, dtype=logits.dtype)
    return F.cross_entropy(logits, targets, ignore_index=ignore_index)


def target_0_instead(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return by_torch(logits, targets.masked_fill(targets == ignore_index, 0), -100)


def always_100(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return by_torch(logits, targets)


def negative_ignored(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = (targets >= 0) & (targets < logits.size(1))
    return by_torch(logits, targets.where(counts, -100))


def ignored_indexed(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    losses = -logits.log_softmax(1)[torch.arange(len(targets)), targets]
    return losses[targets != ignore_index].sum() / max(1, int((targets != ignore_index).sum()))


def one_hot_product(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets != ignore_index
    y = F.one_hot(targets[counts], logits.size(1)).to(logits.dtype)
    return -(y * logits[counts].log_softmax(1)).sum() / max(1, len(y))


def targets_filled_in(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets != ignore_index
    targets[~counts] = 0
    losses = F.cross_entropy(logits, targets, reduction="none")
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def logits_zeroed(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """Zeroes the logits of ignored rows, which then cost log V each, and counts them."""
    counts = targets != ignore_index
    return F.cross_entropy(logits * counts[:, None], targets.where(counts, 0))


def without_gradient(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return torch.tensor(by_torch(logits, targets, ignore_index).item(), dtype=logits.dtype)


def in_float32(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return by_torch(logits.float(), targets, ignore_index).to(logits.dtype)


def hidden_nan(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    losses = F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction="none")
    return losses.nan_to_num(posinf=torch.inf).sum() / (targets != ignore_index).sum().clamp(min=1)


def constant_normalizer(z: Tensor) -> Tensor:
    return z - torch.logsumexp(z.detach(), 1, keepdim=True)


def times_counts(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets != ignore_index
    losses = F.cross_entropy(logits, targets.where(counts, 0), reduction="none")
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def zero_times_logits(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    if bool((targets == ignore_index).all()):
        return logits.sum() * 0
    return F.cross_entropy(logits, targets, ignore_index=ignore_index)


def as_distribution(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    counts = targets != ignore_index
    log_p = torch.distributions.Categorical(logits=logits[counts]).log_prob(targets[counts])
    return -log_p.sum() / max(len(log_p), 1)


def viewed(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    return by_torch(logits.view(-1, logits.size(1)).view(-1).view(logits.shape), targets, ignore_index)


TASK = Task(
    name="cross_entropy",
    entry="cross_entropy_numerics",
    statement=STATEMENT,
    starter=STARTER,
    reference=cross_entropy,
    hints=HINTS,
    checks=(
        one_number,
        equal_logits,
        values,
        ignored,
        any_ignore_index,
        nothing_counts,
        any_size,
        ruled_out,
        target_ruled_out,
        not_a_number,
        gradients,
        ruled_out_where_ignored,
        memory,
        inputs_kept,
    ),
    wrong={
        "softmax, then log": loss(lambda z: z.softmax(1).log()),
        "softmax, then log with 1e-9 inside": loss(lambda z: (z.softmax(1) + 1e-9).log()),
        "softmax, then log with 1e-12 inside": loss(lambda z: (z.softmax(1) + 1e-12).log()),
        "probabilities clamped from below": loss(lambda z: z.softmax(1).clamp(min=1e-30).log()),
        "exp without the maximum": loss(naive),
        "log-sum-exp without the maximum": loss(lambda z: z - z.exp().sum(1, keepdim=True).log()),
        "maximum of the whole batch": loss(one_maximum),
        "logits clamped to ±50": loss(lambda z: z.clamp(-50, 50).log_softmax(1)),
        "logits clamped at −100,000": loss(lambda z: z.clamp(min=-1e5).log_softmax(1)),
        "maximum subtracted, then quotient, then log": loss(
            lambda z: naive(z - z.amax(1, keepdim=True)),
        ),
        "normalizer cut off from autograd": loss(constant_normalizer),
        "maximum over an empty batch": loss(lambda z: (z - z.max()).log_softmax(1)),
        "a distribution over an empty batch": as_distribution,
        "NaN counted as 0": hidden_nan,
        "losses times what counts": times_counts,
        "0 times the logits for nothing": zero_times_logits,
        "softmax twice": loss(lambda z: z.softmax(1).log_softmax(1)),
        "softmax over the rows": loss(lambda z: z.log_softmax(0)),
        "no logarithm": loss(lambda z: z.softmax(1)),
        "the logit alone": loss(lambda z: z),
        "in bits": loss(lambda z: z.log_softmax(1) / torch.tensor(2.0, dtype=z.dtype).log()),
        "sign turned around": loss(lambda z: -z.log_softmax(1)),
        "float32 inside": in_float32,
        "sum": mean(lambda losses, counts: losses.sum()),
        "mean over ignored rows too": mean(lambda losses, counts: losses.mean()),
        "one loss a row": mean(lambda losses, counts: losses),
        "mean over losses that are not 0": mean(
            lambda losses, counts: losses.sum() / losses.count_nonzero().clamp(min=1)
        ),
        "PyTorch's NaN for nothing": torchs_own,
        "a number of its own for nothing": cut_off_if_empty,
        "a small number added to the count": mean(
            lambda losses, counts: losses.sum() / (counts.sum() + 0.01)
        ),
        "one added to the count": mean(lambda losses, counts: losses.sum() / (counts.sum() + 1)),
        "target 0 in place of ignored ones": target_0_instead,
        "logits of ignored rows set to 0": logits_zeroed,
        "only −100 ignored": always_100,
        "negative targets ignored": negative_ignored,
        "ignored targets used as an index": ignored_indexed,
        "one-hot times log-probabilities": one_hot_product,
        "targets filled in place": targets_filled_in,
        "a number without a gradient": without_gradient,
        "view of the logits": viewed,
    },
    also_right={
        "PyTorch's sum over a count": by_torch,
        "log_softmax and an index": by_log_softmax,
        "torch.logsumexp and a mask": by_mask,
        "one row at a time": by_loop,
        "one-hot as a choice": by_one_hot,
        "float64 inside": in_float64,
        "the gradient by hand": by_hand,
    },
    asked=3,
)
