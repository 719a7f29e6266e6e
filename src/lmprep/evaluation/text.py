"""BLEU, ROUGE and chrF: what is counted in a sentence, and what becomes of the counts of a corpus.

For BLEU and ROUGE a sentence is a list of tokens. Which tokens is the caller's decision, and the scores
depend on it: for Chinese, `list(text)` gives characters, `text.split()` often a single token. chrF takes the
string and counts its characters.
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


def chrf_statistics(
    hypothesis: str, references: Sequence[str], max_n: int = 6, beta: float = 2.0
) -> NDArray[np.int64]:
    """What chrF has to know of one sentence; the statistics of a corpus are the sum of its sentences'.

    Args:
        hypothesis: a string; white space in it does not count.
        references: one or more strings. The one that scores best counts, the first of equals.
        max_n: longest n-gram of characters.
        beta: how many times as important recall is as precision; matters for the choice of the reference.

    Returns:
        (3, max_n): for n = 1 to max_n the n-grams of the hypothesis (0 where the reference is shorter than
        n), those of the reference, and those that match.

    Raises:
        TypeError: a sentence is no string.
        ValueError: there is no reference, max_n < 1, or beta is not positive.

    Source: Popović (2015); the choice of the reference and the 0 as in sacreBLEU, Post (2018).
    """
    if not beta > 0:
        raise ValueError(f"beta must be positive, got {beta}")
    if isinstance(references, str) or len(references) == 0 or max_n < 1:
        raise ValueError(f"references must be a list of one or more strings and max_n at least 1, got "
                         f"{references!r} and {max_n}")  # fmt: skip
    for sentence in (hypothesis, *references):
        if not isinstance(sentence, str):
            raise TypeError(f"chrF takes a sentence as a string, got {sentence!r}: join its tokens")
    statistics = [_character_counts(hypothesis, reference, max_n) for reference in references]
    return max(statistics, key=lambda each: float(chrf_from_statistics(each, beta)))


def _character_counts(hypothesis: str, reference: str, max_n: int) -> NDArray[np.int64]:
    """(3, max_n): n-grams of the hypothesis, of the reference, matches."""
    written, wanted = "".join(hypothesis.split()), "".join(reference.split())
    columns = []
    for n in range(1, max_n + 1):
        found, there = ngrams(written, n), ngrams(wanted, n)
        columns.append([found.total() if there else 0, there.total(), (found & there).total()])
    return np.array(columns).T


def chrf_from_statistics(statistics: ArrayLike, beta: float = 2.0) -> NDArray[np.float64]:
    """chrF, from 0 to 100: F-score of the character n-grams' precision and recall, each averaged over n.

    Args:
        statistics: (…, 3, max_n), of sentences, corpora or resampled corpora.
        beta: how many times as important recall is as precision.

    Returns:
        (…). A length n of which one side has no n-gram does not enter the averages; 0 where none is left.

    Raises:
        ValueError: the shape is another, a count is NaN or negative, or there are more matches than n-grams.

    Source: Popović (2015), who sets beta to 2 in her paper of 2016.
    """
    values = np.asarray(statistics, dtype=np.float64)
    if values.ndim < 2 or values.shape[-2] != 3 or values.shape[-1] == 0:
        raise ValueError(f"statistics must have shape (…, 3, max_n), got {values.shape}")
    found, there, matches = (values[..., k, :] for k in range(3))  # (…, max_n)
    if not ((matches >= 0) & (matches <= found) & (matches <= there)).all():
        raise ValueError(f"statistics must be counts, and matches no more than all n-grams, got {values}")
    orders = ((found > 0) & (there > 0)).sum(axis=-1)
    scores = scores_from_counts(matches, found, there)
    precision, recall = (np.sum(x, axis=-1) / np.maximum(orders, 1) for x in scores[:2])
    weighted = beta**2 * precision + recall
    both = (1 + beta**2) * precision * recall
    return np.asarray(100 * np.divide(both, weighted, out=np.zeros_like(weighted), where=weighted > 0))


def chrf(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], max_n: int = 6, beta: float = 2.0
) -> float:
    """chrF of a corpus, from 0 to 100: counts are added over its sentences first, the F-score is taken once.

    Args:
        hypotheses: N strings; white space in them does not count.
        references: references[i] are the one or more references of hypotheses[i], each a string.
        max_n: longest n-gram of characters.
        beta: how many times as important recall is as precision.

    Raises:
        TypeError: a sentence is no string.
        ValueError: the corpus is empty, the lengths differ, a sentence has no reference, max_n < 1, or beta
            is not positive.

    Source: Popović (2015); over a corpus as in sacreBLEU, Post (2018).
    """
    if len(hypotheses) != len(references) or len(hypotheses) == 0:
        raise ValueError(f"hypotheses and references must be two lists of one length, at least 1, got "
                         f"{len(hypotheses)} and {len(references)}")  # fmt: skip
    pairs = zip(hypotheses, references, strict=True)
    total = np.sum([chrf_statistics(h, rs, max_n, beta) for h, rs in pairs], axis=0)
    return float(chrf_from_statistics(total, beta))


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
