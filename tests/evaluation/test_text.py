"""lmprep.evaluation.text against sacreBLEU and rouge-score, by hand, and at the edges."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer
from sacrebleu.metrics.bleu import BLEU as SacreBLEU
from sacrebleu.metrics.chrf import CHRF

from lmprep.evaluation.text import (
    bleu_from_statistics,
    bleu_statistics,
    chrf,
    chrf_from_statistics,
    chrf_statistics,
    corpus_bleu,
    ngrams,
    rouge_l,
    rouge_n,
)

WORDS = ("the", "cat", "sat", "猫", "坐", "在", "垫子", "。")
Sentence = list[str]
HAN = tuple("房间很不太大小干净，。服务好店")
OUTPUT = ["the", "cat", "sat", "on", "the", "the", "mat"]  # worked by hand on the page
TARGET = ["the", "cat", "sat", "on", "a", "mat", "by", "the", "door"]


def corpus(
    seed: int, sentences: int, longest: int = 12, words: Sequence[str] = WORDS
) -> tuple[list[Sentence], list[list[Sentence]]]:
    """Hypotheses, some empty, copied badly from one of one to three references, some empty too."""
    rng = np.random.default_rng(seed)
    hypotheses, references = [], []
    for _ in range(sentences):
        lengths = rng.integers(longest + 1, size=rng.integers(1, 4))
        options = [rng.choice(words, size=length).tolist() for length in lengths]
        model = options[rng.integers(len(options))]
        copied = [word if rng.random() < 0.85 else str(rng.choice(words)) for word in model]
        hypotheses.append(copied[: rng.integers(len(copied) + 3)])
        references.append(options)
    return hypotheses, references


def strings(
    seed: int, sentences: int, words: Sequence[str] = WORDS, joint: str = ""
) -> tuple[list[str], list[list[str]]]:
    """The same as strings."""
    hypotheses, references = corpus(seed, sentences, words=words)
    return [joint.join(h) for h in hypotheses], [[joint.join(r) for r in options] for options in references]


def streams(references: Sequence[Sequence[str]]) -> Any:
    """All first references, all second ones and so on, as sacreBLEU takes them."""
    return [
        [options[k] if k < len(options) else None for options in references]
        for k in range(max(map(len, references)))
    ]


def sacrebleus(hypotheses: list[Sentence], references: list[list[Sentence]], max_n: int = 4) -> Any:
    metric = SacreBLEU(tokenize="none", smooth_method="none", max_ngram_order=max_n, force=True)
    texts = [[" ".join(r) for r in options] for options in references]
    return metric.corpus_score([" ".join(h) for h in hypotheses], streams(texts))


class Given(Tokenizer):  # type: ignore[misc]
    """Tokens by a rule of the caller's."""

    def __init__(self, rule: Callable[[str], list[str]]) -> None:
        self.rule = rule

    def tokenize(self, text: str) -> list[str]:
        return self.rule(text)


# --- BLEU ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100))
def test_corpus_bleu_is_sacrebleus(seed: int) -> None:
    for sentences in (1, 3, 20):
        given = corpus(seed, sentences)
        for max_n in (1, 2, 4, 5):
            ours, theirs = corpus_bleu(*given, max_n), sacrebleus(*given, max_n)
            assert ours.score == pytest.approx(theirs.score, abs=1e-9)
            assert ours.brevity_penalty == pytest.approx(theirs.bp, abs=1e-12)
            assert (ours.hypothesis_length, ours.reference_length) == (theirs.sys_len, theirs.ref_len)
            if ours.score:
                np.testing.assert_allclose(100 * np.array(ours.precisions), theirs.precisions, atol=1e-9)


def test_random_corpora_are_no_trivial_reference() -> None:
    """Else the test above would compare zeros."""
    scores = [corpus_bleu(*corpus(seed, 20)).score for seed in range(100)]
    assert sum(0 < score < 100 for score in scores) > 90


@pytest.mark.parametrize("name", ["zh", "char", "13a"])
def test_bleu_of_chinese_is_sacrebleus_by_its_tokenizers(name: str) -> None:
    metric = SacreBLEU(tokenize=name, smooth_method="none", force=True)
    scores = []
    for seed in range(50):
        for words in (HAN, WORDS):  # Chinese alone, and with English
            texts, options = strings(seed, 10, words)
            hypotheses = [metric.tokenizer(text).split() for text in texts]
            references = [[metric.tokenizer(text).split() for text in each] for each in options]
            scores.append(corpus_bleu(hypotheses, references).score)
            theirs = metric.corpus_score(texts, streams(options)).score
            assert scores[-1] == pytest.approx(theirs, abs=1e-9), f"seed {seed}"
    assert name == "13a" or np.mean(np.array(scores) > 0) > 0.9  # no trivial reference


def test_bleu_and_rouge_of_chinese_characters_are_the_packages() -> None:
    """Split by `list`, as pages do; nothing here needs a tokenizer of the package's own."""
    bleu = SacreBLEU(tokenize="char", smooth_method="none", force=True)
    rouge = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Given(list))
    for seed in range(200):
        texts, options = strings(seed, 3, HAN)
        ours = corpus_bleu([list(h) for h in texts], [[list(r) for r in each] for each in options])
        assert ours.score == pytest.approx(bleu.corpus_score(texts, streams(options)).score, abs=1e-9)
        for h, r in zip(texts, [each[0] for each in options], strict=True):
            theirs = rouge.score(r, h)
            found = rouge_n(list(h), list(r), 1), rouge_n(list(h), list(r), 2), rouge_l(list(h), list(r))
            np.testing.assert_allclose(found, [tuple(each) for each in theirs.values()], atol=1e-12)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), sentences=st.integers(1, 6), cut=st.integers(0, 6))
def test_statistics_add_up(seed: int, sentences: int, cut: int) -> None:
    hypotheses, references = corpus(seed, sentences)
    rows = np.array([bleu_statistics(h, rs) for h, rs in zip(hypotheses, references, strict=True)])
    whole = corpus_bleu(hypotheses, references).score
    assert float(bleu_from_statistics(rows[:cut].sum(0) + rows[cut:].sum(0))) == pytest.approx(
        whole, abs=1e-12
    )
    each = [corpus_bleu([h], [rs]).score for h, rs in zip(hypotheses, references, strict=True)]
    np.testing.assert_allclose(bleu_from_statistics(rows), each, atol=1e-12)


@given(seed=st.integers(0, 2**32), sentences=st.integers(1, 6))
def test_another_reference_takes_no_match_away(seed: int, sentences: int) -> None:
    hypotheses, references = corpus(seed, sentences)
    for h, options in zip(hypotheses, references, strict=True):
        fewer, more = bleu_statistics(h, options[:1]), bleu_statistics(h, options)
        assert (more[2:6] >= fewer[2:6]).all()
        assert (more[6:] == fewer[6:]).all()
        assert (more[2:6] <= more[6:]).all()
        assert (more == bleu_statistics(h, options[::-1])).all()


@given(seed=st.integers(0, 2**32))
def test_names_of_tokens_do_not_matter(seed: int) -> None:
    hypotheses, references = corpus(seed, 3)
    number = {word: 7 * k for k, word in enumerate(WORDS)}
    numbers: Any = [[number[w] for w in h] for h in hypotheses]
    targets: Any = [[[number[w] for w in r] for r in options] for options in references]
    assert corpus_bleu(numbers, targets) == corpus_bleu(hypotheses, references)


def test_bleu_by_hand() -> None:
    bleu = corpus_bleu([OUTPUT], [[TARGET]])
    assert bleu.precisions == (6 / 7, 3 / 6, 2 / 5, 1 / 4)
    assert bleu.brevity_penalty == pytest.approx(math.exp(-2 / 7), abs=1e-15)
    assert bleu.score == pytest.approx(100 * math.exp(-2 / 7) * (3 / 70) ** 0.25, abs=1e-12)


def test_papinenis_example_of_clipping() -> None:
    references = [["the", "cat", "is", "on", "the", "mat"], ["there", "is", "a", "cat", "on", "the", "mat"]]
    assert corpus_bleu([["the"] * 7], [references], max_n=1).precisions == (2 / 7,)


@pytest.mark.parametrize(
    ("lengths", "closest"), [((2, 4), 2), ((4, 2), 2), ((1, 4), 4), ((9, 1), 1), ((3, 2), 3)]
)
def test_of_two_equally_close_lengths_the_shorter_counts(lengths: tuple[int, ...], closest: int) -> None:
    assert bleu_statistics(["a"] * 3, [["b"] * length for length in lengths])[1] == closest


def test_an_order_without_a_match_or_an_ngram_scores_zero() -> None:
    assert corpus_bleu([["a", "b"]], [[["b", "a"]]]).score == 0
    assert corpus_bleu([["a"]], [[["a"]]]).score == 0
    assert corpus_bleu([["a"]], [[["a"]]], max_n=1).score == 100


@pytest.mark.parametrize("reference", [[], ["a"]])
def test_an_empty_hypothesis_scores_zero(reference: Sentence) -> None:
    ours, theirs = corpus_bleu([[]], [[reference]]), sacrebleus([[]], [[reference]])
    assert ours.score == theirs.score == 0
    assert ours.precisions == (0,) * 4
    assert ours.brevity_penalty == pytest.approx(theirs.bp)


def test_default_tokens_of_chinese_make_a_sentence_score_zero_against_itself() -> None:
    """What the page says of the packages' defaults."""
    text = "委员会今天上午已批准五所学校的新预算。"
    assert SacreBLEU().corpus_score([text], [[text]]).score == 0
    assert SacreBLEU(tokenize="zh").corpus_score([text], [[text]]).score == pytest.approx(100)
    assert RougeScorer(["rougeL"]).score(text, text)["rougeL"].fmeasure == 0
    assert RougeScorer(["rougeL"], tokenizer=Given(list)).score(text, text)["rougeL"].fmeasure == 1
    assert rouge_l(list(text), list(text)) == (1, 1, 1)


# --- ROUGE ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100))
def test_rouge_is_rouge_scores(seed: int) -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rouge4", "rougeL"], tokenizer=Given(str.split))
    for h, options in zip(*corpus(seed, 5), strict=True):
        theirs = scorer.score(" ".join(options[0]), " ".join(h))
        ours = {f"rouge{n}": rouge_n(h, options[0], n) for n in (1, 2, 4)} | {
            "rougeL": rouge_l(h, options[0])
        }
        for name, score in ours.items():
            assert score == pytest.approx(tuple(theirs[name]), abs=1e-12)


@given(text=st.text(st.characters(codec="utf8", exclude_categories=["Cs"]), max_size=30))
def test_rouge_scores_own_tokens_are_runs_of_latin_letters_and_digits(text: str) -> None:
    assert DefaultTokenizer().tokenize(text) == re.findall("[a-z0-9]+", text.lower())


@given(seed=st.integers(0, 2**32))
def test_rouge_l_is_symmetric_and_never_above_rouge_1(seed: int) -> None:
    for h, options in zip(*corpus(seed, 3), strict=True):
        score, swapped = rouge_l(h, options[0]), rouge_l(options[0], h)
        assert (score.precision, score.recall) == (swapped.recall, swapped.precision)
        assert score.f1 <= rouge_n(h, options[0], 1).f1 + 1e-15


def test_rouge_by_hand() -> None:
    assert rouge_n(OUTPUT, TARGET, 1) == pytest.approx((6 / 7, 6 / 9, 12 / 16))
    assert rouge_n(OUTPUT, TARGET, 2) == pytest.approx((3 / 6, 3 / 8, 6 / 14))
    assert rouge_l(OUTPUT, TARGET) == pytest.approx((5 / 7, 5 / 9, 10 / 16))


def test_ngrams_are_counted() -> None:
    assert ngrams(["a", "a", "a"], 2) == {("a", "a"): 2}
    assert ngrams(["a"], 2) == {}


# --- chrF ----------------------------------------------------------------------------------------------


def sacrebleus_chrf(hypotheses: list[str], references: list[list[str]], max_n: int, beta: float) -> float:
    return float(CHRF(char_order=max_n, beta=beta).corpus_score(hypotheses, streams(references)).score)


@pytest.mark.parametrize("seed", range(100))
def test_chrf_is_sacrebleus(seed: int) -> None:
    """English and Chinese, with and without spaces, one to three references, empty strings on either side."""
    for sentences, max_n, beta in ((1, 6, 2), (3, 6, 2), (5, 2, 1), (12, 4, 3)):
        texts = strings(seed, sentences, joint=" " if seed % 2 else "")
        assert chrf(*texts, max_n, beta) == pytest.approx(sacrebleus_chrf(*texts, max_n, beta), abs=1e-9)


def test_random_strings_are_no_trivial_reference() -> None:
    assert sum(5 < chrf(*strings(seed, 5)) < 95 for seed in range(60)) > 50


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 5))
def test_chrf_statistics_add_up(seed: int, cut: int) -> None:
    hypotheses, references = strings(seed, 5)
    rows = np.array([chrf_statistics(h, rs) for h, rs in zip(hypotheses, references, strict=True)])
    assert rows.shape == (5, 3, 6)
    total = rows[:cut].sum(axis=0) + rows[cut:].sum(axis=0)
    assert float(chrf_from_statistics(total)) == pytest.approx(chrf(hypotheses, references), abs=1e-12)
    each = [chrf([h], [rs]) for h, rs in zip(hypotheses, references, strict=True)]
    np.testing.assert_allclose(chrf_from_statistics(rows), each, atol=1e-12)


@given(text=st.text("ab 很好", min_size=1).filter(str.strip), spaced=st.booleans())
def test_a_copy_scores_100_and_spaces_do_not_count(text: str, spaced: bool) -> None:
    assert chrf([" ".join(text) if spaced else text], [[text]]) == pytest.approx(100)


def test_chrf_by_hand() -> None:
    """abc against abd: characters 2 of 3, pairs 1 of 2, triples 0 of 1, and longer ones do not exist."""
    assert chrf(["abc"], [["abd"]]) == pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3, abs=1e-12)
    # 房间大 against 房间很大: P = (1 + 1/2 + 0) / 3, R = (3/4 + 1/3 + 0) / 3; 4-grams only in the reference
    p, r = 1.5 / 3, (3 / 4 + 1 / 3) / 3
    assert chrf(["房间大"], [["房间很大"]]) == pytest.approx(100 * 5 * p * r / (4 * p + r), abs=1e-12)


@pytest.mark.parametrize(
    ("hypothesis", "reference"), [("", "a"), ("a", ""), ("", ""), (" ", "a"), ("a", "b")]
)
def test_chrf_without_a_match_is_zero(hypothesis: str, reference: str) -> None:
    assert chrf([hypothesis], [[reference]]) == 0


# --- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: corpus_bleu([], []), ValueError, "at least 1, got 0 and 0"),
        (lambda: corpus_bleu([["a"]], []), ValueError, "got 1 and 0"),
        (lambda: corpus_bleu([["a"]], [[]]), ValueError, r"one or more token lists, got \[\]"),
        (lambda: corpus_bleu(["a b"], [[["a"]]]), TypeError, "got the string 'a b': split it"),
        (lambda: corpus_bleu([["a"]], [["a b"]]), TypeError, r"references\[i\] lists sentences"),
        (lambda: corpus_bleu([["a"]], ["a b"]), ValueError, "got 'a b'"),
        (lambda: corpus_bleu([["a"]], [[["a"]]], max_n=0), ValueError, "max_n must be at least 1, got 0"),
        (lambda: bleu_from_statistics([1, 2, 3]), ValueError, r"\(…, 2 \+ 2 · max_n\), got \(3,\)"),
        (lambda: bleu_from_statistics([4, 4, 5, 4]), ValueError, "matches no more than all n-grams"),
        (lambda: bleu_from_statistics([4, 4, math.nan, 4]), ValueError, "must be counts.* nan"),
        (lambda: bleu_from_statistics(3.0), ValueError, r"got \(\)"),
        (lambda: chrf([], []), ValueError, "at least 1, got 0 and 0"),
        (lambda: chrf(["a"], []), ValueError, "got 1 and 0"),
        (lambda: chrf(["a"], ["a"]), ValueError, "one or more strings and max_n at least 1, got 'a' and 6"),
        (lambda: chrf(["a"], [[]]), ValueError, r"one or more strings .* got \[\]"),
        (lambda: chrf([["a"]], [["a"]]), TypeError, r"as a string, got \['a'\]: join its tokens"),
        (lambda: chrf(["a"], [["a"]], max_n=0), ValueError, "max_n at least 1, got .* and 0"),
        (lambda: chrf(["a"], [["a"]], beta=0), ValueError, "beta must be positive, got 0"),
        (lambda: chrf(["a"], [["a"]], beta=math.nan), ValueError, "beta must be positive, got nan"),
        (lambda: chrf_from_statistics([1, 1, 1]), ValueError, r"\(…, 3, max_n\), got \(3,\)"),
        (lambda: chrf_from_statistics([[1], [1], [2]]), ValueError, "matches no more than all n-grams"),
        (lambda: chrf_from_statistics([[1], [1], [math.nan]]), ValueError, "(?s)must be counts.*nan"),
        (lambda: rouge_n("ab", ["a"], 1), TypeError, "the string 'ab'"),
        (lambda: rouge_n(["a"], ["a"], 0), ValueError, "^n must be at least 1, got 0"),
        (lambda: rouge_l(["a"], "ab"), TypeError, "the string 'ab'"),
    ],
)
def test_bad_input_is_named(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
