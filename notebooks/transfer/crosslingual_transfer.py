# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   lmprep:
#     asked: 2
#     level: 2
#     needs:
#     - finetune_strategies_lora
#     question_zh: 描述一种跨语言语言模型迁移学习方法。
#     short: Cross-lingual transfer
#     source: S04
#     tasks:
#     - procrustes
# ---

# %% [markdown]
# # Train on English labels, test on Chinese: when does zero-shot transfer work?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# TODO
#
# :::{dropdown} The two-minute answer
# TODO
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: TODO
# - Mid: TODO
# - Senior: TODO

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import torch

from lmprep.data.corpora import chinese_reviews, english_chinese_pairs, multilingual_encoder
from lmprep.data.synthetic import topic_texts
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check
from lmprep.training.linear import ridge
from lmprep.transfer.crosslingual import REVIEWS, csls, partial_procrustes, procrustes
from lmprep.transfer.crosslingual import rotated_languages, unit_rows
from lmprep.transfer.strategies import tfidf

device = setup()

# %% [markdown]
# ## 120 English labels sort Chinese reviews about as well as 120 Chinese labels
#
# P1

# %%
encoder = multilingual_encoder()
english, chinese = (encoder.encode(list(side)) for side in zip(*REVIEWS, strict=True))
labels = np.repeat([1, -1], 60)  # (120,), praise comes first
customers = chinese_reviews()


def draw(split: str, number: int, stream: int) -> tuple[list[str], np.ndarray]:
    """Customers' reviews of 6 to 40 characters, half of them praise, and their labels."""
    rows, texts = customers[split][:], []
    for label in (1, 0):
        same = [text for text, kind in zip(rows["text"], rows["label"], strict=True)
                if kind == label and 6 <= len(text) <= 40]  # fmt: skip
        texts += [same[i] for i in rng(stream + label).permutation(len(same))[: number // 2]]
    return texts, np.repeat([1, -1], number // 2)


def accuracy(model: tuple[np.ndarray, np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    return float((np.sign(x @ model[0] + model[1]) == y).mean())


(local_texts, local_labels), (test_texts, y) = draw("train", 120, 1), draw("test", 300, 3)
local, test = encoder.encode(local_texts), encoder.encode(test_texts)  # (120, 512), (300, 512)
model = ridge(english, labels, 1.0)  # w (512,) and b
both = ridge(np.vstack([english, local]), np.append(labels, local_labels), 1.0)
written = [text for text, _ in REVIEWS]
by_words = accuracy(ridge(tfidf(written, written), labels, 1.0), tfidf(test_texts, written).numpy(), y)
native = accuracy(ridge(local, local_labels, 1.0), test, y)
zero_shot = accuracy(model, test, y)

fold = np.tile(rng(5).permutation(60) % 5, 2)  # each review is held out once, in both languages
right = np.zeros((2, 120))
for f in range(5):
    w, b = ridge(english[fold != f], labels[fold != f], 1.0)
    for row, x in zip(right, (english, chinese), strict=True):
        row[fold == f] = np.sign(x[fold == f] @ w + b) == labels[fold == f]
in_english, translated = right.mean(axis=1)
print(f"""trained on           tested on                      accuracy
English              ours, English, held out        {in_english:.3f}
English              the same, in Chinese           {translated:.3f}
English              customers, Chinese             {zero_shot:.3f}
Chinese              customers, Chinese             {native:.3f}
English and Chinese  customers, Chinese             {accuracy(both, test, y):.3f}
English, words only  customers, Chinese             {by_words:.3f}
standard error       of each row on customers       {(zero_shot * (1 - zero_shot) / 300) ** 0.5:.3f}""")

# %%
claim("zero_shot_works", "English labels, Chinese customers: accuracy with the multilingual encoder minus counted words",
      zero_shot - by_words, at_least=0.1)  # fmt: skip
claim("target_labels_add_little", "Chinese customers: accuracy from 120 Chinese labels minus from 120 English ones",
      native - zero_shot, at_most=0.06)  # fmt: skip
claim("language_costs_little", "English labels: accuracy on held-out reviews in English minus in Chinese translation",
      in_english - translated, at_most=0.12)  # fmt: skip

# %% [markdown]
# P2
#
# ## Renumber the Chinese coordinates, and English labels are worth nothing
#
# P3


# %%
def renumbered(x: np.ndarray, stream: int = 10) -> np.ndarray:
    """Coordinates in another order, half of them with the other sign: an orthogonal map of x (N, d)."""
    order, signs = rng(stream).permutation(x.shape[1]), rng(stream).choice([-1, 1], x.shape[1])
    return (x[:, order] * signs).astype(x.dtype)


own = accuracy(ridge(renumbered(local), local_labels, 1.0), renumbered(test), y)
blind = [accuracy(model, renumbered(test, 100 + k), y) for k in range(20)]
print(f"Chinese labels, before {native:.3f} and after {own:.3f}")
print(f"English labels, 20 renumberings: {min(blind):.3f} to {max(blind):.3f}, mean {np.mean(blind):.3f}")

# %%
claim("unharmed_within", "Chinese vectors renumbered: change in accuracy of a classifier with Chinese labels",
      abs(own - native), at_most=0.005)  # fmt: skip
claim("lost_between", "Chinese vectors renumbered: mean accuracy of the English classifier over 20 renumberings",
      np.mean(blind), at_least=0.42, at_most=0.58)  # fmt: skip

# %% [markdown]
# P4

# %%
show(procrustes, partial_procrustes, csls)

# %%
X, Y = rng(20).standard_normal((2, 9, 5))
polar = X.T @ Y
for _ in range(60):  # without a singular value decomposition
    polar = (polar + np.linalg.inv(polar).T) / 2
agrees("procrustes", "the orthogonal factor by Newton's iteration", procrustes(X, Y), polar, atol=1e-9)

# %% [markdown]
# ## Thirty pairs translate better if the map leaves out what they do not cover
#
# P5

# %%
# Try: thesis_pairs = "menu strings". They are about other things than reviews: expect the thesis
# to shrink, and to break in some draws.
thesis_pairs, sizes = "reviews", (10, 30, 100)
catalog = english_chinese_pairs()


def menus(split: str, number: int, stream: int) -> tuple[np.ndarray, np.ndarray]:
    """English and Chinese vectors of JupyterLab's strings of up to 60 letters."""
    rows = catalog[split][:]
    short = [i for i, text in enumerate(rows["english"]) if len(text) <= 60]
    chosen = rng(stream).permutation(short)[:number]
    one, two = (encoder.encode([rows[side][i] for i in chosen]) for side in ("english", "chinese"))
    return one, two


def at_one(scores: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == np.arange(len(scores))).mean())


queries, keys = menus("test", 150, 30)
pairs = {"reviews": (english, chinese), "menu strings": menus("train", 100, 31)}
aligned, uncut = {}, {}
print("pairs                  accuracy    P@1   CSLS")
print(f"{'already shared':<23}{zero_shot:.3f}     {at_one(queries @ keys.T):.3f}  "
      f"{at_one(csls(queries, keys)):.3f}")  # fmt: skip
for name, (goal, source) in pairs.items():
    order = rng(32).permutation(len(source))
    for k in sizes:
        W = partial_procrustes(renumbered(source)[order[:k]], goal[order[:k]])  # (512, 512)
        mapped = unit_rows(renumbered(keys) @ W)
        aligned[name, k] = (accuracy(model, renumbered(test) @ W, y), at_one(queries @ mapped.T),
                            at_one(csls(queries, mapped)))  # fmt: skip
        print(f"{k:>4} {name:<18}" + "{:.3f}     {:.3f}  {:.3f}".format(*aligned[name, k]))
W = procrustes(renumbered(source)[order[:30]], goal[order[:30]])
whole = renumbered(keys) @ W
uncut = accuracy(model, renumbered(test) @ W, y), at_one(queries @ whole.T), at_one(csls(queries, whole))
print("  30 ... all of W      " + "{:.3f}     {:.3f}  {:.3f}".format(*uncut))

goal, source = pairs[thesis_pairs]
mispaired = []
for k in range(10):
    W = partial_procrustes(renumbered(source)[:100], goal[rng(40 + k).permutation(100)])
    mispaired.append(accuracy(model, renumbered(test) @ W, y))
print(f" 100 mispaired         {np.mean(mispaired):.3f}     (mean of ten)")

# %%
claim("pairs_bring_it_back", "Chinese renumbered: accuracy of English labels after 100 translated pairs minus mispaired",
      aligned[thesis_pairs, 100][0] - np.mean(mispaired), at_least=0.09, thesis=True)  # fmt: skip
claim("pairs_of_the_same_kind", "menu strings to translate: P@1 from 30 pairs of menu strings minus from 30 of reviews",
      aligned["menu strings", 30][1] - aligned["reviews", 30][1], at_least=0.14)  # fmt: skip
claim("leave_out_the_rest", "30 pairs, 512 coordinates: P@1 of the map restricted to what they cover minus all of W",
      aligned["menu strings", 30][1] - uncut[1], at_least=0.18)  # fmt: skip
claim("csls_mends_some", "30 pairs, all of W: P@1 by CSLS minus by cosine",
      uncut[2] - uncut[1], at_least=0.06)  # fmt: skip

# %% [markdown]
# P6
#
# ## Where the dictionary is known, classifying takes fewer pairs than translating
#
# P7

# %%
exact: dict[str, list[list[float]]] = {}
for draw_of in range(2):
    words = rotated_languages(rng(60 + draw_of))
    goal, member = words.source, np.eye(4)[words.topics]  # (300, 50), (300, 4)
    chances = torch.from_numpy((0.55 / 300 + 0.45 * member / member.sum(axis=0)).T)  # (4, 300)
    topics = torch.arange(4).repeat(100)
    known, held = (topic_texts(topics, chances, 10, generator(70 + 2 * draw_of + k)) for k in (0, 1))
    w, b = ridge(goal[known].mean(axis=1), np.eye(4)[topics], 0.1)
    shuffled = rng(80 + draw_of).permutation(300)
    tested = shuffled[100:]

    def measure(name: str, foreign: np.ndarray) -> None:
        guess = (foreign[held].mean(axis=1) @ w + b).argmax(axis=1)
        one, two = goal[tested], unit_rows(foreign[tested])
        found = (guess == topics.numpy()).mean(), at_one(one @ two.T), at_one(csls(one, two))
        exact.setdefault(name, []).append(found)

    measure("source itself", goal)
    measure("not aligned", words.target)
    for k in sizes:
        i = shuffled[:k]
        measure(f"{k} pairs", words.target @ partial_procrustes(words.target[i], goal[i]))
        measure(f"{k}, least squares", words.target @ np.linalg.lstsq(words.target[i], goal[i])[0])
    cubed = unit_rows(words.target**3)
    measure("100, target cubed", cubed @ partial_procrustes(cubed[i], goal[i]))
known_truth = {name: np.mean(rows, axis=0) for name, rows in exact.items()}
print("                       accuracy    P@1   CSLS")
for name, row in known_truth.items():
    print(f"{name:<23}" + "{:.3f}     {:.3f}  {:.3f}".format(*row))

# %% mystnb={"image": {"alt": "Two panels over the number of pairs, 10, 30 and 100. Above, real texts: translation of menu strings by pairs of menu strings rises from about a third to over nine in ten, by pairs of reviews it stays lower throughout. Accuracy on Chinese reviews by pairs of reviews comes near the dotted line of the shared space; with 30 pairs of menu strings it is lower. Below, languages with a known dictionary: accuracy is near its dotted ceiling from 30 pairs on, while translation is still rising, most with CSLS, least with least squares."}} tags=["hide-input"]
_, (top, bottom) = plt.subplots(2, 1, figsize=(7.0, 6.4), sharex=True)
for name, style in (("reviews", "o-"), ("menu strings", "s--")):
    rows = np.array([aligned[name, k] for k in sizes])
    top.plot(sizes, rows[:, 0], style, color="C0", label=f"reviews sorted, pairs of {name}")
    top.plot(sizes, rows[:, 1], style, color="C1", label=f"menu strings found, pairs of {name}")
top.axhline(zero_shot, color="C0", linestyle=":", linewidth=1.2)
rows = np.array([[known_truth[f"{k} pairs"], known_truth[f"{k}, least squares"]] for k in sizes])
for column, label in enumerate(("topics told", "words found", "words found, CSLS")):
    bottom.plot(sizes, rows[:, 0, column], "o-", label=label)
bottom.plot(sizes, rows[:, 1, 1], "s--", color="C1", label="words found, least squares")
bottom.axhline(known_truth["source itself"][0], color="C0", linestyle=":", linewidth=1.2)
top.set(title="English and Chinese: 30 pairs of the right kind beat 30 others", ylabel="share right")
bottom.set(title="Known dictionary: topics come back before words", ylabel="share right",
           xscale="log", xlabel="translated pairs", ylim=(0, 1.02))  # fmt: skip
bottom.set_xticks(sizes, map(str, sizes))
top.set_ylim(0, 1.02)
for ax in (top, bottom):
    ax.legend(loc="lower right")
plt.show()

# %%
recovered = known_truth["30 pairs"][0] / known_truth["source itself"][0]
claim("labels_before_words", "30 of 300 words paired: share of the source's accuracy reached, minus P@1",
  recovered - known_truth["30 pairs"][1], at_least=0.13)  # fmt: skip
claim("orthogonal_with_enough", "100 pairs, 50 coordinates: P@1 of the orthogonal map minus least squares",
      known_truth["100 pairs"][1] - known_truth["100, least squares"][1], at_least=0.02)  # fmt: skip
claim("no_isometry_no_dictionary", "100 pairs: P@1 lost when the target's coordinates are cubed",
      known_truth["100 pairs"][1] - known_truth["100, target cubed"][1], at_least=0.25)  # fmt: skip
