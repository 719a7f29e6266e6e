"""Text augmentation: the four edits of EDA on lists of words, and a small language whose labels are known.

Every edit returns a new list and leaves its input alone.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

_Item = TypeVar("_Item")
SynonymTable = Mapping[str, Sequence[str]]

# A dictionary glues a Chinese negation to the characters beside it: such words are listed as well, if they
# act on what follows. Those with a sense of their own (不错, 不过, 不同) are left out, and so is 别, which is
# "don't" or "other".
_NEGATORS = (
    "not no never neither nor without cannot n't don't doesn't didn't isn't aren't wasn't weren't",
    "hasn't haven't hadn't can't couldn't won't wouldn't shouldn't",
    "不 不是 不会 不能 不要 不够 不好 不太好 不大 不怎么 不如 不值 不算 不可 不敢 不想 不再 不必 不见得 从不",
    "决不 绝不 极不 真不 都还不 谈不上 算不上 没 没有 没什么 没人 没法 没想 没得 从没 从来没 都还没",
    "无 无法 毫无 未 并未 从未 并非 绝非 千万别",
)
NEGATORS = frozenset(word for line in _NEGATORS for word in line.split())

# One line a group: words that can stand for each other in the language of `hotel_remarks`.
POSITIVE_GROUPS = tuple(
    tuple(line.split())
    for line in (
        "clean spotless tidy neat immaculate",
        "friendly kind warm cordial welcoming",
        "quiet calm peaceful tranquil serene",
        "safe secure protected guarded sheltered",
        "beautiful lovely attractive charming gorgeous",
        "spacious roomy ample large big",
        "comfortable cozy comfy snug homely",
        "good great excellent superb wonderful",
    )
)
NEGATIVE_GROUPS = tuple(
    tuple(line.split())
    for line in (
        "dirty filthy grimy grubby unclean",
        "rude impolite surly unkind hostile",
        "noisy loud rowdy boisterous deafening",
        "dangerous unsafe risky hazardous perilous",
        "ugly hideous unsightly unattractive unlovely",
        "cramped poky tiny tight narrow",
        "shabby worn tattered scruffy dilapidated",
        "bad poor awful terrible dreadful",
    )
)
PLACE_GROUPS = (("hotel", "inn", "lodge", "guesthouse"), ("place", "spot", "venue"))

# For customers' reviews in Chinese: words that most sentences about a hotel, a book or a computer keep their
# meaning with. Words with several senses (好看, 特别, 早点) are left out.
CHINESE_GROUPS = tuple(
    tuple(line.split())
    for line in (
        "你好 您好",
        "舒适 舒服",
        "干净 整洁 洁净",
        "便宜 实惠 划算",
        "方便 便利 便捷",
        "安静 清静 宁静",
        "喜欢 喜爱",
        "精彩 出色",
        "好吃 可口 美味",
        "差劲 糟糕",
        "破旧 陈旧 老旧",
        "吵闹 嘈杂",
        "肮脏 脏乱",
        "难吃 难以下咽",
        "房间 客房",
        "酒店 宾馆 旅馆",
        "早餐 早饭",
        "服务员 服务生",
        "卫生间 洗手间",
        "书籍 图书",
        "购买 选购",
        "价格 价钱",
        "外观 外形",
        "噪音 噪声",
        "优点 长处",
        "缺点 缺陷",
        "孩子 小孩",
        "老公 丈夫",
        "老婆 妻子",
        "觉得 认为",
        "但是 可是",
        "因为 由于",
        "如果 要是 假如",
        "虽然 尽管",
        "的确 确实",
        "也许 或许",
        "现在 目前",
        "以前 之前",
        "后来 随后",
        "终于 总算",
        "马上 立刻 立即",
        "经常 常常 时常",
        "好像 似乎",
        "依然 仍然",
        "一共 总共",
        "许多 很多",
    )
)


def synonym_table(groups: Iterable[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Each word of the groups with the other words of its group.

    Raises:
        ValueError: a word stands in two groups, or twice in one.
    """
    table: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for word in group:
            if word in table or list(group).count(word) > 1:
                raise ValueError(f"{word!r} stands in the groups twice: a table has no senses, choose one")
            table[word] = tuple(other for other in group if other != word)
    return table


def synonym_replace(
    tokens: Sequence[str],
    table: SynonymTable,
    n: int,
    rng: np.random.Generator,
    protect: Collection[str] = (),
) -> list[str]:
    """A copy in which n words, drawn among those that have a synonym, have become one of their synonyms.

    Args:
        tokens: (T,), words.
        table: from a word to its synonyms. The word itself, if it is listed, does not count.
        n: how many places change, from 0; all that can, if they are fewer.
        rng: draws the places and the synonyms.
        protect: words that stay.

    Raises:
        TypeError: tokens is one string.
        ValueError: n is negative.

    Source: Zhang, Zhao and LeCun (2015); Wei and Zou (2019).
    """
    new = _words(tokens)
    places = _replaceable(new, table, protect)
    for i in rng.permutation(places)[: _count(n)]:
        new[i] = _synonym(new[i], table, rng)
    return new


def random_insert(
    tokens: Sequence[str],
    table: SynonymTable,
    n: int,
    rng: np.random.Generator,
    protect: Collection[str] = (),
) -> list[str]:
    """A copy with n words more: synonyms of words drawn from the text, each put at a place drawn anew.

    Args:
        tokens: (T,), words. Without a word that has a synonym, nothing is inserted.
        table: from a word to its synonyms. The word itself, if it is listed, does not count.
        n: how many words are inserted, from 0.
        rng: draws words, synonyms and places.
        protect: words of which no synonym is inserted.

    Raises:
        TypeError: tokens is one string.
        ValueError: n is negative.

    Source: Wei and Zou (2019).
    """
    new, sources = _words(tokens), [tokens[i] for i in _replaceable(tokens, table, protect)]
    for _ in range(_count(n) if sources else 0):
        word = sources[rng.integers(len(sources))]
        new.insert(rng.integers(len(new) + 1), _synonym(word, table, rng))
    return new


def random_swap(
    tokens: Sequence[str], n: int, rng: np.random.Generator, protect: Collection[str] = ()
) -> list[str]:
    """A copy in which two places, drawn anew each time, have exchanged their words n times.

    Args:
        tokens: (T,), words. With fewer than two that may move, nothing is swapped.
        n: how many swaps, from 0. A later one may undo an earlier one.
        rng: draws the places.
        protect: words that stay at their places.

    Raises:
        TypeError: tokens is one string.
        ValueError: n is negative.

    Source: Wei and Zou (2019).
    """
    new = _words(tokens)
    places = [i for i, word in enumerate(new) if word not in protect]
    for _ in range(_count(n) if len(places) > 1 else 0):
        i, j = rng.choice(places, size=2, replace=False)
        new[i], new[j] = new[j], new[i]
    return new


def random_delete(
    tokens: Sequence[str], p: float, rng: np.random.Generator, protect: Collection[str] = ()
) -> list[str]:
    """A copy from which each word is missing with probability p, independently of the others.

    Args:
        tokens: (T,), words. If all of them were to go, one of them, drawn at random, stays.
        p: from 0 to 1.
        rng: draws the words.
        protect: words that stay.

    Raises:
        TypeError: tokens is one string.
        ValueError: p is not from 0 to 1.

    Source: Wei and Zou (2019).
    """
    words = _words(tokens)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be from 0 to 1, got {p}")
    stays = rng.random(len(words)) >= p
    kept = [word for word, stay in zip(words, stays, strict=True) if stay or word in protect]
    return kept or ([words[rng.integers(len(words))]] if words else [])


def eda(
    tokens: Sequence[str],
    table: SynonymTable,
    rng: np.random.Generator,
    *,
    alpha: float = 0.1,
    n_aug: int = 8,
    protect: Collection[str] = (),
) -> list[list[str]]:
    """n_aug edited copies, each by one of the four edits; no edit is used twice more than another.

    Args:
        tokens: (T,), words.
        table: from a word to its synonyms.
        rng: the source of all randomness.
        alpha: share of the words that an edit changes, rounded down, but at least one; for deletion, the
            probability. Above 0, at most 1.
        n_aug: how many copies, from 0.
        protect: words that are not deleted or moved and of which no synonym is inserted. A synonym may still
            replace them: that the label survives this is what the table says.

    Raises:
        TypeError: tokens is one string.
        ValueError: alpha or n_aug is out of range.

    Source: Wei and Zou (2019), whose code takes 9 copies and adds the original to them.
    """
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha must be above 0 and at most 1, got {alpha}")
    n = max(1, int(alpha * len(tokens)))
    edits = (
        lambda: synonym_replace(tokens, table, n, rng),
        lambda: random_insert(tokens, table, n, rng, protect),
        lambda: random_swap(tokens, n, rng, protect),
        lambda: random_delete(tokens, alpha, rng, protect),
    )
    rounds = -(-_count(n_aug, "n_aug") // len(edits))
    return [edits[k]() for k in rng.permutation(np.tile(range(len(edits)), rounds))[:n_aug]]


def segment(text: str, words: Collection[str], *, longest: int = 4) -> list[str]:
    """Chinese text as words: at each place the longest word that the dictionary has, else one character.

    Args:
        text: runs of Latin letters and digits stay whole, white space goes.
        words: the dictionary; a set or a dict, since it is asked at each place.
        longest: characters of the longest word that is looked for, from 1.

    Raises:
        ValueError: longest is below 1.
    """
    if longest < 1:
        raise ValueError(f"longest must be at least 1, got {longest}")
    found: list[str] = []
    for run in re.findall(r"[A-Za-z0-9]+|[\u4e00-\u9fff]+|\S", text):
        start = 0
        if not "\u4e00" <= run[0] <= "\u9fff":
            found.append(run)
            continue
        while start < len(run):
            end = min(len(run), start + longest)
            while end > start + 1 and run[start:end] not in words:
                end -= 1
            found.append(run[start:end])
            start = end
    return found


def mark_negation(tokens: Sequence[str], negators: Collection[str] = NEGATORS) -> list[str]:
    """A copy in which words after a negator, up to the next punctuation mark, begin with `not_`.

    So a model that counts words can tell *good* from *not good*. A second negator changes nothing.

    Source: Pang, Lee and Vaithyanathan (2002), after Das and Chen.
    """
    new, negated = [], False
    for word in tokens:
        negated = negated and word[:1].isalnum()
        new.append(f"not_{word}" if negated and word not in negators else word)
        negated = negated or word in negators
    return new


def within_reach(train: Iterable[Sequence[str]], test: Iterable[Sequence[str]], table: SynonymTable) -> float:
    """Share of test texts with a word that no training text has, though one has a synonym of it.

    A negated word counts as another word than the plain one, as in `mark_negation`. This is what replacing
    words by synonyms could teach a model that knows each word by itself.

    Raises:
        ValueError: there is no test text.
    """
    known = {word for text in train for word in mark_negation(text)}

    def reached(word: str) -> bool:
        plain = word.removeprefix("not_")
        prefix = word.removesuffix(plain)
        return word not in known and any(prefix + other in known for other in table.get(plain, ()))

    found = [any(map(reached, mark_negation(text))) for text in test]
    if not found:
        raise ValueError("test must hold at least one text")
    return sum(found) / len(found)


class WordColumns:
    """A column for each word, and another for the word under negation: what a model that counts words sees.

    Args:
        words: all that will be met. Repetitions do not matter.
    """

    def __init__(self, words: Iterable[str]) -> None:
        plain = set(words)
        self.columns = {word: i for i, word in enumerate(sorted(plain | {f"not_{word}" for word in plain}))}

    def encode(self, texts: Sequence[Sequence[str]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The columns of the words of all texts in one row, (W,), and where each text begins, (N,).

        With a weight for each column, `np.add.reduceat(weights[flat], starts)` sums them text by text.

        Raises:
            KeyError: a word has no column.
            ValueError: there is no text, or one without words.
        """
        if not texts or not all(texts):
            raise ValueError("texts must hold at least one text, and each at least one word")
        rows = [[self.columns[word] for word in mark_negation(text)] for text in texts]
        return np.concatenate(rows), np.cumsum([0, *map(len, rows[:-1])])

    def count(self, texts: Sequence[Sequence[str]], labels: Sequence[int]) -> NDArray[np.int64]:
        """How often each word occurs in the texts of each class, (2, V).

        Args:
            texts: N of them.
            labels: (N,), 0 or 1.

        Raises:
            KeyError: a word has no column.
            ValueError: there is no text, one without words, or another number of labels.
        """
        flat, starts = self.encode(texts)
        if len(labels) != len(texts):
            raise ValueError(f"there must be as many labels as texts, got {len(labels)} and {len(texts)}")
        label, width = np.repeat(labels, np.diff([*starts, len(flat)])), len(self.columns)
        return np.bincount(flat + width * label, minlength=2 * width).reshape(2, width)


def hotel_remarks(
    num: int, rng: np.random.Generator, *, negated: float = 0.3
) -> tuple[list[list[str]], list[int]]:
    """Remarks of nine words on a hotel, such as *last week the inn was not tidy for us*, and their labels.

    Args:
        num: how many.
        rng: draws them.
        negated: how often the word before the adjective is *not*; else it is an adverb of degree.

    Returns:
        The remarks, and 1 for praise, 0 for a complaint; both are equally likely.

    Raises:
        ValueError: num is negative, or negated not from 0 to 1.
    """
    if not 0 <= negated <= 1:
        raise ValueError(f"negated must be from 0 to 1, got {negated}")
    texts, labels = [], []
    for _ in range(_count(num, "num")):
        label, turned = int(rng.integers(2)), bool(rng.random() < negated)
        groups = POSITIVE_GROUPS if label != turned else NEGATIVE_GROUPS
        place, adjective = _pick(_pick(PLACE_GROUPS, rng), rng), _pick(_pick(groups, rng), rng)
        opener, verb, closer = _pick(_OPENERS, rng), _pick(_VERBS, rng), _pick(_CLOSERS, rng)
        degree = "not" if turned else _pick(_DEGREES, rng)
        texts.append([*opener.split(), "the", place, verb, degree, adjective, *closer.split()])
        labels.append(label)
    return texts, labels


def remark_label(tokens: Sequence[str]) -> int | None:
    """The label of a remark, edited or not: 1 or 0, or None where praise and complaint cancel or are missing.

    Each adjective counts; *not* turns around all that come after it.
    """
    score, sign = 0, 1
    for word in tokens:
        sign = -1 if word == "not" else sign
        score += sign * _POLARITY.get(word, 0)
    return None if score == 0 else int(score > 0)


def spoiled(copies: Sequence[Sequence[str]], labels: Sequence[int]) -> tuple[float, float]:
    """Shares of edited remarks whose label is now the opposite one, and of those that have none left.

    Args:
        copies: N remarks after an edit.
        labels: (N,), the labels before it, 0 or 1.

    Raises:
        ValueError: there is no copy, or another number of labels.
    """
    if not copies or len(labels) != len(copies):
        raise ValueError(f"there must be copies and as many labels, got {len(copies)} and {len(labels)}")
    read = [remark_label(copy) for copy in copies]
    opposite = sum(new == 1 - old for new, old in zip(read, labels, strict=True))
    return opposite / len(read), read.count(None) / len(read)


_OPENERS = ("last week", "in may", "on sunday", "this time", "after dark", "with friends")
_VERBS = ("was", "seemed", "looked", "felt")
_DEGREES = ("very", "really", "quite", "so")
_CLOSERS = ("for us", "at night", "all day", "in fact", "to me", "as such")
_POLARITY = {word: 1 for group in POSITIVE_GROUPS for word in group} | {
    word: -1 for group in NEGATIVE_GROUPS for word in group
}


def _pick(items: Sequence[_Item], rng: np.random.Generator) -> _Item:
    return items[int(rng.integers(len(items)))]


def _words(tokens: Sequence[str]) -> list[str]:
    if isinstance(tokens, str):
        raise TypeError(f"tokens must be a list of words, got the string {tokens!r}: split or segment it")
    return list(tokens)


def _count(n: int, name: str = "n") -> int:
    if n < 0:
        raise ValueError(f"{name} must not be negative, got {n}")
    return n


def _replaceable(tokens: Sequence[str], table: SynonymTable, protect: Collection[str]) -> list[int]:
    """Places of words that have a synonym and are not protected."""
    return [
        i
        for i, word in enumerate(tokens)
        if word in table and word not in protect and any(other != word for other in table[word])
    ]


def _synonym(word: str, table: SynonymTable, rng: np.random.Generator) -> str:
    return _pick([other for other in table[word] if other != word], rng)
