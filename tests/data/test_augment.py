"""lmprep.data.augment against the binomial, regular expressions and counting by hand, and at the edges."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.sentiment.util import mark_negation as nltk_mark_negation
from scipy.stats import binom, chisquare

from lmprep.data.augment import (
    CHINESE_GROUPS,
    NEGATIVE_GROUPS,
    NEGATORS,
    PLACE_GROUPS,
    POSITIVE_GROUPS,
    WordColumns,
    eda,
    hotel_remarks,
    mark_negation,
    random_delete,
    random_insert,
    random_swap,
    remark_label,
    segment,
    spoiled,
    synonym_replace,
    synonym_table,
    within_reach,
)
from lmprep.data.corpora import chinese_words

TABLE = {"a": ["b", "c", "a"], "b": ("a",), "c": ["c"], "d": []}
ADJECTIVES = {word for group in POSITIVE_GROUPS + NEGATIVE_GROUPS for word in group}
texts = st.lists(st.sampled_from("abcdx"), max_size=12)
seeds = st.integers(0, 2**32)
small = st.integers(0, 15)
protections = st.sets(st.sampled_from("abcdx"), max_size=2)
few = settings(max_examples=40)


def others(word: str) -> set[str]:
    return set(TABLE.get(word, ())) - {word}


def is_part_of(part: list[str], whole: list[str]) -> bool:
    """Whether `part` is `whole` with some words left out."""
    rest = iter(whole)
    return all(word in rest for word in part)


# --- tables ------------------------------------------------------------------------------------------------


def test_a_table_lists_the_others_of_a_group() -> None:
    assert synonym_table([["a", "b", "c"], ("d",)]) == {
        "a": ("b", "c"),
        "b": ("a", "c"),
        "c": ("a", "b"),
        "d": (),
    }


@pytest.mark.parametrize("groups", [[["a", "b"], ["b", "c"]], [["a", "a"]]])
def test_a_word_has_one_group(groups: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="twice"):
        synonym_table(groups)


@pytest.mark.parametrize("groups", [POSITIVE_GROUPS + NEGATIVE_GROUPS + PLACE_GROUPS, CHINESE_GROUPS])
def test_the_tables_of_the_page(groups: tuple[tuple[str, ...], ...]) -> None:
    table = synonym_table(groups)
    assert all(table.values()), "a group of one word"
    assert not NEGATORS & table.keys()
    assert all(len(word) <= 4 for word in table if not word.isascii()), "longer than `segment` looks for"


def test_praise_and_complaint_are_as_many() -> None:
    assert {len(group) for group in POSITIVE_GROUPS + NEGATIVE_GROUPS} == {5}
    assert len(POSITIVE_GROUPS) == len(NEGATIVE_GROUPS) == 8


# --- the four edits ----------------------------------------------------------------------------------------


@few
@given(texts, small, protections, seeds)
def test_replacement_changes_exactly_n_places(
    tokens: list[str], n: int, protect: set[str], seed: int
) -> None:
    before = list(tokens)
    new = synonym_replace(tokens, TABLE, n, np.random.default_rng(seed), protect)
    eligible = [i for i, word in enumerate(tokens) if others(word) and word not in protect]
    changed = [i for i, word in enumerate(new) if word != before[i]]
    assert tokens == before and new is not tokens and len(new) == len(tokens)
    assert set(changed) <= set(eligible) and len(changed) == min(n, len(eligible))
    assert all(new[i] in others(tokens[i]) for i in changed)


@few
@given(texts, small, protections, seeds)
def test_insertion_adds_n_synonyms(tokens: list[str], n: int, protect: set[str], seed: int) -> None:
    new = random_insert(tokens, TABLE, n, np.random.default_rng(seed), protect)
    sources = {word for word in tokens if others(word)} - protect
    assert len(new) == len(tokens) + (n if sources else 0)
    assert is_part_of(tokens, new)
    added = Counter(new) - Counter(tokens)
    assert set(added) <= set().union(*map(others, sources))


@few
@given(texts, small, protections, seeds)
def test_swaps_keep_the_words_and_the_protected_places(
    tokens: list[str], n: int, protect: set[str], seed: int
) -> None:
    new = random_swap(tokens, n, np.random.default_rng(seed), protect)
    assert Counter(new) == Counter(tokens)
    assert all(new[i] == word for i, word in enumerate(tokens) if word in protect)


@given(seeds)
@few
def test_one_swap_exchanges_two_places(seed: int) -> None:
    tokens = list("abcdefgh")
    new = random_swap(tokens, 1, np.random.default_rng(seed))
    assert sum(a != b for a, b in zip(tokens, new, strict=True)) == 2


@few
@given(texts, st.floats(0, 1), protections, seeds)
def test_deletion_leaves_a_part_with_all_that_is_protected(
    tokens: list[str], p: float, protect: set[str], seed: int
) -> None:
    new = random_delete(tokens, p, np.random.default_rng(seed), protect)
    assert is_part_of(new, tokens) and bool(new) == bool(tokens)
    assert Counter(w for w in tokens if w in protect) == Counter(w for w in new if w in protect)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5])
def test_the_number_of_deletions_is_binomial(p: float) -> None:
    length, trials, rng = 20, 4000, np.random.default_rng(0)
    tokens = [str(i) for i in range(length)]
    deleted = [length - len(random_delete(tokens, p, rng)) for _ in range(trials)]
    expected = trials * binom.pmf(np.arange(length + 1), length, p)
    observed = np.bincount(deleted, minlength=length + 1)
    wide = expected >= 5
    pooled = [np.append(x[wide], x[~wide].sum()) for x in (observed, expected)]
    assert chisquare(*pooled).pvalue > 1e-4


def test_deletion_at_the_ends_of_p() -> None:
    rng, tokens = np.random.default_rng(0), list("abcd")
    assert random_delete(tokens, 0.0, rng) == tokens
    assert {tuple(random_delete(tokens, 1.0, rng)) for _ in range(100)} == {("a",), ("b",), ("c",), ("d",)}
    assert random_delete(tokens, 1.0, rng, {"b", "d"}) == ["b", "d"]
    assert random_delete([], 0.5, rng) == []


def test_places_synonyms_and_gaps_are_drawn_evenly() -> None:
    rng, trials = np.random.default_rng(1), 3000
    replaced = Counter(tuple(synonym_replace(["a", "x", "a"], TABLE, 1, rng)) for _ in range(trials))
    assert chisquare(list(replaced.values())).pvalue > 1e-4 and len(replaced) == 4
    gaps = Counter(random_insert(["x", "b", "x"], TABLE, 1, rng).index("a") for _ in range(trials))
    assert chisquare(list(gaps.values())).pvalue > 1e-4 and len(gaps) == 4
    pairs = Counter(tuple(random_swap(list("abc"), 1, rng)) for _ in range(trials))
    assert chisquare(list(pairs.values())).pvalue > 1e-4 and len(pairs) == 3


@pytest.mark.parametrize("edit", [
    lambda tokens, n: synonym_replace(tokens, TABLE, n, np.random.default_rng(0)),
    lambda tokens, n: random_insert(tokens, TABLE, n, np.random.default_rng(0)),
    lambda tokens, n: random_swap(tokens, n, np.random.default_rng(0)),
])  # fmt: skip
def test_bad_counts_and_unsplit_texts(edit: Any) -> None:
    with pytest.raises(ValueError, match="n must not be negative"):
        edit(["a", "b"], -1)
    with pytest.raises(TypeError, match="segment"):
        edit("ab", 1)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_bad_probabilities(p: float) -> None:
    with pytest.raises(ValueError, match="p must be from 0 to 1"):
        random_delete(["a"], p, np.random.default_rng(0))


# --- EDA ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_aug", [0, 1, 4, 7, 8])
def test_eda_uses_the_edits_evenly(n_aug: int, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("synonym_replace", "random_insert", "random_swap", "random_delete")
    for name in names:
        monkeypatch.setattr(f"lmprep.data.augment.{name}", lambda *args, name=name: [name])
    used: Counter[str] = Counter()
    for seed in range(40):
        copies = eda(list("abc"), TABLE, np.random.default_rng(seed), n_aug=n_aug)
        found = Counter(copy[0] for copy in copies)
        assert len(copies) == n_aug and max(found.values(), default=0) <= -(-n_aug // 4)
        used += found
    assert set(used) == (set(names) if n_aug else set())


@given(seeds)
@few
def test_eda_leaves_protected_words_to_replacement_alone(seed: int) -> None:
    tokens = ["the", "inn", "was", "not", "tidy", "for", "us"]
    table = synonym_table(POSITIVE_GROUPS + PLACE_GROUPS)
    for copy in eda(tokens, table, np.random.default_rng(seed), alpha=0.4, protect=NEGATORS | ADJECTIVES):
        assert copy.count("not") == 1 and len(ADJECTIVES.intersection(copy)) == 1
        assert remark_label(copy) == 0


def test_eda_changes_a_share_of_the_words_and_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("lmprep.data.augment.random_swap", lambda tokens, n, *_: asked.append(n) or [])
    for length, alpha in ((3, 0.1), (30, 0.1), (39, 0.1), (10, 1.0)):
        eda(["x"] * length, {}, np.random.default_rng(0), alpha=alpha, n_aug=4)
    assert asked == [1, 3, 3, 10]


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"alpha": 1.5}, {"n_aug": -1}])
def test_eda_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        eda(["a"], TABLE, np.random.default_rng(0), **settings)
    with pytest.raises(TypeError, match="segment"):
        eda("你好", TABLE, np.random.default_rng(0), n_aug=4)


# --- Chinese -----------------------------------------------------------------------------------------------


def test_the_source_s_sentence() -> None:
    text = "你好，世界！"
    assert text.split() == [text]
    assert segment(text, {"你好", "世界"}) == ["你好", "，", "世界", "！"]


@given(
    st.text("甲乙丙丁a1 ，", max_size=12), st.sets(st.text("甲乙丙丁", min_size=1, max_size=4), max_size=8)
)
@few
def test_segment_is_the_longest_alternative_of_a_regular_expression(text: str, words: set[str]) -> None:
    pattern = "|".join([*sorted(words, key=len, reverse=True), "[A-Za-z0-9]+", r"\S"])
    assert segment(text, words) == re.findall(pattern, text)


def test_negations_that_the_dictionary_glues_to_other_characters() -> None:
    words = chinese_words().keys() | synonym_table(CHINESE_GROUPS).keys()
    for text in ("不好/吃", "不如/汉庭", "不值/推荐", "不算/便宜", "不太好/吃", "不怎么/干净", "从来没/干净",
                 "决不/推荐", "没什么/特别", "谈不上/干净", "千万别/买"):  # fmt: skip
        negator, rest = text.split("/")
        assert segment(negator + rest, words)[0] == negator, text
        assert mark_negation([negator, rest]) == [negator, f"not_{rest}"]


@pytest.mark.parametrize("negator", ["not", "cannot", "n't", "didn't", "won't", "can't", "isn't"])
def test_english_negators(negator: str) -> None:
    assert mark_negation([negator, "clean"]) == [negator, "not_clean"]


@pytest.mark.parametrize("word", ["不错", "不过", "别", "特别", "无线"])
def test_words_that_only_look_like_negators(word: str) -> None:
    assert mark_negation([word, "干净"]) == [word, "干净"]


def test_segment_looks_no_further_than_told() -> None:
    assert segment("难以下咽", {"难以下咽", "难以"}, longest=2) == ["难以", "下", "咽"]
    with pytest.raises(ValueError, match="longest"):
        segment("难", set(), longest=0)


# --- negation and labels -----------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["good", "not", "bad", ".", "very"]), max_size=10))
@few
def test_mark_negation_is_nltk_s(tokens: list[str]) -> None:
    """NLTK marks behind the word, and marks a second negator too."""
    expected = []
    for word in nltk_mark_negation(tokens):
        plain = word.removesuffix("_NEG")
        expected.append(plain if plain in (word, "not") else f"not_{plain}")
    assert mark_negation(tokens) == expected


def test_mark_negation_in_chinese_ends_at_punctuation() -> None:
    tokens = ["不", "太", "干净", "，", "很", "安静", "。"]
    assert mark_negation(tokens) == ["不", "not_太", "not_干净", "，", "很", "安静", "。"]
    assert tokens[1] == "太"


@given(st.integers(0, 60), seeds)
@few
def test_the_label_can_be_read_off_a_remark(num: int, seed: int) -> None:
    remarks, labels = hotel_remarks(num, np.random.default_rng(seed))
    assert len(remarks) == len(labels) == num
    assert all(len(remark) == 9 for remark in remarks)
    assert [remark_label(remark) for remark in remarks] == labels


def test_labels_and_negations_are_as_frequent_as_told() -> None:
    remarks, labels = hotel_remarks(3000, np.random.default_rng(0), negated=0.3)
    negated = np.array(["not" in remark for remark in remarks])
    assert abs(np.mean(labels) - 0.5) < 0.04 and abs(negated.mean() - 0.3) < 0.04
    assert abs(np.corrcoef(negated, labels)[0, 1]) < 0.08
    assert len({remark[6] for remark in remarks}) == 80


@pytest.mark.parametrize(("text", "label"), [
    ("clean", 1), ("dirty", 0), ("not clean", 0), ("not dirty", 1), ("clean not", 1), ("inn was", None),
    ("", None), ("clean dirty", None), ("clean not clean", None), ("not clean friendly", 0),
    ("clean clean dirty", 1),
])  # fmt: skip
def test_remark_label(text: str, label: int | None) -> None:
    assert remark_label(text.split()) == label


def test_hotel_remarks_refuses() -> None:
    with pytest.raises(ValueError, match="negated"):
        hotel_remarks(3, np.random.default_rng(0), negated=1.5)
    with pytest.raises(ValueError, match="num"):
        hotel_remarks(-1, np.random.default_rng(0))


# --- what a model that counts words sees -------------------------------------------------------------------


def test_within_reach() -> None:
    table = synonym_table([["clean", "tidy"], ["bad", "poor"]])
    train = [["clean", "inn"], ["not", "bad"]]
    test = [["tidy"], ["clean"], ["poor"], ["not", "poor"], ["not", "tidy"], ["new"], ["x", "tidy", "new"]]
    assert within_reach(train, test, table) == pytest.approx(3 / 7)
    with pytest.raises(ValueError, match="test"):
        within_reach(train, [], table)


@given(st.lists(st.tuples(texts.filter(bool), st.integers(0, 1)), min_size=1, max_size=6))
@few
def test_columns_count_what_a_counter_counts(rows: list[tuple[list[str], int]]) -> None:
    both, labels = [text for text, _ in rows], [label for _, label in rows]
    columns = WordColumns("abcdx")
    counts = columns.count(both, labels)
    assert counts.shape == (2, 10)
    for k in (0, 1):
        found = Counter(word for text, label in rows if label == k for word in text)
        assert {w: counts[k, i] for w, i in columns.columns.items() if counts[k, i]} == found
    flat, starts = columns.encode(both)
    weights = np.arange(10.0)
    expected = [sum(weights[columns.columns[word]] for word in text) for text in both]
    assert np.add.reduceat(weights[flat], starts).tolist() == expected


def test_columns_keep_negated_words_apart() -> None:
    columns = WordColumns(["not", "tidy"])
    counts = columns.count([["not", "tidy"], ["tidy"]], [0, 1])
    assert counts[:, columns.columns["tidy"]].tolist() == [0, 1]
    assert counts[:, columns.columns["not_tidy"]].tolist() == [1, 0]


def test_columns_refuse() -> None:
    columns = WordColumns("ab")
    with pytest.raises(ValueError, match="at least one"):
        columns.encode([])
    with pytest.raises(ValueError, match="at least one"):
        columns.encode([["a"], []])
    with pytest.raises(ValueError, match="as many labels"):
        columns.count([["a"]], [0, 1])
    with pytest.raises(KeyError):
        columns.encode([["c"]])


def test_spoiled() -> None:
    copies = [["clean"], ["dirty"], ["inn"], ["not", "clean"]]
    assert spoiled(copies, [1, 1, 1, 0]) == (0.25, 0.25)
    with pytest.raises(ValueError, match="as many labels"):
        spoiled(copies, [1])
    with pytest.raises(ValueError, match="there must be copies"):
        spoiled([], [])
