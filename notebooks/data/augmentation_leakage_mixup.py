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
#     - class_imbalance
#     question_zh: 如何进行语言模型的数据增强？验证集准确率突然提高三十个百分点，为什么不可信？
#     short: Leakage, near-duplicates, mixup
#     source: S29
#     tasks:
#     - mixup
# ---

# %% [markdown]
# # Augmentation raised validation accuracy by 30 points. Why don't you believe it?

# %% [markdown] tags=["answer"]
# ## The 30-second answer
#
# Because one mistake gives such a jump for free: texts were copied before the split, so nearly every validation text has an altered
# twin in training. I rerun the pipeline on coin-flip labels. It should score fifty percent; if it scores more, something leaks. Then I
# split by origin, look for near-duplicates with MinHash where the origin is unknown, and augment the training side alone.
# Mixup I judge by log loss, against label smoothing and a fitted temperature.
#
# :::{dropdown} The two-minute answer
# A copy carries its original's label. If the two land on different sides of the split, looking up the twin is enough, whatever the label
# means. Coin flips show this because nothing else can predict them. They find leaks by *identity*; a feature that gives the true
# label away, or a date from the future, passes the test.
#
# The unit of the split is what was drawn independently: the source text, the author, the product. If nobody recorded it,
# near-duplicates stand in. Two texts are compared by the share of their shingles, short runs of characters, that they have in common (Jaccard
# similarity). MinHash estimates it from a short signature, and banding finds similar pairs without
# comparing all. Chains of pairs form groups, and whole groups are dealt to one side.
#
# Mixup trains on weighted averages of two examples and of their labels. Its label half is label smoothing on average, so a gain in calibration
# counts as mixup's only if it exceeds what smoothing, early stopping and a temperature give.
# :::

# %% [markdown] tags=["rubric"]
# ## What the interviewer listens for
#
# - Junior: splits first, then augments the training side; validation and test texts stay as they came.
# - Junior: knows what random labels must score, and runs them through the whole pipeline.
# - Mid: splits by group, and says what a group is here.
# - Mid: explains why two MinHash values agree with probability Jaccard, and what bands and rows trade.
# - Mid: writes mixup with one permutation for inputs and labels.
# - Senior: names leaks that coin flips do not show, and duplicates that MinHash does not see.
# - Senior: separates mixup's two halves, and compares calibration with a fitted temperature.

# %% tags=["hide-input"]
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import nn

from lmprep.data import leakage
from lmprep.data.corpora import chinese_reviews, english_text, normalize_text
from lmprep.data.leakage import chance_of_report, group_split, jaccard, shingles
from lmprep.data.mixup import mixup
from lmprep.evidence import agrees, claim
from lmprep.notebook import generator, rng, setup, show
from lmprep.practice import check
from lmprep.training.loop import fit
from lmprep.training.optim import Adam

device = setup()

# %% [markdown]
# ## Four copies per review, and coin flips score like the truth
#
# Take 500 Chinese reviews, and of each four copies from which a tenth of the characters was deleted at random. The classifier answers with the label of
# the most similar training text (cosine of TF-IDF vectors: counts of characters, the rarer the heavier). It has no knob to
# tune. Beside the true label each review gets a second one, by a coin, which its copies inherit.

# %%
# Try: share = 0.6. The copies drift apart, MinHash links few of them, and the thesis breaks.
num_reviews, num_copies, share = 500, 4, 0.1

reviews = chinese_reviews()
order = rng(1).permutation(len(reviews["train"]))
sample = reviews["train"].select(order[:num_reviews])
texts, praise = sample["text"][:], np.array(sample["label"][:])
coin = rng(2).integers(2, size=num_reviews)


def thinned(text: str, share: float, random: np.random.Generator) -> str:
    """The text without a random share of its characters."""
    kept = "".join(c for c in text if random.random() >= share)
    return kept if kept.strip() else text


random = rng(3)
rows = texts + [thinned(text, share, random) for _ in range(num_copies) for text in texts]
origin = np.tile(np.arange(num_reviews), 1 + num_copies)  # of each row
print(rows[0][:40], *rows[num_reviews::num_reviews][:2], sep="\n")


# %%
def tfidf(texts: list[str], reference: list[str], width: int) -> np.ndarray:
    """(N, width): weighted counts of the commonest characters of `reference`, rows of length 1."""
    holders = Counter(c for text in reference for c in set(text))
    column = {
        c: i for i, c in enumerate(sorted(holders, key=lambda c: (-holders[c], c))[:width])
    }
    table = np.zeros((len(texts), width), np.float32)
    for row, text in zip(table, texts, strict=True):
        np.add.at(row, [column[c] for c in text if c in column], 1)
    rarity = [1 + np.log((1 + len(reference)) / (1 + holders[c])) for c in column]
    table *= np.array(rarity, np.float32)
    return table / np.linalg.norm(table, axis=1, keepdims=True).clip(min=1e-9)


vectors = tfidf(rows, texts, 1000)
similarity = vectors @ vectors.T  # (rows, rows)


def accuracies(groups: np.ndarray, trained: int, tested: int) -> np.ndarray:
    """For true labels and coin flips, mean of ten splits; rows from `trained` or `tested` on are left out."""
    random, right = rng(4), []
    for _ in range(10):
        train, test = group_split(groups, 0.2, random)
        train, test = train[train < trained], test[test < tested]
        twin = train[similarity[np.ix_(test, train)].argmax(axis=1)]
        right.append([(y[origin[twin]] == y[origin[test]]).mean() for y in (praise, coin)])
    return np.mean(right, axis=0)


every, originals = len(rows), num_reviews
found = {
    "no copies": accuracies(origin, originals, originals),
    "copy, then split by row": accuracies(np.arange(every), every, every),
    "split, then copy the training side": accuracies(origin, every, originals),
}
for name, pair in found.items():
    print(f"{name:36} true labels {pair[0]:.3f}   coin flips {pair[1]:.3f}")

# %%
claim("noise_scores_high", "coin-flip labels, copies made before the split: accuracy",
      found["copy, then split by row"][1], at_least=0.75)  # fmt: skip
claim("jump_is_leak", "true labels: accuracy that copying adds, if rows are split; less what it adds to training alone",
      found["copy, then split by row"][0] - found["split, then copy the training side"][0], at_least=0.18)  # fmt: skip

# %% [markdown]
# With copies made first, the true labels rise by about as much as the interviewer said, and coin flips rise even more: the score measures how
# well a twin is recognized. With the copies on the training side alone, coin flips are back near one half, and
# the true labels gain next to nothing. Copies of the rare class leak in the same way: [class imbalance](class_imbalance).
#
# Grouping by origin needs a column that says where a row came from. A scraped corpus has none.
#
# ## The lowest of all ranks lies in both texts as often as they overlap
#
# A *shingle* is a run of $n$ characters. Let $A$ and $B$ be the sets of shingles of two texts; their Jaccard similarity is
# $J = |A \cap B| / |A \cup B|$. Give every shingle a random rank. Each element of $A \cup B$ is equally likely to have the lowest rank in the union.
# If that element lies in both sets, it is the minimum of both; if not, the minima differ. So
# the minima agree with probability $J$. With $k$ independent rankings, the share of agreeing places estimates $J$ without bias and with
# standard deviation $\sqrt{J(1 - J)/k}$ {cite:p}`broder1997resemblance`.
#
# *Banding* saves comparing all pairs. Cut the $k$ places into $b$ bands of $r$; two texts are reported if they agree in all of
# at least one band. One band agrees with probability $J^r$, so the pair is reported with probability $1 - (1 - J^r)^b$. The chance climbs
# steeply around $J \approx (1/b)^{1/r}$: 0.42 for $r = 4$, $b = 32$.

# %%
show(leakage.signatures, leakage.candidate_pairs)

# %% [markdown]
# This book's English corpus is a fair trial: its loader already drops every paragraph that occurs before. How many of its passages, of 100
# characters or more, are still near-copies of another one? Every other passage also gets a planted copy
# with up to a fifth of the characters deleted, whose exact similarity is computed.

# %%
num_rows, num_bands = 4, 32
passages, side = [], []
for split, topics in english_text().items():
    for paragraph in "\n\n".join(topics["text"][:]).split("\n\n"):
        if len(normalize_text(paragraph)) >= 100:
            passages.append(paragraph)
            side.append(split)

random, k = rng(5), num_rows * num_bands
sets = [shingles(passage) for passage in passages]
half = len(sets) // 2  # every other passage gets a copy
planted = [
    shingles(thinned(p, random.uniform(0, 0.2), random)) for p in passages[: 2 * half : 2]
]
signature = leakage.signatures(sets[: 2 * half : 2] + planted, k, rng(6))
exact = np.array([jaccard(a, b) for a, b in zip(sets[: 2 * half : 2], planted, strict=True)])
estimate = (signature[:half] == signature[half:]).mean(axis=1)
pairs = leakage.candidate_pairs(signature, num_bands)
reported = np.array([(i, i + half) in pairs for i in range(half)])
chance = chance_of_report(exact, num_rows, num_bands)

fifth = np.digitize(exact, np.quantile(exact, [0.2, 0.4, 0.6, 0.8]))
print("planted copies: mean J   estimate   reported   1 − (1 − Jʳ)ᵇ")
table = np.array(
    [[v[fifth == i].mean() for v in (exact, estimate, reported, chance)] for i in range(5)]
)
for line in table:
    print("{:22.3f}{:11.3f}{:11.3f}{:16.3f}".format(*line))

# %%
inside = (exact > 0) & (exact < 1)
spread = (estimate - exact)[inside] / np.sqrt(exact * (1 - exact) / k)[inside]
claim("spread_as_derived", "MinHash estimates of planted copies: root mean square error over √(J(1 − J)/k)",
      np.sqrt((spread**2).mean()), at_least=0.85, at_most=1.15)  # fmt: skip
claim("reports_as_derived", "planted copies in fifths by similarity: largest gap between share reported and 1 − (1 − Jʳ)ᵇ",
      abs(table[:, 2] - table[:, 3]).max(), at_most=0.1)  # fmt: skip

similar = leakage.near_duplicates(sets, 0.7, rng(7), rows=num_rows, bands=num_bands)
vocabulary = {shingle: i for i, shingle in enumerate(sorted(frozenset().union(*sets)))}
starts = np.cumsum([0] + [len(each) for each in sets])
columns = [vocabulary[shingle] for each in sets for shingle in each]
incidence = sparse.csr_array((np.ones(len(columns)), columns, starts))  # (passages, V)
shared = (incidence @ incidence.T).toarray()
size = np.diff(starts)
every_pair = np.triu(shared / (size[:, None] + size - shared), 1)
agrees("all_pairs", "scipy.sparse: exact similarity of all pairs, where at least 0.7",
       list(similar.values()), every_pair[every_pair >= 0.7], atol=1e-12)  # fmt: skip

crossing = {pair: J for pair, J in similar.items() if side[pair[0]] != side[pair[1]]}
print(
    len(passages),
    "passages; pairs with J ≥ 0.7:",
    len(similar),
    "; across the split:",
    len(crossing),
)
for i in max(crossing, key=crossing.get):
    print(f"{side[i]}: {normalize_text(passages[i])[:110]}")
claim("repeats_remain", "English corpus without repeated paragraphs: near-duplicate pairs (J ≥ 0.7) across its split",
      len(crossing), at_least=1)  # fmt: skip

# %% [markdown]
# The estimate and the share reported follow their formulas. On the corpus itself, banding found the very pairs that comparing all of them finds. They are few, but
# exact de-duplication had left them, and some lie on both sides of the split: a sentence about functions and its twin about classes. Dropping equal
# paragraphs does not make a test set new; in larger corpora {cite:t}`lee2022deduplicating` found near-copies of training text for over 4 % of validation examples.
#
# ## Groups found from the text alone bring coin flips back to one half
#
# Back to the reviews, forgetting the origins. Shingles of two characters, bands of three, similarity from 0.3: in Chinese a character
# is about half a word, and two copies of one review are less alike than each is like it. Chains of reported pairs become groups. For
# comparison, the same group sizes are dealt to rows at random.

# %%
pairs = leakage.near_duplicates(
    [shingles(row, 2) for row in rows], 0.3, rng(8), rows=3, bands=32
)
groups = leakage.groups_of(pairs, len(rows))
found["copy, then split by groups found"] = accuracies(groups, every, every)
found["copy, then split by random groups"] = accuracies(
    rng(9).permutation(groups), every, every
)
found["copy, then split by origin"] = accuracies(origin, every, every)
true_pairs = num_reviews * num_copies * (1 + num_copies) / 2
kept = sum(origin[i] == origin[j] for i, j in pairs) / true_pairs
print(
    f"pairs of one origin found: {kept:.3f}; groups: {len(set(groups))} for {num_reviews} origins"
)

# %% mystnb={"image": {"alt": "Six rows with two dots each: accuracy with true labels and with coin flips. Split by row or by random groups: both dots near 1. No copies, copies of the training side alone, split by origin, split by groups found: coin flips near one half, on the dotted line, and true labels clearly above it."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(6.4, 3.4))
score = dict(sorted(found.items(), key=lambda item: item[1][1]))
for name, marker, place in (("true labels", "o", 0), ("coin flips", "x", 1)):
    ax.plot(
        [pair[place] for pair in score.values()], range(len(score)), marker, label=name, ms=8
    )
ax.axvline(0.5, color="#666666", linestyle=":")
ax.set_yticks(range(len(score)), score)
ax.set(xlim=(0.4, 1.05), xlabel="accuracy on the test side")
ax.set_title("Only splits that keep twins together tell truth from coins", loc="right")
_ = ax.legend(loc="lower right")
plt.show()

# %%
coins = {name: pair[1] for name, pair in found.items()}
claim("groups_stop_the_leak", "coin-flip labels: accuracy lost when near-duplicates found by MinHash stay on one side",
      coins["copy, then split by row"] - coins["copy, then split by groups found"], at_least=0.25, thesis=True)  # fmt: skip
claim("random_groups_leak", "coin-flip labels: accuracy lost when random groups of the same sizes stay on one side",
      coins["copy, then split by row"] - coins["copy, then split by random groups"], at_most=0.1)  # fmt: skip
claim("honest_half", "coin-flip labels, split by origin: distance of accuracy from one half",
      abs(coins["copy, then split by origin"] - 0.5), at_most=0.09)  # fmt: skip

# %% [markdown]
# The split by found groups scores about what the split by origin does. It is the right groups that do it, since random ones of the same sizes leak like rows. How far an honest
# score may stray is known too: 500 coin flips have a standard error of $\sqrt{0.25/500}$, about 2 points, and copies add no information.
#
# ## Mixup calms a network; its label half alone calms it more
#
# Mixup {cite:p}`zhang2018mixup` leaves text alone and mixes vectors. With $\lambda \sim \text{Beta}(\alpha, \alpha)$ and a partner $j$ for each example $i$ of
# a batch, train on $\lambda x_i + (1 - \lambda) x_j$ with the label $\lambda y_i + (1 - \lambda) y_j$, where $y$ are one-hot rows. At $\alpha = 1$ the share $\lambda$ is uniform; a
# small $\alpha$ keeps it near 0 or 1.

# %%
show(mixup)
z = torch.randn(16, 3, generator=generator(1)).double()  # (B, K)
y = torch.arange(16) % 3
_, soft, lam = mixup(z, F.one_hot(y, 3).double(), 1.0, rng(10))
partner = (soft - lam * F.one_hot(y, 3)).argmax(dim=1)  # its own label taken away
agrees("linear_in_labels", "torch.nn.functional.cross_entropy with probabilities as targets",
       lam * F.cross_entropy(z, y) + (1 - lam) * F.cross_entropy(z, partner),
       F.cross_entropy(z, soft), atol=1e-12)  # fmt: skip

# %% [markdown]
# Cross-entropy is linear in the label, as the comparison checks. So mixing the labels *alone* has, on average over partners and $\lambda$, the loss of
# label smoothing that gives $1 - E[\lambda] = \tfrac12$ of each label to the classes' shares. Whatever mixup does beyond that, mixing inputs together
# with labels must do.
#
# Five draws of 100 reviews each, a network with one hidden layer, trained until it has memorized them; nothing is tuned on test reviews. *NLL* is the
# negative log-likelihood per review, $\log 2 \approx 0.693$ for always saying ½. *ECE*, the expected calibration error, sorts
# answers into ten bins by confidence and averages the distance between mean confidence and accuracy.

# %%
# Five draws are five networks side by side, so that one training loop serves all.
draws, per_class, width, hidden = 5, 50, 300, 32
pool = reviews["train"].select(order[num_reviews : num_reviews + 1500])
label = np.array(pool["label"][:])
members = [np.flatnonzero(label == c)[: 2 * draws * per_class] for c in (0, 1)]
members = np.concatenate([m.reshape(2, draws, per_class) for m in members], axis=2)
held = reviews["test"][:1000]
x, x_val = 8 * torch.from_numpy(tfidf(pool["text"][:], pool["text"][:], width))[members]
x_test = 8 * torch.from_numpy(tfidf(held["text"], pool["text"][:], width))
y, y_test = torch.arange(2).repeat_interleave(per_class), torch.tensor(held["label"])
hard = F.one_hot(y, 2).float()  # (B, K); x is (draws, B, width)


class Networks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        g = generator(2)
        self.inner = nn.Parameter(torch.randn(draws, width, hidden, generator=g) / width**0.5)
        self.outer = nn.Parameter(torch.randn(draws, hidden, 2, generator=g) / hidden**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (draws, N, width) -> (draws, N, 2)
        return (x @ self.inner).relu() @ self.outer


def nll(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:  # (draws,)
    """Of classes (N,) or of rows of probabilities (N, K)."""
    return torch.stack([F.cross_entropy(each, labels) for each in logits])


def trained(batch, early: bool = False) -> list[torch.Tensor]:
    """Logits on test, validation and training reviews; `early`: of the best of 30 validations."""
    model = Networks()
    watch = {"evaluate": lambda model: nll(model(x_val), y).mean().item(), "patience": 30}
    fit(model, batch, lambda model, b: nll(model(b[0]), b[1]).mean(), num_steps=300, eval_every=10,
        optimizer=Adam(model.parameters(), lr=3e-3), **(watch if early else {}))  # fmt: skip
    with torch.no_grad():
        return [model(inputs) for inputs in (x_test, x_val, x)]


def mixed(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels, _ = mixup(x.transpose(0, 1), hard, 1.0, rng(100 + step))
    return inputs.transpose(0, 1), labels


def tempered(test: torch.Tensor, validation: torch.Tensor) -> torch.Tensor:
    """Logits over the temperature that is best on each draw's validation reviews."""
    grid = torch.logspace(-0.5, 1.5, 41)
    best = torch.stack([nll(validation / t, y) for t in grid]).argmin(dim=0)
    return test / grid[best][:, None, None]


runs = {
    "plain": trained(lambda step: (x, hard)),
    "mixup": trained(mixed),
    "mixed inputs, heavier label": trained(
        lambda step: (mixed(step)[0], mixed(step)[1].round())
    ),
    "label smoothing ½": trained(lambda step: (x, (hard + 0.5) / 2)),
    "plain, best step": trained(lambda step: (x, hard), early=True),
}
logits = {name: run[0] for name, run in runs.items()}
logits |= {f"{name}, temperature": tempered(*runs[name][:2]) for name in ("plain", "mixup")}


# %%
def bins(logits: torch.Tensor) -> np.ndarray:
    """Share of answers, mean confidence and accuracy of ten bins of confidence, all draws together."""
    confidence, answer = logits.softmax(dim=-1).max(dim=-1)
    right = (answer == y_test).flatten().numpy()
    confidence = confidence.flatten().numpy()
    chosen = np.minimum(confidence * 10, 9).astype(int)
    share, *sums = (
        np.bincount(chosen, v, 10) for v in (np.ones(len(right)), confidence, right)
    )
    return np.stack([share / len(right), *(total / share.clip(1) for total in sums)])


cost = {name: nll(each, y_test).numpy() for name, each in logits.items()}
print(f"{'':28}   NLL, lowest to highest    ECE   accuracy")
for name, each in logits.items():
    share, confidence, right = bins(each)
    ece = (share * abs(confidence - right)).sum()
    print(f"{name:28}{cost[name].mean():6.3f}{cost[name].min():10.3f}–{cost[name].max():.3f}"
          f"{ece:10.3f}{(share * right).sum():10.3f}")  # fmt: skip
own = {name: (-nll(run[2], y)).exp().mean().item() for name, run in runs.items()}
print("probability of the training labels:", *(f"{name} {p:.2f};" for name, p in own.items()))

# %% mystnb={"image": {"alt": "Accuracy against mean confidence in bins, with a dotted diagonal where both are equal. Plain and, less so, mixup lie far below the diagonal at high confidence. Label smoothing and plain with a temperature lie close to it."}} tags=["hide-input"]
_, ax = plt.subplots(figsize=(5.6, 3.8))
lines = {
    "plain": "C3o-",
    "mixup": "C1s-",
    "label smoothing ½": "C0^-",
    "plain, temperature": "C2D--",
}
for name, style in lines.items():
    share, confidence, right = bins(logits[name])
    ax.plot(confidence[share > 0.02], right[share > 0.02], style, label=name, ms=5)
ax.plot([0.5, 1], [0.5, 1], ":", color="#666666")
ax.set(xlabel="mean confidence of a bin", ylabel="accuracy in the bin", ylim=(0.45, 1))
ax.set_title("A soft label or a temperature is honest, mixup half way")
_ = ax.legend()
plt.show()

# %%
claim("mixup_calms", "mixup: NLL over that of plain training, worst of five draws",
      (cost["mixup"] / cost["plain"]).max(), at_most=0.9, unit="×")  # fmt: skip
claim("labels_calm_more", "mixup: least NLL above label smoothing, early stopping or a temperature, five draws",
      min((cost["mixup"] - cost[name]).min() for name in ("label smoothing ½", "plain, best step",
          "plain, temperature")), at_least=0.1, unit="nats")  # fmt: skip
claim("inputs_do_not", "inputs mixed under the heavier label: NLL over that of plain training, mean of five draws",
      cost["mixed inputs, heavier label"].mean() / cost["plain"].mean(), at_least=1.0, unit="×")  # fmt: skip

# %% [markdown]
# Memorized labels make the plain network worse than always saying ½, though it is right more often. Mixup improves it in every draw and still ends
# above $\log 2$. Label smoothing, an earlier stop and one fitted temperature all do better, at about the same accuracy.
# Mixing inputs without softening labels makes the network *surer*, as {cite:t}`thulasidasan2019mixup` found for images too. The last line above says why
# mixup stays half way: a mixed input shows how much of each example is in it, so the network can learn the mixed labels and still be sure at the ends;
# a smoothed label holds everywhere. This is one small network on few reviews. With images, mixup has also raised accuracy. The comparison carries over; the ranking may not.

# %% [markdown] tags=["errors"]
# ## What common answers get wrong
#
# **"Ten-fold cross-validation would have caught it."** Every fold has the same twins in training. The scores above are means of ten splits, and the
# spread between folds is small because all of them leak. Use group folds.
#
# **"I shuffled the labels of all rows, and accuracy fell to 50 %. So nothing leaks."** It had to: if every copy gets its own coin, twins disagree half of the time, and the leak cannot pay. Draw the coin once per
# original, *before* anything is copied, and let the pipeline hand it on.
#
# **"The corpus went through MinHash, so the test questions are not in it."** Take a question of 100 shingles inside a web page of
# 10,000. Their Jaccard similarity is 100/10,000, and no band of four will ever see it. Containment, $|A \cap B|/|A|$, is 1. For test
# sets one counts shared word n-grams instead.
#
# **"Mixup in two lines: `x = lam*x + (1-lam)*x[p]`, `y = lam*y + (1-lam)*y[p]`."** Right for one-hot rows. With class numbers, half of class 0 and half of class 2 make class 1, and a loss for
# integers refuses or rounds. Mix one-hot rows, or the two losses.

# %% [markdown] tags=["followups"]
# ## Follow-ups
#
# :::{dropdown} How do you mix two texts?
# Not their token ids: between 17 and 19 lies another word. {cite:t}`guo2019augmenting` average the word embeddings, padded to one length, or the sentence vectors before the
# classifier. Mixing sentence vectors costs nothing in the encoder, and changes nothing in it beyond the gradient.
# :::
#
# :::{dropdown} Is a language model's benchmark score contaminated?
# Look for long n-grams of the test set in the training data and report the clean part separately. GPT-3's authors did so, after a bug had left some overlaps in
# {cite:p}`brown2020language`. Paraphrases and translations pass such filters: {cite:t}`yang2023rethinking` trained a 13B model on rephrased test questions to GPT-4's scores. Without the data, use questions
# written after training ended.
# :::
#
# :::{dropdown} Why remove near-duplicates from pretraining text, where nothing is tested?
# What is repeated is memorized, and compute goes into reading it again. {cite:t}`lee2022deduplicating` found that models emit memorized text ten
# times less often after de-duplication, and need as many or fewer steps. Keep one text of each group, not none.
# :::
#
# :::{dropdown} Two texts say the same in other words. Who finds them?
# Not shingles. SemDeDup {cite:p}`abbas2023semdedup` embeds the texts, clusters the vectors, and drops neighbors that are too close within a cluster; of an image–text set it dropped half with
# little loss. The embedding model then decides what counts as the same, and the threshold is yours.
# :::
#
# :::{dropdown} You augment by back-translation, on the training side alone. Can that leak?
# Yes, through the translator, if it was trained on pages that hold your test set; the same goes for a model that paraphrases. {cite:t}`yang2023rethinking` found test overlap in data
# that GPT-3.5 and GPT-4 had written. Compare what was generated with the test set, and keep a test set that is newer than the model.
# :::
#
# :::{dropdown} How do you choose rows and bands?
# From what a miss and a false report cost. With $r = 4$, $b = 32$ a pair at $J = 0.8$ is missed with probability $(1 - 0.41)^{32}$, practically never; at $J = 0.3$
# it is reported 23 % of the time, and the exact check throws it out. More rows report fewer such pairs, more bands miss fewer real ones, and $rb$ is the memory per text.
# :::
#
# :::{dropdown} Mixup, then a temperature: do the two add up?
# In the table they do not: after a temperature, plain and mixup end close together. On images, {cite:t}`wang2023pitfall` found that mixup usually leaves a model *harder* to calibrate afterwards.
# Decide by held-out loss after the temperature.
# :::

# %% [markdown] tags=["exercise"]
# ## Your turn
#
# ```{task} mixup
# ```

# %%
import numpy as np
import torch


def mixup(
    x: torch.Tensor,
    y: torch.Tensor,
    alpha: float,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mix a batch with itself: x (B, ...) and the label rows y (B, K).

    Returns the mixed x, the mixed y, and the share λ of each example's own part.
    """
    raise NotImplementedError


check("mixup", mixup)

# %% [markdown]
# ```{solution} mixup
# ```

# %% [markdown] tags=["references"]
# ## References
#
# - {cite:t}`kaufman2012leakage`: what leakage is. {cite:t}`kapoor2023leakage`: where it has been found, in 17 fields.
# - {cite:t}`broder1997resemblance`: shingles and MinHash. {cite:t}`indyk1998approximate`: hashing that finds neighbors.
# - {cite:t}`lee2022deduplicating`, {cite:t}`abbas2023semdedup`: de-duplicating training data, by shingles and by meaning.
# - {cite:t}`brown2020language`, {cite:t}`yang2023rethinking`: test sets in training data.
# - {cite:t}`zhang2018mixup`: mixup. {cite:t}`guo2019augmenting`: for sentences.
# - {cite:t}`thulasidasan2019mixup`, {cite:t}`wang2023pitfall`: mixup and calibration, for and against.
