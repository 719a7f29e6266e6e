"""What a model is asked in self-supervised training: the next token, hidden tokens, or hidden spans.

`masking` hides single tokens as BERT does. Here are the other two, and what a masked model says of a whole
text. The mask of a prefix model is `lmprep.architectures.context.attention_mask`'s.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lmprep.architectures.attention import check_ids


def causal_batch(ids: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """What a causal model reads and what it is asked: at each position the token there, from those before.

    A start token stands in front, so that the first token has a prediction too, and the predictions multiply
    to the probability of the whole text.

    Args:
        ids: (B, T).
        start: the id that stands in front.

    Returns:
        inputs (B, T): start, then all tokens but the last; and targets (B, T): the ids.

    Raises:
        TypeError: ids are not `torch.long`.
        ValueError: ids are empty or not of shape (B, T).
    """
    check_ids(ids)
    return torch.cat([torch.full_like(ids[:, :1], start), ids[:, :-1]], dim=1), ids


def span_corrupt(
    ids: Tensor, *, rate: float, mean_length: float, sentinels: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Replace spans of tokens by sentinels, and ask for what stood there.

    Of T tokens, n = rate · T are hidden, in k = n / mean_length spans, both rounded, k at least 1 if n is.
    All ways to cut n tokens into k spans and to place these so that no two touch are equally likely. The
    i-th span becomes the i-th sentinel. The target lists each sentinel with the tokens it stands for, and
    ends with one sentinel more.

    Args:
        ids: (T,).
        rate: share of the tokens to hide, from 0 to 1. At 0 nothing is, and the target is one sentinel.
        mean_length: tokens per span, at least 1.
        sentinels: at least k + 1 different ids that the text does not contain, in the order of their use.
        generator: of the spans, on the CPU.

    Returns:
        inputs (T − n + k,) and target (n + k + 1,).

    Raises:
        TypeError: ids are not `torch.long`.
        ValueError: ids are not of shape (T,), a number is out of range, or sentinels are too few, repeated or
            part of the text.

    Source: Raffel et al. (2020). Their code, `random_spans_noise_mask`, rounds alike but hides at least one
    token, begins each text with a visible token and ends it with a hidden one, so that its targets need no
    last sentinel; their paper's figure shows one.
    """
    _check_text("ids", ids)
    _check_sentinels(sentinels, ids)
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be from 0 to 1, got {rate}")
    if not mean_length >= 1:
        raise ValueError(f"mean_length must be at least 1 token, got {mean_length}")
    T = len(ids)
    n = round(rate * T)
    k = min(max(round(n / mean_length), 1), n, T - n + 1)
    if len(sentinels) < k + 1:
        raise ValueError(f"sentinels must be {k + 1} or more, one per span and one, got {len(sentinels)}")

    slots = _drawn(k, T - n + 1, generator)  # visible tokens before each span
    cuts = _drawn(max(k - 1, 0), max(n - 1, 0), generator)
    ends = [*(cut + 1 for cut in cuts), n]  # hidden tokens up to each span's end
    text, inputs, target = ids.tolist(), [], []
    read = hidden = 0
    for sentinel, slot, end in zip(sentinels, slots, ends, strict=False):
        first, last = slot + hidden, slot + end
        inputs += [*text[read:first], sentinel]
        target += [sentinel, *text[first:last]]
        read, hidden = last, end
    return ids.new_tensor(inputs + text[read:]), ids.new_tensor([*target, sentinels[k]])


def span_restore(inputs: Tensor, target: Tensor, sentinels: Sequence[int]) -> Tensor:
    """What `span_corrupt` read: each sentinel of the inputs replaced by the tokens that follow it in target.

    Args:
        inputs, target: (S,) and (U,), as `span_corrupt` returns them.
        sentinels: as it was given them.

    Returns:
        (T,).

    Raises:
        TypeError: inputs or target are not `torch.long`.
        ValueError: they are not of one axis, target does not begin and end with a sentinel, or its sentinels
            are not those of inputs and one more, each once.
    """
    _check_text("inputs", inputs)
    _check_text("target", target)
    visible, listed = inputs.tolist(), target.tolist()
    if not listed or listed[0] not in sentinels or listed[-1] not in sentinels:
        raise ValueError(f"target must begin and end with a sentinel, got {listed[:1]} and {listed[-1:]}")
    asked = [token for token in visible if token in sentinels]
    answered = [token for token in listed if token in sentinels]
    if asked != answered[:-1] or len(set(answered)) < len(answered):
        raise ValueError(
            f"target must hold inputs' sentinels {asked} and one more, each once, got {answered}"
        )
    spans: dict[int, list[int]] = {}
    for token in listed:
        if token in sentinels:
            latest = spans[token] = []
        else:
            latest.append(token)
    return inputs.new_tensor([x for token in visible for x in spans.get(token, [token])])


def masked_log_probs(model: Callable[[Tensor], Tensor], ids: Tensor, mask_id: int) -> Tensor:
    """log p(token | all other tokens), each hidden alone: (B, T), in nats.

    A row's sum is its pseudo-log-likelihood: no log-probability, since the probabilities of different
    positions need not belong to one distribution, and their products need not sum to 1 over all texts.

    Args:
        model: maps ids (N, T) to logits (N, T, V). Called once, with N = B · T.
        ids: (B, T).
        mask_id: what hides a token.

    Raises:
        TypeError: ids are not `torch.long`.
        ValueError: ids are empty or not of shape (B, T).

    Source: Salazar et al. (2020).
    """
    check_ids(ids)
    B, T = ids.shape
    hidden = torch.eye(T, dtype=torch.bool, device=ids.device)
    copies = torch.where(hidden, mask_id, ids[:, None, :])  # (B, T, T): copy t hides token t
    logits = model(copies.flatten(0, 1)).view(B, T, T, -1)
    asked = logits.diagonal(dim1=1, dim2=2).mT  # (B, T, V)
    return asked.log_softmax(dim=2).gather(2, ids[:, :, None])[:, :, 0]


def pseudo_perplexity(model: Callable[[Tensor], Tensor], ids: Tensor, mask_id: int) -> float:
    """exp of minus the mean of `masked_log_probs`: 1 if each token can be told from all others.

    Args, Raises: as `masked_log_probs`. Source: Salazar et al. (2020).
    """
    return (-masked_log_probs(model, ids, mask_id).mean()).exp().item()


def _drawn(count: int, end: int, generator: torch.Generator) -> list[int]:
    """So many different whole numbers from 0 to end − 1, sorted; every choice is equally likely."""
    chosen: list[int] = torch.randperm(end, generator=generator)[:count].tolist()
    return sorted(chosen)


def _check_text(name: str, ids: Tensor) -> None:
    if ids.dtype != torch.long:
        raise TypeError(f"{name} must be torch.long, got {ids.dtype}")
    if ids.ndim != 1:
        raise ValueError(f"{name} must have shape (T,), one text, got {tuple(ids.shape)}")


def _check_sentinels(sentinels: Sequence[int], ids: Tensor) -> None:
    if len(set(sentinels)) < len(sentinels):
        raise ValueError(f"sentinels must differ, got {list(sentinels)}")
    in_text = sorted(set(sentinels) & set(ids.tolist()))
    if in_text:
        raise ValueError(f"sentinels must not occur in ids, got {in_text} in both")
