"""BLEU and ROUGE: what is counted in a sentence, and what becomes of the counts of a corpus.

A sentence is a list of tokens. Which tokens is the caller's decision, and the scores depend on it: for
Chinese, `list(text)` gives characters, `text.split()` often a single token.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lmprep.evaluation.classification import Scores, scores_from_counts

Tokens = Sequence[Hashable]


@dataclass(frozen=True)
class BLEU:
    """A corpus's BLEU with what it is made of.

    Args:
        score: from 0 to 100.
        precisions: clipped precision of n-grams for n = 1 to max_n, from 0 to 1.
        brevity_penalty: from 0 to 1.
        hypothesis_length, reference_length: in tokens, over the corpus.
    """

    score: float
    precisions: tuple[float, ...]
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int


def ngrams(tokens: Tokens, n: int) -> Counter[tuple[Hashable, ...]]:
    """How often each run of n tokens occurs."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def bleu_statistics(hypothesis: Tokens, references: Sequence[Tokens], max_n: int = 4) -> NDArray[np.int64]:
    """What BLEU has to know of one sentence; the statistics of a corpus are the sum of its sentences'.

    Args:
        hypothesis: tokens, any number.
        references: one or more, each a list of tokens.
        max_n: longest n-gram.

    Returns:
        (2 + 2 · max_n,): the hypothesis's length and that of the reference closest to it (the shorter of two
        that are equally close); then, for n = 1 to max_n, its n-grams that match; then all its n-grams. An
        n-gram matches as often as it occurs in the one reference that has it most often.

    Raises:
        TypeError: a sentence is a string: split it into tokens.
        ValueError: there is no reference, or max_n < 1.

    Source: Papineni et al. (2002); the closest length as in sacreBLEU, Post (2018).
    """
    _check_sentence(hypothesis, references, max_n)
    length = len(hypothesis)
    closest = min(map(len, references), key=lambda r: (abs(r - length), r))
    matches, totals = [], []
    for n in range(1, max_n + 1):
        allowed: Counter[tuple[Hashable, ...]] = Counter()
        for reference in references:
            allowed |= ngrams(reference, n)  # the larger count of each n-gram
        found = ngrams(hypothesis, n)
        matches.append((found & allowed).total())  # the smaller count of each: clipped
        totals.append(found.total())
    return np.array([length, closest, *matches, *totals])


def bleu_from_statistics(statistics: ArrayLike) -> NDArray[np.float64]:
    """BLEU, from 0 to 100: geometric mean of the n-gram precisions times the brevity penalty, unsmoothed.

    Args:
        statistics: (…, 2 + 2 · max_n), of sentences, corpora or resampled corpora.

    Returns:
        (…); 0 where no n-gram of some length matches, or none is there.

    Raises:
        ValueError: the last axis is not of that size, a count is NaN or negative, or there are more matches
            than n-grams.

    Source: Papineni et al. (2002).
    """
    values = _checked_statistics(statistics)
    length, closest = values[..., 0], values[..., 1]
    matches, totals = np.split(values[..., 2:], 2, axis=-1)  # (…, max_n)
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 is −∞, and a score of 0
        log_precision = np.where(matches > 0, np.log(matches / totals), -np.inf).mean(axis=-1)
        log_penalty = np.where(length > 0, np.minimum(0.0, 1 - closest / length), 0.0)
    return np.asarray(100 * np.exp(log_precision + log_penalty))


def corpus_bleu(hypotheses: Sequence[Tokens], references: Sequence[Sequence[Tokens]], max_n: int = 4) -> BLEU:
    """BLEU of a corpus: counts are added over its sentences first, precisions and penalty taken once.

    Args:
        hypotheses: N lists of tokens.
        references: references[i] are the one or more references of hypotheses[i], each a list of tokens.
        max_n: longest n-gram.

    Raises:
        TypeError: a sentence is a string: split it into tokens.
        ValueError: the corpus is empty, the lengths differ, a sentence has no reference, or max_n < 1.

    Source: Papineni et al. (2002).
    """
    if len(hypotheses) != len(references) or len(hypotheses) == 0:
        raise ValueError(f"hypotheses and references must be two lists of one length, at least 1, got "
                         f"{len(hypotheses)} and {len(references)}")  # fmt: skip
    pairs = zip(hypotheses, references, strict=True)
    total = np.sum([bleu_statistics(h, rs, max_n) for h, rs in pairs], axis=0)
    length, closest = int(total[0]), int(total[1])
    matches, totals = np.split(total[2:], 2)
    return BLEU(
        score=float(bleu_from_statistics(total)),
        precisions=tuple((matches / np.maximum(totals, 1)).tolist()),
        brevity_penalty=float(np.exp(min(0.0, 1 - closest / length))) if length else float(closest == 0),
        hypothesis_length=length,
        reference_length=closest,
    )


def rouge_n(hypothesis: Tokens, reference: Tokens, n: int) -> Scores:
    """ROUGE-N: precision, recall and F1 of the n-grams of a hypothesis, against one reference.

    Args:
        hypothesis, reference: tokens, any number.
        n: length of the n-grams.

    Returns:
        Three numbers from 0 to 1; 0 where there is no n-gram.

    Raises:
        TypeError: a sentence is a string: split it into tokens.
        ValueError: n < 1.

    Source: Lin (2004), whose ROUGE-N is the recall; the F1 as in the package rouge-score.
    """
    _check_sentence(hypothesis, [reference], n, name="n")
    found, wanted = ngrams(hypothesis, n), ngrams(reference, n)
    return scores_from_counts((found & wanted).total(), found.total(), wanted.total())


def rouge_l(hypothesis: Tokens, reference: Tokens) -> Scores:
    """ROUGE-L: the same for the longest common subsequence: tokens in the same order, gaps allowed.

    Args:
        hypothesis, reference: tokens, any number.

    Returns:
        Its length over the hypothesis's, over the reference's, and F1: from 0 to 1, 0 where one is empty.

    Raises:
        TypeError: a sentence is a string: split it into tokens.

    Source: Lin (2004), who weights recall more; the F1 as in the package rouge-score.
    """
    _check_sentence(hypothesis, [reference], 1)
    lengths = [0] * (len(reference) + 1)  # of hypothesis so far and each prefix of the reference
    for token in hypothesis:
        before = lengths[:]
        for j, other in enumerate(reference):
            lengths[j + 1] = before[j] + 1 if token == other else max(before[j + 1], lengths[j])
    return scores_from_counts(lengths[-1], len(hypothesis), len(reference))


def _check_sentence(hypothesis: Tokens, references: Sequence[Tokens], n: int, name: str = "max_n") -> None:
    if n < 1:
        raise ValueError(f"{name} must be at least 1, got {n}")
    if isinstance(references, str) or len(references) == 0:
        raise ValueError(f"references must be a list of one or more token lists, got {references!r}")
    for sentence in (hypothesis, *references):
        if isinstance(sentence, str):
            raise TypeError(f"a sentence must be a list of tokens, got the string {sentence[:40]!r}: split "
                            "it, or list(…) it into characters; references[i] lists sentences")  # fmt: skip


def _checked_statistics(statistics: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(statistics, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] < 4 or values.shape[-1] % 2:
        raise ValueError(f"statistics must have shape (…, 2 + 2 · max_n), got {values.shape}")
    matches, totals = np.split(values[..., 2:], 2, axis=-1)
    if not ((values >= 0).all() and (matches <= totals).all()):
        raise ValueError(f"statistics must be counts, and matches no more than all n-grams, got {values}")
    return values
