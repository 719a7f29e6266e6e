"""Every text, label and pretrained model of the book, read from installed packages.

Nothing is downloaded, and no third-party text is kept in this repository: each function says which
package it reads, how large the result is and under which license it stands. All data come as
`datasets.Dataset` or `DatasetDict`. Texts are de-duplicated before they are split, and a text's place is
decided by a hash of the text itself: the same in every process, under every seed.

Importing `datasets` costs a CPU-second, so it is imported by the first function that is called.
"""

import hashlib
import importlib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from datasets import DatasetDict  # type: ignore[import-untyped]

SPLITS = ("train", "validation", "test")

_HELD_OUT = 0.1  # what validation and test each take


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
    room = dict.fromkeys(SPLITS[1:], int(_HELD_OUT * sum(map(len, texts.values()))))
    largest = room["test"] // 4
    members: dict[str, list[str]] = {split: [] for split in SPLITS}
    for topic in sorted(texts, key=_digest):
        size = len(texts[topic])
        split = max(room, key=room.__getitem__)
        if size > min(largest, room[split]):
            split = "train"
        else:
            room[split] -= size
        members[split].append(topic)
    return _dataset_dict(
        {
            split: {"topic": sorted(names), "text": [texts[name] for name in sorted(names)]}
            for split, names in members.items()
        }
    )


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


def _digest(text: str) -> bytes:
    """A fixed pseudo-random rank, unlike `hash`, which changes from process to process."""
    return hashlib.sha256(text.encode()).digest()


def _dataset_dict(columns: Mapping[str, Mapping[str, list[Any]]]) -> "DatasetDict":
    datasets = _load("datasets")
    return datasets.DatasetDict({split: datasets.Dataset.from_dict(data) for split, data in columns.items()})


def _load(module: str) -> Any:
    """Import a module of the book's requirements."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(module) from error


def _missing(module: str) -> ModuleNotFoundError:
    package = module.partition(".")[0]
    return ModuleNotFoundError(
        f'{package} is not installed: `pip install "lmprep[book]"` brings all that the notebooks need',
        name=package,
    )


def _one_string(name: str, text: object) -> str:
    """`text`, unless it is a list or a column of strings, which would be taken for its characters."""
    if not isinstance(text, str):
        raise TypeError(f"{name} must be one string, got {type(text).__name__}: join the texts first")
    return text
