"""lmprep.data.leakage against scikit-learn, SciPy, enumeration and closed forms, and at the edges."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import jaccard_score
from sklearn.model_selection import GroupShuffleSplit

from lmprep.data.corpora import english_text
from lmprep.data.leakage import (
    candidate_pairs,
    chance_of_report,
    group_split,
    groups_of,
    incidence,
    jaccard,
    jaccard_matrix,
    near_duplicates,
    neighbor_accuracy,
    shingles,
    signatures,
)

seeds = st.integers(0, 2**32)
texts = st.text(alphabet="abcd ", min_size=1, max_size=30).filter(str.strip)


def overlapping(size: int, shared: int) -> tuple[frozenset[str], frozenset[str]]:
    """Two sets of `size` elements, `shared` of them common."""
    names = [str(i) for i in range(2 * size - shared)]
    return frozenset(names[:size]), frozenset(names[size - shared :])


# --- shingles and Jaccard similarity -----------------------------------------------------------------------


def test_shingles_by_hand() -> None:
    assert shingles("The  CAT\nsat", 5) == {"the c", "he ca", "e cat", " cat ", "cat s", "at sa", "t sat"}
    assert shingles("屏幕很好", 2) == {"屏幕", "幕很", "很好"}
    assert shingles("ab", 5) == {"ab"}
    assert shingles("aaaa", 2) == {"aa"}


@given(a=texts, b=texts, n=st.integers(1, 4))
def test_jaccard_is_scikit_learns(a: str, b: str, n: int) -> None:
    left, right = shingles(a, n), shingles(b, n)
    union = sorted(left | right)
    found = jaccard(left, right)
    held = [[element in side for element in union] for side in (left, right)]
    assert found == pytest.approx(jaccard_score(*held), abs=1e-12)
    assert found == jaccard(right, left)
    assert jaccard(left, left) == 1.0


@given(pool=st.lists(texts, min_size=1, max_size=6), n=st.integers(1, 3))
def test_the_matrix_holds_the_similarity_of_every_pair(pool: list[str], n: int) -> None:
    sets = [shingles(text, n) for text in pool]
    expected = [[jaccard(a, b) for a in sets] for b in sets]
    np.testing.assert_allclose(jaccard_matrix(sets), expected, rtol=1e-12)


def test_incidence_by_hand() -> None:
    found = incidence([frozenset("cb"), frozenset("a"), frozenset(), frozenset("ac")])
    np.testing.assert_array_equal(found.toarray(), [[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 1]])


# --- MinHash -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "shared"), [(20, 2), (40, 20), (100, 90)])
def test_minhash_is_unbiased_with_the_stated_spread(size: int, shared: int) -> None:
    """One call with many places is many signatures: their estimates are independent."""
    a, b = overlapping(size, shared)
    J, k, repeats = jaccard(a, b), 64, 400
    agree = np.equal(*signatures([a, b], k * repeats, np.random.default_rng(0)))
    estimates = agree.reshape(repeats, k).mean(axis=1)
    sigma = (J * (1 - J) / k) ** 0.5
    assert estimates.mean() == pytest.approx(J, abs=5 * sigma / repeats**0.5)
    assert estimates.std() == pytest.approx(sigma, rel=0.15)


def test_signatures_are_the_lowest_ranks() -> None:
    sets = [frozenset("abc"), frozenset("bcd"), frozenset("abcd"), frozenset("a")]
    found = signatures(sets, 50, np.random.default_rng(1))
    singles = signatures([frozenset(c) for c in "abcd"], 50, np.random.default_rng(1))
    for row, each in zip(found, sets, strict=True):
        np.testing.assert_array_equal(row, singles[["abcd".index(c) for c in sorted(each)]].min(axis=0))
    assert found.shape == (4, 50)
    np.testing.assert_array_equal(found, signatures(sets, 50, np.random.default_rng(1)))


@given(
    pools=st.lists(st.frozensets(st.sampled_from("abcdefgh"), min_size=1), min_size=2, max_size=5), seed=seeds
)
def test_equal_sets_agree_everywhere_and_disjoint_ones_nowhere(
    pools: list[frozenset[str]], seed: int
) -> None:
    rows = signatures(pools, 30, np.random.default_rng(seed))
    for i, j in itertools.combinations(range(len(pools)), 2):
        J, share = jaccard(pools[i], pools[j]), (rows[i] == rows[j]).mean()
        if J in (0.0, 1.0):
            assert share == J


# --- banding -----------------------------------------------------------------------------------------------


@given(N=st.integers(1, 8), rows=st.integers(1, 3), bands=st.integers(1, 4), seed=seeds)
def test_candidates_are_the_pairs_that_agree_in_a_whole_band(
    N: int, rows: int, bands: int, seed: int
) -> None:
    signature = np.random.default_rng(seed).integers(3, size=(N, rows * bands))
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(N), 2)
        if (signature[i] == signature[j]).reshape(bands, rows).all(axis=1).any()
    }
    assert candidate_pairs(signature, bands) == expected


@pytest.mark.parametrize(("size", "shared"), [(30, 10), (30, 18), (30, 24)])
def test_a_pair_is_reported_as_often_as_the_formula_says(size: int, shared: int) -> None:
    a, b = overlapping(size, shared)
    rows, bands, repeats = 3, 8, 600
    agree = np.equal(*signatures([a, b], rows * bands * repeats, np.random.default_rng(2)))
    share = agree.reshape(repeats, bands, rows).all(axis=2).any(axis=1).mean()
    chance = chance_of_report(jaccard(a, b), rows, bands).item()
    assert share == pytest.approx(chance, abs=5 * (chance * (1 - chance) / repeats) ** 0.5)


def test_the_numbers_that_the_page_works_out() -> None:
    assert round(32 ** -(1 / 4), 2) == 0.42
    assert chance_of_report(0.3, 4, 32) == pytest.approx(0.23, abs=0.005)
    assert 1 - chance_of_report(0.8, 4, 32) < 1e-7
    np.testing.assert_array_equal(chance_of_report([0, 1], 3, 5), [0, 1])


@settings(max_examples=20)
@given(pool=st.lists(texts, min_size=2, max_size=12), threshold=st.sampled_from([0.6, 0.8, 1.0]), seed=seeds)
def test_near_duplicates_are_those_of_comparing_all(pool: list[str], threshold: float, seed: int) -> None:
    sets = [shingles(text, 2) for text in pool]
    found = near_duplicates(sets, threshold, np.random.default_rng(seed), rows=2, bands=64)
    every = {(i, j): jaccard(sets[i], sets[j]) for i, j in itertools.combinations(range(len(sets)), 2)}
    assert found == {pair: each for pair, each in every.items() if each >= threshold}
    assert list(found) == sorted(found)


def test_a_pair_at_the_threshold_counts() -> None:
    sets = [frozenset("abcd"), frozenset("abcd"), frozenset("abc")]
    for threshold, pairs in ((1.0, [(0, 1)]), (0.75, [(0, 1), (0, 2), (1, 2)])):
        assert list(near_duplicates(sets, threshold, np.random.default_rng(0), rows=1, bands=64)) == pairs


def test_the_english_corpus_holds_near_duplicates_across_its_split() -> None:
    """The loader drops equal paragraphs; what is nearly equal stays."""
    data = english_text()
    passages, side = [], []
    for split in data:
        for paragraph in "\n\n".join(data[split]["text"][:]).split("\n\n"):
            if len(" ".join(paragraph.split())) >= 100:
                passages.append(paragraph)
                side.append(split)
    found = near_duplicates([shingles(p) for p in passages], 0.7, np.random.default_rng(0), rows=4, bands=16)
    assert len(found) >= 5
    assert any(side[i] != side[j] for i, j in found)
    assert all(J < 1 or passages[i] != passages[j] for (i, j), J in found.items())


# --- groups ------------------------------------------------------------------------------------------------


@given(size=st.integers(1, 15), data=st.data())
def test_groups_are_scipys_connected_components(size: int, data: st.DataObject) -> None:
    item = st.integers(0, size - 1)
    pairs = data.draw(st.lists(st.tuples(item, item), max_size=20))
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    found = groups_of(pairs, size)
    expected = [int(np.flatnonzero(label == label[i]).min()) for i in range(size)]
    assert found.tolist() == expected


@given(groups=st.lists(st.integers(0, 6), min_size=2, max_size=40), share=st.floats(0.05, 0.95), seed=seeds)
def test_group_split_guarantees_what_scikit_learns_does(groups: list[int], share: float, seed: int) -> None:
    names = len(set(groups))
    if not 0 < np.ceil(share * names) < names:
        with pytest.raises(ValueError, match="test_share must leave"):
            group_split(groups, share, np.random.default_rng(seed))
        return
    ours = group_split(groups, share, np.random.default_rng(seed))
    splitter = GroupShuffleSplit(1, test_size=share, random_state=seed)
    theirs = next(splitter.split(groups, groups=groups))
    values = np.array(groups)
    for train, test in (ours, theirs):
        assert sorted([*train, *test]) == list(range(len(groups)))
        assert not set(values[train]) & set(values[test])
        assert len(set(values[test])) == np.ceil(share * names)


def test_every_group_is_tested_as_often() -> None:
    rng, counts = np.random.default_rng(3), np.zeros(5)
    groups = np.array([0, 0, 0, 0, 1, 2, 2, 3, 4])
    for _ in range(1000):
        counts[np.unique(groups[group_split(groups, 0.4, rng)[1]])] += 1
    assert abs(counts / 1000 - 0.4).max() < 6 * (0.24 / 1000) ** 0.5


def twins(N: int, copies: int = 2) -> tuple[Any, Any, Any]:
    """Similarity, coin flips and origin of items that come in `copies`, unlike all others."""
    rng = np.random.default_rng(4)
    origin = np.tile(np.arange(N), copies)
    similarity = rng.random((len(origin), len(origin))) + 10 * (origin[:, None] == origin)
    return similarity, rng.integers(2, size=N)[origin], origin


def test_a_nearest_neighbor_scores_by_twins_alone() -> None:
    similarity, coin, origin = twins(400, 4)
    rng = np.random.default_rng(5)
    assert neighbor_accuracy(similarity, coin, np.arange(1600), rng) > 0.97
    assert abs(neighbor_accuracy(similarity, coin, origin, rng) - 0.5) < 0.12
    # A coin of its own for every copy hides the leak.
    own = rng.integers(2, size=1600)
    assert abs(neighbor_accuracy(similarity, own, np.arange(1600), rng) - 0.5) < 0.08


def test_neighbor_accuracy_is_scikit_learns() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    similarity, labels, origin = twins(30)
    train, test = group_split(origin, 0.2, np.random.default_rng(6))
    train, test = train[train < 40], test[test < 30]
    model = KNeighborsClassifier(1, metric="precomputed").fit(
        20 - similarity[np.ix_(train, train)], labels[train]
    )
    expected = model.score(20 - similarity[np.ix_(test, train)], labels[test])
    options: dict[str, int] = {"trained": 40, "tested": 30, "num_splits": 1}
    found = neighbor_accuracy(similarity, labels, origin, np.random.default_rng(6), **options)
    assert found == pytest.approx(expected)


# --- bad input ---------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
one = frozenset("ab")
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no characters in a run": (lambda: shingles("abc", 0), "n must be at least 1"),
    "a blank text": (lambda: shingles(" \n"), "blank"),
    "two empty sets": (lambda: jaccard(frozenset(), frozenset()), "both empty"),
    "no rows of a table": (lambda: incidence([]), "at least one set"),
    "an empty row of a matrix": (lambda: jaccard_matrix([one, frozenset()]), "drop blank texts"),
    "similarity of others": (lambda: neighbor_accuracy(np.eye(3), [0, 1], [0, 1], rng), r"must be \(N, N\)"),
    "groups of others": (lambda: neighbor_accuracy(np.eye(2), [0, 1], [0, 1, 2], rng), r"groups \(N,\)"),
    "nobody to test on": (
        lambda: neighbor_accuracy(np.eye(9), [0] * 9, range(9), rng, tested=1, num_splits=50),
        "a split left",
    ),
    "no places": (lambda: signatures([one], 0, rng), "k must be at least 1"),
    "no sets": (lambda: signatures([], 4, rng), "at least one set"),
    "an empty set": (lambda: signatures([one, frozenset()], 4, rng), "none of them empty"),
    "bands that do not divide": (lambda: candidate_pairs(np.zeros((2, 5), int), 2), "multiple of bands"),
    "no bands": (lambda: candidate_pairs(np.zeros((2, 4), int), 0), "multiple of bands"),
    "one axis": (lambda: candidate_pairs(np.zeros(4, int), 2), r"must be \(N, k\)"),
    "nothing to train on": (
        lambda: neighbor_accuracy(np.eye(9), [0] * 9, range(9), rng, trained=0),
        "a split left",
    ),
    "a similarity above 1": (lambda: chance_of_report(1.2, 4, 32), "similarity must be from 0 to 1"),
    "no bands to agree in": (lambda: chance_of_report(0.5, 4, 0), "rows and bands"),
    "a threshold of 0": (lambda: near_duplicates([one], 0.0, rng), "threshold must be above 0"),
    "a threshold above 1": (lambda: near_duplicates([one], 1.1, rng), "threshold must be above 0"),
    "no rows": (lambda: near_duplicates([one], 0.5, rng, rows=0), "rows and bands"),
    "a pair that is not there": (lambda: groups_of([(0, 3)], 3), "from 0 to 2"),
    "a negative item": (lambda: groups_of([(-1, 0)], 3), "from 0 to 2"),
    "groups with two axes": (lambda: group_split(np.zeros((2, 2)), 0.5, rng), "test_share must leave"),
    "one group": (lambda: group_split([1, 1], 0.5, rng), "test_share must leave"),
    "no test group": (lambda: group_split([1, 2], 0.0, rng), "test_share must leave"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_a_list_of_texts_is_no_text() -> None:
    with pytest.raises(TypeError, match="one string"):
        shingles(["a", "b"])  # type: ignore[arg-type]
