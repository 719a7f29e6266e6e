"""Texts drawn from a known distribution, so that the best possible answer is known too.

Ids are words. A *language* is a table (K, V): row k holds the word probabilities of topic k.
"""

import torch
from torch import Tensor


def topic_language(
    num_topics: int,
    words_per_topic: int,
    num_common: int,
    *,
    topical: float = 0.5,
    first_id: int = 0,
) -> Tensor:
    """Topics with words of their own among words common to all: the probabilities (K, V), float64.

    Topic k gives the share `topical` of its mass to its own words, ids `first_id` + k · W on, all equally
    likely, and the rest to the common words, which come last. Ids below `first_id` are never drawn: they are
    free for [PAD], [MASK] and the like.

    Args:
        num_topics: K.
        words_per_topic: W.
        num_common: words common to all topics.
        topical: share of a text that is of its topic's own words.
        first_id: how many ids are left free; V = first_id + K · W + num_common.

    Raises:
        ValueError: a number is out of range, or `topical` is below 1 and there are no common words.
    """
    for name, number, least in (("num_topics", num_topics, 1), ("words_per_topic", words_per_topic, 1),
                                ("num_common", num_common, 0), ("first_id", first_id, 0)):  # fmt: skip
        if number < least:
            raise ValueError(f"{name} must be at least {least}, got {number}")
    if not 0 <= topical <= 1:
        raise ValueError(f"topical must be from 0 to 1, got {topical}")
    if topical < 1 and not num_common:
        raise ValueError(f"num_common is 0: nothing to give the share {1 - topical:.3g} to")
    first_common = first_id + num_topics * words_per_topic
    language = torch.zeros(num_topics, first_common + num_common, dtype=torch.float64)
    for k in range(num_topics):
        start = first_id + k * words_per_topic
        language[k, start : start + words_per_topic] = topical / words_per_topic
    language[:, first_common:] = (1 - topical) / max(num_common, 1)
    return language


def topic_texts(topics: Tensor, language: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """One text a topic, its words drawn independently: ids (N, T).

    Args:
        topics: (N,), from 0 to K − 1.
        language: (K, V), rows sum to one.
        length: T.
        generator: on the CPU, as `language` is.

    Raises:
        TypeError: topics are not `torch.long`.
        ValueError: topics are not of shape (N,) or out of range, length is below 1, or `language` is not a
            table of probabilities.
    """
    _check_language(language)
    if topics.dtype != torch.long:
        raise TypeError(f"topics must be torch.long, got {topics.dtype}")
    if topics.ndim != 1 or not len(topics):
        raise ValueError(f"topics must have shape (N,), N at least 1, got {tuple(topics.shape)}")
    low, high = int(topics.min()), int(topics.max())
    if low < 0 or high >= len(language):
        raise ValueError(f"topics must be from 0 to {len(language) - 1}, got {low} to {high}")
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    return torch.multinomial(language[topics], length, replacement=True, generator=generator)  # (N, T)


def topic_posterior(ids: Tensor, language: Tensor) -> Tensor:
    """P(topic | words), each topic as likely beforehand: (N, K). Nobody can tell topics better.

    A text that no topic can have written gets NaN.

    Args:
        ids: (N, T), from 0 to V − 1.
        language: (K, V), rows sum to one.

    Raises:
        ValueError: ids are not of shape (N, T) or out of range, or `language` is not a table of
            probabilities.
    """
    _check_language(language)
    if ids.ndim != 2:
        raise ValueError(f"ids must have shape (N, T), got {tuple(ids.shape)}")
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < language.size(1):
        raise ValueError(
            f"ids must be from 0 to {language.size(1) - 1}, got {int(ids.min())} to {int(ids.max())}"
        )
    likelihood = language.log()[:, ids].sum(dim=-1)  # (K, N)
    return likelihood.softmax(dim=0).T  # (N, K)


def estimated_language(
    ids: Tensor, topics: Tensor, language_shape: tuple[int, int], smoothing: float
) -> Tensor:
    """The word probabilities (K, V) that labeled texts suggest: counts, plus `smoothing`, over their sums.

    With them, `topic_posterior` is naive Bayes.

    Args:
        ids: (N, T), from 0 to V − 1.
        topics: (N,), from 0 to K − 1.
        language_shape: (K, V).
        smoothing: added to each count, above 0.

    Raises:
        TypeError: ids or topics are not `torch.long`.
        ValueError: shapes do not fit, ids or topics are out of range, or smoothing is not above 0.
    """
    K, V = language_shape
    for name, numbers, end in (("ids", ids, V), ("topics", topics, K)):
        if numbers.dtype != torch.long:
            raise TypeError(f"{name} must be torch.long, got {numbers.dtype}")
        if numbers.numel() and not 0 <= int(numbers.min()) <= int(numbers.max()) < end:
            raise ValueError(
                f"{name} must be from 0 to {end - 1}, got {int(numbers.min())} to {int(numbers.max())}"
            )
    if ids.ndim != 2 or topics.shape != ids.shape[:1]:
        raise ValueError(
            f"ids must be (N, T) and topics (N,), got {tuple(ids.shape)} and {tuple(topics.shape)}"
        )
    if not smoothing > 0:
        raise ValueError(f"smoothing must be above 0, got {smoothing}")
    cells = (topics[:, None] * V + ids).flatten()  # (N · T,)
    counts = torch.bincount(cells, minlength=K * V).view(K, V).double() + smoothing
    return counts / counts.sum(dim=1, keepdim=True)


def shuffle_between_texts(ids: Tensor, generator: torch.Generator) -> Tensor:
    """The same words, dealt anew over all positions of all texts: which words meet in a text means nothing.

    Args:
        ids: of any shape.
        generator: on the CPU.
    """
    order = torch.randperm(ids.numel(), generator=generator).to(ids.device)
    return ids.flatten()[order].view_as(ids)


def _check_language(language: Tensor) -> None:
    if language.ndim != 2 or not language.numel():
        raise ValueError(f"language must have shape (K, V), neither zero, got {tuple(language.shape)}")
    sums = language.sum(dim=1)
    if not (language >= 0).all() or not torch.allclose(sums, torch.ones_like(sums), atol=1e-5):
        raise ValueError(
            f"language must hold probabilities: rows ≥ 0 that sum to 1, got sums {sums[:5].tolist()}"
        )
