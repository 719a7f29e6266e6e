"""Byte-pair encoding: a tokenizer that learns its tokens by merging the most frequent pair of neighbors."""

import heapq
import math
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import SupportsIndex

Pair = tuple[int, int]

# GPT-2's pattern in the words of Python's `re`: an English clitic; letters (and signs such as ½), digits
# or other signs, with at most one space before them; white space, but for a last space before something.
_CHUNK = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+",
)


def chunks(text: str | bytes) -> list[bytes]:
    """Cut a text into the pieces across which no token reaches, such as b"It", b"'s", b" 5", b" o".

    Args:
        text: any string that UTF-8 can write, or any bytes. Bytes that are not UTF-8 count as signs.

    Returns:
        Pieces that, joined, are the text's bytes.

    Raises:
        TypeError: `text` is neither a string nor bytes.
        ValueError: a string holds half of a surrogate pair (a `UnicodeEncodeError`).
    """
    if not isinstance(text, str | bytes):
        raise TypeError(f"text must be a string or bytes, got {type(text).__name__}: join a list first")
    data = text.encode() if isinstance(text, str) else text
    # A byte that is not UTF-8 becomes a character of its own and, in `encode`, itself again.
    found = _CHUNK.findall(data.decode(errors="surrogateescape"))
    return [chunk.encode(errors="surrogateescape") for chunk in found]


class BPE:
    """A byte-level tokenizer: 256 tokens for the bytes, and one for each merge of two tokens.

    Args:
        merges: pairs of ids in the order in which they are applied. Ids 0 to 255 are the bytes; a merge makes
            the next id, unless a token with the same bytes exists: then it makes that one.

    Attributes:
        merges: a tuple of pairs. `BPE(bpe.merges[:k])` is the tokenizer as it was after k merges.
        tokens: the bytes of each id.

    Raises:
        ValueError: a pair comes twice, or names an id that does not exist yet.

    Source: Gage (1994); Sennrich, Haddow and Birch (2016) for text; Radford et al. (2019) for bytes.
    """

    def __init__(self, merges: Iterable[Pair]) -> None:
        self.merges = tuple((first, second) for first, second in merges)  # JSON's lists become pairs
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        if len(self._rank) < len(self.merges):
            raise ValueError("merges must be distinct, got a pair twice")
        ids = {bytes([byte]): byte for byte in range(256)}
        spelled = list(ids)
        self._made: dict[Pair, int] = {}  # the id that a merge makes
        for pair in self.merges:
            if not all(0 <= each < len(spelled) for each in pair):
                raise ValueError(f"merges must name ids from 0 to {len(spelled) - 1} here, got {pair}")
            self._made[pair] = _new_id(pair, spelled, ids)
        self.tokens = tuple(spelled)

    @property
    def vocab_size(self) -> int:
        """V: ids are 0 to V − 1."""
        return len(self.tokens)

    @classmethod
    def train(cls, text: str | bytes, vocab_size: int) -> "BPE":
        """Merge the most frequent pair of neighbors, again and again, until there are `vocab_size` tokens.

        Pairs are counted within chunks. Of pairs equally frequent, the one with the smaller first id is
        merged, and among those the one with the smaller second. It ends early when no pair occurs twice.

        Args:
            text: see `chunks`.
            vocab_size: V, at least 256.

        Raises:
            TypeError, ValueError: as `chunks`; or `vocab_size` is below 256.
        """
        if vocab_size < 256:
            raise ValueError(f"vocab_size must be at least 256, the number of bytes, got {vocab_size}")
        words = [(list(chunk), count) for chunk, count in Counter(chunks(text)).items()]
        counts: Counter[Pair] = Counter()
        where: defaultdict[Pair, set[int]] = defaultdict(set)  # a pair -> the words that may hold it
        for place, (ids, count) in enumerate(words):
            for pair in pairwise(ids):
                counts[pair] += count
                where[pair].add(place)
        queue = [(-count, pair) for pair, count in counts.items()]
        heapq.heapify(queue)

        known = {bytes([byte]): byte for byte in range(256)}
        spelled = list(known)
        merges: dict[Pair, None] = {}  # an ordered set
        while len(spelled) < vocab_size and queue:
            count, pair = heapq.heappop(queue)
            if -count != counts[pair]:  # out of date
                heapq.heappush(queue, (-counts[pair], pair))
                continue
            if -count < 2:
                break
            merges[pair] = None
            new = _new_id(pair, spelled, known)
            risen = set()
            for place in where.pop(pair):
                ids, count = words[place]
                for gone, come in _merge(ids, pair, new):
                    counts[gone] -= count
                    counts[come] += count
                    where[come].add(place)
                    risen.add(come)
            del counts[pair]
            for come in risen:
                heapq.heappush(queue, (-counts[come], come))
        return cls(merges)

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of a text: in each chunk, the earliest merge that applies, everywhere, until none does.

        Args:
            text: see `chunks`. The time grows with the length of a chunk times the merges that it takes.

        Raises:
            TypeError, ValueError: as `chunks`.
        """
        ids: list[int] = []
        known: dict[bytes, list[int]] = {}  # most words come more than once
        for chunk in chunks(text):
            if chunk not in known:
                known[chunk] = self._merged(list(chunk))
            ids += known[chunk]
        return ids

    def decode(self, ids: Iterable[SupportsIndex]) -> bytes:
        """The bytes of some ids. They need not be UTF-8: a cut can go through a character.

        Args:
            ids: (T,): a list, array or tensor.

        Raises:
            ValueError: an id is outside 0 … V − 1.
        """
        numbers = [operator.index(each) for each in ids]
        for number in numbers:
            if not 0 <= number < self.vocab_size:
                raise ValueError(f"ids must be from 0 to {self.vocab_size - 1}, got {number}")
        return b"".join(self.tokens[number] for number in numbers)

    def _merged(self, ids: list[int]) -> list[int]:
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: self._rank.get(pair, math.inf))
            if pair not in self._made:
                break
            _merge(ids, pair, self._made[pair])
        return ids


def _new_id(pair: Pair, spelled: list[bytes], ids: dict[bytes, int]) -> int:
    """The id of two tokens joined, which is entered into both tables if it is new."""
    token = spelled[pair[0]] + spelled[pair[1]]
    if token not in ids:
        ids[token] = len(spelled)
        spelled.append(token)
    return ids[token]


def _merge(ids: list[int], pair: Pair, new: int) -> list[tuple[Pair, Pair]]:
    """Put `new` wherever `pair` stands, in place and from left to right. Returns what that does to the pairs
    around it: (one that is gone, one that came), but not `pair` itself."""
    first, second = pair
    changes = []
    place = 0
    while place < len(ids) - 1:
        if ids[place] == first and ids[place + 1] == second:
            ids[place : place + 2] = [new]
            if place > 0:
                left = ids[place - 1]
                changes.append(((left, first), (left, new)))
            if place + 1 < len(ids):
                right = ids[place + 1]
                changes.append(((second, right), (new, right)))
        place += 1
    return changes
