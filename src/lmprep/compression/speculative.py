"""Speculative decoding: a cheap draft proposes tokens, the target checks them all in one call, and what comes
out has exactly the target's distribution.

Random decisions go through a `Choose`, which maps weights (V,) to an index: `sampler` draws one, `outcomes`
follows every possible one. So what is sampled and what is enumerated is the same code.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from lmprep.architectures.generate import CausalLM, KVCache
from lmprep.foundations.decoding import Filter
from lmprep.foundations.ngram import WittenBellLM

Choose = Callable[[Tensor], int]
Scores = Callable[[list[int], int], Tensor]
"""`scores(ids, n)`: distributions (n, V) of the next token after `ids`, last, and after each of the n − 1
prefixes before it. `Scorer` makes one of a network, `ngram_scores` of counts."""
Step = Callable[[list[int], Choose], list[int]]
Outcome = TypeVar("Outcome")


def acceptance(p: Tensor, q: Tensor) -> Tensor:
    """With which probability each token is kept if it is drafted: min(1, p / q).

    Args:
        p, q: distributions (V,) of the target and of the draft. Where q is 0, so is the result.
    """
    return torch.minimum(p, q) / q.where(q > 0, 1)


def residual(p: Tensor, q: Tensor) -> Tensor:
    """Where a rejected draft is replaced from: the positive part of p − q, normalized.

    Args:
        p, q: distributions (V,) of the target and of the draft. If p exceeds q nowhere, p is returned: then
            nothing but rounding can have been rejected.
    """
    surplus = (p - q).clamp(min=0)
    total = surplus.sum()
    return surplus / total if total > 0 else p


def speculative_accept(p: Tensor, q: Tensor, draft: Sequence[int], choose: Choose) -> list[int]:
    """Keep a draft's tokens up to the first that is rejected, and add one token of the target's own.

    Args:
        p: (k + 1, V), the target's distributions at the k places of the draft and after it.
        q: (k, V), the distributions that the draft was drawn from.
        draft: k token ids, k ≥ 0.
        choose: maps weights to an index.

    Returns:
        1 to k + 1 tokens.

    Raises:
        ValueError: shapes do not fit, p or q are no distributions, or a drafted token has q = 0.

    Source: Leviathan et al. (2023), algorithm 1; Chen et al. (2023), algorithm 2.
    """
    _check_distributions(p, q, draft)
    for i, token in enumerate(draft):
        keep = acceptance(p[i], q[i])[token]
        if not choose(torch.stack([1 - keep, keep])):
            return [*draft[:i], choose(residual(p[i], q[i]))]
    return [*draft, choose(p[-1])]


def speculative_step(target: Scores, draft: Scores, ids: list[int], k: int, choose: Choose) -> list[int]:
    """Draft k tokens after `ids`, one call each, check them with one call of the target; the new tokens.

    Args:
        target, draft: see `Scores`.
        ids: the tokens so far.
        k: tokens to draft, 0 or more.
        choose: maps weights to an index.

    Raises:
        ValueError: k is negative; or as `speculative_accept`.
    """
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    drafted: list[int] = []
    distributions: list[Tensor] = []
    for _ in range(k):
        distributions.append(draft([*ids, *drafted], 1)[0])
        drafted.append(choose(distributions[-1]))
    p = target([*ids, *drafted], k + 1)  # (k + 1, V)
    q = torch.stack(distributions) if distributions else p[:0]  # (k, V)
    return speculative_accept(p, q, drafted, choose)


def speculative_generate(
    target: Scores, draft: Scores, ids: Sequence[int], max_new_tokens: int, k: int, choose: Choose
) -> list[list[int]]:
    """Continue `ids` by `max_new_tokens` tokens: a list for each call of the target, of the tokens it gave.

    All but the last token of each list came from the draft. Near the end fewer than k are drafted, so that
    nothing is thrown away.

    Raises:
        ValueError: k or `max_new_tokens` is negative, or there is no prompt; or as `speculative_accept`.
    """
    if not ids:
        raise ValueError("ids is empty: a model needs a first token to read")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must not be negative, got {max_new_tokens}")
    sequence, calls, left = list(ids), [], max_new_tokens
    while left > 0:
        calls.append(speculative_step(target, draft, sequence, min(k, left - 1), choose))
        sequence += calls[-1]
        left -= len(calls[-1])
    return calls


class Scorer:
    """A model as a `Scores`, which reads each token once and takes back what was rejected.

    A `KVCache` is truncated to the tokens that it shares with the new ones. Any other state, such as a
    recurrent network's, cannot be: then the whole sequence is read each time.

    Args:
        model: in evaluation mode. It gives logits for all tokens that it reads.
        reshape: applied to the logits before the softmax, such as a temperature or top-p.

    Raises:
        ValueError: the model is in training mode, where dropout would change p between two calls.
    """

    def __init__(self, model: CausalLM, reshape: Filter | None = None) -> None:
        if any(module.training for module in model.modules()):
            raise ValueError("model is in training mode: call model.eval() first")
        self.model = model
        self.reshape = reshape
        state = model.new_cache(1)
        self.cache = state if isinstance(state, KVCache) else None
        self.seen: list[int] = []  # what the cache holds

    @torch.no_grad()
    def __call__(self, ids: list[int], n: int) -> Tensor:
        """Distributions (n, V), float64.

        Raises:
            ValueError: n is not from 1 to the number of ids.
        """
        if not 1 <= n <= len(ids):
            raise ValueError(f"n must be from 1 to the {len(ids)} ids, got {n}")
        known = 0
        if self.cache is not None:
            known = min(_shared(self.seen, ids), len(ids) - n)  # n tokens must be read to get n rows
            self.cache.truncate(known)
            self.seen = ids[:known]
        logits = self.model(torch.tensor([ids[known:]]), cache=self.cache)[0, -n:].double()  # (n, V)
        self.seen = list(ids)
        return (logits if self.reshape is None else self.reshape(logits)).softmax(-1)


def ngram_scores(counts: WittenBellLM, memory: int) -> Scores:
    """An n-gram model as a `Scores`, pruned to contexts of at most `memory` tokens.

    From `order` − 1 on nothing is pruned.

    Raises:
        ValueError: `memory` is negative.
    """
    if memory < 0:
        raise ValueError(f"memory must be 0 or more, got {memory}")

    def scores(ids: list[int], n: int) -> Tensor:
        ends = range(len(ids) - n + 1, len(ids) + 1)
        rows = [counts.probs(ids[max(0, end - memory) : end]) for end in ends]
        return torch.from_numpy(np.stack(rows))  # (n, V), float64

    return scores


def sampler(generator: torch.Generator) -> Choose:
    """A `Choose` that draws an index with probability proportional to its weight."""

    def choose(weights: Tensor) -> int:
        return int(torch.multinomial(weights, 1, generator=generator))

    return choose


def outcomes(run: Callable[[Choose], Outcome]) -> Iterator[tuple[Outcome, float]]:
    """Everything that a random procedure can do, each path of choices with its probability.

    Args:
        run: the procedure, called once for each path with a `Choose` that follows it. All its randomness
            goes through that; weights are probabilities.
    """
    pending: list[list[int]] = [[]]
    while pending:
        path = _Path(pending.pop())
        outcome = run(path)
        pending.extend(path.others)
        yield outcome, path.probability


class _Path:
    """A `Choose` that makes the choices given, and from there on always the first that is possible."""

    def __init__(self, given: list[int]) -> None:
        self.given = given
        self.chosen: list[int] = []
        self.others: list[list[int]] = []  # paths that branch off beyond the given choices
        self.probability = 1.0

    def __call__(self, weights: Tensor) -> int:
        if len(self.chosen) < len(self.given):
            index = self.given[len(self.chosen)]
        else:
            index, *others = weights.nonzero().flatten().tolist()
            self.others += [[*self.chosen, other] for other in others]
        self.chosen.append(index)
        self.probability *= weights[index].item()
        return index


def generation_law(step: Step, n: int) -> tuple[dict[tuple[int, ...], float], float]:
    """The law of the first n tokens that repeated steps emit, with every random choice enumerated.

    Args:
        step: maps the tokens so far and a `Choose` to one or more new tokens.
        n: at least 1. The work grows as Vⁿ.

    Returns:
        The probability of every string of n tokens that can occur, and the expected number of steps.

    Raises:
        ValueError: n is below 1, or a step emits nothing.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    law: dict[tuple[int, ...], float] = {(): 1.0}
    steps = 0.0
    for length in range(n):  # steps only lengthen: when a length's turn comes, its prefixes are complete
        for prefix in [prefix for prefix in law if len(prefix) == length]:
            reached = law.pop(prefix)
            steps += reached
            for tokens, probability in outcomes(lambda choose, ids=prefix: step(list(ids), choose)):  # type: ignore[misc]
                if not tokens:
                    raise ValueError(f"the step after {prefix} emits no token: it would be taken for ever")
                longer = (*prefix, *tokens)[:n]
                law[longer] = law.get(longer, 0.0) + reached * probability
    return law, steps


def expected_tokens(acceptance: float, k: int) -> float:
    """Expected tokens of one target call if each draft is kept independently with the same probability.

    1 + a + … + aᵏ = (1 − aᵏ⁺¹) / (1 − a).

    Raises:
        ValueError: `acceptance` is outside [0, 1], or k negative.

    Source: Leviathan et al. (2023), equation 1.
    """
    if not 0 <= acceptance <= 1:
        raise ValueError(f"acceptance must be from 0 to 1, got {acceptance}")
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    return sum(acceptance**kept for kept in range(k + 1))


def tokens_per_call(acceptance: Tensor, k: int) -> float:
    """Tokens for each target call along given texts, when the token at place t was kept with probability
    `acceptance[t]`; nothing is drawn.

    Given a text x from the target, the token at a drafted place was kept, not put in for a rejected one,
    with probability min(1, q(x) / p(x)), independently of the other drafted places.

    Args:
        acceptance: (B, T), a row for each text.
        k: tokens drafted in each call, 0 or more.

    Raises:
        ValueError: `acceptance` has no text or is outside [0, 1], or k is negative.
    """
    if acceptance.ndim != 2 or acceptance.numel() == 0:
        raise ValueError(f"acceptance must be (B, T) with at least one token, got {tuple(acceptance.shape)}")
    if not ((acceptance >= 0) & (acceptance <= 1)).all():
        raise ValueError("acceptance must be from 0 to 1")
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    B, T = acceptance.shape
    padded = torch.nn.functional.pad(acceptance.double(), (0, k))  # beyond the end nothing is kept
    ahead = padded.unfold(1, k, 1)[:, :T] if k else padded[:, :, None][:, :, :0]  # (B, T, k)
    # The probability that a call's first i tokens are kept, i = 0 … k, and that it keeps i in all.
    alive = torch.cat([ahead.new_ones(B, T, 1), ahead.cumprod(dim=2)], dim=2)  # (B, T, k + 1)
    ends = alive - torch.nn.functional.pad(alive[..., 1:], (0, 1))
    begins = ends.new_zeros(B, T + k + 1)  # the probability that a call begins at place t
    begins[:, 0] = 1
    for t in range(T):
        begins[:, t + 1 : t + k + 2] += begins[:, t, None] * ends[:, t]  # kept tokens, and one more
    return B * T / begins[:, :T].sum().item()


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many first tokens two sequences have in common."""
    length = min(len(a), len(b))
    return next((i for i in range(length) if a[i] != b[i]), length)


def _check_distributions(p: Tensor, q: Tensor, draft: Sequence[int]) -> None:
    k = len(draft)
    if p.ndim != 2 or p.size(0) != k + 1 or q.shape != (k, p.size(1)):
        raise ValueError(
            f"for {k} drafted tokens p must be ({k + 1}, V) and q ({k}, V), "
            f"got {tuple(p.shape)} and {tuple(q.shape)}"
        )
    rows = torch.cat([p, q])
    if not ((rows >= 0).all() and ((rows.sum(-1) - 1).abs() < 1e-4).all()):
        raise ValueError("the rows of p and q must be probabilities that sum to 1: logits, perhaps?")
    for i, token in enumerate(draft):
        if not (0 <= token < p.size(1) and q[i, token] > 0):
            raise ValueError(f"draft[{i}] = {token} has q = 0: it cannot have been drawn from q")
