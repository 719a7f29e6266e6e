"""BLEU of a corpus: clipped counts, pooled, several references."""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from lmprep.practice.checks import Call, Rng
from lmprep.practice.task import Candidate, Task

Tokens = list[str]

STATEMENT = r"""
Write `corpus_bleu(hypotheses, references, max_n=4)`: BLEU of a corpus, one number from 0 to 100, without
smoothing. `hypotheses` holds N ≥ 1 lists of tokens and `references[i]` one or more lists of tokens for
`hypotheses[i]`; any list of tokens may be empty, and tokens are strings, equal only if every character is.
For each n from 1 to `max_n`, an n-gram of a hypothesis matches as often as it occurs there, but at most as
often as in that one of its references that has it most often; the precision is the number of matches in the
whole corpus over the number of n-grams in all hypotheses. BLEU is 100 times the geometric mean of the
precisions times $\exp(\min(0, 1 - r/c))$, with $c$ the tokens of all hypotheses and $r$ the sum, over
hypotheses, of the length of the reference closest in length, of two equally close ones the shorter. If for
some n nothing matches, or there is no n-gram at all, BLEU is 0. Inputs stay as they were.
"""

STARTER = '''
import math


def corpus_bleu(hypotheses: list, references: list, max_n: int = 4) -> float:
    """BLEU of a corpus, from 0 to 100.

    hypotheses: N lists of tokens; references: for each, one or more lists of tokens.
    """
    raise NotImplementedError
'''

HINTS = (
    "Which numbers of a sentence does the score of the corpus need? Write them down before you divide "
    "anything: two lengths, and for each n two counts.",
    "Go through the sentences and add up those numbers. An n-gram of the hypothesis counts the smaller of "
    "two: how often it occurs there, and how often it occurs in that reference which has it most often. "
    "Only after the last sentence are there divisions, logarithms and a brevity penalty.",
    "For each sentence add its length to c and, to r, the reference length whose distance is smallest, "
    "comparing pairs of distance and length so that ties go to the shorter. For each n list the n-grams as "
    "tuples, and for each distinct one add the smaller of its count and its largest count in any reference. "
    "A match total of 0 ends with 0. Otherwise average the logarithms of the quotients, add 1 − r/c if that "
    "is negative, take the exponential, times 100.",
)


def corpus_bleu(hypotheses: list, references: list, max_n: int = 4) -> float:
    c, r, matches, totals = 0, 0, [0] * max_n, [0] * max_n
    for hypothesis, options in zip(hypotheses, references, strict=True):
        c += len(hypothesis)
        r += min((abs(len(option) - len(hypothesis)), len(option)) for option in options)[1]
        for n in range(1, max_n + 1):
            found, *allowed = (
                [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
                for tokens in (hypothesis, *options)
            )
            totals[n - 1] += len(found)
            matches[n - 1] += sum(min(found.count(g), max(a.count(g) for a in allowed)) for g in set(found))
    if 0 in matches:
        return 0.0
    logs = [math.log(m / t) for m, t in zip(matches, totals, strict=True)]
    return 100 * math.exp(sum(logs) / max_n + min(0, 1 - r / c))


# What the checks compare with.


def by_sacrebleu(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    """sacreBLEU's, given a word without spaces for each distinct token."""
    from sacrebleu.metrics.bleu import BLEU

    names: dict[str, str] = {}

    def text(tokens: Tokens) -> str:
        return " ".join(names.setdefault(token, f"w{len(names)}") for token in tokens)

    metric = BLEU(tokenize="none", smooth_method="none", max_ngram_order=max_n, force=True)
    streams: Any = [
        [text(options[k]) if k < len(options) else None for options in references]
        for k in range(max(map(len, references)))
    ]
    return float(metric.corpus_score(list(map(text, hypotheses)), streams).score)


SEPARATORS = ("", " ", "_", "__", "-", "|", "||", ",", ", ", "/", "#", "\t", "\n", "\0", "\x1f", "▁")
WORDS = ("the", "cat", "sat", "猫", "坐", "。")


def corpus(rng: Rng, sentences: int, most: int, words: int = 4, references: int = 3) -> dict[str, Any]:
    """A corpus of short sentences, each copied badly from one of its one to `references` references."""
    given: dict[str, Any] = {"hypotheses": [], "references": []}
    for _ in range(sentences):
        options = [
            [WORDS[i] for i in rng.integers(words, size=rng.integers(most + 1))]
            for _ in range(rng.integers(1, references + 1))
        ]
        model = options[rng.integers(len(options))]
        hypothesis = [word if rng.random() < 0.8 else WORDS[rng.integers(words)] for word in model]
        given["hypotheses"].append(hypothesis[: rng.integers(len(hypothesis) + 2)])
        given["references"].append(options)
    return given


def expect(
    candidate: Candidate, want: float, cause: str, hypotheses: Any, references: Any, max_n: int = 4
) -> None:
    call = Call(candidate, hypotheses=hypotheses, references=references, max_n=max_n)
    call.same("BLEU", call.number(), want, cause=cause, tolerance=1e-6)


def split(*sentences: str) -> list[Tokens]:
    return [sentence.split() for sentence in sentences]


# Checks.


def one_number(candidate: Candidate, rng: Rng) -> None:
    """Returns one number from 0 to 100."""
    for sentences, most in ((1, 1), (1, 4), (3, 6)):
        call = Call(candidate, **corpus(rng, sentences, most))
        value = call.number()
        call.holds(-1e-6 <= value <= 100 + 1e-6, expected="a number from 0 to 100", got=f"{value:.6g}",
                   cause="matches and n-grams counted over different things, or NaN")  # fmt: skip


def copies(candidate: Candidate, rng: Rng) -> None:
    """A hypothesis that repeats a reference scores 100."""
    for words in (("a", "b"), WORDS[:4], WORDS):
        order = [str(word) for word in rng.permutation(words)]
        cause = (
            "a score from 0 to 1: multiply by 100. Or smoothing, or a sum of logarithms not divided by max_n"
        )
        expect(candidate, 100.0, cause, [order], [[order]], max_n=min(len(words), 4))


def exact(candidate: Candidate, rng: Rng) -> None:
    """The score is not rounded."""
    for reference, want in (("a x y", 100 / 3), ("b c x", 200 / 3)):
        expect(candidate, want, "a rounded score", split("a b c"), [split(reference)], max_n=1)


def ordered(candidate: Candidate, rng: Rng) -> None:
    """An n-gram is n tokens in their order."""
    cause = "n-grams compared as sorted tuples or sets of tokens"
    expect(candidate, 100 / math.sqrt(3), cause, split("b a x y"), [split("a b x y")], max_n=2)


def clipped(candidate: Candidate, rng: Rng) -> None:
    """An n-gram matches at most as often as a reference has it."""
    for word in ("the", "猫"):
        for times, allowed in ((2, 1), (7, 2)):
            reference = [word] * allowed + ["x"] * (times - allowed)
            cause = "matches that are not clipped, or sets in place of counts"
            expect(candidate, 100 * allowed / times, cause, [[word] * times], [[reference]], max_n=1)
    cause = "clipping over the corpus: what one sentence has too much, another must not make up for"
    expect(candidate, 50.0, cause, split("a a", "b b"), [split("a b"), split("a b")], max_n=1)


def brevity(candidate: Candidate, rng: Rng) -> None:
    """Too short is penalized by exp(1 − r/c), too long is not."""
    cause = "a brevity penalty left out, turned around, or also applied where the output is longer"
    for hypothesis, reference, want in (
        ("a", "a b", 100 / math.e),
        ("a b", "a", 50.0),
        ("a b", "a b c", 60.653066),
    ):
        expect(candidate, want, cause, split(hypothesis), [split(reference)], max_n=1)


def geometric(candidate: Candidate, rng: Rng) -> None:
    """The mean over n = 1 to max_n is geometric, and taken of all of them."""
    cause = "an arithmetic mean of the precisions, or the longest n-grams alone"
    want = 100 * math.exp(-2 / 7) * (3 / 70) ** 0.25  # worked by hand on the page
    expect(candidate, 100 * math.sqrt(0.75 / 3), cause, split("a b x c"), [split("a b y c")], max_n=2)
    given = split("the cat sat on the the mat"), [split("the cat sat on a mat by the door")]
    expect(candidate, want, cause, *given)


def zero(candidate: Candidate, rng: Rng) -> None:
    """Without a match, or an n-gram, of some length BLEU is 0."""
    cause = "smoothing, an order left out because nothing matches, or NaN from log 0 or 0/0"
    for hypothesis, reference, max_n in (
        ("a", "b", 1),
        ("a b", "b a", 2),
        ("a", "a", 2),
        ("a b c", "a b c", 4),
    ):
        expect(candidate, 0.0, cause, split(hypothesis), [split(reference)], max_n)


def pooled(candidate: Candidate, rng: Rng) -> None:
    """Counts and lengths are added up over the corpus, and divided once."""
    cause = "scores, precisions or penalties of sentences averaged or multiplied"
    expect(candidate, 75.0, cause, split("a", "a b c"), [split("b"), split("a b c")], max_n=1)
    expect(candidate, 80.0, cause, split("a", "a b c d"), [split("a b"), split("a b c")], max_n=1)
    cause = "n-grams that run from one sentence into the next"
    expect(candidate, 0.0, cause, split("a", "b"), [split("a"), split("b")], max_n=2)


def shorter_than_n(candidate: Candidate, rng: Rng) -> None:
    """A sentence shorter than n adds no n-gram, to the matches or to the total."""
    cause = "for a sentence shorter than n, a total of len − n + 1 below 0, or of at least 1"
    for sentences, max_n in ((("a", "b c"), 2), (("a", "a b c"), 3), (("a b c d", "a", "b c"), 4)):
        given = split(*sentences)
        expect(candidate, 100.0, cause, given, [[sentence] for sentence in given], max_n=max_n)


def several_references(candidate: Candidate, rng: Rng) -> None:
    """With several references, an n-gram's limit is its largest count in any one of them."""
    cause = "only one reference used, or the limits of several added up"
    expect(candidate, 100.0, cause, split("a b"), [split("a x", "y b")], max_n=1)
    expect(candidate, 50.0, cause, split("a a"), [split("a b", "c a")], max_n=1)
    expect(candidate, 100.0, cause, split("a a b"), [split("b c c", "a a c", "c c c")], max_n=1)


def closest_length(candidate: Candidate, rng: Rng) -> None:
    """r takes the reference closest in length, of two equally close ones the shorter."""
    for lengths, r in (
        ((2, 7), 2),
        ((7, 4), 4),
        ((1, 4), 4),
        ((4, 2), 2),
        ((2, 4), 2),
        ((5, 1, 9), 1),
        ((4, 4), 4),
    ):
        cause = "the shortest, longest, first or mean length, or a tie that goes to the longer"
        options = [["a", "b", "c", *"defghi"][:length] for length in lengths]
        kept = min(3, max(lengths))
        want = 100 * math.exp(min(0.0, 1 - r / 3)) * kept / 3
        expect(candidate, want, cause, split("a b c"), [options], max_n=1)


def as_they_are(candidate: Candidate, rng: Rng) -> None:
    """Tokens are compared as they are: case, spaces and punctuation count."""
    cause = "tokens or n-grams joined to text, lower-cased, stripped or normalized"
    expect(candidate, 0.0, cause, [["New York"]], [[["New", "York"]]], max_n=1)
    expect(candidate, 50.0, cause, [["The", "cat"]], [[["the", "cat"]]], max_n=1)
    expect(candidate, 50.0, cause, [["ａ", "b"]], [[["a", "b"]]], max_n=1)  # the first is full-width
    for sep in SEPARATORS:  # joined by it, both sentences have the 2-gram a‸b‸c
        tokens = [f"a{sep}b", "c"]
        expect(candidate, 0.0, cause, [tokens], [[["a", f"b{sep}c", tokens[0], "x", "c"]]], max_n=2)
    expect(candidate, 100.0, cause, [["猫", "坐 ", "。"]], [[["猫", "坐 ", "。"]]], max_n=3)


def empty(candidate: Candidate, rng: Rng) -> None:
    """An empty hypothesis adds its reference's length, and a corpus of them scores 0."""
    cause = "empty sentences skipped, or a division by zero"
    expect(candidate, 100 / math.e, cause, [["a", "b"], []], [[["a", "b"]], [["c", "d"]]], max_n=1)
    expect(candidate, 100.0, cause, [["a"], []], [[["a"]], [["b", "c"], []]], max_n=1)
    expect(candidate, 0.0, cause, [[]], [[["a"]]], max_n=1)
    expect(candidate, 0.0, cause, [[], []], [[[]], [["a"], []]])


def agreement(candidate: Candidate, rng: Rng) -> None:
    """Agrees with sacreBLEU, for any max_n and any number of references."""
    for sentences, most in ((1, 6), (2, 6), (3, 9), (8, 12)):
        for max_n in (1, 2, 3, 4, 5):
            given = corpus(rng, sentences, most) | {"max_n": max_n}
            call = Call(candidate, **given)
            cause = "max_n = 4 written into the code, or several of the conventions above at once"
            call.same("BLEU", call.number(), by_sacrebleu(**given), cause=cause, tolerance=1e-6)


def default_order(candidate: Candidate, rng: Rng) -> None:
    """max_n is 4 where it is not given."""
    order = [str(word) for word in rng.permutation(WORDS)]
    call = Call(candidate, hypotheses=[["x", *order]], references=[[order]])
    want = by_sacrebleu([["x", *order]], [[order]])
    call.same("BLEU", call.number(), want, cause="a default for max_n that is not 4", tolerance=1e-6)


def inputs_kept(candidate: Candidate, rng: Rng) -> None:
    """Leaves hypotheses and references as they were."""
    for sentences, most in ((1, 4), (3, 6)):
        Call(candidate, **corpus(rng, sentences, most)).unchanged(
            cause="sorting, padding or emptying the caller's lists"
        )


# Right answers of other style, and wrong ones.


def ngrams(tokens: Tokens, n: int) -> Counter[Any]:
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


def most_of(counters: list[Counter[Any]]) -> Counter[Any]:
    union: Counter[Any] = Counter()
    for counter in counters:
        union |= counter
    return union


def nearest(c: int, lengths: list[int]) -> float:
    return min(lengths, key=lambda r: (abs(r - c), r))


def mean_log(matches: Any, totals: Any) -> float:
    return sum(math.log(m / t) for m, t in zip(matches, totals, strict=True)) / len(matches)


def penalty(c: float, r: float) -> float:
    return math.exp(min(0.0, 1 - r / c)) if c else 0.0


def score(matches: Any, totals: Any, c: float, r: float) -> float:
    if min(matches) == 0:
        return 0.0
    return 100 * penalty(c, r) * math.exp(mean_log(matches, totals))


def variant(
    *,
    grams: Callable[[Tokens, int], Counter[Any]] = ngrams,
    limit: Callable[[list[Counter[Any]]], Counter[Any]] = most_of,
    length: Callable[[int, list[int]], float] = nearest,
    total: Callable[[Counter[Any], Counter[Any]], int] = lambda found, allowed: found.total(),
    finish: Callable[..., float] = score,
    keep: Callable[[Tokens], bool] = lambda tokens: True,
    first_n: Callable[[int], int] = lambda max_n: 1,
    last_n: Callable[[int], int] = lambda max_n: max_n,
) -> Candidate:
    """An answer right in everything but what is passed."""

    def answer(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
        c: float = 0
        r: float = 0
        orders = range(first_n(max_n), last_n(max_n) + 1)
        matches, totals = [0] * len(orders), [0] * len(orders)
        for hypothesis, options in zip(hypotheses, references, strict=True):
            if keep(hypothesis):
                c, r = c + len(hypothesis), r + length(len(hypothesis), list(map(len, options)))
                for k, n in enumerate(orders):
                    found, allowed = grams(hypothesis, n), limit([grams(option, n) for option in options])
                    matches[k] += (found & allowed).total()
                    totals[k] += total(found, allowed)
        return finish(matches, totals, c, r)

    return answer


def unclipped(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    def every(counters: list[Counter[Any]]) -> Counter[Any]:
        return Counter(dict.fromkeys(most_of(counters), 10**6))

    return float(variant(limit=every)(hypotheses, references, max_n))


def clipped_by_corpus(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    matches, totals = [], []
    for n in range(1, max_n + 1):
        found = sum((ngrams(h, n) for h in hypotheses), Counter())
        allowed = sum((most_of([ngrams(r, n) for r in options]) for options in references), Counter())
        matches.append((found & allowed).total())
        totals.append(found.total())
    pairs = zip(hypotheses, references, strict=True)
    r = sum(nearest(len(h), list(map(len, options))) for h, options in pairs)
    return score(matches, totals, sum(map(len, hypotheses)), r)


def averaged(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    pairs = zip(hypotheses, references, strict=True)
    return sum(corpus_bleu([h], [options], max_n) for h, options in pairs) / len(hypotheses)


def best_reference(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    """Each sentence against that one reference which suits it best."""
    pairs = zip(hypotheses, references, strict=True)
    best = [max(options, key=lambda r: (ngrams(h, 1) & ngrams(r, 1)).total()) for h, options in pairs]
    return corpus_bleu(hypotheses, [[r] for r in best], max_n)


def penalized_sentences(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    """The mean of the sentences' brevity penalties."""
    pairs = list(zip(hypotheses, references, strict=True))
    mean = sum(penalty(len(h), nearest(len(h), list(map(len, o)))) for h, o in pairs) / len(pairs)
    return mean * float(variant(length=lambda c, lengths: 0)(hypotheses, references, max_n))


def one_text(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    """The corpus as one long sentence, where there is one reference a sentence."""
    if max(map(len, references)) > 1:
        return corpus_bleu(hypotheses, references, max_n)
    text = [token for tokens in hypotheses for token in tokens]
    return corpus_bleu([text], [[[token for options in references for token in options[0]]]], max_n)


def matched(matches: Any, totals: Any, c: float, r: float) -> float:
    """Leaves out the orders without a match."""
    pairs = [(m, t) for m, t in zip(matches, totals, strict=True) if m]
    return score([m for m, _ in pairs], [t for _, t in pairs], c, r) if pairs else 0.0


def existing(matches: Any, totals: Any, c: float, r: float) -> float:
    """Leaves out the orders without an n-gram."""
    pairs = [(m, t) for m, t in zip(matches, totals, strict=True) if t]
    return score([m for m, _ in pairs], [t for _, t in pairs], c, r) if pairs else 0.0


def plus_one(matches: Any, totals: Any, c: float, r: float) -> float:
    if not c or matches[0] == 0:
        return 0.0
    tail = [m + 1 for m in matches[1:]], [t + 1 for t in totals[1:]]
    return score([matches[0], *tail[0]], [totals[0], *tail[1]], c, r)


def arithmetic(matches: Any, totals: Any, c: float, r: float) -> float:
    if min(matches) == 0:
        return 0.0
    return 100 * penalty(c, r) * sum(m / t for m, t in zip(matches, totals, strict=True)) / len(matches)


def exact_zero_division(matches: Any, totals: Any, c: float, r: float) -> float:
    return (
        100
        * math.exp(min(0.0, 1 - r / c))
        * math.prod(m / t for m, t in zip(matches, totals, strict=True)) ** (1 / len(matches))
    )


def lowered(tokens: Tokens, n: int) -> Counter[Any]:
    return ngrams([token.lower().strip() for token in tokens], n)


def normalized(tokens: Tokens, n: int) -> Counter[Any]:
    return ngrams([unicodedata.normalize("NFKC", token) for token in tokens], n)


def joined(separator: str) -> Callable[[Tokens, int], Counter[Any]]:
    return lambda tokens, n: Counter(separator.join(gram) for gram in ngrams(tokens, n).elements())


def unordered(tokens: Tokens, n: int) -> Counter[Any]:
    return Counter(tuple(sorted(gram)) for gram in ngrams(tokens, n).elements())


def resplit(tokens: Tokens, n: int) -> Counter[Any]:
    return ngrams(" ".join(tokens).split(), n)


def padded(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    result = corpus_bleu(hypotheses, references, max_n)
    for options in references:
        options.sort(key=len)
        options.append([])
    return result


def with_arrays(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> Any:
    rows = []
    for h, options in zip(hypotheses, references, strict=True):
        r = sorted(map(len, options), key=lambda size: (abs(size - len(h)), size))[0]
        found = [ngrams(h, n) for n in range(1, max_n + 1)]
        limits = [most_of([ngrams(o, n) for o in options]) for n in range(1, max_n + 1)]
        kept = [(f & a).total() for f, a in zip(found, limits, strict=True)]
        rows.append([len(h), r, *kept, *(f.total() for f in found)])
    c, r, *counts = np.sum(rows, axis=0)
    matches, totals = np.split(np.array(counts, dtype=float), 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(matches > 0, np.log(matches / totals), -np.inf)
    return 100 * np.exp(logs.mean()) * (1.0 if c >= r else np.exp(1 - r / max(c, 1)))


def by_product(hypotheses: list[Tokens], references: list[list[Tokens]], max_n: int = 4) -> float:
    def finish(matches: Any, totals: Any, c: float, r: float) -> float:
        if not c:
            return 0.0
        precisions = [m / max(t, 1) for m, t in zip(matches, totals, strict=True)]
        return 100 * min(1.0, math.exp(1 - r / c)) * math.prod(precisions) ** (1 / max_n)

    return float(variant(finish=finish)(hypotheses, references, max_n))


TASK = Task(
    name="corpus_bleu",
    entry="task_metrics",
    statement=STATEMENT,
    starter=STARTER,
    reference=corpus_bleu,
    hints=HINTS,
    checks=(
        one_number,
        copies,
        exact,
        clipped,
        brevity,
        geometric,
        ordered,
        zero,
        pooled,
        shorter_than_n,
        several_references,
        closest_length,
        as_they_are,
        empty,
        agreement,
        default_order,
        inputs_kept,
    ),
    wrong={
        "unclipped counts": unclipped,
        "sets in place of counts": variant(grams=lambda tokens, n: Counter(set(ngrams(tokens, n)))),
        "clipped over the corpus": clipped_by_corpus,
        "the mean of sentence scores": averaged,
        "the mean of sentence penalties": penalized_sentences,
        "the corpus as one text": one_text,
        "arithmetic mean": variant(finish=arithmetic),
        "from 0 to 1": variant(finish=lambda *counts: score(*counts) / 100),
        "logarithms added, not averaged": variant(
            finish=lambda m, t, c, r: (
                0.0 if 0 in m else 100 * penalty(c, r) * math.exp(len(m) * mean_log(m, t))
            )
        ),
        "no brevity penalty": variant(length=lambda c, lengths: 0),
        "penalty turned around": variant(finish=lambda m, t, c, r: score(m, t, r, c)),
        "penalty for longer outputs too": variant(
            finish=lambda m, t, c, r: 0.0 if 0 in m else score(m, t, 1, 1) * math.exp(-abs(1 - r / c))
        ),
        "penalty c/r": variant(
            finish=lambda m, t, c, r: score(m, t, 1, 1) * min(1.0, c / r) if r else score(m, t, 1, 1)
        ),
        "shortest reference": variant(length=lambda c, lengths: min(lengths)),
        "longest reference": variant(length=lambda c, lengths: max(lengths)),
        "first reference's length": variant(length=lambda c, lengths: lengths[0]),
        "mean reference length": variant(length=lambda c, lengths: sum(lengths) / len(lengths)),
        "ties to the longer": variant(length=lambda c, lengths: min(lengths, key=lambda r: (abs(r - c), -r))),
        "ties to the first": variant(length=lambda c, lengths: min(lengths, key=lambda r: abs(r - c))),
        "first reference only": lambda hypotheses, references, max_n=4: corpus_bleu(
            hypotheses, [options[:1] for options in references], max_n
        ),
        "limits of references added": variant(limit=lambda counters: sum(counters, Counter())),
        "limits common to all references": variant(
            limit=lambda counters: Counter({g: min(x[g] for x in counters) for g in counters[0]})
        ),
        "best reference of each sentence": best_reference,
        "recall": variant(total=lambda found, allowed: allowed.total()),
        "orders without a match left out": variant(finish=matched),
        "orders without an n-gram left out": variant(finish=existing),
        "one added from 2-grams on": variant(finish=plus_one),
        "division by zero": variant(finish=exact_zero_division),
        "always up to 4": variant(last_n=lambda max_n: 4),
        "never beyond 4-grams": variant(last_n=lambda max_n: min(max_n, 4)),
        "weights of a quarter for any max_n": variant(
            finish=lambda m, t, c, r: (
                0.0 if 0 in m else score(m, t, c, r) * math.exp(mean_log(m, t) * (len(m) / 4 - 1))
            )
        ),
        "the longest n-grams only": variant(first_n=lambda max_n: max_n),
        "up to max_n − 1": variant(last_n=lambda max_n: max(max_n - 1, 1)),
        "default of 3": lambda hypotheses, references, max_n=3: corpus_bleu(hypotheses, references, max_n),
        "lower case": variant(grams=lowered),
        "n-grams joined by spaces": variant(grams=joined(" ")),
        "n-grams joined by nothing": variant(grams=joined("")),
        "n-grams joined by underscores": variant(grams=joined("_")),
        "n-grams joined by bars": variant(grams=joined("|")),
        "n-grams joined by NUL": variant(grams=joined("\0")),
        "n-grams in any order": variant(grams=unordered),
        "normalized tokens": variant(grams=normalized),
        "at least one n-gram a sentence": variant(total=lambda found, allowed: max(1, found.total())),
        "rounded": variant(finish=lambda *counts: round(score(*counts), 2)),
        "tokens joined and split": variant(grams=resplit),
        "empty hypotheses skipped": variant(keep=bool),
        "references sorted and padded in place": padded,
    },
    also_right={
        "counters": variant(),
        "sacreBLEU": by_sacrebleu,
        "arrays of statistics": with_arrays,
        "a product and a root": by_product,
    },
    asked=2,
)
