"""Near-duplicates: how alike two texts are, how to find all pairs that are, and how to keep them together.

Two texts are compared as sets of shingles, their runs of n characters. All pairs of N texts are too many to
compare, so a short signature stands for each text (`signatures`), and only texts that share a band of it
are compared (`candidate_pairs`). A text and its near-copies form a group, and a split deals whole groups.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from lmprep.data.corpora import normalize_text

Pair = tuple[int, int]


def shingles(text: str, n: int = 5) -> frozenset[str]:
    """The runs of n characters in a text, letter case and layout aside; of a shorter text the whole of it.

    Characters serve Chinese and English alike: no word has to be found first.

    Args:
        text: one text, not blank.
        n: characters in a run, at least 1.

    Raises:
        ValueError: the text is blank, or n is below 1.
        TypeError: text is not a string.

    Source: Broder (1997), for runs of words.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    text = normalize_text(text)
    if not text:
        raise ValueError("text is blank and has no shingle: drop it")
    return frozenset(text[i : i + n] for i in range(max(1, len(text) - n + 1)))


def jaccard(a: AbstractSet[str], b: AbstractSet[str]) -> float:
    """|a ∩ b| / |a ∪ b|: 1 for equal sets, 0 for sets without a common element.

    Raises:
        ValueError: both sets are empty.
    """
    if not (a or b):
        raise ValueError("a and b are both empty: 0/0 is no similarity")
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


def incidence(sets: Sequence[AbstractSet[str]]) -> sparse.csr_array:
    """(N, V), 1 where a set holds an element: one column for each of the V elements, in sorted order.

    Raises:
        ValueError: there is no set.
    """
    if not sets:
        raise ValueError("sets must hold at least one set")
    column = {element: i for i, element in enumerate(sorted(frozenset().union(*sets)))}
    columns = [sorted(column[element] for element in each) for each in sets]
    starts = np.cumsum([0, *map(len, columns)])
    flat = np.array(list(itertools.chain(*columns)), dtype=np.int64)
    return sparse.csr_array((np.ones(len(flat)), flat, starts), shape=(len(sets), len(column)))


def jaccard_matrix(sets: Sequence[AbstractSet[str]]) -> NDArray[np.float64]:
    """(N, N), the `jaccard` of all pairs: exact, and as costly as N² comparisons.

    Raises:
        ValueError: there is no set, or one is empty.
    """
    if not all(sets):
        raise ValueError("sets must not be empty: drop blank texts")
    table = incidence(sets)
    shared = (table @ table.T).toarray()
    size = shared.diagonal()
    return shared / (size[:, None] + size - shared)


def signatures(sets: Sequence[AbstractSet[str]], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """MinHash: k times every element gets a random rank, and each set keeps its lowest.

    Two sets agree in a place if the lowest rank of their union lies in both, so with probability `jaccard`:
    the share of places where they agree estimates it without bias, with variance J (1 − J) / k.

    Args:
        sets: N sets, none empty.
        k: numbers per signature.
        rng: the source of the ranks.

    Returns:
        (N, k) int64. Signatures compare only within one call.

    Raises:
        ValueError: there is no set, one is empty, or k is below 1.

    Source: Broder (1997). Ranks from a table are exact; where the elements do not fit into memory, k hash
    functions take the table's place.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not sets or not all(sets):
        raise ValueError("sets must be at least one set, none of them empty: drop blank texts")
    row = {element: i for i, element in enumerate(sorted(frozenset().union(*sets)))}
    ranks = rng.integers(2**63 - 1, size=(len(row), k))  # so many that ties do not happen
    return np.stack([ranks[[row[element] for element in each]].min(axis=0) for each in sets])


def candidate_pairs(signature: NDArray[np.int64], bands: int) -> set[Pair]:
    """Pairs of sets that agree in all places of at least one band of their signatures.

    Args:
        signature: (N, k).
        bands: b; k = b·r, with r places in each band.

    Returns:
        Pairs (i, j), i < j. A pair with Jaccard similarity J is among them with `chance_of_report`.

    Raises:
        ValueError: signature has not two axes, or `bands` does not divide its length.

    Source: Indyk and Motwani (1998), locality-sensitive hashing.
    """
    signature = np.asarray(signature)
    if signature.ndim != 2 or bands < 1 or signature.shape[1] % bands:
        raise ValueError(f"signature must be (N, k) with k a multiple of bands, got {signature.shape} and "
                         f"{bands} bands")  # fmt: skip
    pairs: set[Pair] = set()
    for band in np.split(signature, bands, axis=1):  # (N, r)
        buckets = defaultdict(list)
        for i, places in enumerate(band):
            buckets[places.tobytes()].append(i)
        for members in buckets.values():
            pairs.update(itertools.combinations(members, 2))
    return pairs


def chance_of_report(similarity: ArrayLike, rows: int, bands: int) -> NDArray[np.float64]:
    """1 − (1 − Jʳ)ᵇ: how likely a pair of Jaccard similarity J agrees in at least one of b bands of r places.

    Raises:
        ValueError: a similarity is not from 0 to 1, or rows or bands is below 1.
    """
    similarity = np.asarray(similarity, dtype=np.float64)
    if min(rows, bands) < 1:
        raise ValueError(f"rows and bands must be at least 1, got {rows} and {bands}")
    if not ((similarity >= 0) & (similarity <= 1)).all():
        raise ValueError(f"similarity must be from 0 to 1, got {similarity}")
    return 1 - (1 - similarity**rows) ** bands


def near_duplicates(
    sets: Sequence[AbstractSet[str]],
    threshold: float,
    rng: np.random.Generator,
    *,
    rows: int = 4,
    bands: int = 32,
) -> dict[Pair, float]:
    """Pairs of sets with a Jaccard similarity of at least `threshold`, and what it is.

    Banding proposes pairs, the exact similarity decides: none is wrong, and some may be missed.

    Args:
        sets: N sets, none empty.
        threshold: from above 0 to 1.
        rng: the source of the signatures' ranks.
        rows, bands: r and b; see `chance_of_report` for what they miss.

    Returns:
        {(i, j): similarity}, i < j, in the order of the pairs.

    Raises:
        ValueError: a number is out of range, there is no set, or one is empty.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}")
    if min(rows, bands) < 1:
        raise ValueError(f"rows and bands must be at least 1, got {rows} and {bands}")
    proposed = sorted(candidate_pairs(signatures(sets, rows * bands, rng), bands))
    similar = {(i, j): jaccard(sets[i], sets[j]) for i, j in proposed}
    return {pair: value for pair, value in similar.items() if value >= threshold}


def groups_of(pairs: Iterable[Pair], size: int) -> NDArray[np.int64]:
    """Each item's group: items belong together if a chain of pairs links them.

    Args:
        pairs: of items, numbered from 0 to `size` − 1.
        size: N.

    Returns:
        (N,), the smallest number in the item's group.

    Raises:
        ValueError: a pair names an item that is not there.
    """
    group = list(range(size))

    def root(item: int) -> int:
        while group[item] != item:
            item = group[item]
        return item

    for i, j in pairs:
        if not (0 <= i < size and 0 <= j < size):
            raise ValueError(f"pairs must name items from 0 to {size - 1}, got {(i, j)}")
        low, high = sorted((root(i), root(j)))
        group[high] = low
    return np.array([root(item) for item in range(size)], dtype=np.int64)


def group_split(
    groups: ArrayLike, test_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deal whole groups to training and test: no group is on both sides.

    Args:
        groups: (N,), the group of each item; at least two differ.
        test_share: the share of the *groups* to test on, rounded up as scikit-learn's GroupShuffleSplit does.
        rng: the source of randomness.

    Returns:
        The numbers of the training items and of the test items, ascending.

    Raises:
        ValueError: groups has not one axis, or a side would be left without a group.
    """
    groups = np.asarray(groups)
    names = np.unique(groups)
    num_tested = math.ceil(test_share * len(names))
    if groups.ndim != 1 or not 0 < num_tested < len(names):
        raise ValueError(f"test_share must leave a group for each side, got {test_share} of {len(names)} "
                         f"groups of shape {groups.shape}")  # fmt: skip
    tested = np.isin(groups, rng.permutation(names)[:num_tested])
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def neighbor_accuracy(
    similarity: NDArray[np.float64],
    labels: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    trained: int | None = None,
    tested: int | None = None,
    num_splits: int = 10,
) -> float:
    """How often the most similar training item has the test item's label: the score of pure memory.

    Args:
        similarity: (N, N), of the items.
        labels: (N,).
        groups: (N,), dealt whole, a fifth of them to the test side, anew for each split.
        rng: the source of the splits.
        trained, tested: only the first so many items are trained or tested on; all if None.
        num_splits: the mean is over so many.

    Raises:
        ValueError: shapes do not fit, or a split leaves nothing to train or to test on.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    size = len(labels)
    if similarity.shape != (size, size) or groups.shape != (size,):
        raise ValueError(f"similarity must be (N, N) and groups (N,) for N = {size} labels, got "
                         f"{similarity.shape} and {groups.shape}")  # fmt: skip
    right = []
    for _ in range(num_splits):
        train, test = group_split(groups, 0.2, rng)
        train = train[train < (size if trained is None else trained)]
        test = test[test < (size if tested is None else tested)]
        if not (len(train) and len(test)):
            raise ValueError(f"a split left {len(train)} items to train and {len(test)} to test on: raise "
                             "trained or tested")  # fmt: skip
        nearest = train[similarity[np.ix_(test, train)].argmax(axis=1)]
        right.append((labels[nearest] == labels[test]).mean())
    return float(np.mean(right))
