"""Which of a draft's tokens the target keeps, and what it adds."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmprep.practice.checks import Call, Rng, computed_in, strided
from lmprep.practice.task import Candidate, Task

STATEMENT = r"""
Write `speculative_accept(p, q, draft, u, v)`, which decides on $k \ge 0$ drafted tokens: row $i$ of `p` is
the target's distribution at place $i$, with one more row for the place after the draft, and row $i$ of `q`
is what `draft[i]` was drawn from. From left to right, keep token $x$ at place $i$ if `u[i]` $<
p_i(x)/q_i(x)$; at the first that is not kept, stop and add one token drawn from the positive part of $p_i -
q_i$, normalized. If all are kept, add one drawn from the last row of `p`. Draw with $v$ by inverse CDF:
take the first token, in the order of ids, at which the running sum of the normalized weights exceeds $v$.
The numbers in `u` are in $[0, 1)$, $v$ is from 0 to 0.999, a row of `p` may equal that of `q`, and entries
may be 0, but not the $q$ of a drafted token. Return the 1 to $k + 1$ tokens in a new int64 tensor, with
float64 inputs taken to full precision, and leave the inputs alone.
"""

STARTER = '''
import torch


def speculative_accept(
    p: torch.Tensor, q: torch.Tensor, draft: torch.Tensor, u: torch.Tensor, v: float
) -> torch.Tensor:
    """The drafted tokens that are kept, and one token of the target's own.

    p: (k + 1, V) and q: (k, V), distributions, float32 or float64.
    draft: (k,), int64. u: (k,), one uniform number for each drafted token. v: for the last draw.
    Returns (n,), int64, n from 1 to k + 1.
    """
    raise NotImplementedError
'''

HINTS = (
    "There are k + 1 ways in which it can end: a rejection at one of k places, or none. What do they have in "
    "common, and from which weights does the added token come in each?",
    "Find the first place i where u[i] is at least p over q of the drafted token. The weights are the "
    "clamped difference of rows i, or row k of p if there is no such place. Everything before i is kept.",
    "Loop over the places and break at the first rejection, remembering its index and clamp(p[i] − q[i], 0); "
    "a for loop's else branch takes index k and p[k]. Take the cumulative sum of the weights, compare it "
    "with v times its last entry, strictly, and append the first index where it is larger to draft[:i].",
)


def speculative_accept(
    p: torch.Tensor, q: torch.Tensor, draft: torch.Tensor, u: torch.Tensor, v: float
) -> torch.Tensor:
    for i, token in enumerate(draft):
        if u[i] >= p[i, token] / q[i, token]:
            weights = (p[i] - q[i]).clamp(min=0)
            break
    else:  # all kept
        i, weights = len(draft), p[-1]
    mass = weights.cumsum(0)
    added = (mass > v * mass[-1]).nonzero()[:1, 0]  # (1,)
    return torch.cat([draft[:i], added])


# What the checks compare with.

RATIO = "q / p for p / q, or one number of u, or one row, used for all places"
GAP = {torch.float32: 1e-4, torch.float64: 1e-9}  # how far u and v stay from where the answer changes


def answer_of(
    p: list[Any], q: list[Any], draft: list[int], u: list[float], v: float
) -> tuple[list[int], float]:
    """The tokens, in plain Python, and how close a decision was."""
    closest = 1.0
    tokens: list[int] = []
    weights = p[-1]
    for place, token in enumerate(draft):
        ratio = p[place][token] / q[place][token]
        if ratio > 0:  # nothing is close about p = 0
            closest = min(closest, abs(u[place] - ratio))
        if u[place] >= ratio:
            weights = [max(a - b, 0.0) for a, b in zip(p[place], q[place], strict=True)]
            break
        tokens.append(token)
    total, mass = sum(weights), 0.0
    for token, weight in enumerate(weights):
        mass += weight / total
        if weight and token < max(i for i, w in enumerate(weights) if w):
            closest = min(closest, abs(mass - v))
        if mass > v and weight:
            return [*tokens, token], closest
    return [*tokens, max(i for i, w in enumerate(weights) if w)], closest


def rows(rng: Rng, n: int, V: int, zeros: bool = False) -> Tensor:
    """Distributions (n, V), float64; some entries 0 if asked for."""
    weights = rng.exponential(size=(n, V)) ** 1.5 + 1e-3
    if zeros and V > 1:
        weights[rng.random((n, V)) < 0.4] = 0.0
        weights[range(n), rng.integers(V, size=n)] += 1.0
    return torch.from_numpy(weights / weights.sum(axis=1, keepdims=True))


def draws(rng: Rng, q: Tensor) -> Tensor:
    """A token from each row of q."""
    return torch.tensor([int(rng.choice(len(row), p=row / row.sum())) for row in q.double().numpy()],
                        dtype=torch.long)  # fmt: skip


def case(
    rng: Rng, p: Tensor, q: Tensor, dtype: torch.dtype = torch.float64
) -> tuple[dict[str, Any], list[int]]:
    """Inputs for these distributions, no decision a close one, and the tokens that must come out."""
    p, q = p.to(dtype), q.to(dtype)
    while True:
        given = {
            "p": p,
            "q": q,
            "draft": draws(rng, q),
            "u": torch.from_numpy(rng.uniform(0, 0.999, size=len(q))).to(dtype),
            "v": float(rng.uniform(0, 0.999)),
        }
        wanted, closest = expected(given)
        if closest > GAP[dtype]:
            return given, wanted


def expected(given: dict[str, Any]) -> tuple[list[int], float]:
    plain = {name: x.double().tolist() if name in "pqu" else x for name, x in given.items()}
    return answer_of(**{**plain, "draft": given["draft"].tolist()})


def mixed(rng: Rng, k: int, V: int, share: float = 0.5, zeros: bool = False) -> tuple[Tensor, Tensor]:
    """A target and a draft; with a share of 1 they are the same."""
    p = rows(rng, k + 1, V, zeros)
    return p, share * p[:k] + (1 - share) * rows(rng, k, V, zeros)


def compare(candidate: Candidate, given: dict[str, Any], wanted: list[int], cause: str) -> Call:
    call = Call(candidate, **given)
    value = call.value
    if not isinstance(value, Tensor) or value.ndim != 1:
        call.returns(torch.long, tokens=(len(wanted),))
    if value.shape != (len(wanted),):
        call.fail(f"{len(wanted)} tokens: {wanted}", f"{value.tolist()}", cause)
    call.returns(torch.long, tokens=(len(wanted),))
    call.equals("tokens", value.tolist(), wanted, cause=cause)
    return call


# Checks.


def nothing_drafted(candidate: Candidate, rng: Rng) -> None:
    """Without a draft it draws one token from p, by inverse CDF."""
    cause = (
        "the running sum compared with v the wrong way round, or with >= for >, a draw by chance in place of "
        "v, or a loop that never runs and leaves no weights"
    )
    p, q = torch.tensor([[0.25, 0.0, 0.5, 0.25]]), torch.empty(0, 4)
    for v, token in ((0.0, 0), (0.2, 0), (0.25, 2), (0.7, 2), (0.75, 3)):
        given = {"p": p, "q": q, "draft": torch.empty(0, dtype=torch.long), "u": torch.empty(0), "v": v}
        compare(candidate, given, [token], cause)
    for V in (1, 2, 6):
        compare(candidate, *case(rng, *mixed(rng, 0, V)), cause)


def same_distribution(candidate: Candidate, rng: Rng) -> None:
    """Where q is p everything is kept, and one token from the last row of p follows."""
    for k, V in ((1, 2), (2, 3), (4, 5)):
        for _ in range(3):
            cause = "no token added after a draft kept in full, or one drawn from another row of p"
            compare(candidate, *case(rng, *mixed(rng, k, V, share=1.0)), cause)


def by_hand(candidate: Candidate, rng: Rng) -> None:
    """p = (½, ¼, ¼) and q = (¼, ¼, ½): the third token is kept if u < ½, else the first replaces it."""
    p, q = torch.tensor([[0.5, 0.25, 0.25]] * 2), torch.tensor([[0.25, 0.25, 0.5]])
    for token, u, v, wanted in (
        (0, 0.9, 0.6, [0, 1]), (1, 0.9, 0.1, [1, 0]), (2, 0.4, 0.9, [2, 2]), (2, 0.6, 0.9, [0]),
        (2, 0.9, 0.6, [0]), (2, 0.6, 0.1, [0]),
    ):  # fmt: skip
        given = {"p": p, "q": q, "draft": torch.tensor([token]), "u": torch.tensor([u]), "v": v}
        compare(candidate, given, wanted,
                f"the replacement drawn from p, or from |p − q|; {RATIO}")  # fmt: skip


def first_rejection(candidate: Candidate, rng: Rng) -> None:
    """A token that the target never says is not kept, nor anything after it."""
    cause = "`<=` for `<`, which at u = 0 keeps what is impossible, or going on after a rejection"
    for k, V, place in ((1, 3, 0), (2, 3, 0), (3, 4, 1), (4, 5, 2)):
        for u in (0.0, 0.5):
            p, q = mixed(rng, k, V, share=1.0)
            draft = p[:k].argmax(-1)
            p = p.clone()
            p[place, draft[place]] = 0.0
            numbers = torch.full((k,), 0.1, dtype=torch.float64)
            numbers[place] = u
            given = {"p": p / p.sum(-1, keepdim=True), "q": q, "draft": draft, "u": numbers, "v": 0.5}
            wanted, closest = expected(given)
            if closest > GAP[torch.float64]:
                compare(candidate, given, wanted, cause)


def any_models(candidate: Candidate, rng: Rng) -> None:
    """Keeps, replaces and adds as the uniform numbers say, for any distributions."""
    for k, V in ((1, 2), (1, 5), (2, 3), (3, 4), (5, 7), (8, 3)):
        for share in (0.0, 0.5, 0.9):
            for zeros in (False, True):
                compare(candidate, *case(rng, *mixed(rng, k, V, share, zeros)),
                        f"{RATIO}; weights of another place, drafts kept after a rejection, or a "
                        "difference not clamped or not normalized")  # fmt: skip


def one_hot(candidate: Candidate, rng: Rng) -> None:
    """Greedy models: a draft is kept as long as it is the target's choice, then comes that choice."""
    for k, V in ((1, 2), (3, 2), (5, 3)):
        for _ in range(3):
            p, q = (torch.eye(V, dtype=torch.float64)[rng.integers(V, size=n)] for n in (k + 1, k))
            compare(candidate, *case(rng, p, q), "0 / 0 somewhere in a whole row of ratios")


def precision(candidate: Candidate, rng: Rng) -> None:
    """In float64 a difference of 10⁻⁹ between p and q decides."""
    for V in (2, 4):
        q = torch.full((1, V), 1 / V, dtype=torch.float64)
        p = q.repeat(2, 1)
        p[0, 0] -= 4e-9
        p[0, V - 1] += 4e-9
        for token, u, wanted in ((0, 1.0 - 12e-9 * V, 0), (0, 1.0 - 1e-9 * V, V - 1)):
            given = {"p": p, "q": q, "draft": torch.tensor([token]),
                     "u": torch.tensor([u], dtype=torch.float64), "v": 0.5 / V}  # fmt: skip
            tokens = [token, 0] if wanted == 0 else [wanted]
            compare(candidate, given, tokens, "a conversion to float32, or a small number added to avoid 0")


def dtypes_and_memory(candidate: Candidate, rng: Rng) -> None:
    """Takes float32 as well, and memory that is not contiguous; the result is int64."""
    for k, V in ((1, 2), (3, 5), (2, 300)):
        for _ in range(2):
            given, wanted = case(rng, *mixed(rng, k, V, 0.4), torch.float32)
            given |= {"p": strided(given["p"]), "q": strided(given["q"])}
            compare(candidate, given, wanted, "`.view` of an input, or a dtype spelled out")


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves its inputs as they were, and returns no view of the draft."""
    for k, share in ((2, 0.0), (3, 1.0)):
        call = compare(candidate, *case(rng, *mixed(rng, k, 4, share)), "an answer that varies")
        call.unchanged()
        call.value.fill_(-1)
        call.unchanged(cause="a slice of the draft returned: whoever changes the result changes the draft")


# Right answers of other style, and wrong ones.


def by_masks(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """Without a loop: the first False of a mask."""
    k = len(draft)
    index = draft[:, None]
    kept = u * q.gather(1, index)[:, 0] < p[:k].gather(1, index)[:, 0]
    n = int(kept.cumprod(0).sum())
    weights = torch.relu(p[n] - q[n]) if n < k else p[k]
    cdf = (weights / weights.sum()).cumsum(0)
    last = torch.searchsorted(cdf, torch.tensor([v], dtype=cdf.dtype), right=True)
    return torch.cat([draft[:n], last])


def in_python(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    tokens, _ = expected({"p": p, "q": q, "draft": draft, "u": u, "v": v})
    return torch.tensor(tokens)


def padded_draft(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """A row of zeros below q, and a bonus is a replacement like any other."""
    q = torch.cat([q, q.new_zeros(1, q.shape[1])])
    tokens = []
    for i in range(len(q)):
        if i < len(draft) and u[i] < torch.clamp(p[i, draft[i]] / q[i, draft[i]], max=1.0):
            tokens.append(int(draft[i]))
            continue
        surplus = torch.where(p[i] > q[i], p[i] - q[i], 0)
        below = torch.cumsum(surplus / surplus.sum(), 0) <= v
        tokens.append(int(below.sum()))
        break
    return torch.tensor(tokens, dtype=torch.int64)


def in_numpy(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    P, Q, tokens = p.numpy(), q.numpy(), draft.tolist()
    n = 0
    while n < len(tokens) and float(u[n]) * Q[n, tokens[n]] < P[n, tokens[n]]:
        n += 1
    weights = (P[n] - Q[n]).clip(0) if n < len(tokens) else P[n]
    cdf = weights.cumsum()
    return torch.tensor([*tokens[:n], int((cdf / cdf[-1]).searchsorted(v, side="right"))])


def edited(
    ratio: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda p, q, x: p[x] / q[x],
    weights: Callable[[Tensor, Tensor], Tensor] = lambda p, q: (p - q).clamp(min=0),
    rejects: Callable[[Any, Any], Any] = lambda u, r: u >= r,
    number: Callable[[int], int] = lambda i: i,
    exceeds: Callable[[Tensor, Any], Tensor] = lambda mass, v: mass > v,
    bonus: bool = True,
    normalize: bool = True,
) -> Candidate:
    """An answer right in everything but one decision."""

    def answer(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
        k = len(draft)
        i, row = k, p[k]
        for place in range(k):
            if rejects(u[number(place)], ratio(p[place], q[place], draft[place])):
                i, row = place, weights(p[place], q[place])
                break
        if i == k and not bonus and k:
            return draft.clone()
        mass = row.cumsum(0)
        added = exceeds(mass, v * mass[-1] if normalize else v).nonzero()[:1, 0]
        return torch.cat([draft[:i], added])

    return answer


def goes_on(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """Replaces what is rejected and keeps what follows."""
    tokens = []
    for i, x in enumerate(draft):
        if u[i] < p[i, x] / q[i, x]:
            tokens.append(x[None])
        else:
            tokens.append(speculative_accept(p[i : i + 2], q[i : i + 1], draft[i : i + 1], u[i : i + 1], v))
    mass = p[-1].cumsum(0)
    return torch.cat([*tokens, (mass > v * mass[-1]).nonzero()[:1, 0]])


def keeps_rejected(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    right = speculative_accept(p, q, draft, u, v)
    return torch.cat([draft[: len(right)], right[-1:]]) if len(right) <= len(draft) else right


def stops_without(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """Adds nothing after a rejection."""
    right = speculative_accept(p, q, draft, u, v)
    return right[:-1] if 1 < len(right) <= len(draft) else right


def counts_all(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """Takes as many drafts as pass the test, also beyond a rejection."""
    k, index = len(draft), draft[:, None]
    n = int((u < (p[:k].gather(1, index) / q.gather(1, index))[:, 0]).sum())
    mass = ((p[n] - q[n]).clamp(min=0) if n < k else p[n]).cumsum(0)
    return torch.cat([draft[:n], (mass > v * mass[-1]).nonzero()[:1, 0]])


def all_but_rejected(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """Replaces from p, without the token that was rejected."""
    n = len(speculative_accept(p, q, draft, u, v)) - 1
    weights = p[n].clone()
    if n < len(draft):
        weights[draft[n]] = 0
    mass = weights.cumsum(0)
    return torch.cat([draft[:n], (mass > v * mass[-1]).nonzero()[:1, 0]])


def by_chance(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    n = len(speculative_accept(p, q, draft, u, v)) - 1
    weights = (p[n] - q[n]).clamp(min=0) if n < len(draft) else p[n]
    return torch.cat([draft[:n], torch.multinomial(weights, 1)])


def first_k_rows(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """The bonus token from the last drafted place's distribution."""
    n = len(speculative_accept(p, q, draft, u, v)) - 1
    if n < len(draft) or n == 0:
        return speculative_accept(p, q, draft, u, v)
    return speculative_accept(torch.cat([p[:-1], p[-2:-1]]), q, draft, u, v)


def writes_into_p(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    answer = speculative_accept(p, q, draft, u, v)
    p[: len(q)] -= q
    return answer


def slice_of_draft(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    """Writes the added token into the draft."""
    answer = speculative_accept(p, q, draft, u, v)
    if len(answer) > len(draft):
        return answer
    draft[len(answer) - 1] = answer[-1]
    return draft[: len(answer)]


def viewed(p: Tensor, q: Tensor, draft: Tensor, u: Tensor, v: float) -> Tensor:
    return speculative_accept(p.view(-1).view(p.shape), q, draft, u, v)


ARGMAX = edited(ratio=lambda p, q, x: (p[x] == p.max()).to(p.dtype) * 2, weights=lambda p, q: p)

TASK = Task(
    name="speculative_accept",
    entry="speculative_decoding",
    statement=STATEMENT,
    starter=STARTER,
    reference=speculative_accept,
    hints=HINTS,
    checks=(
        nothing_drafted,
        same_distribution,
        by_hand,
        first_rejection,
        one_hot,
        any_models,
        precision,
        dtypes_and_memory,
        inputs_kept,
    ),
    wrong={
        "replacement from p": edited(weights=lambda p, q: p),
        "replacement from |p − q|": edited(weights=lambda p, q: (p - q).abs()),
        "replacement from q − p": edited(weights=lambda p, q: (q - p).clamp(min=0)),
        "difference not clamped": edited(weights=lambda p, q: p - q),
        "difference not normalized": edited(normalize=False),
        "ratio upside down": edited(ratio=lambda p, q, x: q[x] / p[x]),
        "kept with probability p": edited(ratio=lambda p, q, x: p[x]),
        "kept if the target's argmax": ARGMAX,
        "kept if likelier under the target": edited(ratio=lambda p, q, x: (p[x] >= q[x]).to(p.dtype) * 2),
        "kept with probability min(p, q)": edited(ratio=lambda p, q, x: torch.minimum(p[x], q[x])),
        "<= for <": edited(rejects=lambda u, r: u > r),
        "one number of u for all places": edited(number=lambda i: 0),
        "v for all decisions": lambda p, q, draft, u, v: speculative_accept(p, q, draft, u * 0 + v, v),
        "running sum at least v": edited(exceeds=lambda mass, v: mass >= v),
        "running sum below v": edited(exceeds=lambda mass, v: mass < v),
        "no bonus token": edited(bonus=False),
        "bonus from the last drafted place": first_k_rows,
        "goes on after a rejection": goes_on,
        "counts what passes beyond a rejection": counts_all,
        "replacement from p without the rejected token": all_but_rejected,
        "rejected token kept": keeps_rejected,
        "nothing added after a rejection": stops_without,
        "draws by chance": by_chance,
        "most likely token added": lambda p, q, draft, u, v: speculative_accept(p, q, draft, u, v * 0 + 0.5),
        "replacement from p (1 − q/p)": edited(weights=lambda p, q: p * (1 - q / p).clamp(min=0)),
        "a small number below the ratio": edited(ratio=lambda p, q, x: p[x] / (q[x] + 1e-8)),
        "float32 inside": computed_in(torch.float32, speculative_accept),
        "view of p": viewed,
        "writes into p": writes_into_p,
        "writes into the draft": slice_of_draft,
        "a list": lambda p, q, draft, u, v: speculative_accept(p, q, draft, u, v).tolist(),
        "only the added token": lambda p, q, draft, u, v: speculative_accept(p, q, draft, u, v)[-1:],
        "only the number of tokens": lambda p, q, draft, u, v: len(speculative_accept(p, q, draft, u, v)),
    },
    also_right={
        "by masks": by_masks,
        "in plain Python": in_python,
        "a row of zeros below q": padded_draft,
        "in numpy": in_numpy,
        "float64 inside": lambda p, q, draft, u, v: speculative_accept(p.double(), q.double(), draft, u, v),
    },
    asked=2,
)
