"""From logits to tokens: the filters that reshape a distribution, the draw from it, and two searches.

A filter maps logits (..., V) to logits (..., V) and leaves its input as it is; a token it rules out gets
−inf, hence probability 0. A sampler maps logits and a generator to ids; `sampler` builds one from filters.
They raise `TypeError` for logits that are not floating point, and `ValueError` for empty ones or a row from
which no token can be drawn: all −inf, or with NaN or +inf.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Filter = Callable[[Tensor], Tensor]
Sampler = Callable[[Tensor, torch.Generator], Tensor]


def temperature(logits: Tensor, t: float) -> Tensor:
    """Divide the logits by `t`: below 1 sharpens the distribution, above 1 flattens it.

    Args:
        logits: (..., V), unnormalized log-probabilities.
        t: above 0 and finite. The limit t → 0 is `greedy`, which divides by nothing.

    Raises:
        ValueError: `t` is not a finite number above 0, or so small that the logits overflow.
    """
    _check_logits(logits)
    if t == 0:
        raise ValueError("t = 0 divides by zero: for the most likely token, take greedy as the sampler")
    if not (t > 0 and math.isfinite(t)):
        raise ValueError(f"t must be a finite number above 0, got {t}")
    scaled = logits / t
    if not scaled.amax(dim=-1).isfinite().all():
        raise ValueError(f"t = {t} is so small that the logits overflow: take greedy as the sampler")
    return scaled


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the `k` most likely tokens (Fan et al., 2018), and whatever is tied with the k-th.

    Args:
        logits: (..., V).
        k: at least 1; from V on, everything is kept.

    Raises:
        TypeError: `k` is not an int.
        ValueError: `k` is below 1.
    """
    _check_logits(logits)
    if not isinstance(k, int):
        raise TypeError(f"k must be an int, got {k!r}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}: at least one token has to remain")
    kth_best = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < kth_best, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of most likely tokens that together reach probability `p`.

    The nucleus of Holtzman et al. (2020). The token that crosses `p` is kept, so one token always remains.
    Of tied tokens the lower ids are kept first, so the set stays the smallest.

    Args:
        logits: (..., V).
        p: from 0 (the most likely token alone) to 1 (everything).

    Raises:
        ValueError: `p` lies outside [0, 1].
    """
    _check_logits(logits)
    _check_probability(p)
    if p == 1:  # summed in floating point, the probabilities may reach 1 before the last token
        return logits
    order = logits.argsort(dim=-1, descending=True, stable=True)
    mass = _probabilities(logits).gather(-1, order).cumsum(dim=-1)  # (..., V), most likely first
    drop = torch.zeros_like(mass, dtype=torch.bool)
    drop[..., 1:] = mass[..., :-1] >= p  # the likelier tokens reach p without this one
    return logits.masked_fill(drop.scatter(-1, order, drop), -math.inf)


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep the tokens that are at least `p` times as likely as the most likely one (Nguyen et al., 2024).

    Args:
        logits: (..., V).
        p: from 0 (everything) to 1 (the most likely token, and whatever is tied with it).

    Raises:
        ValueError: `p` lies outside [0, 1].
    """
    _check_logits(logits)
    _check_probability(p)
    probabilities = _probabilities(logits)
    return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -math.inf)


def greedy(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The most likely token of each row, the lowest id where several are tied: (..., V) → (...), int64.

    `generator` is there because every sampler takes one; nothing is drawn from it.
    """
    _check_logits(logits)
    return logits.argmax(dim=-1)


def sample(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one token from each row's softmax: (..., V) → (...), int64, on the logits' device.

    The draw is made on the generator's device: with a generator on the CPU, a GPU gives the CPU's tokens.

    Raises:
        TypeError: `generator` is no `torch.Generator`.
    """
    _check_logits(logits)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {generator!r}: pass torch.Generator().manual_seed(...)"
        )
    rows = _probabilities(logits).reshape(-1, logits.shape[-1])
    drawn = torch.multinomial(rows.to(generator.device), 1, generator=generator)  # (rows, 1)
    return drawn.to(logits.device).reshape(logits.shape[:-1])


def sampler(*filters: Filter) -> Sampler:
    """A sampler that applies `filters` from left to right, then draws from what they leave.

    The order matters: after a temperature, `top_p` and `min_p` see the changed probabilities. transformers
    applies temperature, top-k, top-p, min-p:
    `sampler(partial(temperature, t=0.8), partial(top_k, k=50), partial(top_p, p=0.95))`.

    Raises:
        TypeError: a filter is not callable.
    """
    for position, apply in enumerate(filters):
        if not callable(apply):
            raise TypeError(
                f"filters[{position}] must map logits to logits, got {apply!r}: pass partial(top_k, k=50)"
            )

    def filtered_sample(logits: Tensor, generator: torch.Generator) -> Tensor:
        for apply in filters:
            logits = apply(logits)
        return sample(logits, generator)

    return filtered_sample


@torch.no_grad()
def beam_search(
    log_probs: Callable[[Tensor], Tensor],
    prompt: Tensor,
    width: int,
    max_new_tokens: int,
    *,
    stop: int | None = None,
    length_penalty: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Continue a prompt step by step, keeping only the `width` continuations of the highest score.

    The score of n new tokens is their log-probability over n**length_penalty. Width 1 is greedy decoding.
    From width V**(max_new_tokens − 1) on no prefix is dropped before the last step, and the first result is
    the best continuation there is: without a penalty, the mode.

    Args:
        log_probs: maps N sequences (N, T) to the log-probabilities (N, V) of the token that follows each.
        prompt: (T,), torch.long; T = 0 if `log_probs` can do with it.
        width: the most continuations to keep, at least 1.
        max_new_tokens: the most tokens to add, at least 1.
        stop: id that ends a continuation. It is kept and counted. An ended continuation stays among the best
            for as long as its score does.
        length_penalty: 0 ranks by probability, 1 by the mean log-probability of a token. Without `stop` all
            continuations are equally long, and it changes no rank.

    Returns:
        ids (W, T + n) and scores (W,), float64; the best first, of equal ones the lower ids. W is below
        `width` where fewer continuations are possible. What ended early is filled up with `stop`, as in
        `generate`.

    Raises:
        TypeError: `prompt` is not torch.long, or `log_probs` returns integers.
        ValueError: a size is below 1, a shape or `stop` does not fit, no continuation is possible, or
            `log_probs` returns NaN or probabilities that sum to more than 1: logits, perhaps.

    Source: Lowerre (1976), for speech; Sutskever et al. (2014), for text.
    """
    _check_search(prompt, width, max_new_tokens)
    beams, totals = prompt[None], torch.zeros(1, dtype=torch.float64, device=prompt.device)  # (W, T), (W,)
    lengths, ended = torch.zeros_like(totals), torch.zeros_like(totals, dtype=torch.bool)
    for _ in range(max_new_tokens):
        log_p = _checked_log_probs(log_probs(beams), len(beams), stop)  # (W, V)
        if stop is not None:  # what has ended goes on in one way, at no cost
            log_p = log_p.masked_fill(ended[:, None], -math.inf)
            log_p[ended, stop] = 0.0
        candidates = (totals[:, None] + log_p).flatten()  # (W · V,)
        lengths = lengths + ~ended
        scores = candidates / lengths.repeat_interleave(log_p.shape[1]) ** length_penalty
        best = scores.argsort(descending=True, stable=True)[:width]
        best = best[scores[best] > -math.inf]
        if not len(best):
            raise ValueError("log_probs leaves no continuation a probability above 0")
        rows, tokens = best // log_p.shape[1], best % log_p.shape[1]
        beams = torch.cat([beams[rows], tokens[:, None]], dim=1)
        totals, lengths, ended = candidates[best], lengths[rows], ended[rows] | (tokens == stop)
        if ended.all():
            break
    return beams, totals / lengths**length_penalty


@torch.no_grad()
def viterbi(log_probs: Tensor, prompts: Tensor, new_tokens: int) -> Tensor:
    """The likeliest continuation of each prompt under a chain of finite memory: its exact mode.

    Of all continuations from one memory only the best can be part of the mode. So the best of each length
    follow from those one token shorter, in new_tokens · V**n steps where there are V**new_tokens strings.

    Args:
        log_probs: (V, …, V), n dimensions, n ≥ 2: entry [a, …, y, z] is the log-probability of z after the
            n − 1 tokens a, …, y.
        prompts: (B, T), torch.long, T ≥ n − 1.
        new_tokens: how many to add, at least 1.

    Returns:
        (B, T + new_tokens). Where several continuations are likeliest, one of them.

    Raises:
        TypeError: `prompts` is not torch.long, or `log_probs` holds integers.
        ValueError: a shape, size or id does not fit, a prompt has no possible continuation, or `log_probs`
            holds NaN or probabilities that sum to more than 1: logits, perhaps.

    Source: Viterbi (1967); Bellman (1957) for the principle.
    """
    memory = _checked_chain(log_probs, prompts, new_tokens)
    best, choices = torch.zeros_like(log_probs[0]), []  # what can be had from each memory: (V, …, V)
    for _ in range(new_tokens):
        best, choice = (log_probs + best).max(dim=-1)  # [a, b, …, z]: z now, then the best from b, …, z
        choices.append(choice)
    if (best[tuple(prompts[:, -memory:].T)] == -math.inf).any():
        raise ValueError("log_probs leaves a prompt no continuation of a probability above 0")
    ids = prompts
    for choice in reversed(choices):
        ids = torch.cat([ids, choice[tuple(ids[:, -memory:].T)][:, None]], dim=1)
    return ids


def _check_search(prompt: Tensor, width: int, max_new_tokens: int) -> None:
    if prompt.dtype != torch.long:
        raise TypeError(f"prompt must be torch.long, got {prompt.dtype}")
    if prompt.ndim != 1:
        raise ValueError(f"prompt must be one sequence (T,), got shape {tuple(prompt.shape)}")
    for name, value in (("width", width), ("max_new_tokens", max_new_tokens)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _checked_log_probs(log_p: Tensor, count: int, stop: int | None) -> Tensor:
    if not log_p.is_floating_point():
        raise TypeError(f"log_probs must return floating point, got {log_p.dtype}")
    if log_p.ndim != 2 or log_p.shape[0] != count or log_p.shape[1] == 0:
        raise ValueError(
            f"log_probs must return ({count}, V) for {count} sequences, got {tuple(log_p.shape)}"
        )
    if stop is not None and not 0 <= stop < log_p.shape[1]:
        raise ValueError(f"stop must be a token id from 0 to {log_p.shape[1] - 1}, got {stop}")
    _check_mass(log_p)
    return log_p


def _checked_chain(log_probs: Tensor, prompts: Tensor, new_tokens: int) -> int:
    """How many tokens the chain remembers."""
    V, memory = log_probs.shape[-1] if log_probs.ndim else 0, log_probs.ndim - 1
    if not log_probs.is_floating_point():
        raise TypeError(f"log_probs must be floating point, got {log_probs.dtype}")
    if memory < 1 or V == 0 or set(log_probs.shape) != {V}:
        raise ValueError(f"log_probs must be (V, …, V), two dimensions or more, got {tuple(log_probs.shape)}")
    if prompts.dtype != torch.long:
        raise TypeError(f"prompts must be torch.long, got {prompts.dtype}")
    if prompts.ndim != 2 or prompts.shape[0] == 0 or prompts.shape[1] < memory:
        raise ValueError(f"prompts must be (B, T), B ≥ 1 and T ≥ {memory}, got {tuple(prompts.shape)}")
    if prompts.min() < 0 or prompts.max() >= V:
        raise ValueError(f"prompts must hold ids from 0 to {V - 1}")
    if new_tokens < 1:
        raise ValueError(f"new_tokens must be at least 1, got {new_tokens}")
    _check_mass(log_probs)
    return memory


def _check_mass(log_p: Tensor) -> None:
    mass = log_p.double().logsumexp(dim=-1).exp()
    if not (mass <= 1.1).all():  # false for NaN too; 16-bit numbers are a few per cent off
        raise ValueError(
            f"log_probs has probabilities that sum to {mass.max().item():.4g}: apply log_softmax"
        )


def _probabilities(logits: Tensor) -> Tensor:
    """Softmax in at least float32: sums over a large vocabulary go wrong in 16 bits."""
    return logits.softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))


def _check_logits(logits: Tensor) -> None:
    """Raise unless each row of (..., V) has a finite largest entry: NaN, +inf or only −inf has none."""
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating point, got {logits.dtype}")
    if logits.ndim == 0 or logits.numel() == 0:
        raise ValueError(f"logits must be (..., V) and not empty, got shape {tuple(logits.shape)}")
    largest = logits.amax(dim=-1)
    if not largest.isfinite().all():
        bad = largest[~largest.isfinite()][0].item()
        raise ValueError(
            f"logits have a row whose largest entry is {bad}: every row needs a finite one. "
            "−inf: a filter or mask left no token; nan or inf: the model's output is broken before decoding"
        )


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie in [0, 1], got {p}")
