"""Tagging with a linear chain: exact sums and maxima over all tag sequences, and the two ways to fit one.

A chain scores a tag sequence y of a string by Σ_t unary[t, y_t] + Σ_t trans[y_{t−1}, y_t]. With
log-probabilities as scores it is a hidden Markov model, with any numbers a conditional random field; the
algorithms are the same. Batches are padded at the end: `mask` (B, T) is True on real positions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmprep.training.optim import lbfgs


def log_partition(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    """log Z: the log of the sum of exp(score) over all tag sequences, by the forward algorithm.

    Differentiable. Its gradient with respect to `unary` is `marginals`.

    Args:
        unary: (B, T, K), floating, T ≥ 1. What stands in the padding does not matter.
        trans: (K, K), entry [i, j] scores tag j after tag i. −inf forbids.
        mask: (B, T), bool, True on real positions: at least one a row, none after a False.

    Returns:
        (B,).

    Raises:
        TypeError: a dtype is another.
        ValueError: shapes do not fit, a row of `mask` is no such prefix, or a score is NaN or +inf.

    Source: Rabiner (1989), for HMMs; Lafferty, McCallum and Pereira (2001), for CRFs.
    """
    unary = _checked(unary, trans, mask)
    alpha = unary[:, 0]  # (B, K): all sequences so far, by their last tag
    for t in range(1, unary.size(1)):
        step = (alpha[:, :, None] + trans).logsumexp(dim=1) + unary[:, t]  # (B, K)
        alpha = torch.where(mask[:, t, None], step, alpha)  # padding changes nothing
    return alpha.logsumexp(dim=1)


def path_score(unary: Tensor, trans: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
    """The score of one given tag sequence for each string.

    Args:
        unary, trans, mask: as in `log_partition`.
        tags: (B, T), torch.long, 0 to K − 1 where `mask` is True.

    Returns:
        (B,).

    Raises:
        TypeError, ValueError: as `log_partition`, or `tags` does not fit.
    """
    unary, tags = _checked(unary, trans, mask), _checked_tags(tags, mask, len(trans))
    own = unary.gather(2, tags[:, :, None])[:, :, 0]  # (B, T)
    between = trans[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0.0)  # (B, T − 1)
    return own.sum(dim=1) + between.sum(dim=1)


def crf_nll(unary: Tensor, trans: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
    """−log p(tags | string) of each string: log Z minus the score of the true tags, (B,).

    Args:
        unary, trans, tags, mask: as in `path_score`.

    Raises:
        TypeError, ValueError: as `path_score`.

    Source: Lafferty, McCallum and Pereira (2001).
    """
    return log_partition(unary, trans, mask) - path_score(unary, trans, tags, mask)


def marginals(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    """The probability of each tag at each position, by forward–backward.

    Args:
        unary, trans, mask: as in `log_partition`.

    Returns:
        (B, T, K); rows sum to 1 where `mask` is True and are 0 elsewhere.

    Raises:
        TypeError, ValueError: as `log_partition`, or `trans` forbids every sequence.

    Source: Rabiner (1989).
    """
    unary = _checked(unary, trans, mask)
    alphas, betas = [unary[:, 0]], [torch.zeros_like(unary[:, 0])]
    for t in range(1, unary.size(1)):
        step = (alphas[-1][:, :, None] + trans).logsumexp(dim=1) + unary[:, t]  # (B, K)
        alphas.append(torch.where(mask[:, t, None], step, alphas[-1]))
    for t in range(unary.size(1) - 1, 0, -1):
        step = (trans + (unary[:, t] + betas[-1])[:, None]).logsumexp(dim=2)  # (B, K), all that follows
        betas.append(torch.where(mask[:, t, None], step, betas[-1]))
    log_z = alphas[-1].logsumexp(dim=1)  # (B,)
    if log_z.isneginf().any():
        raise ValueError("trans and unary leave a string no tag sequence: fewer of them may be −inf")
    joint = torch.stack(alphas, dim=1) + torch.stack(betas[::-1], dim=1)  # (B, T, K)
    return (joint - log_z[:, None, None]).exp().masked_fill(~mask[:, :, None], 0.0)


@torch.no_grad()
def viterbi(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    """The best tag sequence of each string: the forward algorithm with max in place of the sum.

    (`foundations.decoding.viterbi` continues a prompt under a language model's fixed table; here every
    position brings scores of its own.)

    Args:
        unary, trans, mask: as in `log_partition`.

    Returns:
        (B, T), torch.long; −1 in the padding. Of equally good sequences, one.

    Raises:
        TypeError, ValueError: as `marginals`.

    Source: Viterbi (1967).
    """
    unary = _checked(unary, trans, mask)
    best, stay, choices = unary[:, 0], torch.arange(len(trans), device=unary.device), []
    for t in range(1, unary.size(1)):
        step, choice = (best[:, :, None] + trans).max(dim=1)  # (B, K), and the tag before
        best = torch.where(mask[:, t, None], step + unary[:, t], best)
        choices.append(torch.where(mask[:, t, None], choice, stay))
    if best.amax(dim=1).isneginf().any():
        raise ValueError("trans and unary leave a string no tag sequence: fewer of them may be −inf")
    tags = [best.argmax(dim=1)]
    for choice in reversed(choices):
        tags.append(choice.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1], dim=1).masked_fill(~mask, -1)


@dataclass(frozen=True)
class Chain:
    """The weights of a chain over features of the string: log-probabilities of an HMM, or a CRF's numbers.

    Args:
        table: (V, K), each feature's score for each tag. Row 0 stands for features not seen in training.
        trans: (K, K), tag j after tag i.
        start, end: (K,), of the first and of the last tag.
    """

    table: Tensor
    trans: Tensor
    start: Tensor
    end: Tensor

    def unary(self, features: Tensor, mask: Tensor) -> Tensor:
        """Scores of each tag at each position, with those for starting and ending there.

        Args:
            features: (B, T, F), torch.long, the F features of each position.
            mask: (B, T), as in `log_partition`.

        Returns:
            (B, T, K).
        """
        own = self.table[features].sum(dim=2)  # (B, T, K)
        first = torch.zeros_like(mask)
        first[:, 0] = True
        last = mask & ~torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
        return own + first[:, :, None] * self.start + last[:, :, None] * self.end


def fit_hmm(
    features: Tensor, tags: Tensor, mask: Tensor, num_features: int, num_tags: int, *, alpha: float
) -> Chain:
    """The hidden Markov model with the largest joint likelihood of strings and tags: counts, as shares.

    With F features at a position the model takes them for F emissions, independent given the tag.

    Args:
        features: (B, T, F), torch.long, from 1 to num_features − 1; column f's features are column f's only.
        tags: (B, T), torch.long, 0 to num_tags − 1.
        mask: (B, T), as in `log_partition`.
        num_features: V, with row 0 of the table for what is not seen: its scores are 0.
        num_tags: K.
        alpha: added to each count, positive.

    Raises:
        TypeError: a dtype is another.
        ValueError: shapes do not fit, a feature or tag is out of range, or alpha is not positive.

    Source: Rabiner (1989).
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be positive and finite, got {alpha}")
    tags = _checked_examples(features, tags, mask, num_features, num_tags)
    V, K = num_features, num_tags
    table = torch.zeros(V, K, dtype=torch.float64)
    for column in features.unbind(dim=2):
        counts = _counts(column[mask] * K + tags[mask], V * K).view(V, K)
        seen = counts.sum(dim=1) > 0
        smoothed = counts[seen] + alpha
        table[seen] = (smoothed / smoothed.sum(dim=0)).log()
    start = _counts(tags[:, 0], K) + alpha
    end = _counts(tags.gather(1, mask.sum(dim=1, keepdim=True) - 1)[:, 0], K) + alpha
    trans = _counts((tags[:, :-1] * K + tags[:, 1:])[mask[:, 1:]], K * K).view(K, K) + alpha
    leaving = trans.sum(dim=1) + end
    return Chain(table, (trans / leaving[:, None]).log(), (start / start.sum()).log(), (end / leaving).log())


def fit_crf(begin: Chain, features: Tensor, tags: Tensor, mask: Tensor, *, l2: float, steps: int) -> Chain:
    """From the weights `begin`, climb Σ log p(tags | string) − ½ l2 |table|², by L-BFGS, on the CPU.

    Args:
        begin: where to start. Each row of its table is first shifted to mean 0, which changes no
            p(tags | string), but keeps the penalty from paying for the shift. Row 0 stays as it is.
        features, tags, mask: as in `fit_hmm`.
        l2: not negative.
        steps: how many, at least 1; fewer if nothing is left to gain.

    Raises:
        TypeError: a dtype is another.
        ValueError: shapes do not fit, a feature or tag is out of range, l2 is negative, or steps below 1.

    Source: Lafferty, McCallum and Pereira (2001); Sha and Pereira (2003) for L-BFGS.
    """
    V, K = begin.table.shape
    tags = _checked_examples(features, tags, mask, V, K)
    if not (0 <= l2 < math.inf and steps >= 1):
        raise ValueError(f"l2 must be finite and not negative, steps at least 1, got {l2} and {steps}")
    shapes = [(V, K), (K, K), (K,), (K,)]

    def chain(theta: Tensor) -> Chain:
        parts = theta.split([math.prod(shape) for shape in shapes])
        return Chain(*(part.view(shape) for part, shape in zip(parts, shapes, strict=True)))

    def loss(theta: Tensor) -> Tensor:
        model = chain(theta)
        nll = crf_nll(model.unary(features, mask), model.trans, tags, mask).sum()
        return nll + 0.5 * l2 * model.table.square().sum()

    table = begin.table - begin.table.mean(dim=1, keepdim=True)
    theta = torch.cat([part.flatten().double() for part in (table, begin.trans, begin.start, begin.end)])
    return chain(lbfgs(loss, theta, max_iterations=steps))


def tagged(sentences: Sequence[Sequence[str]]) -> tuple[NDArray[np.int64], Tensor, Tensor]:
    """Sentences as character ids and BMES tags: begin, middle, end of a word, or a single character.

    Args:
        sentences: N lists of words, none empty.

    Returns:
        characters (N, T + 2), from 1, with 0 before and after each string; tags (N, T), torch.long, 0 to 3;
        and mask (N, T).

    Raises:
        ValueError: there is no sentence, or one has no word or an empty one.
    """
    if not sentences or not all(words and all(words) for words in sentences):
        raise ValueError("sentences must be at least one, each of words that are not empty")
    longest = max(sum(map(len, words)) for words in sentences)
    ids: dict[str, int] = {}
    characters = np.zeros((len(sentences), longest + 2), dtype=np.int64)
    tags = torch.zeros(len(sentences), longest, dtype=torch.long)
    for n, words in enumerate(sentences):
        names = "".join("S" if len(w) == 1 else "B" + "M" * (len(w) - 2) + "E" for w in words)
        row = [ids.setdefault(c, len(ids) + 1) for c in "".join(words)]
        characters[n, 1 : len(row) + 1] = row
        tags[n, : len(row)] = torch.tensor(["BMES".index(name) for name in names])
    return characters, tags, torch.from_numpy(characters[:, 1:-1] > 0)


def window_features(characters: NDArray[np.int64], train: slice, columns: int = 5) -> tuple[Tensor, int]:
    """Each character, its left and right neighbor, and the pairs with them, as feature ids.

    Args:
        characters: (N, T + 2), as from `tagged`.
        train: the rows whose features get ids; others become 0, not seen.
        columns: how many of the five, from the first, 1 to 5.

    Returns:
        (N, T, columns), torch.long, and V, one more than the largest id.

    Raises:
        ValueError: columns is not 1 to 5.
    """
    if not 1 <= columns <= 5:
        raise ValueError(f"columns must be 1 to 5, got {columns}")
    V, T = int(characters.max()) + 1, characters.shape[1] - 2
    left, here, right = (characters[:, i : i + T] for i in range(3))
    pairs = left * V + here, here * V + right
    keys = np.stack([here, V + left, 2 * V + right, 3 * V + pairs[0], 3 * V + V * V + pairs[1]], axis=-1)
    keys = keys[:, :, :columns]
    known = np.unique(keys[train][here[train] > 0])
    found = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return torch.from_numpy(np.where(known[found] == keys, found + 1, 0)), len(known) + 1


def _checked(unary: Tensor, trans: Tensor, mask: Tensor) -> Tensor:
    """`unary` with zeros in the padding: a NaN there would reach the gradients of what is real."""
    for name, scores in (("unary", unary), ("trans", trans)):
        if not scores.is_floating_point():
            raise TypeError(f"{name} must be floating, got {scores.dtype}")
    _check_mask(mask)
    if unary.ndim != 3 or unary.shape[:2] != mask.shape or unary.size(2) < 1:
        raise ValueError(f"unary must be (B, T, K) and mask (B, T), got {_shapes(unary, mask)}")
    if trans.shape != (unary.size(2), unary.size(2)):
        raise ValueError(f"trans must be (K, K) with the K of unary, got {_shapes(trans, unary)}")
    unary = unary.masked_fill(~mask[:, :, None], 0.0)
    for name, scores in (("unary", unary), ("trans", trans)):
        if scores.isnan().any() or scores.isposinf().any():
            raise ValueError(f"{name} holds NaN or +inf: scores must be finite, or −inf to forbid")
    return unary


def _check_mask(mask: Tensor) -> None:
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be torch.bool, got {mask.dtype}: use mask.bool()")
    if mask.ndim != 2 or mask.size(1) < 1:
        raise ValueError(f"mask must be (B, T), T at least 1, got {_shapes(mask)}")
    if not mask[:, 0].all() or (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError("mask must be True from each row's first position on, without gaps: pad at the end")


def _checked_tags(tags: Tensor, mask: Tensor, num_tags: int) -> Tensor:
    """`tags` with zeros in the padding."""
    if tags.dtype != torch.long:
        raise TypeError(f"tags must be torch.long, got {tags.dtype}")
    if tags.shape != mask.shape:
        raise ValueError(f"tags and mask must be (B, T), got {_shapes(tags, mask)}")
    tags = tags.masked_fill(~mask, 0)
    if ((tags < 0) | (tags >= num_tags)).any():
        raise ValueError(f"tags must be from 0 to {num_tags - 1} where mask is True")
    return tags


def _checked_examples(
    features: Tensor, tags: Tensor, mask: Tensor, num_features: int, num_tags: int
) -> Tensor:
    """`tags` with zeros in the padding."""
    _check_mask(mask)
    if features.dtype != torch.long:
        raise TypeError(f"features must be torch.long, got {features.dtype}")
    if not len(mask) or features.ndim != 3 or features.shape[:2] != mask.shape or features.size(2) < 1:
        raise ValueError(
            f"features must be (B, T, F), none 0, and mask (B, T), got {_shapes(features, mask)}"
        )
    real = features[mask]
    if not 1 <= int(real.min()) <= int(real.max()) < num_features:
        raise ValueError(f"features must be from 1 to {num_features - 1} where mask is True: 0 is kept for "
                         "what training has not seen")  # fmt: skip
    return _checked_tags(tags, mask, num_tags)


def _counts(ids: Tensor, size: int) -> Tensor:
    return torch.bincount(ids, minlength=size).double()


def _shapes(*tensors: Tensor) -> str:
    return " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
