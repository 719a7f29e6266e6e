"""Word vectors from counts, by PPMI or as skip-gram's optimum; sentence vectors as weighted means."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

import torch
import torch.nn.functional as F
from torch import Tensor

from lmprep.training.optim import lbfgs


def cooccurrence(texts: Sequence[Sequence[SupportsIndex] | Tensor], vocab_size: int, window: int) -> Tensor:
    """How often word c is within `window` places of word w in a text: (V, V), float64.

    Every pair is counted from both sides, so the matrix is symmetric; a word is no neighbor of its own place.

    Args:
        texts: ids from 0 to V − 1, each text of any length; a tensor (N, T) will do.
        vocab_size: V.
        window: in places, at least 1.

    Raises:
        ValueError: a number is below 1, or an id is out of range.
    """
    for name, number in (("vocab_size", vocab_size), ("window", window)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    ids, text = _flat(texts, vocab_size)
    counts = torch.zeros(vocab_size * vocab_size, dtype=torch.float64)
    for distance in range(1, window + 1):
        left, right = ids[:-distance], ids[distance:]
        together = text[:-distance] == text[distance:]
        cells = left[together] * vocab_size + right[together]
        counts += torch.bincount(cells, minlength=len(counts))
    table = counts.view(vocab_size, vocab_size)  # (V, V): left word, right word
    return table + table.T


def ppmi(counts: Tensor, *, shift: float = 1.0, power: float = 1.0) -> Tensor:
    """Positive PMI, max(0, log p(w, c) / (p(w) q(c)) − log k), in nats: (V, C).

    Pairs that were never counted get 0, and so does a word or a context that never occurs.

    Args:
        counts: (V, C), words by contexts, not negative.
        shift: k, at least 1.
        power: q(c) is proportional to p(c) to this power; 1 is plain PMI.

    Raises:
        ValueError: `counts` is no matrix, has a negative, infinite or NaN entry, or `shift` is below 1.

    Source: Levy and Goldberg (2014); `power`, context distribution smoothing, is Levy et al.'s (2015).
    """
    if counts.ndim != 2:
        raise ValueError(f"counts must have shape (V, C), got {tuple(counts.shape)}")
    if not (counts >= 0).all() or counts.isinf().any():
        raise ValueError("counts must be finite and not negative")
    if not shift >= 1:
        raise ValueError(f"shift is k, the number of negatives: at least 1, got {shift}")
    counts = counts.double()
    words, contexts = counts.sum(dim=1, keepdim=True), counts.sum(dim=0) ** power
    chance = words * contexts / contexts.sum()  # (V, C): what p(w) q(c) would give
    over_chance = (counts / chance).nan_to_num(nan=0.0)  # 0/0: a word or context never occurs
    return over_chance.log().sub(math.log(shift)).clamp_min(0.0)


def svd_vectors(matrix: Tensor, width: int) -> Tensor:
    """Word vectors (V, d): left singular vectors times roots of the d largest singular values.

    Columns have an arbitrary sign; dot products between words do not depend on it.

    Args:
        matrix: (V, C), for example from `ppmi`.
        width: d, from 1 to min(V, C).

    Raises:
        ValueError: `matrix` is no matrix, or `width` is out of range.
    """
    if matrix.ndim != 2:
        raise ValueError(f"matrix must have shape (V, C), got {tuple(matrix.shape)}")
    if not 1 <= width <= min(matrix.shape):
        raise ValueError(f"width must be from 1 to {min(matrix.shape)}, got {width}")
    left, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    return left[:, :width] * values[:width].sqrt()


def sgns_expected_loss(words: Tensor, contexts: Tensor, joint: Tensor, k: float, noise: Tensor) -> Tensor:
    """The loss of skip-gram with negative sampling, averaged over all its draws: a scalar.

    One draw is a pair (w, c) from `joint`, with loss −log σ(w·c), and k contexts n from `noise`, each with
    −log σ(−w·n).

    Args:
        words: (V, d), one vector a word.
        contexts: (C, d), one vector a context.
        joint: (V, C), probabilities of pairs.
        k: negatives for each pair.
        noise: (C,), the probabilities that negatives are drawn with.

    Raises:
        ValueError: shapes do not fit, or `joint` or `noise` does not sum to 1.

    Source: Mikolov et al. (2013); the expectation is Levy and Goldberg's (2014).
    """
    if joint.shape != (len(words), len(contexts)) or noise.shape != contexts.shape[:1]:
        raise ValueError(
            f"joint must be (V, C) and noise (C,) for words {tuple(words.shape)} and contexts "
            f"{tuple(contexts.shape)}, got {tuple(joint.shape)} and {tuple(noise.shape)}"
        )
    for name, table in (("joint", joint), ("noise", noise)):
        if not math.isclose(float(table.sum()), 1.0, abs_tol=1e-4):
            raise ValueError(f"{name} must sum to 1, got {float(table.sum()):.6g}: divide by the sum")
    scores = words @ contexts.T  # (V, C)
    drawn = joint.sum(dim=1, keepdim=True) * noise  # (V, C): a word, and a context from the noise
    return (joint * F.softplus(-scores) + k * drawn * F.softplus(scores)).sum()


def sgns_optimum(
    joint: Tensor,
    k: float,
    noise: Tensor,
    width: int,
    generator: torch.Generator,
    *,
    max_iterations: int = 150,
) -> Tensor:
    """Dot products (V, C), float64, of the vectors that minimize the expected loss.

    Every cell of `joint` must be positive: a pair that is never drawn wants minus infinity.

    Args:
        joint, k, noise: as in `sgns_expected_loss`.
        width: d. From min(V, C) on every table can be matched; more makes it easier to get there.
        generator: of the start, on the CPU.
        max_iterations: of L-BFGS.

    Raises:
        ValueError: a cell of `joint` is not positive, or `width` is below 1.
    """
    if not (joint > 0).all():
        raise ValueError("joint must be positive everywhere: a pair never drawn has no finite optimum")
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    V, C = joint.shape
    start = torch.randn((V + C) * width, generator=generator, dtype=torch.float64).to(joint.device) / 2

    def loss(vectors: Tensor) -> Tensor:
        words, contexts = vectors.view(V + C, width).split((V, C))
        return sgns_expected_loss(words, contexts, joint.double(), k, noise.double())

    best = lbfgs(loss, start, max_iterations=max_iterations, history=30)
    words, contexts = best.view(V + C, width).split((V, C))
    return words @ contexts.T


def sif_weights(frequencies: Tensor, a: float = 1e-3) -> Tensor:
    """Smooth inverse frequency a / (a + p(w)): near 1 for rare words, small for common ones. (V,)

    Args:
        frequencies: (V,), each word's share of all tokens.
        a: the share at which a word counts half.

    Raises:
        ValueError: a frequency lies outside [0, 1] (counts were given?), or `a` is not positive.

    Source: Arora, Liang and Ma (2017).
    """
    if not a > 0:
        raise ValueError(f"a must be positive, got {a}")
    if not ((frequencies >= 0) & (frequencies <= 1)).all():
        raise ValueError("frequencies must be shares from 0 to 1: divide the counts by their sum")
    return a / (a + frequencies)


def sentence_vectors(
    texts: Sequence[Sequence[SupportsIndex] | Tensor], vectors: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Each text's mean of its words' vectors, every word times its weight: (N, d).

    The sum is divided by the number of words, not by the sum of weights; cosines do not see the difference.

    Args:
        texts: N texts of ids from 0 to V − 1, none empty; a tensor (N, T) will do.
        vectors: (V, d).
        weights: (V,); None gives every word 1.

    Raises:
        ValueError: a text is empty, an id is out of range, or `weights` does not fit `vectors`.
    """
    if weights is not None and weights.shape != vectors.shape[:1]:
        raise ValueError(f"weights must have shape ({len(vectors)},), got {tuple(weights.shape)}")
    ids, text = _flat(texts, len(vectors))
    lengths = torch.bincount(text, minlength=len(texts))
    if (lengths == 0).any():
        raise ValueError(f"text {int((lengths == 0).nonzero()[0])} is empty: leave it out")
    weighted = vectors if weights is None else vectors * weights[:, None]
    sums = vectors.new_zeros(len(texts), vectors.shape[1]).index_add(0, text, weighted[ids])
    return sums / lengths[:, None]


def common_direction(sentences: Tensor) -> Tensor:
    """The unit vector (d,) on which sentence vectors have the largest sum of squares.

    The first right singular vector, of vectors that are not centered. Remove it with x − (x·u) u, from new
    sentences too.

    Args:
        sentences: (N, d), N ≥ 1.

    Raises:
        ValueError: `sentences` is no matrix, or empty.

    Source: Arora, Liang and Ma (2017).
    """
    if sentences.ndim != 2 or not sentences.numel():
        raise ValueError(f"sentences must have shape (N, d), neither zero, got {tuple(sentences.shape)}")
    return torch.linalg.eigh(sentences.T @ sentences).eigenvectors[:, -1]  # (d,), of the largest eigenvalue


def mix_texts(
    texts: Sequence[Sequence[int]], groups: Sequence[int], num_common: int, generator: torch.Generator
) -> tuple[list[int], list[int], list[list[int]]]:
    """The common words of one text and all others of a text from another group, put together.

    Each text gives its common words to at most one mix, and its other words to at most one.

    Args:
        texts: ids, 0 being the most frequent word, 1 the next, and so on.
        groups: of each text; two of one group are not mixed.
        num_common: ids below it are common words.
        generator: on the CPU; decides who meets whom.

    Returns:
        For each mix the position in `texts` of the text with its common words, that of the text with its
        other words, and the mix itself.

    Raises:
        ValueError: there are not as many groups as texts.
    """
    if len(texts) != len(groups):
        raise ValueError(f"groups must have one entry a text: {len(texts)} texts, {len(groups)} groups")
    order = torch.randperm(len(texts), generator=generator).tolist()
    fillers, contents, mixes = [], [], []
    for i, j in zip(order, order[1:] + order[:1], strict=True):
        common = [word for word in texts[i] if word < num_common]
        others = [word for word in texts[j] if word >= num_common]
        if groups[i] != groups[j] and common and others:
            fillers.append(i)
            contents.append(j)
            mixes.append(common + others)
    return fillers, contents, mixes


def _flat(texts: Sequence[Sequence[SupportsIndex] | Tensor], vocab_size: int) -> tuple[Tensor, Tensor]:
    """All ids in a row, and for each the number of its text: (M,) each."""
    rows = [torch.as_tensor(text, dtype=torch.long).reshape(-1) for text in texts]
    ids = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.long)
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocab_size:
        raise ValueError(f"ids must be from 0 to {vocab_size - 1}, got {int(ids.min())} to {int(ids.max())}")
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
    return ids, torch.arange(len(rows)).repeat_interleave(lengths)
