"""One language's vectors in another language's space: alignment, retrieval, and languages to try them on.

Rows are words or sentences, and a map multiplies from the right: x W.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]

# Reviews of hotels, computers and books (20 each, in this order), written for this book, in English and in
# Chinese. They say the same, as translators would put it, not word for word.
POSITIVE = (
    ("The room was spotless and the bed very comfortable.", "房间一尘不染，床也非常舒服。"),
    ("Friendly staff, good breakfast, we will come back.", "服务人员热情，早餐不错，我们还会再来。"),
    ("Great location, two minutes from the subway.", "位置很好，走到地铁站只要两分钟。"),
    ("Quiet at night, and the view is lovely.", "晚上很安静，窗外景色宜人。"),
    ("Good value for money, better than most in this area.", "性价比高，比这一带的大多数酒店都好。"),
    ("They upgraded us to a suite without being asked.", "没等我们开口，就主动给免费升级成了套房。"),
    ("Large room, new furniture, everything worked.", "房间大，家具新，设施都没问题。"),
    ("The front desk was polite and quick.", "前台很有礼貌，办事也快。"),
    ("Best hotel I have stayed at in this city.", "这是我在这座城市住过的最好的酒店。"),
    ("Very clean bathroom with plenty of hot water.", "卫生间非常干净，热水充足。"),
    ("The breakfast buffet had a lot to choose from.", "自助早餐品种丰富。"),
    ("Convenient for shopping, and the service is excellent.", "购物方便，服务一流。"),
    ("The airport shuttle was free and always on time.", "机场接送免费，而且总是很准时。"),
    ("A warm welcome and a cozy lobby, I felt at home.", "接待热情，大堂温馨，有回家的感觉。"),
    ("Reasonable price, and the parking is easy.", "价格合理，停车也方便。"),
    ("My parents loved it and want to stay here again.", "我父母很喜欢，还想再来住。"),
    ("Soft pillows, thick curtains, I slept very well.", "枕头柔软，窗帘厚实，睡得很香。"),
    ("The pool is big and the children had fun.", "游泳池很大，孩子们玩得很开心。"),
    ("Check-in took a minute and everyone smiled.", "一分钟就办好了入住，每个人都面带微笑。"),
    ("Worth every cent, I recommend it.", "每一分钱都花得值，推荐。"),
    ("The screen is bright and the colors are beautiful.", "屏幕明亮，色彩漂亮。"),
    ("Starts in seconds and never gets hot.", "几秒钟就能开机，从来不发烫。"),
    ("Light, thin, and the battery lasts all day.", "轻薄，电池能用一整天。"),
    ("Great performance for the price.", "这个价位能有这样的性能，很棒。"),
    ("The keyboard feels good and typing is a pleasure.", "键盘手感好，打字是一种享受。"),
    ("Very quiet, I can hardly hear the fan.", "非常安静，几乎听不到风扇声。"),
    ("Delivery was fast and the machine works perfectly.", "送货很快，机器运行完全正常。"),
    ("It looks elegant and is well made.", "外观优雅，做工精良。"),
    ("Runs every game I have without trouble.", "我的游戏都能流畅运行。"),
    ("I have had it for a year and I am very satisfied.", "用了一年了，非常满意。"),
    ("Setting it up was easy, even for my mother.", "安装很简单，连我妈妈都会。"),
    ("Excellent sound for such a small laptop.", "这么小的笔记本，音质竟然这么好。"),
    ("Plenty of memory and a fast disk.", "内存大，硬盘快。"),
    ("The best notebook I have ever bought.", "我买过的最好的笔记本。"),
    ("Sturdy case, and the touchpad is precise.", "外壳结实，触摸板精准。"),
    ("Good configuration, cheaper than in the shops.", "配置不错，比实体店便宜。"),
    ("The wireless signal is strong everywhere in the house.", "家里每个角落无线信号都很强。"),
    ("Customer service answered at once and solved my problem.", "客服马上就回复了，帮我解决了问题。"),
    ("A nice little machine, ideal for travel.", "很好的小机器，出差旅行最合适。"),
    ("It does all I need, and the price is right.", "我需要的功能都有，价格也合适。"),
    ("I could not put this book down.", "这本书让我爱不释手。"),
    ("Clearly written, with many useful examples.", "写得清楚，实用的例子很多。"),
    ("A moving story that stayed with me for weeks.", "故事感人，几个星期都难以忘怀。"),
    ("My daughter loves the pictures and asks for it every night.", "女儿喜欢里面的图画，每晚都要看。"),
    ("The author explains hard ideas simply.", "作者把难懂的道理讲得很简单。"),
    ("Well worth reading more than once.", "值得反复阅读。"),
    ("Funny, wise and beautifully told.", "幽默、睿智，文笔优美。"),
    ("It changed the way I think about my work.", "它改变了我对工作的看法。"),
    ("The translation is excellent and reads smoothly.", "译文出色，读起来很流畅。"),
    ("Good paper, clear print, arrived in perfect condition.", "纸张好，印刷清晰，收到时完好无损。"),
    ("A classic that everyone should own.", "人人都该有一本的经典。"),
    ("I learned a lot and recommend it to all parents.", "学到了很多，推荐给所有父母。"),
    ("The characters feel real, and the ending is wonderful.", "人物真实可信，结局很精彩。"),
    ("Practical advice that I could use at once.", "建议很实用，马上就能用上。"),
    ("I bought a second copy for a friend.", "我又买了一本送给朋友。"),
    ("Interesting from the first page to the last.", "从第一页到最后一页都很有意思。"),
    ("The best introduction to the subject I know.", "这是我见过的最好的入门书。"),
    ("Rich content, careful research, a pleasure to read.", "内容丰富，考证严谨，读来是一种享受。"),
    ("It made me laugh and it made me cry.", "看得我又哭又笑。"),
    ("A great gift, my son finished it in two days.", "很好的礼物，儿子两天就看完了。"),
)
NEGATIVE = (
    ("The room smelled of smoke and the carpet was dirty.", "房间里有烟味，地毯很脏。"),
    ("Rude staff and a very long wait at check-in.", "服务员态度粗鲁，办入住等了很久。"),
    ("Far from everything and hard to find.", "离哪儿都远，还很难找。"),
    ("So noisy that we could not sleep.", "太吵了，我们根本睡不着。"),
    ("Overpriced for such a small, dark room.", "房间又小又暗，还这么贵。"),
    ("The air conditioning was broken and nobody came to fix it.", "空调坏了，也没人来修。"),
    ("Old furniture, and the bathroom was falling apart.", "家具陈旧，卫生间破烂不堪。"),
    ("The breakfast was cold and there was little to choose from.", "早餐是凉的，也没什么可选的。"),
    ("The worst hotel I have ever stayed in.", "我住过的最差的酒店。"),
    ("There was no hot water in the evening.", "晚上没有热水。"),
    ("They lost our booking and did not apologize.", "把我们的预订弄丢了，连句道歉都没有。"),
    ("The walls are so thin that I heard every word next door.", "墙太薄，隔壁说的每个字都听得见。"),
    ("We found hair in the bed and asked for another room.", "我们在床上发现了头发，要求换房间。"),
    ("The front desk ignored us and would not help.", "前台不理我们，也不肯帮忙。"),
    ("They charged my card twice and refused to pay it back.", "刷了我两次卡，还拒绝退款。"),
    ("Not at all like the pictures on the website.", "和网站上的照片完全不一样。"),
    ("The elevator did not work and we were on the eighth floor.", "电梯坏了，我们偏偏住八楼。"),
    ("I would never stay here again.", "再也不会住这里了。"),
    ("The towels were gray and the sink was blocked.", "毛巾发灰，洗手池也堵了。"),
    ("Terrible service, do not go there.", "服务极差，千万别去。"),
    ("The screen had dead pixels on the first day.", "屏幕第一天就有坏点。"),
    ("It gets so hot that I cannot keep it on my lap.", "烫得没法放在腿上。"),
    ("The battery is empty after an hour.", "电池一个小时就没电了。"),
    ("Slow, heavy, and the fan is loud.", "又慢又重，风扇还很吵。"),
    ("The keyboard is too small and some keys stick.", "键盘太小，有几个键会卡住。"),
    ("It crashed three times in the first week.", "第一周就死机了三次。"),
    ("The drivers are hard to find and installing them is a nightmare.", "驱动很难找，装起来简直是噩梦。"),
    ("Cheap plastic that scratches easily.", "廉价塑料，很容易刮花。"),
    ("The hard disk failed after a month.", "硬盘用了一个月就坏了。"),
    ("Customer service was useless and nobody called me back.", "客服一点用都没有，也没人给我回电话。"),
    ("The sound is awful, tinny and far too quiet.", "音质很糟，声音又尖又小。"),
    ("Too little memory, every program takes forever.", "内存太小，每个程序都要等半天。"),
    ("It arrived damaged and the box had been opened.", "到货时已经损坏，箱子还被拆开过。"),
    ("The price fell by a fifth a week after I bought it.", "买了才一个星期就降价两成。"),
    ("The touchpad jumps around and drives me mad.", "触摸板乱跳，让人抓狂。"),
    ("Wireless drops all the time.", "无线网络老是掉线。"),
    ("I regret buying it and sent it back.", "很后悔买了它，已经退货了。"),
    ("The hinge broke and the warranty does not cover it.", "转轴断了，还不在保修范围内。"),
    ("The case does not close properly, poor workmanship.", "外壳合不严，做工差。"),
    ("Very disappointing, not worth the money.", "非常失望，不值这个钱。"),
    ("Boring from beginning to end.", "从头到尾都很无聊。"),
    ("The pages fell out after one reading.", "看了一遍书页就掉了。"),
    ("Full of mistakes, did nobody check it?", "错误百出，难道没人校对吗？"),
    ("The plot makes no sense and the characters are flat.", "情节不合情理，人物单薄。"),
    ("I gave up after fifty pages.", "看了五十页就放弃了。"),
    ("Badly translated, I could not understand half of it.", "翻译得很差，有一半看不懂。"),
    ("Nothing new, you find all this on the internet.", "没什么新东西，网上都能找到。"),
    ("The author repeats himself again and again.", "作者翻来覆去地说同样的话。"),
    ("A waste of time and money.", "浪费时间和金钱。"),
    ("The print is tiny and the paper is poor.", "字太小，纸张也差。"),
    ("The title promises much and the book gives nothing.", "书名很响亮，内容却空洞无物。"),
    ("Empty talk without a single example.", "全是空话，一个例子都没有。"),
    ("My children found it dull and never opened it again.", "孩子们觉得没意思，再也没有翻开过。"),
    ("Too theoretical, of no practical use.", "太理论化，没有实际用处。"),
    ("It arrived torn, with a dirty cover.", "收到时书是破的，封面很脏。"),
    ("The ending is a letdown.", "结局让人失望。"),
    ("Far too expensive for so few pages.", "就这么几页，太贵了。"),
    ("I do not understand why people praise this book.", "不明白为什么有人夸这本书。"),
    ("The pictures are ugly and the text is confusing.", "插图难看，文字混乱。"),
    ("Do not buy it, it is a copy of another book.", "别买，是抄别的书的。"),
)

REVIEWS = (*POSITIVE, *NEGATIVE)


def short_reviews(
    rows: Mapping[str, Sequence[Any]], number: int, rng: np.random.Generator, *, longest: int = 30
) -> tuple[list[str], NDArray[np.int64]]:
    """Texts of 6 to `longest` characters, half of them praise, which comes first, and their labels ±1.

    Args:
        rows: columns `text` and `label` (1 is praise), as `corpora.chinese_reviews()["test"][:]` has them.
        number: how many to draw, even.
        rng: draws them.
        longest: in characters.

    Raises:
        ValueError: number is odd or below 2, or there are not so many short texts of a label.
    """
    if number < 2 or number % 2:
        raise ValueError(f"number must be even and at least 2, got {number}")
    texts: list[str] = []
    for label in (1, 0):
        same = [
            text
            for text, kind in zip(rows["text"], rows["label"], strict=True)
            if kind == label and 6 <= len(text) <= longest
        ]
        if len(same) < number // 2:
            raise ValueError(f"number must be at most {2 * len(same)} for label {label}, got {number}")
        texts += [same[i] for i in rng.permutation(len(same))[: number // 2]]
    return texts, np.repeat([1, -1], number // 2)


def short_pairs(
    rows: Mapping[str, Sequence[str]], number: int, rng: np.random.Generator, *, longest: int = 40
) -> tuple[list[str], list[str]]:
    """English texts of up to `longest` letters, and their Chinese translations.

    Args:
        rows: columns `english` and `chinese`, as `corpora.english_chinese_pairs()["test"][:]` has them.
        number: how many to draw.
        rng: draws them.
        longest: of the English, in characters.

    Raises:
        ValueError: there are not so many short texts, or number is below 1.
    """
    short = [i for i, text in enumerate(rows["english"]) if len(text) <= longest]
    if not 1 <= number <= len(short):
        raise ValueError(f"number must be from 1 to {len(short)}, got {number}")
    chosen = rng.permutation(short)[:number]
    return [rows["english"][i] for i in chosen], [rows["chinese"][i] for i in chosen]


def renumbered(x: Floats, rng: np.random.Generator) -> Floats:
    """The vectors x (N, d), coordinates in another order, each negated with probability one half."""
    order, signs = rng.permutation(x.shape[1]), rng.choice([-1, 1], x.shape[1])
    return (x[:, order] * signs).astype(x.dtype)


def precision_at_one(scores: ArrayLike) -> float:
    """The share of rows of scores (N, N) with the largest entry on the diagonal: row i finds column i."""
    found = np.argmax(scores, axis=1)
    return float((found == np.arange(len(found))).mean())


def topic_chances(topics: NDArray[np.int64], share: float = 0.45) -> NDArray[np.float64]:
    """How likely each word is in a text about each topic: (K, V), rows sum to 1.

    The share goes to the topic's own words, the rest to all words, each time equally.

    Args:
        topics: (V,), from 0 to K − 1, each at least once.
        share: from 0 to 1.

    Raises:
        ValueError: a topic has no word, or the share is out of range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}")
    member = np.eye(topics.max() + 1)[topics].T  # (K, V)
    sizes = member.sum(axis=1, keepdims=True)
    if not sizes.all():
        raise ValueError("topics must have each number from 0 to K − 1 at least once")
    chances: NDArray[np.float64] = (1 - share) / len(topics) + share * member / sizes
    return chances


@dataclass(frozen=True)
class Languages:
    """Two languages whose dictionary is known: word i of one means word i of the other."""

    source: Floats
    """(V, d), rows of length 1."""
    target: Floats
    """(V, d), rows of length 1."""
    topics: NDArray[np.int64]
    """(V,), the cluster of each word, 0 to K − 1."""


def rotated_languages(
    rng: np.random.Generator,
    *,
    num_words: int = 300,
    width: int = 50,
    num_topics: int = 4,
    noise: float = 0.6,
) -> Languages:
    """Word vectors in clusters, and the same in other coordinates, with noise: target = source Q + noise.

    That a rotation relates them is put in by hand. Directions differ in how much words vary along them, by a
    factor of five, as in vectors that were learned.

    Args:
        rng: the source of randomness.
        num_words, width, num_topics: V, d and K, each at least 1.
        noise: the expected length of what is added to each vector, which itself has length 1; not negative.

    Raises:
        ValueError: a size is below 1, or noise is negative or not finite.
    """
    for name, size in (("num_words", num_words), ("width", width), ("num_topics", num_topics)):
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise must be finite and not negative, got {noise}")
    topics = rng.integers(num_topics, size=num_words)
    words = rng.standard_normal((num_words, width)) * np.linspace(1.5, 0.3, width)  # (V, d)
    source = unit_rows(words + 1.2 * rng.standard_normal((num_topics, width))[topics])
    rotation, _ = np.linalg.qr(rng.standard_normal((width, width)))
    blur = noise * rng.standard_normal(source.shape) / np.sqrt(width)
    return Languages(source, unit_rows(source @ rotation + blur), topics)


def unit_rows(X: ArrayLike) -> Floats:
    """Each row of X (N, d) divided by its length.

    Raises:
        ValueError: X is not (N, d), a number is NaN or infinite, or a row is zero and has no direction.
    """
    x = _matrix("X", X)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)  # (N, 1)
    if not (lengths > 0).all():
        raise ValueError(f"X must have no row of zeros, got one at {int((lengths == 0).argmax())}")
    return x / lengths


def procrustes(X: ArrayLike, Y: ArrayLike) -> Floats:
    """The orthogonal W (d, d) for which X W is as close to Y as it can be, in summed squares.

    Rotations and reflections both count. With fewer than d independent pairs several W are equally good, and
    one of them is returned.

    Args:
        X, Y: (N, d), row i of X to be mapped to row i of Y. Both float32: so is W; else W is float64.

    Raises:
        ValueError: shapes differ or are not (N, d), or a number is NaN or infinite.

    Source: Schönemann (1966).
    """
    x, y = _pairs(X, Y)
    U, _, Vt = np.linalg.svd(x.T @ y)  # (d, d), (d,), (d, d)
    return U @ Vt


def partial_procrustes(X: ArrayLike, Y: ArrayLike) -> Floats:
    """The part of `procrustes` that the pairs determine: what they do not cover is mapped to zero.

    A matrix (d, d) of the rank that XᵀY has, at most N; where that is d, it is `procrustes` itself.

    Args:
        X, Y: (N, d), as in `procrustes`.

    Raises:
        ValueError: as `procrustes` does.
    """
    x, y = _pairs(X, Y)
    A, _ = np.linalg.qr(x.T)  # (d, min(N, d)), orthonormal, so that the matrix to decompose is small
    B, _ = np.linalg.qr(y.T)
    U, s, Vt = np.linalg.svd(A.T @ x.T @ y @ B)
    covered = s > len(s) * np.finfo(s.dtype).eps * s.max()
    return A @ U[:, covered] @ Vt[covered] @ B.T


def csls(queries: ArrayLike, keys: ArrayLike, k: int = 10) -> Floats:
    """Cosines, less how close each query and each key is to its neighbors on the other side: (N, M).

    2 cos(q, y) − r(q) − r(y), where r(q) is the mean cosine of q to its k nearest keys, and r(y) that of y to
    its k nearest queries. A key near to everything, a hub, loses what it has with all.

    Args:
        queries: (N, d), already mapped into the space of the keys.
        keys: (M, d).
        k: from 1 to the smaller of N and M.

    Raises:
        ValueError: shapes do not fit, a row is zero, a number is NaN or infinite, or k is out of range.

    Source: Conneau, Lample, Ranzato, Denoyer and Jégou (2018).
    """
    q, y = unit_rows(queries), unit_rows(keys)
    if q.shape[1] != y.shape[1]:
        raise ValueError(f"queries and keys must have one width, got {q.shape[1]} and {y.shape[1]}")
    if not 1 <= k <= min(len(q), len(y)):
        raise ValueError(f"k must be from 1 to {min(len(q), len(y))}, got {k}")
    cosines = q @ y.T  # (N, M)
    near_query = np.sort(cosines, axis=1)[:, -k:].mean(axis=1, keepdims=True)  # (N, 1)
    near_key = np.sort(cosines, axis=0)[-k:].mean(axis=0)  # (M,)
    return 2 * cosines - near_query - near_key


def _pairs(X: ArrayLike, Y: ArrayLike) -> tuple[Floats, Floats]:
    x, y = _matrix("X", X), _matrix("Y", Y)
    if x.shape != y.shape:
        raise ValueError(f"X and Y must have one shape, a row for each pair, got {x.shape} and {y.shape}")
    return x, y


def _matrix(name: str, values: ArrayLike) -> Floats:
    """As (N, d), float32 if it is that, else float64."""
    x = np.asarray(values)
    x = x if x.dtype == np.float32 else x.astype(np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{name} must have shape (N, d), neither 0, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite: drop the rows with NaN or infinity")
    return x
